//! The turn of a process to change the schema, of which one at a time has it.

use std::time::Duration;

use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, SqliteTransactionMode, Statement,
    TransactionOptions, TransactionTrait,
};
use tokio::time::sleep;

use crate::store::sql::error::StoreError;

/// The key of the advisory lock; any number that no other advisory lock of the database has.
const MIGRATION_LOCK: i64 = 0x1417_5e1f;

/// The pause after which a process that waits for its turn asks again.
const PAUSE: Duration = Duration::from_millis(250);

/// The longest that a statement of a migration waits for a lock: whoever comes behind it waits as long.
const LOCK_TIMEOUT: &str = "SET LOCAL lock_timeout = '3s'";

/// The number of times that a step is tried again whose statement did not get its lock, and the pause in between.
const LOCK_ATTEMPTS: usize = 20;
const LOCK_PAUSE: Duration = Duration::from_secs(1);

/// Drops the prepared statements of a session: the connection of a pooler may have some of a migration that was interrupted.
pub(super) const DEALLOCATE: &str = "DEALLOCATE ALL";

/// Begins a transaction that has the turn until it ends. Another process may have it for as long as a migration takes.
///
/// A statement that waited for the lock would have a snapshot meanwhile, and the migration that has the turn may be building an index
/// concurrently, which waits for every older snapshot. So the lock is asked for in transactions that end at once.
pub(super) async fn begin(db: &DatabaseConnection) -> Result<DatabaseTransaction, StoreError> {
    if db.get_database_backend() == DbBackend::Sqlite {
        let options = TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..TransactionOptions::default()
        };
        return Ok(db.begin_with_options(options).await?);
    }
    let mut is_logged = false;
    loop {
        let transaction = db.begin().await?;
        // The transaction has to see the migration of another process that it has waited for.
        let begin = format!("SET TRANSACTION ISOLATION LEVEL READ COMMITTED; {DEALLOCATE}; {LOCK_TIMEOUT}");
        transaction.execute_unprepared(&begin).await?;
        // The lock ends with the transaction, so a killed process blocks no other.
        let sql = format!("SELECT pg_try_advisory_xact_lock({MIGRATION_LOCK})");
        let row = transaction.query_one_raw(Statement::from_string(DbBackend::Postgres, sql)).await?;
        if row.map_or(Ok(false), |row| row.try_get_by_index(0))? {
            return Ok(transaction);
        }
        transaction.rollback().await?;
        if !is_logged {
            log_event!(info, MIGRATION_TURN, "another process migrates; its end is waited for");
            is_logged = true;
        }
        sleep(PAUSE).await;
    }
}

/// The attempts of a step whose statements wait for locks of other transactions.
#[derive(Default)]
pub(super) struct Attempts(usize);

impl Attempts {
    /// Waits until a failed step may be tried again; returns the error if that is no use, or was tried often enough.
    pub(super) async fn pause(&mut self, error: StoreError) -> Result<(), StoreError> {
        if !matches!(error, StoreError::Locked) || self.0 == LOCK_ATTEMPTS {
            return Err(error);
        }
        self.0 += 1;
        log_event!(
            warn,
            MIGRATION_WAITS,
            attempts = self.0,
            "a migration waits for a lock of another transaction; it is tried again"
        );
        sleep(LOCK_PAUSE).await;
        Ok(())
    }
}
