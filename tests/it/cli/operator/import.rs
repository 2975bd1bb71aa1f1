//! `import`: broken lines, dry runs, and second runs, which send nothing twice.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::time::timeout;

use super::super::server::PATIENCE;
use super::{Operator, cells};
use crate::support::database::TestDatabase;

const PEOPLE: &str = "\u{feff}Email,Role,Note\r\n\
    ann@example.org,viewer;editor,\"first, of all\"\r\n\
    not an address,viewer,\r\n\
    \"bob@example.org\",viewer,\r\n\
    carl@example.org\r\n\
    ann@example.org,viewer;editor,\"first, of all\"\r\n";

async fn lines_are_sent_once(database: TestDatabase) {
    let operator = Operator::on(database).await;
    operator.file("people.csv", PEOPLE);
    let import = "import people.csv --kind user --ignore note";
    let flags = "-- --inviter-name Ops --ttl 7d --account-name Acme";
    let results = async |line: &str| {
        let output = operator.run(line).await;
        let (out, told) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
        let results: Vec<_> = cells(&out).into_iter().take(5).map(|row| (row[0].clone(), row[1].clone())).collect();
        (results, out, told, output.status.code())
    };
    let expect = |words: [&str; 5]| {
        let words = words.iter().zip(2..).map(|(word, line)| (format!("{line}"), (*word).to_owned()));
        words.collect::<Vec<_>>()
    };

    let (dry, out, told, code) = results(&format!("{import} --dry-run {flags}")).await;
    assert_eq!(dry, expect(["valid", "failed", "valid", "failed", "failed"]), "{out}");
    assert_eq!(code, Some(1));
    assert!(
        out.contains("INVALID_FIELD: user_invitation.invited_email must") && out.contains("the same as line 2"),
        "{out}"
    );
    assert!(out.contains("fields: 1 instead of 3") && told.contains("2 of 5 can be done, 3 failed"));
    assert_eq!(operator.json("list").await.len(), 0, "a dry run creates nothing");

    let (first, out, _, code) = results(&format!("{import} {flags}")).await;
    assert_eq!((first, code), (expect(["done", "failed", "done", "failed", "failed"]), Some(1)), "{out}");
    assert!(!out.contains("inv_"), "a table has no links: {out}");
    let (dry, ..) = results(&format!("{import} --dry-run {flags}")).await;
    assert_eq!(dry, expect(["sent before", "failed", "sent before", "failed", "failed"]));

    // Mended, with a line more in front, and without the one that was there twice.
    let twice = "ann@example.org,viewer;editor,\"first, of all\"\r\n";
    let mended = PEOPLE.strip_suffix(twice).unwrap().replacen("ann@", "zoe@example.org,viewer,\r\nann@", 1);
    let mended = mended.replace("not an address", "dora@example.org").replace("carl@example.org", "carl@example.org,,");
    operator.file("people.csv", mended);
    let second = operator.run(&format!("{import} {flags}")).await;
    assert!(second.status.success(), "{second:?}");
    let listed = operator.json("list").await;
    let addresses: BTreeSet<_> = listed.iter().map(|one| one["targets"][0]["value"].as_str().unwrap()).collect();
    assert_eq!((listed.len(), addresses.len()), (5, 5), "nobody is invited twice");
    let changed = operator.run(&format!("{import} -- --inviter-name Ops --ttl 9d --account-name Acme")).await;
    let out = String::from_utf8(changed.stdout).unwrap();
    assert!(changed.status.code() == Some(1) && out.contains("REQUEST_ID_REUSED"), "{out}");
    assert_eq!(operator.json("list").await.len(), listed.len());
    operator.stop().await;
}

#[tokio::test(crate = "crate::support::limit")]
async fn imported_lines_are_sent_once_on_sqlite() {
    Box::pin(lines_are_sent_once(TestDatabase::sqlite())).await;
}

#[tokio::test(crate = "crate::support::limit")]
async fn imported_lines_are_sent_once_on_postgresql() {
    let Some(database) = TestDatabase::migrated_postgres().await else { return };
    Box::pin(lines_are_sent_once(database)).await;
}

/// The file is long enough that the first run is in the midst of it when it is killed.
async fn broken_run_is_resumed(database: TestDatabase) {
    const LINES: usize = 1_000;
    let operator = Operator::on(database).await;
    let rows = (0..LINES).map(|number| format!("{number},p{number}@example.org\n"));
    operator.file("many.csv", format!("customer,email\n{}", rows.collect::<String>()));
    let import = "import many.csv --kind general --id-column customer --json -- --scope team:7";
    let mut child = operator.start(import);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    for _ in 0..100 {
        timeout(PATIENCE, lines.next_line()).await.unwrap().unwrap().unwrap();
    }
    child.kill().await.unwrap();
    let left = LINES - operator.json("list").await.len();
    assert!(left > 0, "the first run was broken off");

    let second = timeout(Duration::from_secs(120), operator.start(import).wait_with_output()).await;
    let second = second.unwrap().unwrap();
    assert!(second.status.success(), "{}", String::from_utf8_lossy(&second.stderr));
    let text = String::from_utf8(second.stdout).unwrap();
    let reports: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(reports.iter().all(|report| report["result"] == "done"), "{text}");
    let numbers: Vec<_> = reports.iter().map(|report| report["line"].as_u64().unwrap()).collect();
    assert!(numbers.iter().copied().eq(2..=LINES as u64 + 1), "in the order of the lines");
    assert_eq!(operator.json("list").await.len(), LINES, "{left} were left");
    let links: BTreeSet<_> =
        reports.iter().map(|report| report["invitation"]["invitationUri"].as_str().unwrap()).collect();
    assert_eq!(links.len(), LINES, "each link is in the report");
    operator.stop().await;
}

#[tokio::test(crate = "crate::support::limit")]
async fn broken_import_is_resumed_on_sqlite() {
    Box::pin(broken_run_is_resumed(TestDatabase::sqlite())).await;
}

#[tokio::test(crate = "crate::support::limit")]
async fn broken_import_is_resumed_on_postgresql() {
    let Some(database) = TestDatabase::migrated_postgres().await else { return };
    Box::pin(broken_run_is_resumed(database)).await;
}

#[tokio::test(crate = "crate::support::limit")]
async fn import_stops_where_every_line_would_fail() {
    let operator = Operator::on(TestDatabase::sqlite()).await;
    let rows = (0..50).map(|number| format!("p{number}@example.org\n"));
    operator.file("many.csv", format!("email\n{}", rows.collect::<String>()));
    let key = operator.says("keys create reader --permission invitations.read").await;
    operator.file("reader", key);
    let denied =
        operator.fails("import many.csv --kind user --api-key-file reader -- --inviter-name Ops --ttl 7d", 1).await;
    assert!(
        denied.contains("PERMISSION_DENIED") && denied.contains("stopped at line 2, 50 of 50 lines are left"),
        "{denied}"
    );
    let file = operator.fails("import nothing.csv --kind user", 1).await;
    assert!(file.contains("cannot read nothing.csv"), "{file}");
    operator.file("names.csv", "email,nickname\na@b.example,A\n");
    let column = operator.fails("import names.csv --kind user", 1).await;
    assert!(column.contains("no field nickname") && column.contains("--ignore nickname"), "{column}");
    operator.stop().await;
}

#[tokio::test(crate = "crate::support::limit")]
async fn changes_are_not_half_done_when_nobody_reads_on() {
    let operator = Operator::on(TestDatabase::sqlite()).await;
    let people: String = (0..200).map(|number| format!("person-{number}@example.org\n")).collect();
    operator.file("people.csv", format!("email\n{people}"));
    let unread = async |line: &str| {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let child = operator.start_with(line, writer.into());
        timeout(PATIENCE, child.wait_with_output()).await.unwrap().unwrap()
    };
    let output = unread("import people.csv --kind user -- --inviter-name Ops").await;
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let listed = operator.json("list --limit 500").await;
    assert_eq!(listed.len(), 200);
    let names: Vec<_> = listed.iter().take(3).map(|one| one["name"].as_str().unwrap()).collect();
    let output = unread(&format!("revoke {}", names.join(" "))).await;
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(operator.json("list --state revoked").await.len(), 3);
    operator.stop().await;
}
