//! Maintenance of the database beside commands and reads: migrations, readiness, and deleting old rows.

mod deliveries;
mod ended;
mod events;
mod facts;
mod grants;
pub(super) mod key_checks;
mod quotas;
mod readiness;
mod seats;
mod tables;
mod turn;
mod walk;

use std::time::Duration;

pub use facts::ServerFacts;
pub use grants::Grants;
use sea_orm::{ConnectionTrait, DbBackend, Statement, Value};
use sea_orm_migration::MigrationTrait;
pub use turn::{PruneTurn, Pruned, Retention};

use super::sql::database::Database;
use super::sql::error::StoreError;
use super::sql::migration;
use super::sql::retry::retry;
use crate::domain::command::REMEMBERED_FOR;
use crate::domain::secret::verification::{COUNT_WINDOW, WRONG_CODES_WINDOW};

/// The number of rows that one statement deletes, so that none holds its locks for long.
const CHUNK_ROWS: i64 = 1_000;
/// The time that one statement may take to delete a chunk. The next chunk continues where it stopped.
const CHUNK_LIMIT: Duration = Duration::from_secs(8);
/// The time that a deletion may wait for a lock; locked rows are skipped.
const LOCK_LIMIT: Duration = Duration::from_millis(100);
/// The longest duration of a readiness check; a database that takes longer is not ready.
const READINESS_LIMIT: Duration = Duration::from_secs(2);

/// Rows of one table that are to be deleted.
pub(super) struct Old {
    pub(super) table: &'static str,
    /// The columns of the primary key.
    pub(super) key: &'static str,
    /// The text between FROM and LIMIT in a select of rows `t` before $1.
    pub(super) rows: String,
    /// The condition under which a row is deleted: the row may have changed since it was selected.
    pub(super) still: &'static str,
}

impl Old {
    fn requests() -> Self {
        let rows = "request t WHERE t.created_at < $1 ORDER BY t.created_at".to_owned();
        Self { table: "request", key: "account_id, method, request_id", rows, still: "true" }
    }

    fn verifications() -> Self {
        let rows = "verification t WHERE t.created_at < $1 ORDER BY t.created_at".to_owned();
        Self { table: "verification", key: "account_id, invitation_id, address_mac, client_mac", rows, still: "true" }
    }

    /// The row may have been touched since it was selected.
    fn budgets() -> Self {
        let rows = "verification_budget t WHERE t.touched_at < $1 ORDER BY t.touched_at".to_owned();
        let key = "account_id, invitation_id, client_mac";
        Self { table: "verification_budget", key, rows, still: "touched_at < $1" }
    }

    fn delete_sql(&self, backend: DbBackend) -> String {
        let Self { table, key, rows, still } = self;
        if backend == DbBackend::Postgres {
            return delete_unlocked_sql(table, "t", &format!("{rows} LIMIT $2"), still);
        }
        let keys = key.split(", ").map(|column| format!("t.{column}")).collect::<Vec<_>>().join(", ");
        format!("DELETE FROM {table} WHERE {still} AND ({key}) IN (SELECT {keys} FROM {rows} LIMIT $2)")
    }
}

/// Returns the text that deletes rows `alias` of a table on PostgreSQL, except rows that another transaction has locked. Rows are named
/// by their place in the table: every plan has to go there, whatever the size of the table was when the statement was planned.
fn delete_unlocked_sql(table: &str, alias: &str, rows: &str, still: &str) -> String {
    format!(
        "WITH old AS MATERIALIZED (SELECT {alias}.ctid FROM {rows} FOR UPDATE OF {alias} SKIP LOCKED)
        DELETE FROM {table} WHERE {still} AND ctid = ANY (ARRAY(SELECT ctid FROM old))"
    )
}

/// Migrates, checks and cleans up a database.
#[derive(Clone, Debug)]
pub struct Maintenance(pub(super) Database);

impl Database {
    /// Returns the maintenance of this database.
    pub fn maintenance(&self) -> Maintenance {
        Maintenance(self.clone())
    }
}

impl Maintenance {
    /// Returns whether no other process can use the database at the same time.
    pub fn is_of_one_process(&self) -> bool {
        self.0.is_embedded()
    }

    /// Migrates the schema to its newest version; waits if another process is doing so. Returns the migrations that it has applied.
    pub async fn migrate(&self) -> Result<Vec<String>, StoreError> {
        self.migrate_with(Vec::new()).await
    }

    /// Migrates as [`migrate`](Self::migrate) does, and then by migrations of whoever uses the library.
    pub async fn migrate_with(&self, further: Vec<Box<dyn MigrationTrait>>) -> Result<Vec<String>, StoreError> {
        let connections = self.0.for_migrations().await;
        let migrating = async {
            let applied = migration::migrate(&connections, further).await?;
            if let Some(role) = self.0.reader_role() {
                migration::views::create(&connections, role).await?;
            }
            Ok(applied)
        };
        let migrated = match migrating.await {
            Ok(applied) => Ok(applied),
            Err(error) => Err(self.explain_migration(error).await),
        };
        if !self.0.is_embedded() {
            connections.close().await?;
        }
        migrated
    }

    /// Logs one line if a newer release has migrated the schema, and one if the views of the role for reads are not of this release.
    pub async fn warn_of_newer_schema(&self) -> Result<(), StoreError> {
        let newer = migration::newer(&self.0.upkeep).await?;
        if !newer.is_empty() {
            let migrations = newer.join(",");
            log_event!(
                warn,
                SCHEMA_NEWER,
                migrations,
                "a newer release has migrated the schema; this release continues to use it"
            );
        }
        if let Some(role) = self.0.reader_role()
            && !migration::views::are_of_this_release(&self.0.upkeep, role).await?
        {
            log_event!(
                warn,
                READER_VIEWS_DIFFER,
                role,
                "the views of store.reader_role are those of another release, or missing"
            );
        }
        Ok(())
    }

    /// Deletes request_ids whose retention has ended, and returns their number.
    pub async fn prune_requests(&self) -> Result<u64, StoreError> {
        self.prune(&Old::requests(), self.before(REMEMBERED_FOR).await?.into()).await
    }

    /// Deletes verification codes and budgets that no longer count towards a limit, and returns their number.
    pub async fn prune_verifications(&self) -> Result<u64, StoreError> {
        let codes = self.prune(&Old::verifications(), self.before(COUNT_WINDOW).await?.into()).await?;
        Ok(codes + self.prune(&Old::budgets(), self.before(WRONG_CODES_WINDOW).await?.into()).await?)
    }

    /// Returns the moment a span ago by the database's clock, in microseconds.
    pub(super) async fn before(&self, span: Duration) -> Result<i64, StoreError> {
        self.0.learn_time().await?;
        Ok(self.0.clock.now().earlier(span).micros().max(0))
    }

    /// Deletes old rows of every account, chunk by chunk, except rows that another transaction has locked.
    pub(super) async fn prune(&self, old: &Old, before: Value) -> Result<u64, StoreError> {
        let sql = old.delete_sql(self.0.backend());
        let mut pruned = 0;
        loop {
            let chunk = || Statement::from_sql_and_values(self.0.backend(), &sql, [before.clone(), CHUNK_ROWS.into()]);
            let done = retry(|| self.delete_chunk(chunk())).await?;
            pruned += done;
            if done < CHUNK_ROWS.unsigned_abs() {
                return Ok(pruned);
            }
        }
    }

    async fn delete_chunk(&self, statement: Statement) -> Result<u64, StoreError> {
        let transaction = self.0.begin_write().await?;
        transaction.set_limits(CHUNK_LIMIT, LOCK_LIMIT).await?;
        let done = transaction.execute_raw(statement).await?.rows_affected();
        transaction.commit().await?;
        Ok(done)
    }
}

/// Returns the statements that delete rows which users see, with their titles, for their snapshots.
#[cfg(test)]
pub(super) fn prune_sqls(backend: DbBackend) -> Vec<(String, String)> {
    use super::webhooks::prune::{attempts, messages};
    let [delete_events, note_events] = events::delete_sqls(backend);
    let named = [
        ("look at events", events::look_sql(backend)),
        ("delete events", delete_events),
        ("note deleted events", note_events),
        ("look at messages", tables::Table::Messages.look_sql(backend)),
        ("delete messages", deliveries::delete_sql(backend)),
        ("look at invitations", tables::Table::Invitations.look_sql(backend)),
        ("lock invitations", ended::lock_sql(backend)),
        ("delete requests", Old::requests().delete_sql(backend)),
        ("delete codes", Old::verifications().delete_sql(backend)),
        ("delete budgets of codes", Old::budgets().delete_sql(backend)),
        ("delete attempts at endpoints", attempts(backend).delete_sql(backend)),
        ("delete messages to endpoints", messages(backend).delete_sql(backend)),
        ("delete messages of invitations", ended::delete_messages_sql(backend)),
    ];
    let owned =
        ended::OWNED.map(|owned| (format!("delete rows of {}", owned.0), ended::delete_owned_sql(backend, owned)));
    let locks = [
        ("lock messages of invitations", ended::lock_messages_sql(backend)),
        ("lock slots of invitations", ended::lock_slots_sql(backend)),
    ];
    let locks = locks.into_iter().filter(|_| backend == DbBackend::Postgres);
    named
        .into_iter()
        .chain(locks)
        .map(|(title, sql)| (title.to_owned(), sql))
        .chain(owned)
        .chain(quotas::sqls(backend))
        .collect()
}
