//! An operator's day: invitations of every kind, what happened to them, webhooks and keys.

use std::fs;
use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, sleep};

use super::{Operator, cells, id, value};
use crate::support::database::TestDatabase;
use crate::webhook::http_sink::Sink;

const COMPANY: &str = "01920000-0000-7000-8000-00000000c0de";

async fn invitations(database: TestDatabase) {
    let operator = Operator::on(database).await;
    let caller = operator.says("whoami").await;
    assert_eq!((value(&caller, "account"), value(&caller, "name")), ("acme".to_owned(), "apiKeys/root".to_owned()));

    let user = operator
        .says("create user --inviter-name Ops --email ann@example.org --role viewer --role editor --ttl 7d --label x=1")
        .await;
    assert_eq!((value(&user, "state"), value(&user, "roles")), ("active".to_owned(), "viewer, editor".to_owned()));
    let link = value(&user, "invitation_uri");
    assert!(link.contains("/inv_") && user.matches("inv_").count() == 1, "the link once: {user}");
    let guest = format!("create guest --email kim@guest.example --organization {COMPANY} --ttl 7d --no-email");
    let [guest] = &operator.json(&guest).await[..] else { panic!("not one document") };
    assert_eq!(guest["state"], "INVITATION_STATE_ACTIVE", "JSON has the names of the API: {guest}");
    operator.says(&format!("create connection --company {COMPANY} --max-uses 3")).await;
    let general = "create general --email bob@example.org --phone +4930123456 --scope team:7 --role viewer";
    let general = value(&operator.says(general).await, "name");

    let all = cells(&operator.says("list").await);
    assert_eq!(all.iter().map(|row| row[1].as_str()).collect::<Vec<_>>(), ["general", "connection", "guest", "user"]);
    assert_eq!(all[0][0], id(&general));
    let first = cells(&operator.says("list --oldest-first --limit 1").await);
    assert_eq!((first.len(), first[0][1].as_str(), first[0][4].as_str()), (1, "user", "ann@example.org"));
    for (filter, count) in [
        ("--kind user --kind guest", 2),
        ("--target ann@example.org", 1),
        ("--target +4930123456", 1),
        ("--scope team:7", 1),
        ("--label x=1", 1),
        ("--state revoked", 0),
        ("--creator apiKeys/root --created-since 1h", 4),
        ("--type multi_use", 1),
        ("--expires-until 2020-01-01T00:00:00Z", 0),
    ] {
        let listed = operator.says(&format!("list {filter}")).await;
        assert!(listed.starts_with("ID  ") && cells(&listed).len() == count, "{filter}: {listed}");
    }
    let documents = operator.json("list").await;
    assert_eq!((documents.len(), &documents[0]["kind"]), (4, &json!("INVITATION_KIND_GENERAL")));
    changes(&operator, &general, &link).await;
    operator.stop().await;
}

/// Sends again, revokes, and shows what happened.
async fn changes(operator: &Operator, name: &str, link: &str) {
    let again = operator.says(&format!("resend {name} --ttl 30d")).await;
    assert!(!again.contains("inv_"), "an old link is not printed: {again}");
    let limited = operator.fails(&format!("resend {}", id(name)), 1).await;
    assert!(limited.starts_with("error: RATE_LIMITED: ") && limited.contains("try again in"), "{limited}");
    let rotated = operator.says(&format!("resend {name} --rotate --no-email")).await;
    let new = value(&rotated, "invitation_uri");
    assert!(new.contains("/inv_") && new != link, "a new link is printed");

    let dry = cells(&operator.says(&format!("revoke {name} --dry-run")).await);
    assert_eq!(dry[0][2], "revoked");
    assert_eq!(cells(&operator.says("list --state revoked").await).len(), 0, "a dry run changes nothing");
    let unknown = "01920000-0000-7000-8000-000000000001";
    let some = operator.run(&format!("revoke {unknown} {name}")).await;
    let (out, told) = (String::from_utf8(some.stdout).unwrap(), String::from_utf8(some.stderr).unwrap());
    assert_eq!((some.status.code(), cells(&out)[0][2].as_str()), (Some(1), "revoked"), "{told}");
    assert!(told.contains(&format!("warning: invitations/{unknown}: INVITATION_NOT_FOUND")), "{told}");
    assert!(told.ends_with("error: 1 of 2 could not be revoked\n"), "{told}");

    let shown = operator.says(&format!("show {name}")).await;
    assert_eq!(value(&shown, "state"), "revoked");
    let part = |title: &str| cells(shown.split(&format!("\n{title}\n")).nth(1).unwrap().split("\n\n").next().unwrap());
    assert_eq!(part("RECIPIENTS").len(), 2, "{shown}");
    let events: Vec<_> = part("EVENTS").into_iter().map(|row| row[1].clone()).collect();
    assert_eq!((events[0].as_str(), events.contains(&"invitation.resent".to_owned())), ("invitation.created", true));
    assert_eq!(events.last().map(String::as_str), Some("invitation.revoked"), "{shown}");
    let deliveries = part("DELIVERIES");
    assert!(deliveries.len() == 2 && deliveries[0][1] == "bob@example.org", "{shown}");
    let [document] = &operator.json(&format!("show {name}")).await[..] else { panic!("not one document") };
    for field in ["recipients", "events", "deliveries"] {
        assert!(!document[field].as_array().unwrap().is_empty(), "{field}: {document}");
    }
    assert!(!format!("{shown}{document}").contains("inv_"), "an old link is not shown");

    let listed = cells(&operator.says(&format!("deliveries list {name}")).await);
    assert_eq!(listed.len(), 2);
    assert_eq!(operator.says(&format!("deliveries redeliver {name}")).await, "0 queued again\n");
    let all = cells(&operator.says("deliveries list --all --since 1h").await);
    assert!(all.iter().filter(|row| row[4].contains(id(name))).count() == 2 && all.len() == 3, "{all:?}");
    assert!(cells(&operator.says("deliveries list --all --state bounced --state failed").await).is_empty());
    assert_eq!(operator.says("deliveries redeliver --all --since 1h --dry-run").await, "0 would be queued again\n");
}

#[tokio::test(crate = "crate::support::limit")]
async fn operator_manages_invitations_on_sqlite() {
    Box::pin(invitations(TestDatabase::sqlite())).await;
}

#[tokio::test(crate = "crate::support::limit")]
async fn operator_manages_invitations_on_postgresql() {
    let Some(database) = TestDatabase::migrated_postgres().await else { return };
    Box::pin(invitations(database)).await;
}

async fn endpoints_and_keys(database: TestDatabase) {
    let operator = Operator::on(database).await;
    let sink = Sink::start([]).await;
    let created = operator.says(&format!("webhooks create {} --event invitation.*", sink.uri())).await;
    let (name, secret) = (value(&created, "name"), value(&created, "secret"));
    assert!(secret.starts_with("whsec_"), "{created}");
    let tested = operator.says(&format!("webhooks test {name}")).await;
    assert_eq!((value(&tested, "state"), value(&tested, "http_status")), ("succeeded".to_owned(), "200".to_owned()));
    let soon = operator.fails(&format!("webhooks test {name}"), 1).await;
    assert!(soon.starts_with("error: RATE_LIMITED"), "{soon}");

    operator.says("create user --inviter-name Ops --email ann@example.org --ttl 7d").await;
    let begun = Instant::now();
    let attempts = loop {
        let attempts = cells(&operator.says(&format!("webhooks attempts {}", id(&name))).await);
        if !attempts.is_empty() {
            break attempts;
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "the event is never posted");
        sleep(Duration::from_millis(100)).await;
    };
    assert_eq!((attempts[0][1].as_str(), attempts[0][2].as_str()), ("succeeded", "200"));
    assert_eq!(operator.says(&format!("webhooks redeliver {name} --since 1h")).await, "1 posted again\n");

    let update = format!("webhooks update {name} --uri http://127.0.0.1:9/x --event delivery.*");
    let dead = operator.says(&format!("{update} --format cloud_events_binary")).await;
    assert_eq!(value(&dead, "event_types"), "delivery.*");
    assert!(operator.fails(&format!("webhooks update {name}"), 2).await.contains("nothing to change"));
    operator.says(&format!("webhooks update {name} --disabled true")).await;
    let listed = operator.says("webhooks list").await;
    assert_eq!((&*cells(&listed)[0][3], &*cells(&listed)[0][4]), ("cloud_events_binary", "yes"), "{listed}");
    let rotated = operator.says(&format!("webhooks rotate-secret {name}")).await;
    assert!(value(&rotated, "secret") != secret && !listed.contains("whsec_"), "{listed}");
    assert_eq!(operator.says(&format!("webhooks delete {name}")).await, "");
    assert_eq!(cells(&operator.says("webhooks list").await).len(), 0);
    keys(&operator).await;
    operator.stop().await;
}

async fn keys(operator: &Operator) {
    let create =
        "keys create reader --permission invitations.read --display-name Reader --expires-at 2099-01-01T00:00:00Z";
    let dry = operator.says(&format!("{create} --dry-run")).await;
    assert!(!dry.contains("ivk_") && value(&dry, "permissions") == "invitations.read", "{dry}");
    let key = operator.says(create).await;
    assert!(key.starts_with("ivk_") && key.lines().count() == 1, "the key alone");
    operator.file("reader", &key);
    let reader = operator.run("list --api-key-file reader").await;
    assert_eq!(reader.status.code(), Some(0), "the file comes before the variable");
    let denied =
        operator.fails("create user --inviter-name Ops --email b@example.org --ttl 7d --api-key-file reader", 1).await;
    assert!(denied.starts_with("error: PERMISSION_DENIED: "), "{denied}");
    let taken = operator.fails(create, 1).await;
    assert!(taken.starts_with("error: API_KEY_EXISTS: "), "{taken}");

    let updated = operator.says("keys update reader --permission events.read").await;
    assert_eq!(value(&updated, "permissions"), "events.read");
    let rows = cells(&operator.says("keys list").await);
    assert_eq!((rows[0][0].as_str(), rows[0][1].as_str(), rows.len()), ("apiKeys/reader", "active", 2));
    assert_eq!(cells(&operator.says("keys revoke apiKeys/reader").await)[0][1], "revoked");
    assert_eq!(value(&operator.says("keys show reader").await, "state"), "revoked");
    assert_eq!((operator.json("keys list").await.len(), operator.json("keys list --revoked").await.len()), (1, 2));
    let refused = operator.fails("list --api-key-file reader", 1).await;
    assert!(refused.starts_with("error: UNAUTHENTICATED: ") && !refused.contains("ivk_"), "{refused}");
}

#[tokio::test(crate = "crate::support::limit")]
async fn operator_manages_webhooks_and_keys_on_sqlite() {
    Box::pin(endpoints_and_keys(TestDatabase::sqlite())).await;
}

#[tokio::test(crate = "crate::support::limit")]
async fn operator_manages_webhooks_and_keys_on_postgresql() {
    let Some(database) = TestDatabase::migrated_postgres().await else { return };
    Box::pin(endpoints_and_keys(database)).await;
}

#[tokio::test(crate = "crate::support::limit")]
async fn document_of_one_invitation_creates_the_next() {
    let operator = Operator::on(TestDatabase::sqlite()).await;
    let first = operator
        .says("create user --inviter-name Ops --email ann@example.org --role viewer --ttl 7d --no-email --json")
        .await;
    operator.file("first.json", &first);
    let second =
        operator.says("create user --from-json first.json --email bob@example.org --ttl 1d --request-id r-1").await;
    assert_eq!((value(&second, "invited_email"), value(&second, "roles")), ("bob@example.org".into(), "viewer".into()));
    let retry =
        operator.says("create user --from-json first.json --email bob@example.org --ttl 1d --request-id r-1").await;
    assert_eq!(value(&second, "name"), value(&retry, "name"), "a retry creates nothing");
    assert_eq!(operator.json("list").await.len(), 2);
    operator.file(
        "words.json",
        r#"{"targets": [{"type": "email", "value": "a@b.example"}], "invitationType": "multi-use"}"#,
    );
    let general = operator.says("create general --from-json words.json --scope team:1").await;
    assert_eq!(value(&general, "invitation_type"), "multi_use");
    for (text, part) in [("[1]", "it is a list"), ("{", "EOF"), (r#"{"nothing": 1}"#, "nothing")] {
        operator.file("broken.json", text);
        let refused = operator.fails("create user --from-json broken.json", 2).await;
        assert!(refused.contains(part), "{refused}");
    }
    operator.stop().await;
}

#[tokio::test(crate = "crate::support::limit")]
async fn shell_gets_completions_and_pages_without_a_server() {
    let folder = crate::support::folder::folder();
    let run = async |arguments: &[&str]| super::printed(&super::run(folder.path(), arguments, &[]).await);
    for shell in ["bash", "zsh", "fish"] {
        let script = run(&["completions", shell]).await;
        assert!(script.contains("on-conflict") && script.contains("return_existing"), "{shell}");
    }
    let script = run(&["completions", "bash"]).await
        + "COMP_WORDS=(invitation-service list --state e) COMP_CWORD=3
           _invitation__service invitation-service e --state && echo ${COMPREPLY[*]}";
    fs::write(folder.path().join("complete"), script).unwrap();
    let completed = tokio::process::Command::new("bash").arg(folder.path().join("complete")).output().await.unwrap();
    assert_eq!(super::printed(&completed), "expired\n", "{}", String::from_utf8_lossy(&completed.stderr));
    assert!(run(&["man"]).await.contains(".TH invitation-service 1"));
    fs::create_dir(folder.path().join("pages")).unwrap();
    run(&["man", "--folder", "pages"]).await;
    assert!(folder.path().join("pages/invitation-service-import.1").exists());
    let output = super::run(folder.path(), &["completions", "nothing"], &[]).await;
    assert_eq!(output.status.code(), Some(2));
}

/// The commands that the page shows are commands that there are. Tests of this folder run them.
#[test]
fn commands_of_the_page_can_be_parsed() {
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/command-line.md")).unwrap();
    let lines: Vec<_> = page.lines().filter_map(|line| line.strip_prefix("$ invitation-service ")).collect();
    assert!(lines.len() > 10, "{lines:?}");
    for line in lines {
        let words = line.split(['>', '|']).next().unwrap().split_whitespace().map(|word| word.trim_matches('\''));
        let parsed = invitation_service::cli::try_parse_from(["invitation-service"].into_iter().chain(words));
        assert!(parsed.is_ok(), "{line}: {parsed:?}");
    }
}
