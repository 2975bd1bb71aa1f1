//! The schema's history: one set of migrations for both databases. A migration is edited freely until it is released, and never
//! afterwards.

mod m20261128_000001_schema;
pub mod online;
mod sqlite_statistics;
mod turn;
pub(in crate::store) mod views;

use std::collections::BTreeSet;
use std::time::Instant;

use sea_orm::sea_query::{ColumnDef, Index, Table, TableCreateStatement};
use sea_orm::{ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, Schema, Statement};
use sea_orm_migration::{MigrationTrait, MigratorTrait, SchemaManager, seaql_migrations};

use super::error::StoreError;
use super::rows_param::index_key;
use turn::DEALLOCATE;

/// The encoding of the database on PostgreSQL.
pub(in crate::store) const ENCODING: &str = "current_setting('server_encoding') AS encoding";

/// The list of migrations, in the order in which they are applied.
struct Migrator;

impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![Box::new(m20261128_000001_schema::Migration)]
    }
}

/// The table that names the applied migrations.
const APPLIED: &str = "seaql_migrations";

/// All tables of the newest schema.
pub(in crate::store) const TABLES: [&str; 32] = [
    APPLIED,
    "acceptance",
    "api_key",
    "api_key_position",
    "autojoin_domain",
    "engagement",
    "erasure",
    "event",
    "follower",
    "invitation",
    "invitation_group",
    "key_check",
    "label",
    "organization_grant",
    "outbox",
    "prune_walk",
    "pruned_events",
    "quota",
    "quota_hold",
    "recipient",
    "request",
    "resume_key",
    "scope_settings",
    "seat",
    "seat_hold",
    "slot",
    "suppression",
    "verification",
    "verification_budget",
    "webhook_attempt",
    "webhook_endpoint",
    "webhook_message",
];

/// Migrates the schema to its newest version. Of several processes that start at once one migrates and the others wait
/// for it.
///
/// SeaORM's own runner is not used: on SQLite it applies a migration and notes it in separate commits, so that a process that
/// is killed in between leaves a file that no later start can migrate, and it refuses a schema that a newer release has
/// migrated, so that no release could be rolled back.
///
/// `further` are migrations behind those of this release. Returns the migrations that were applied.
pub(in crate::store) async fn migrate(
    db: &DatabaseConnection,
    further: Vec<Box<dyn MigrationTrait>>,
) -> Result<Vec<String>, StoreError> {
    let migrations = Migrator::migrations().into_iter().chain(further).collect::<Vec<_>>();
    let (mut applied, mut attempts) = (Vec::new(), turn::Attempts::default());
    loop {
        let began = Instant::now();
        match apply_next(db, &migrations).await {
            Ok(None) => break,
            Ok(Some(migration)) => {
                let duration_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
                log_event!(info, MIGRATION_APPLIED, migration, duration_ms, "migration applied");
                applied.push(migration);
                attempts = turn::Attempts::default();
            }
            Err(error) => attempts.pause(error).await?,
        }
    }
    if db.get_database_backend() == DbBackend::Sqlite {
        sqlite_statistics::assume_large_tables(db).await?;
    }
    Ok(applied)
}

/// Applies the first migration that is missing and notes it, both in one transaction, which has the turn. On PostgreSQL a migration may
/// work beside that transaction, and so may be applied without being noted. Returns `None` if none is missing.
async fn apply_next(
    db: &DatabaseConnection,
    migrations: &[Box<dyn MigrationTrait>],
) -> Result<Option<String>, StoreError> {
    let is_postgres = db.get_database_backend() == DbBackend::Postgres;
    let transaction = turn::begin(db).await?;
    if is_postgres {
        let encoding = Statement::from_string(DbBackend::Postgres, format!("SELECT {ENCODING}"));
        let row = transaction.query_one_raw(encoding).await?;
        check_encoding(row.map(|row| row.try_get("", "encoding")).transpose()?.unwrap_or_default())?;
    }
    let applied = applied(&transaction).await?;
    let Some(next) = migrations.iter().find(|migration| !applied.contains(migration.name())) else {
        transaction.rollback().await?;
        return Ok(None);
    };
    if is_postgres && next.use_transaction() == Some(false) {
        next.up(&SchemaManager::new(db)).await?;
    } else {
        next.up(&SchemaManager::new(&transaction)).await?;
    }
    note(&transaction, next.name()).await?;
    if is_postgres {
        transaction.execute_unprepared(DEALLOCATE).await?;
    }
    transaction.commit().await?;
    Ok(Some(next.name().to_owned()))
}

/// Returns an error if texts of an encoding cannot have every character.
pub(in crate::store) fn check_encoding(encoding: String) -> Result<(), StoreError> {
    if encoding == "UTF8" { Ok(()) } else { Err(StoreError::Encoding(encoding)) }
}

/// Returns the versions that are applied, and creates their table if there is none.
async fn applied(transaction: &DatabaseTransaction) -> Result<BTreeSet<String>, DbErr> {
    // The table is looked for first, because a role that owns nothing may not even create a table that exists.
    if !has_table(transaction, APPLIED).await? {
        let schema = Schema::new(transaction.get_database_backend());
        transaction.execute(&schema.create_table_from_entity(seaql_migrations::Entity)).await?;
    }
    versions(transaction).await
}

/// Returns whether there is a table.
pub(in crate::store) async fn has_table<C: ConnectionTrait>(db: &C, name: &str) -> Result<bool, DbErr> {
    let backend = db.get_database_backend();
    let sql = if backend == DbBackend::Postgres {
        "SELECT to_regclass($1) IS NOT NULL"
    } else {
        "SELECT count(*) > 0 FROM sqlite_master WHERE type = 'table' AND name = $1"
    };
    let row = db.query_one_raw(Statement::from_sql_and_values(backend, sql, [name.into()])).await?;
    row.map_or(Ok(false), |row| row.try_get_by_index(0))
}

async fn versions<C: ConnectionTrait>(db: &C) -> Result<BTreeSet<String>, DbErr> {
    let sql = format!("SELECT version FROM {APPLIED}");
    let rows = db.query_all_raw(Statement::from_string(db.get_database_backend(), sql)).await?;
    rows.iter().map(|row| row.try_get_by_index(0)).collect()
}

/// Notes that a migration is applied.
async fn note(transaction: &DatabaseTransaction, version: &str) -> Result<(), DbErr> {
    let backend = transaction.get_database_backend();
    let now = if backend == DbBackend::Postgres { "extract(epoch FROM now())::bigint" } else { "unixepoch()" };
    let sql = format!("INSERT INTO {APPLIED} (version, applied_at) VALUES ($1, {now})");
    transaction.execute_raw(Statement::from_sql_and_values(backend, sql, [version.into()])).await?;
    Ok(())
}

/// Returns the versions that a newer release has applied. Releases only add to the schema that the release before them uses
/// (expand/contract), so an older release goes on working.
pub(in crate::store) async fn newer<C: ConnectionTrait>(db: &C) -> Result<Vec<String>, DbErr> {
    let known = Migrator::migrations();
    let mut applied = versions(db).await?;
    applied.retain(|version| known.iter().all(|migration| migration.name() != version));
    Ok(applied.into_iter().collect())
}

/// Returns the migrations that this program knows and the schema lacks. Newer ones do no harm (expand/contract).
pub(in crate::store) async fn pending<C: ConnectionTrait>(db: &C) -> Result<Vec<String>, DbErr> {
    let applied = if has_table(db, APPLIED).await? { versions(db).await? } else { BTreeSet::new() };
    let known = Migrator::migrations();
    let missing = known.iter().map(|migration| migration.name()).filter(|name| !applied.contains(*name));
    Ok(missing.map(str::to_owned).collect())
}

/// Returns whether the schema has every migration that this program knows.
pub(in crate::store) async fn is_at_head<C: ConnectionTrait>(db: &C) -> Result<bool, DbErr> {
    let applied = versions(db).await?;
    Ok(Migrator::migrations().iter().all(|migration| applied.contains(migration.name())))
}

/// Builds the schema for one of the databases. Keys, and columns that are sorted or searched, sort by bytes on both.
#[derive(Clone, Copy)]
struct Dialect(DbBackend);

impl Dialect {
    fn is_postgres(self) -> bool {
        self.0 == DbBackend::Postgres
    }

    /// Begins a table, which SQLite keeps in the order of its primary key.
    fn table(self, name: &'static str, key: &[&'static str]) -> TableCreateStatement {
        let mut primary_key = Index::create();
        for column in key {
            primary_key.col(*column);
        }
        let mut table = Table::create();
        table.table(name).primary_key(&mut primary_key);
        if !self.is_postgres() {
            table.extra("WITHOUT ROWID");
        }
        table
    }

    fn key_text(self, name: &'static str) -> ColumnDef {
        self.key_text_null(name).not_null().take()
    }

    fn key_text_null(self, name: &'static str) -> ColumnDef {
        let mut column = ColumnDef::new(name);
        column.text();
        if self.is_postgres() {
            column.extra("COLLATE \"C\"");
        }
        column
    }

    fn uuid(self, name: &'static str) -> ColumnDef {
        self.uuid_null(name).not_null().take()
    }

    /// SeaORM binds a UUID to SQLite as bytes, but calls the type of its columns a text.
    fn uuid_null(self, name: &'static str) -> ColumnDef {
        let mut column = ColumnDef::new(name);
        if self.is_postgres() {
            column.uuid()
        } else {
            column.custom("uuid_blob")
        };
        column
    }

    fn json(self, name: &'static str) -> ColumnDef {
        let mut column = ColumnDef::new(name);
        if self.is_postgres() {
            column.json_binary()
        } else {
            column.json()
        };
        column.not_null().take()
    }

    /// Returns the statement for an index, with its `{account:TAG}` as the database needs it.
    fn index(self, statement: &str) -> String {
        match statement.split_once("{account:").and_then(|(before, rest)| Some((before, rest.split_once('}')?))) {
            Some((before, (tag, after))) => format!("{before}{}{after}", index_key(self.0, tag)),
            None => statement.to_owned(),
        }
    }
}

/// Names a migration after its file, without the path that `file!` would bring.
macro_rules! named {
    ($migration:ty) => {
        impl sea_orm_migration::MigrationName for $migration {
            fn name(&self) -> &str {
                module_path!().rsplit("::").next().unwrap_or_default()
            }
        }
    };
}
use named;
