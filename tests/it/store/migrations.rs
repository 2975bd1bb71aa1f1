//! Migrations that are interrupted, and schemas that a newer release has migrated.

use std::future::Future;
use std::pin::pin;
use std::task::Poll;

use invitation_service::clock::Clock;
use invitation_service::domain::group::Group;
use invitation_service::store::Store;
use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, Statement};

use super::online_migration::next_release;
use crate::support::build::commands::*;
use crate::support::database::{NEW_YEAR, TestDatabase};
use crate::support::on_both;

on_both!(migration_survives_an_abort_at_each_statement, older_release_works_with_every_table_extended);

/// Runs a future until it has been polled `polls` times, and drops it then. Returns its output if it ended before.
async fn abort_after<T>(polls: usize, work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    let mut left = polls;
    std::future::poll_fn(move |context| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        work.as_mut().poll(context).map(Some)
    })
    .await
}

async fn applied(raw: &DatabaseConnection) -> usize {
    let sql = "SELECT version FROM seaql_migrations";
    let rows = raw.query_all_raw(Statement::from_string(raw.get_database_backend(), sql)).await;
    rows.map(|rows| rows.len()).unwrap_or_default()
}

/// Every statement of every migration is the last one that runs at least once: the number of polls, each of which is at
/// most one answer of the database, grows by one until a migration is committed, and begins anew for the next.
async fn migration_survives_an_abort_at_each_statement(database: TestDatabase) {
    let clock = Clock::manual(NEW_YEAR);
    database.open_unmigrated(&clock).await.close().await;
    let raw = database.connect().await;
    for walk in 1.. {
        let aborted = abort_at_each_poll(&database, &clock, &raw).await;
        if aborted > 20 {
            break;
        }
        // One poll finds several answers on a busy machine, and the walk then has fewer steps: about ninety on an idle one.
        let postgres = raw.get_database_backend() == DbBackend::Postgres;
        assert!(postgres && walk < 10, "only {aborted} aborts");
        raw.execute_unprepared("DROP SCHEMA public CASCADE; CREATE SCHEMA public").await.unwrap();
    }
    let store = Store::start(database.open(&clock).await, &options(Group::run));
    created(&store, link()).await;
    store.close().await;
}

/// Migrates, aborted one poll later each time, and returns the number of aborts.
async fn abort_at_each_poll(database: &TestDatabase, clock: &Clock, raw: &DatabaseConnection) -> usize {
    let (mut polls, mut known, mut aborted) = (0, 0, 0);
    loop {
        polls += 1;
        let opened = database.open_unmigrated(clock).await;
        let ended = abort_after(polls, opened.maintenance().migrate_with(next_release())).await;
        opened.close().await;
        if let Some(result) = ended {
            result.unwrap_or_else(|error| panic!("after {aborted} aborts, at {polls} polls: {error}"));
            return aborted;
        }
        aborted += 1;
        let now = applied(raw).await;
        if now > known {
            (known, polls) = (now, 0);
        }
    }
}

/// The tables of the service.
pub(super) async fn tables(raw: &DatabaseConnection) -> Vec<String> {
    let sql = match raw.get_database_backend() {
        DbBackend::Postgres => "SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public'",
        _ => "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'",
    };
    let rows = raw.query_all_raw(Statement::from_string(raw.get_database_backend(), sql)).await.unwrap();
    let names = rows.iter().map(|row| row.try_get("", "name").unwrap());
    names.filter(|name: &String| name != "seaql_migrations").collect()
}

/// Does to a schema what a migration of a newer release may: a new column in every table, a new table, and a version.
pub(crate) async fn migrate_further(raw: &DatabaseConnection) {
    for table in tables(raw).await {
        raw.execute_unprepared(&format!("ALTER TABLE {table} ADD COLUMN from_the_future text")).await.unwrap();
    }
    raw.execute_unprepared("CREATE TABLE from_the_future (id integer PRIMARY KEY)").await.unwrap();
    let note = "INSERT INTO seaql_migrations (version, applied_at) VALUES ('m99991231_000001_from_the_future', 0)";
    raw.execute_unprepared(note).await.unwrap();
}

async fn older_release_works_with_every_table_extended(database: TestDatabase) {
    let clock = Clock::manual(NEW_YEAR);
    database.open(&clock).await.close().await;
    let raw = database.connect().await;
    migrate_further(&raw).await;
    let opened = database.open_unmigrated(&clock).await;
    opened.maintenance().migrate().await.unwrap();
    assert!(opened.maintenance().is_ready().await.unwrap());
    let store = Store::start(opened, &options(Group::run));
    let made = created(&store, link()).await;
    let read = store.primary().get_invitation(&reach(), made.id, true).await.unwrap().unwrap();
    assert_eq!(read.found.id, made.id);
    store.close().await;
}
