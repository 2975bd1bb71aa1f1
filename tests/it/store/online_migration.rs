//! The example of a migration of a table that is large and in use: a column, its values, an index over it and a constraint, while
//! others write (CONTRIBUTING.md, "How to change the schema").

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use invitation_service::clock::Clock;
use invitation_service::domain::group::Group;
use invitation_service::store::{Store, online};
use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, DbErr, Statement};
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager};

use crate::support::build::commands::*;
use crate::support::database::{NEW_YEAR, TestDatabase};
use crate::support::on_both;

on_both!(large_table_is_migrated_while_others_write, migration_that_was_interrupted_goes_on);

/// The first release: the column, without a default that would rewrite the table. The release before does not know it.
struct AddColumn;

/// The same release: values for the rows that are there. Code reads a row without a value as it did before.
struct FillColumn;

/// The next release, when no process of the one before the first is left to write rows without a value.
struct RequireColumn;

#[async_trait::async_trait]
impl MigrationTrait for AddColumn {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.get_connection().execute_unprepared("ALTER TABLE invitation ADD COLUMN kind_initial text").await?;
        Ok(())
    }
}

#[async_trait::async_trait]
impl MigrationTrait for FillColumn {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        online::backfill(manager, "invitation", "kind_initial = substr(kind, 1, 1)", "kind_initial IS NULL").await?;
        online::create_index(manager, "invitation_by_initial", "ON invitation (kind_initial, id)").await
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(false)
    }
}

#[async_trait::async_trait]
impl MigrationTrait for RequireColumn {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        online::backfill(manager, "invitation", "kind_initial = substr(kind, 1, 1)", "kind_initial IS NULL").await?;
        let db = manager.get_connection();
        if db.get_database_backend() == DbBackend::Postgres {
            // The first holds the table for a moment and looks at no row, the second looks at all and holds up nobody.
            let drop = "ALTER TABLE invitation DROP CONSTRAINT IF EXISTS has_initial";
            let add = "ALTER TABLE invitation ADD CONSTRAINT has_initial CHECK (kind_initial IS NOT NULL) NOT VALID";
            db.execute_unprepared(&format!("SET lock_timeout = '3s'; {drop}; {add}; RESET lock_timeout")).await?;
            db.execute_unprepared("ALTER TABLE invitation VALIDATE CONSTRAINT has_initial").await?;
        }
        Ok(())
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(false)
    }
}

/// Names the migrations after their places in the order.
macro_rules! named {
    ($($migration:ty: $name:literal)*) => {$(
        impl MigrationName for $migration {
            fn name(&self) -> &str {
                $name
            }
        }
    )*};
}
named! {
    AddColumn: "m99990101_000001_add_column"
    FillColumn: "m99990101_000002_fill_column"
    RequireColumn: "m99990201_000001_require_column"
}

/// The migrations of the release after this one.
pub(super) fn next_release() -> Vec<Box<dyn MigrationTrait>> {
    vec![Box::new(AddColumn), Box::new(FillColumn)]
}

async fn number(raw: &DatabaseConnection, sql: &str) -> i64 {
    let statement = Statement::from_string(raw.get_database_backend(), format!("SELECT {sql}"));
    raw.query_one_raw(statement).await.unwrap().unwrap().try_get_by_index(0).unwrap()
}

async fn large_table_is_migrated_while_others_write(database: TestDatabase) {
    let clock = Clock::manual(NEW_YEAR);
    let opened = database.open(&clock).await;
    let store = Store::start(opened.clone(), &options(Group::run));
    let raw = database.connect().await;
    for _ in 0..200 {
        created(&store, link()).await;
    }
    // Nobody writes to a file while it is migrated: that is done before the service begins.
    let writes = raw.get_database_backend() == DbBackend::Postgres;
    let is_over = Arc::new(AtomicBool::new(!writes));
    let writer = tokio::spawn({
        let (store, is_over) = (store.clone(), Arc::clone(&is_over));
        async move {
            while !is_over.load(Ordering::Relaxed) {
                created(&store, link()).await;
            }
        }
    });
    let applied = opened.maintenance().migrate_with(next_release()).await.unwrap();
    assert_eq!(applied, ["m99990101_000001_add_column", "m99990101_000002_fill_column"]);
    is_over.store(true, Ordering::Relaxed);
    writer.await.unwrap();

    assert!(number(&raw, "count(*) FROM invitation WHERE kind_initial = 'c'").await >= 200);
    let mut later = next_release();
    later.push(Box::new(RequireColumn));
    assert_eq!(opened.maintenance().migrate_with(later).await.unwrap(), ["m99990201_000001_require_column"]);
    assert_eq!(number(&raw, "count(*) FROM invitation WHERE kind_initial IS NULL").await, 0);
    store.close().await;
}

async fn migration_that_was_interrupted_goes_on(database: TestDatabase) {
    let clock = Clock::manual(NEW_YEAR);
    let opened = database.open(&clock).await;
    let store = Store::start(opened.clone(), &options(Group::run));
    created(&store, link()).await;
    created(&store, link()).await;
    let raw = database.connect().await;
    if raw.get_database_backend() == DbBackend::Postgres {
        // It fails at the second row, and leaves an index behind that no read can use.
        let index = "CREATE UNIQUE INDEX CONCURRENTLY invitation_by_initial ON invitation (kind)";
        raw.execute_unprepared(index).await.unwrap_err();
        assert_eq!(number(&raw, "count(*) FROM pg_index WHERE NOT indisvalid").await, 1);
    }
    opened.maintenance().migrate_with(next_release()).await.unwrap();
    if raw.get_database_backend() == DbBackend::Postgres {
        assert_eq!(number(&raw, "count(*) FROM pg_index WHERE NOT indisvalid").await, 0);
        let columns = "count(*) FROM pg_indexes WHERE indexdef LIKE '%invitation_by_initial%kind_initial, id%'";
        assert_eq!(number(&raw, columns).await, 1);
    }
    store.close().await;
}
