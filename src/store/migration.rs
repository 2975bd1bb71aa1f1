//! The schema's history: one set of migrations for both databases, never edited once landed.

mod m20261121_000001_invitation;
mod m20261121_000002_acceptance_keys;
mod m20261121_000003_kinds;
mod m20261121_000004_delivery;
mod m20261121_000005_dead_letters;
mod m20261128_000001_calls;
mod m20261128_000004_prune;

use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, DbErr, Statement, TransactionTrait};
use sea_orm_migration::{MigrationTrait, MigratorTrait, SchemaManager};

use super::set::uuid_text;

/// Any number that no other advisory lock of the database has.
const MIGRATION_LOCK: i64 = 0x1417_5e1f;

/// Applies what is missing.
pub(crate) struct Migrator;

impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m20261121_000001_invitation::Migration),
            Box::new(m20261121_000002_acceptance_keys::Migration),
            Box::new(m20261121_000003_kinds::Migration),
            Box::new(m20261121_000004_delivery::Migration),
            Box::new(m20261121_000005_dead_letters::Migration),
            Box::new(m20261128_000001_calls::Migration),
            Box::new(m20261128_000004_prune::Migration),
        ]
    }
}

/// Brings the schema to its head. Of several processes that start at once one migrates and the others wait for it.
pub(crate) async fn migrate(db: &DatabaseConnection) -> Result<(), DbErr> {
    if db.get_database_backend() != DbBackend::Postgres {
        return Migrator::up(db, None).await;
    }
    // Held by a transaction of its own: it ends with the connection, so a killed process blocks nobody.
    let lock = db.begin().await?;
    let sql = format!("SELECT pg_advisory_xact_lock({MIGRATION_LOCK})");
    lock.execute_unprepared(&sql).await?;
    let migrated = Migrator::up(db, None).await;
    lock.rollback().await?;
    migrated
}

/// Returns whether every migration this program knows is applied. Newer ones than that do no harm (expand/contract).
pub(crate) async fn at_head<C: ConnectionTrait>(db: &C) -> Result<bool, DbErr> {
    let sql = "SELECT version FROM seaql_migrations";
    let rows = db.query_all_raw(Statement::from_string(db.get_database_backend(), sql)).await?;
    let applied = rows.iter().map(|row| row.try_get_by_index(0)).collect::<Result<Vec<String>, _>>()?;
    Ok(Migrator::migrations().iter().all(|migration| applied.iter().any(|version| version == migration.name())))
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
    let (uuid, text, json, end) = if postgres {
        ("uuid", "text COLLATE \"C\"", "jsonb", "")
    } else {
        ("uuid_blob", "text", "json_text", " WITHOUT ROWID")
    };
    let end = if statement.starts_with("CREATE TABLE") { end } else { "" };
    let mut statement = statement.replace("{uuid}", uuid).replace("{text}", text).replace("{json}", json);
    for column in ["invitation_id", "created_connection_id"] {
        let text = uuid_text(if postgres { DbBackend::Postgres } else { DbBackend::Sqlite }, column);
        statement = statement.replace(&format!("{{uuid_text:{column}}}"), &text);
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
