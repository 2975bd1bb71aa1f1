//! The schema's history: one set of migrations for both databases, never edited once landed.

mod m20261121_000001_invitation;
mod m20261121_000002_acceptance_keys;
mod m20261121_000003_kinds;
mod m20261121_000004_delivery;
mod m20261121_000005_dead_letters;
mod m20261128_000001_calls;
mod m20261128_000002_key_check;
mod m20261128_000003_lookup_indexes;
mod m20261128_000004_prune;

use std::collections::BTreeSet;

use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, Schema, SqliteTransactionMode,
    Statement, TransactionOptions, TransactionTrait,
};
use sea_orm_migration::{MigrationTrait, MigratorTrait, SchemaManager, seaql_migrations};

use super::rows_param::{index_key, uuid_text};

/// Any number that no other advisory lock of the database has.
const MIGRATION_LOCK: i64 = 0x1417_5e1f;

/// The list of migrations, in the order in which they are applied.
struct Migrator;

impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m20261121_000001_invitation::Migration),
            Box::new(m20261121_000002_acceptance_keys::Migration),
            Box::new(m20261121_000003_kinds::Migration),
            Box::new(m20261121_000004_delivery::Migration),
            Box::new(m20261121_000005_dead_letters::Migration),
            Box::new(m20261128_000001_calls::Migration),
            Box::new(m20261128_000002_key_check::Migration),
            Box::new(m20261128_000003_lookup_indexes::Migration),
            Box::new(m20261128_000004_prune::Migration),
        ]
    }
}

/// The table that names the applied migrations.
const APPLIED: &str = "seaql_migrations";

/// Brings the schema to its head. Of several processes that start at once one migrates and the others wait for it.
///
/// SeaORM's own runner is not used: on SQLite it applies a migration and notes it in separate commits, so that a process that
/// is killed in between leaves a file that no later start can migrate, and it refuses a schema that a newer release has
/// migrated, so that no release could be rolled back.
pub(in crate::store) async fn migrate(db: &DatabaseConnection) -> Result<(), DbErr> {
    while apply_next(db).await? {}
    Ok(())
}

/// Applies the first migration that is missing and notes it, both in one transaction. Returns false if none is missing.
async fn apply_next(db: &DatabaseConnection) -> Result<bool, DbErr> {
    let is_postgres = db.get_database_backend() == DbBackend::Postgres;
    let options = TransactionOptions {
        sqlite_transaction_mode: (!is_postgres).then_some(SqliteTransactionMode::Immediate),
        ..TransactionOptions::default()
    };
    let transaction = db.begin_with_options(options).await?;
    if is_postgres {
        // The lock ends with the transaction, so a killed process blocks no other.
        let lock = format!("SELECT pg_advisory_xact_lock({MIGRATION_LOCK})");
        transaction.execute_unprepared(&lock).await?;
    }
    let applied = applied(&transaction).await?;
    let migrations = Migrator::migrations();
    let Some(next) = migrations.iter().find(|migration| !applied.contains(migration.name())) else {
        transaction.rollback().await?;
        return Ok(false);
    };
    next.up(&SchemaManager::new(&transaction)).await?;
    note(&transaction, next.name()).await?;
    transaction.commit().await?;
    Ok(true)
}

/// Returns the versions that are applied, and creates their table if there is none.
async fn applied(transaction: &DatabaseTransaction) -> Result<BTreeSet<String>, DbErr> {
    // The table is looked for first, because a role that owns nothing may not even create a table that exists.
    if !SchemaManager::new(transaction).has_table(APPLIED).await? {
        let schema = Schema::new(transaction.get_database_backend());
        transaction.execute(&schema.create_table_from_entity(seaql_migrations::Entity)).await?;
    }
    versions(transaction).await
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

/// Returns whether every migration this program knows is applied. Newer ones than that do no harm (expand/contract).
pub(in crate::store) async fn at_head<C: ConnectionTrait>(db: &C) -> Result<bool, DbErr> {
    let applied = versions(db).await?;
    Ok(Migrator::migrations().iter().all(|migration| applied.contains(migration.name())))
}

/// Runs statements that are separated by semicolons.
async fn run(manager: &SchemaManager<'_>, statements: &str) -> Result<(), DbErr> {
    let postgres = manager.get_database_backend() == DbBackend::Postgres;
    for statement in statements.split(';').map(str::trim).filter(|statement| !statement.is_empty()) {
        manager.get_connection().execute_unprepared(&dialect(statement, postgres)).await?;
    }
    Ok(())
}

/// Writes the little that the databases name differently. Text sorts by bytes on both.
fn dialect(statement: &str, postgres: bool) -> String {
    let backend = if postgres { DbBackend::Postgres } else { DbBackend::Sqlite };
    let (uuid, text, json, end) = if postgres {
        ("uuid", "text COLLATE \"C\"", "jsonb", "")
    } else {
        ("uuid_blob", "text", "json_text", " WITHOUT ROWID")
    };
    let end = if statement.starts_with("CREATE TABLE") { end } else { "" };
    let mut statement = statement.replace("{uuid}", uuid).replace("{text}", text).replace("{json}", json);
    for column in ["invitation_id", "created_connection_id"] {
        let text = uuid_text(backend, column);
        statement = statement.replace(&format!("{{uuid_text:{column}}}"), &text);
    }
    while let Some((before, rest)) = statement.split_once("{account:")
        && let Some((tag, after)) = rest.split_once('}')
    {
        statement = format!("{before}{}{after}", index_key(backend, tag));
    }
    format!("{statement}{end}")
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
