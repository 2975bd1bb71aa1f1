//! Migrations, opening, and forgetting.

use std::time::Duration;

use invitation_service::clock::Clock;
use invitation_service::config::StoreUrl;
use invitation_service::domain::group::Group;
use invitation_service::domain::invitation::refusal::Refusal;
use invitation_service::store::{Database, ExecuteError, OpenError, Store};
use sea_orm::{ConnectionTrait, Statement};
use secrecy::ExposeSecret;

use crate::support::build::commands::*;
use crate::support::database::{NEW_YEAR, TestDatabase};
use crate::support::{on_both, postgres};

on_both!(request_ids_are_forgotten_after_forty_eight_hours, database_is_ready_once_it_is_migrated);

async fn request_ids_are_forgotten_after_forty_eight_hours(database: TestDatabase) {
    let clock = Clock::manual(NEW_YEAR);
    let opened = database.open(&clock).await;
    let maintenance = opened.maintenance();
    let store = Store::start(opened, &options(Group::run));
    let old = store.executor().execute(retryable("Create", "old", 1, create(link())), None).await.unwrap().invitation;
    clock.advance(Duration::from_secs(3_600));
    let young =
        store.executor().execute(retryable("Create", "young", 1, create(link())), None).await.unwrap().invitation;
    assert_eq!(maintenance.prune_requests().await.unwrap(), 0);
    clock.advance(Duration::from_secs(47 * 3_600));
    assert_eq!(maintenance.prune_requests().await.unwrap(), 0, "it is remembered up to the last moment");
    clock.advance(Duration::from_micros(1));
    assert_eq!(maintenance.prune_requests().await.unwrap(), 1);
    let again = store.executor().execute(retryable("Create", "old", 2, create(link())), None).await.unwrap().invitation;
    assert_ne!(again.id, old.id, "what is forgotten can be used anew");
    let replayed =
        store.executor().execute(retryable("Create", "young", 1, create(link())), None).await.unwrap().invitation;
    assert_eq!(replayed.id, young.id);
    let reused = store.executor().execute(retryable("Create", "young", 2, create(link())), None).await.unwrap_err();
    assert_eq!(reused, ExecuteError::Refused(Refusal::RequestIdReused));
}

async fn database_is_ready_once_it_is_migrated(database: TestDatabase) {
    let opened = unmigrated(&database).await;
    assert!(!opened.maintenance().is_ready().await.is_ok_and(|ready| ready));
    opened.maintenance().migrate().await.unwrap();
    assert!(opened.maintenance().is_ready().await.unwrap());
    opened.maintenance().migrate().await.expect("nothing is left to do");
}

async fn unmigrated(database: &TestDatabase) -> Database {
    let (timeout, clock) = (Duration::from_secs(20), Clock::manual(NEW_YEAR));
    match StoreUrl::parse(database.url()).unwrap() {
        StoreUrl::Sqlite(path) => Database::sqlite(&path, 4, timeout, clock).await.unwrap(),
        StoreUrl::Postgres(url) => {
            let options = postgres::options(url.expose_secret(), Some(database.direct()), 4, timeout);
            Database::postgres(&options, clock).unwrap()
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2, crate = "crate::support::limit")]
async fn one_replica_migrates_if_many_start_on_an_empty_database() {
    let Some(database) = TestDatabase::postgres().await else { return };
    let mut replicas = Vec::new();
    for _ in 0..6 {
        let opened = unmigrated(&database).await;
        replicas.push(tokio::spawn(async move {
            opened.maintenance().migrate().await.unwrap();
            opened.maintenance().is_ready().await.unwrap()
        }));
    }
    for replica in replicas {
        assert!(replica.await.unwrap());
    }
    let sql = "SELECT count(*), count(DISTINCT version) FROM seaql_migrations";
    let connection = database.connect().await;
    let row = connection.query_one_raw(Statement::from_string(connection.get_database_backend(), sql)).await.unwrap();
    let row = row.unwrap();
    let counts: (i64, i64) = (row.try_get_by_index(0).unwrap(), row.try_get_by_index(1).unwrap());
    assert!(counts.0 >= 1 && counts.0 == counts.1, "{counts:?}");
}

#[tokio::test(crate = "crate::support::limit")]
async fn sqlite_file_that_is_open_is_not_opened_again() {
    let database = TestDatabase::sqlite();
    let StoreUrl::Sqlite(path) = StoreUrl::parse(database.url()).unwrap() else { unreachable!() };
    let first = unmigrated(&database).await;
    let second = Database::sqlite(&path, 4, Duration::from_secs(1), Clock::manual(NEW_YEAR)).await.unwrap_err();
    assert!(matches!(&second, OpenError::InUse(file) if *file == path.display().to_string()), "{second}");
    first.close().await;
    Database::sqlite(&path, 4, Duration::from_secs(1), Clock::manual(NEW_YEAR)).await.expect("it is free again");
}
