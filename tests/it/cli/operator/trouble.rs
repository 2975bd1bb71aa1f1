//! A command that fails says why in one line, and by its exit code.

use std::time::{Duration, Instant};

use super::super::server::{Server, run};
use super::{Operator, failure};
use crate::support::database::TestDatabase;
use crate::support::folder::folder;
use crate::support::pace::paced;

#[tokio::test(crate = "crate::support::limit")]
async fn server_that_is_not_there_is_exit_code_4() {
    let folder = folder();
    let begun = Instant::now();
    let output = run(folder.path(), &["list", "--endpoint", "http://127.0.0.1:9"], &[]).await;
    let text = failure(&output, 4);
    assert!(text.starts_with("error: cannot reach http://127.0.0.1:9: ") && text.contains("refused"), "{text}");
    assert!(begun.elapsed() < paced(Duration::from_secs(10)), "{:?}", begun.elapsed());

    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", silent.local_addr().unwrap());
    let output = run(folder.path(), &["whoami", "--endpoint", &endpoint, "--timeout", "300ms"], &[]).await;
    let text = failure(&output, 4);
    assert!(text.contains("no answer") && text.contains("--timeout"), "{text}");
}

#[tokio::test(crate = "crate::support::limit")]
async fn refusal_names_the_reason_and_all_fields() {
    let operator = Operator::on(TestDatabase::sqlite()).await;
    let text = operator.fails("create user --inviter-name Ops --email nonsense --ttl 1s", 1).await;
    assert!(text.starts_with("error: INVALID_FIELD: user_invitation.invited_email must"), "{text}");
    assert!(text.contains("; user_invitation.ttl must be at least 60 seconds"), "{text}");
    let text = operator.fails("show 01920000-0000-7000-8000-000000000001", 1).await;
    assert!(text.starts_with("error: INVITATION_NOT_FOUND: "), "{text}");
    for usage in ["list --state pending", "show nothing", "create", "resend", "list --limit x", "import x.csv"] {
        assert_eq!(operator.run(usage).await.status.code(), Some(2), "{usage}");
    }
    operator.file("empty", "\n");
    let text = operator.fails("list --api-key-file empty", 1).await;
    assert!(text.contains("empty holds no API key"), "{text}");
    let text = operator.fails("list --api-key-file nothing", 1).await;
    assert!(text.contains("cannot read nothing"), "{text}");
    let endpoint = operator.endpoint();
    let text = failure(&run(operator.path(), &["list", "--endpoint", &endpoint], &[]).await, 1);
    assert!(text.starts_with("error: UNAUTHENTICATED: "), "{text}");
    operator.stop().await;
}

/// A write that was sent to a server which then ended is sent again, and creates one invitation.
#[tokio::test(crate = "crate::support::limit")]
async fn import_outlasts_the_restart_of_a_server() {
    let folder = folder();
    let server = Server::ready(folder.path(), &[], &[]).await;
    let address = server.address.to_string();
    let rows = (0..600).map(|number| format!("p{number}@example.org\n"));
    std::fs::write(folder.path().join("many.csv"), format!("email\n{}", rows.collect::<String>())).unwrap();
    let endpoint = format!("http://{address}");
    let arguments =
        ["import", "many.csv", "--kind", "user", "--endpoint", &endpoint, "--", "--ttl", "7d", "--no-email"];
    let import = super::command(folder.path(), &arguments, &[]).spawn().unwrap();
    let import = tokio::spawn(import.wait_with_output());
    tokio::time::sleep(Duration::from_millis(400)).await;
    server.kill().await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let again = ["serve", "--listen", &address, "--log-format", "json"];
    let server = Server::start_exactly(folder.path(), &again, &[]).await;
    let output = import.await.unwrap().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let listed = super::printed(&run(folder.path(), &["list", "--endpoint", &endpoint], &[]).await);
    assert_eq!(super::cells(&listed).len(), 600);
    server.stop().await;
}

#[tokio::test(crate = "crate::support::limit")]
async fn reader_that_goes_away_is_no_failure() {
    let operator = Operator::on(TestDatabase::sqlite()).await;
    operator.says("create user --inviter-name Ops --email a@example.org --ttl 7d --no-email").await;
    let mut child = operator.start("watch --from-beginning");
    drop(child.stdout.take());
    let output = tokio::time::timeout(Duration::from_secs(20), child.wait_with_output()).await.unwrap().unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
    operator.stop().await;
}
