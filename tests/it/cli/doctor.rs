//! `doctor`: each planted fault is a line with its remedy and an exit code, and a good set-up has none.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use sea_orm::ConnectionTrait;
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::Semaphore;

use super::server::{Server, printed, run};
use crate::mail::sink::{Act, Sink};
use crate::support::database::TestDatabase;
use crate::support::folder::folder;
use crate::support::on_both;
use crate::support::service::KEYS;

on_both!(good_set_up_has_no_problem, faults_of_schema_and_keys_are_found);

const MAIL: [(&str, &str); 3] = [
    ("INVITATION__MAIL__STARTTLS", "none"),
    ("INVITATION__LINKS__ALLOW_LOCALHOST", "true"),
    ("INVITATION__DELIVERY__LEASE", "3m"),
];

/// Runs the doctor, and returns its exit code and its findings as `level check text`.
async fn examined(folder: &Path, environment: &[(&str, &str)]) -> (i32, Vec<String>) {
    let output = run(folder, &["doctor", "--json"], environment).await;
    let text = String::from_utf8(output.stdout).unwrap();
    let json: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    assert!(!text.contains("hunter2"), "{text}");
    let code = output.status.code().unwrap();
    assert_eq!(json["exit_code"], code, "{text}");
    let part = |finding: &Value, name: &str| finding[name].as_str().unwrap().to_owned();
    let checks = json["checks"].as_array().unwrap().iter();
    let line =
        |finding: &Value| format!("{} {} {}", part(finding, "level"), part(finding, "check"), part(finding, "text"));
    (code, checks.map(line).collect())
}

#[track_caller]
fn has(findings: &[String], begins: &str, part: &str) {
    let found = findings.iter().any(|finding| finding.starts_with(begins) && finding.contains(part));
    assert!(found, "no {begins:?} with {part:?} in {findings:#?}");
}

async fn good_set_up_has_no_problem(database: TestDatabase) {
    let folder = folder();
    let sink = Sink::that(&[]).await;
    let url = sink.url();
    let own = [
        ("INVITATION__STORE__URL", database.url()),
        ("INVITATION__TOKEN__KEYS", KEYS),
        ("INVITATION__MAIL__URL", &url),
    ];
    let environment = [&own[..], &MAIL].concat();
    printed(&run(folder.path(), &["migrate"], &environment).await);
    // On SQLite the service has the file open meanwhile.
    let server = Server::ready(folder.path(), &[], &environment).await;
    let (code, findings) = examined(folder.path(), &environment).await;
    assert_eq!(code, 0, "{findings:#?}");
    for check in ["configuration", "database", "schema", "keys", "mail", "webhooks"] {
        has(&findings, &format!("ok {check} "), "");
    }
    has(&findings, "ok mail", "answers, in the clear, without a login");
    assert!(sink.taken().0.is_empty(), "nothing is sent");
    let text = printed(&run(folder.path(), &["doctor"], &environment).await);
    assert!(text.lines().last().unwrap().starts_with("0 problems, "), "{text}");
    server.create().await.one().await.unwrap();
    server.stop().await;
}

async fn faults_of_schema_and_keys_are_found(database: TestDatabase) {
    let folder = folder();
    let is_sqlite = database.url().starts_with("sqlite");
    let own = [("INVITATION__STORE__URL", database.url()), ("INVITATION__TOKEN__KEYS", KEYS)];
    if !is_sqlite {
        let (code, findings) = examined(folder.path(), &own).await;
        assert_eq!(code, 6, "{findings:#?}");
        has(&findings, "problem schema", "lacks 1 of the migrations of this release (m20261128_000001_schema): run");
    }
    Server::ready(folder.path(), &[], &[&own[..], &[("INVITATION__STORE__MIGRATE_ON_START", "true")]].concat())
        .await
        .stop()
        .await;
    assert_eq!(examined(folder.path(), &own).await.0, 0);
    let other = [own[0], ("INVITATION__TOKEN__KEYS", "7:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=")];
    let (code, findings) = examined(folder.path(), &other).await;
    assert_eq!(code, 3, "{findings:#?}");
    has(&findings, "problem keys", "token.keys does not fit this database");
}

#[tokio::test(crate = "crate::support::limit")]
async fn configuration_and_neighbours_are_judged_one_by_one() {
    let folder = folder();
    let wrong = [("INVITATION__STORE__LANES", "20"), ("INVITATION__LOG__LEVEL", "infos")];
    let (code, findings) = examined(folder.path(), &wrong).await;
    assert_eq!((code, findings.len()), (3, 2), "{findings:#?}");
    has(&findings, "problem configuration", "store.lanes: must be a whole number");

    let refusing = Sink::that(&[("EHLO", Act::Hold(Arc::new(Semaphore::new(0))))]).await;
    let url = refusing.url();
    let more = [
        ("INVITATION__MAIL__URL", url.as_str()),
        ("INVITATION__MAIL__TIMEOUT", "300ms"),
        ("INVITATION__EVENTS__NATS_URL", "nats://127.0.0.1:9"),
    ];
    let (code, findings) = examined(folder.path(), &[&MAIL[..], &more].concat()).await;
    assert_eq!(code, 4, "{findings:#?}");
    has(&findings, "ok database", "is not there yet: the first start creates it");
    has(&findings, "problem mail", "check mail.url");
    has(&findings, "problem nats", "no connection to NATS at 127.0.0.1:9: Connection refused");
    assert!(!folder.path().join("data").exists(), "nothing is made");
    let (code, findings) = examined(folder.path(), &[]).await;
    assert_eq!(code, 0);
    has(&findings, "warning mail", "nobody gets mail");
}

async fn folder_of_a_fresh_database() -> TempDir {
    let folder = folder();
    printed(&run(folder.path(), &["migrate"], &[]).await);
    folder
}

#[tokio::test(crate = "crate::support::limit")]
async fn damage_and_lost_keys_of_a_file_are_found() {
    let folder = folder();
    Server::ready(folder.path(), &[], &[]).await.stop().await;
    let (file, keys) = (folder.path().join("data/invitations.db"), folder.path().join("data/invitations.keys"));
    assert_eq!(examined(folder.path(), &[]).await.0, 0);
    // A migration alone makes no keys.
    let fresh = folder_of_a_fresh_database().await;
    let (code, findings) = examined(fresh.path(), &[]).await;
    assert_eq!(code, 0, "{findings:#?}");
    has(&findings, "ok keys", "the first start creates it");
    let said = printed(&run(fresh.path(), &["backup", "copy.db"], &[]).await);
    assert!(said.contains("it has no keys yet"), "{said}");
    let kept = folder.path().join("kept");
    fs::rename(&keys, &kept).unwrap();
    let (code, findings) = examined(folder.path(), &[]).await;
    assert_eq!(code, 3, "{findings:#?}");
    has(&findings, "problem keys", "restore the file from the backup");
    fs::rename(&kept, &keys).unwrap();
    let mut bytes = fs::read(&file).unwrap();
    let pages = bytes.len() / 4096;
    for byte in &mut bytes[(pages / 2) * 4096..(pages / 2 + 4) * 4096] {
        *byte ^= 0x5a;
    }
    fs::write(&file, &bytes).unwrap();
    let (code, findings) = examined(folder.path(), &[]).await;
    assert_eq!(code, 1, "{findings:#?}");
    has(&findings, "problem file", "is damaged");
    fs::write(&file, "no database, ".repeat(400)).unwrap();
    let (code, findings) = examined(folder.path(), &[]).await;
    assert_ne!(code, 0, "{findings:#?}");
}

#[tokio::test(crate = "crate::support::limit")]
async fn faults_of_a_server_are_found() {
    let Some(database) = TestDatabase::migrated_postgres().await else { return };
    let folder = folder();
    let (server, name) = database.direct().rsplit_once('/').unwrap();
    let (address, role) = (server.rsplit_once('@').unwrap().1, format!("patient_of_{name}"));
    let admin = sea_orm::Database::connect(database.direct()).await.unwrap();
    admin.execute_unprepared(&format!("CREATE ROLE {role} LOGIN PASSWORD 'x' CONNECTION LIMIT 5")).await.unwrap();
    let url = format!("postgres://{role}:x@{address}/{name}");
    let of = |url: &str| {
        vec![
            ("INVITATION__STORE__URL", url.to_owned()),
            ("INVITATION__TOKEN__KEYS", KEYS.to_owned()),
            ("INVITATION__STORE__POOLER", "none".to_owned()),
        ]
    };
    let examined = async |variables: Vec<(&'static str, String)>| {
        let environment: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
        examined(folder.path(), &environment).await
    };
    let (code, findings) = examined(of(&url)).await;
    assert_eq!(code, 1, "{findings:#?}");
    has(&findings, "problem permissions", &format!("ON ALL TABLES IN SCHEMA public TO {role}"));
    assert_eq!(findings.iter().filter(|finding| finding.contains("lacks permissions")).count(), 1, "{findings:#?}");
    has(&findings, "problem connections", "one process opens up to 18; the server lets this role have 5");
    let grant = format!(
        "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}; ALTER ROLE {role} CONNECTION LIMIT -1"
    );
    admin.execute_unprepared(&grant).await.unwrap();
    let (code, findings) = examined(of(&url)).await;
    assert_eq!(code, 0, "{findings:#?}");
    has(&findings, "ok encryption", "none, to a server on this machine");
    admin.execute_unprepared(&format!("ALTER ROLE {role} SET default_transaction_read_only = on")).await.unwrap();
    let (code, findings) = examined(of(&url)).await;
    assert_eq!(code, 4, "{findings:#?}");
    has(&findings, "problem writes", "it takes no writes");
    let (code, findings) = examined(of(&url.replace(":x@", ":hunter2@"))).await;
    assert_eq!(code, 4);
    has(&findings, "problem database", "(SQLSTATE 28P01)");
    let more = ("INVITATION__STORE__LISTEN_URL", "postgres://u:hunter2@127.0.0.1:9/d".to_owned());
    let (_, findings) = examined([of(database.direct()), vec![more]].concat()).await;
    has(&findings, "problem store.listen_url", "nothing listens there");
    has(&findings, "warning role", "is a superuser");
    admin.close().await.unwrap();
}
