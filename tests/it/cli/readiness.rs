//! Health as probes see it, and the schema that readiness waits for.

use std::net::TcpListener;

use invitation_service::pb::health::health_check_response::ServingStatus;
use sea_orm::ConnectionTrait;
use tonic::Code;

use super::server::{BY_NAME, Server, printed, refusal, run};
use crate::store::migrations::migrate_further;
use crate::support::database::TestDatabase;
use crate::support::expect::refused;
use crate::support::folder::folder;
use crate::support::on_both;
use crate::support::service::KEYS;

on_both!(older_release_migrates_and_serves_a_newer_schema);

#[tokio::test(crate = "crate::support::limit")]
async fn health_exits_with_0_only_when_what_was_asked_for_serves() {
    let folder = folder();
    let server = Server::ready(folder.path(), &[], &[]).await;
    let endpoint = format!("http://{}", server.address);
    let ask = |more: &'static [&'static str]| {
        let arguments = [&["health", "--endpoint", endpoint.as_str()], more].concat();
        let folder = folder.path().to_owned();
        async move { run(&folder, &arguments, &[]).await }
    };
    assert_eq!(printed(&ask(&[]).await), "SERVING\n");
    assert_eq!(printed(&ask(&["--service", BY_NAME]).await), "SERVING\n");
    refusal(&ask(&["--service", "invitation.v1.Nothing"]).await);
    server.stop().await;
    let text = refusal(&ask(&[]).await);
    assert!(text.contains("cannot be reached: Connection refused"), "{text}");
}

#[tokio::test(crate = "crate::support::limit")]
async fn health_does_not_wait_for_ever_for_who_says_nothing() {
    let folder = folder();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", silent.local_addr().unwrap());
    let text = refusal(&run(folder.path(), &["health", "--endpoint", &endpoint, "--timeout", "300ms"], &[]).await);
    assert!(text.contains("no answer in time"), "{text}");
}

#[tokio::test(crate = "crate::support::limit")]
async fn postgresql_is_served_once_somebody_has_migrated_it() {
    let Some(database) = TestDatabase::postgres().await else { return };
    let folder = folder();
    let environment = [("INVITATION__STORE__URL", database.url()), ("INVITATION__TOKEN__KEYS", KEYS)];
    let server = Server::start(folder.path(), &[], &environment).await;
    let line = server.logged("not ready").await;
    assert!(line.contains("migrate"), "{line}");
    refused(server.create().await.one().await, Code::Unavailable, "UNAVAILABLE");
    assert_eq!(server.health("").await, ServingStatus::Serving, "alive");
    assert_eq!(server.health(BY_NAME).await, ServingStatus::NotServing, "not ready");
    let endpoint = format!("http://{}", server.address);
    printed(&run(folder.path(), &["health", "--endpoint", &endpoint], &[]).await);
    let text = refusal(&run(folder.path(), &["health", "--endpoint", &endpoint, "--service", BY_NAME], &[]).await);
    assert!(text.contains("NOT_SERVING"), "{text}");

    for _ in 0..2 {
        printed(&run(folder.path(), &["migrate"], &environment).await);
    }
    server.until(ServingStatus::Serving).await;
    server.create().await.one().await.unwrap();
    server.stop().await;
}

/// A database keeps the encoding that it was created with, so waiting for it does not help.
#[tokio::test(crate = "crate::support::limit")]
async fn database_that_lacks_characters_is_refused() {
    let Some(database) = TestDatabase::postgres().await else { return };
    let folder = folder();
    let (server, name) = database.direct().rsplit_once('/').unwrap();
    let admin = sea_orm::Database::connect(format!("{server}/postgres")).await.unwrap();
    for encoding in ["LATIN1", "SQL_ASCII", "EUC_JP"] {
        // A pooler may still be connected.
        admin.execute_unprepared(&format!("DROP DATABASE {name} WITH (FORCE)")).await.unwrap();
        let create = format!("CREATE DATABASE {name} ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0");
        admin.execute_unprepared(&create).await.unwrap();
        let environment = [("INVITATION__STORE__URL", database.url()), ("INVITATION__TOKEN__KEYS", KEYS)];
        let on_start = [&environment[..], &[("INVITATION__STORE__MIGRATE_ON_START", "true")]].concat();
        for (arguments, environment) in [
            (&["migrate"][..], &environment[..]),
            (&["serve", "--listen", "127.0.0.1:0"], &environment),
            (&["serve", "--listen", "127.0.0.1:0"], &on_start),
        ] {
            let text = refusal(&run(folder.path(), arguments, environment).await);
            assert!(text.contains(encoding) && text.contains("ENCODING 'UTF8'"), "{arguments:?}: {text}");
        }
    }
    admin.close().await.unwrap();
}

#[tokio::test(crate = "crate::support::limit")]
async fn replicas_started_together_on_an_empty_database_become_ready() {
    let Some(database) = TestDatabase::postgres().await else { return };
    let folder = folder();
    let environment = [
        ("INVITATION__STORE__URL", database.url()),
        ("INVITATION__TOKEN__KEYS", KEYS),
        ("INVITATION__STORE__MIGRATE_ON_START", "true"),
    ];
    let start = || Server::ready(folder.path(), &[], &environment);
    let (one, two, three) = tokio::join!(start(), start(), start());
    let made = one.create().await.with_request_id("once").await.unwrap();
    for other in [&two, &three] {
        assert_eq!(other.create().await.with_request_id("once").await.unwrap().name, made.name, "on another replica");
    }
    for server in [one, two, three] {
        server.stop().await;
    }
}

async fn older_release_migrates_and_serves_a_newer_schema(database: TestDatabase) {
    let folder = folder();
    let environment = [("INVITATION__STORE__URL", database.url()), ("INVITATION__TOKEN__KEYS", KEYS)];
    printed(&run(folder.path(), &["migrate"], &environment).await);
    let raw = database.connect().await;
    migrate_further(&raw).await;
    raw.close().await.unwrap();

    let output = run(folder.path(), &["migrate"], &environment).await;
    let log = String::from_utf8(output.stderr.clone()).unwrap();
    printed(&output);
    assert_eq!(log.matches("a newer release has migrated the schema").count(), 1, "{log}");
    let server = Server::ready(folder.path(), &[], &environment).await;
    let line = server.logged("a newer release has migrated the schema").await;
    assert!(line.contains("m99991231_000001_from_the_future"), "{line}");
    server.create().await.one().await.unwrap();
    server.stop().await;
}

/// The process writes on into the file it has open, which is gone with the process, and a new connection would make another.
#[tokio::test(crate = "crate::support::limit")]
async fn file_that_was_deleted_or_replaced_takes_no_writes() {
    for replaced in [false, true] {
        let folder = folder();
        let server = Server::ready(folder.path(), &[], &[]).await;
        server.create().await.one().await.unwrap();
        let file = folder.path().join("data/invitations.db");
        if replaced {
            let copy = folder.path().join("copy.db");
            std::fs::copy(&file, &copy).unwrap();
            std::fs::rename(&copy, &file).unwrap();
        } else {
            std::fs::remove_file(&file).unwrap();
        }
        refused(server.create().await.one().await, Code::Unavailable, "UNAVAILABLE");
        server.until(ServingStatus::NotServing).await;
        let line = server.logged("not ready").await;
        assert!(line.contains("the database file was"), "{line}");
        refused(server.create().await.one().await, Code::Unavailable, "UNAVAILABLE");
        assert_eq!(file.exists(), replaced, "no other file takes its place");
        server.stop().await;
    }
}

#[tokio::test(crate = "crate::support::limit")]
async fn file_that_takes_no_writes_is_not_ready() {
    let folder = folder();
    let server = Server::ready_for_faults(folder.path(), &[]).await;
    server.limit_files(Some(1)).await;
    refused(server.create().await.one().await, Code::Unavailable, "UNAVAILABLE");
    server.until(ServingStatus::NotServing).await;
    let line = server.logged("not ready").await;
    assert!(line.contains("disk I/O error"), "{line}");
    server.limit_files(None).await;
    server.until(ServingStatus::Serving).await;
    server.create().await.one().await.unwrap();
    server.stop().await;
}
