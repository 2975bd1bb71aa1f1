//! `watch`: it goes on where it stopped, over restarts of itself and of the server.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::time::timeout;

use super::super::server::PATIENCE;
use super::{Operator, cells};
use crate::support::database::TestDatabase;

async fn create(operator: &Operator, email: &str) {
    operator.says(&format!("create user --inviter-name Ops --email {email} --ttl 7d --no-email")).await;
}

async fn resumes(database: TestDatabase) {
    let operator = Operator::on(database).await;
    for email in ["a@example.org", "b@example.org", "c@example.org"] {
        create(&operator, email).await;
    }
    let first = operator.says("watch --from-beginning --resume position --limit 2").await;
    let rows = cells(&first);
    assert_eq!((rows.len(), rows[0][1].as_str(), rows[0][2].as_str()), (2, "invitation.created", "user"), "{first}");
    let mode = fs::metadata(operator.path().join("position")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    let mut child = operator.start("watch --resume position --event invitation.* --json");
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = async || {
        let line = timeout(PATIENCE, lines.next_line()).await.expect("an event comes").unwrap().unwrap();
        serde_json::from_str::<serde_json::Value>(&line).unwrap()
    };
    let third = next().await;
    assert_eq!(third["type"], "invitation.created");
    assert!(!first.contains(third["invitation"].as_str().unwrap()), "it is the one that was left");
    create(&operator, "d@example.org").await;
    assert_eq!(next().await["kind"], "INVITATION_KIND_USER", "it comes as it happens");
    child.kill().await.unwrap();
    let none = operator.start("watch --resume position --limit 1").wait_with_output();
    create(&operator, "e@example.org").await;
    let last = timeout(PATIENCE, none).await.unwrap().unwrap();
    assert_eq!(cells(&String::from_utf8(last.stdout).unwrap()).len(), 1);
    operator.stop().await;
}

#[tokio::test(crate = "crate::support::limit")]
async fn watch_goes_on_where_it_stopped_on_sqlite() {
    Box::pin(resumes(TestDatabase::sqlite())).await;
}

#[tokio::test(crate = "crate::support::limit")]
async fn watch_goes_on_where_it_stopped_on_postgresql() {
    let Some(database) = TestDatabase::migrated_postgres().await else { return };
    Box::pin(resumes(database)).await;
}
