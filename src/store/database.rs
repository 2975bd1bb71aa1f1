//! The connections: one database, with a pool for reads and the way to write that its backend wants.

use std::path::Path;
use std::time::{Duration, Instant};

use sea_orm::sqlx::ConnectOptions;
use sea_orm::sqlx::postgres::PgConnectOptions;
use sea_orm::sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sea_orm::{ConnectionTrait, DbBackend, DbErr, RuntimeErr, SqlxError, Statement};

use super::error::StoreError;
use super::sql::{Pool, PoolOptions, Transaction};
use super::sqlite_lock::SqliteLock;
use crate::clock::Clock;
use crate::domain::time::Timestamp;

/// The longest a SQLite statement waits for a lock; only another program's transaction can hold one.
const BUSY: Duration = Duration::from_secs(1);

/// How PostgreSQL plans: once per statement, whatever the number of rows, since sets come as one parameter, whose size says
/// nothing; and for tables that grow, so that rows are looked up by an index however few there are at that moment.
const PLANNING: [(&str, &str); 5] = [
    ("plan_cache_mode", "force_generic_plan"),
    ("enable_seqscan", "off"),
    ("enable_mergejoin", "off"),
    ("random_page_cost", "1.1"),
    // The scan of a set, which no index can replace, costs 10^10 with the above and would seem worth compiling.
    ("jit", "off"),
];

/// A database that is, or will be, connected to.
#[derive(Clone, Debug)]
pub struct Database {
    /// What is read from. On PostgreSQL also what is written to.
    pub(super) read: Pool,
    /// What is written to: on SQLite the only connection that may.
    pub(super) write: Pool,
    /// Follows the database's clock, and takes its place where the database has none.
    pub(super) clock: Clock,
    lock: Option<SqliteLock>,
}

impl Database {
    /// Opens a SQLite file, and makes it if there is none. Refuses a file that another process has open.
    pub async fn sqlite(path: &Path, max_connections: u32, timeout: Duration, clock: Clock) -> Result<Self, OpenError> {
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder).map_err(|error| OpenError::File(folder.display().to_string(), error))?;
        }
        let lock = SqliteLock::acquire(path)?;
        let connect = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(BUSY)
            .statement_cache_capacity(200)
            .disable_statement_logging();
        let options = |max_connections| PoolOptions { max_connections, acquire_timeout: timeout };
        let write = Pool::sqlite(options(1), connect.clone()).await.map_err(OpenError::Database)?;
        let read = Pool::sqlite(options(max_connections), connect).await.map_err(OpenError::Database)?;
        Ok(Self { read, write, clock, lock: Some(lock) })
    }

    /// Prepares to connect to PostgreSQL, which need not be there yet.
    pub fn postgres(url: &str, max_connections: u32, timeout: Duration, clock: Clock) -> Result<Self, OpenError> {
        let connect: PgConnectOptions = url
            .parse()
            .map_err(|error: SqlxError| OpenError::Database(DbErr::Conn(RuntimeErr::SqlxError(error.into()))))?;
        let connect = connect.application_name("invitation-service").options(PLANNING).disable_statement_logging();
        let pool = Pool::postgres(PoolOptions { max_connections, acquire_timeout: timeout }, connect);
        Ok(Self { read: pool.clone(), write: pool, clock, lock: None })
    }

    /// Returns which database it is.
    pub fn backend(&self) -> DbBackend {
        self.read.get_database_backend()
    }

    /// Begins a transaction that is going to write; every transaction of the service begins here.
    pub(super) async fn begin_write(&self) -> Result<Transaction, StoreError> {
        Ok(self.write.begin().await?)
    }

    /// Asks PostgreSQL for the time, so that the clock of this process follows it.
    pub(super) async fn learn_time(&self) -> Result<(), DbErr> {
        if self.backend() != DbBackend::Postgres {
            return Ok(());
        }
        let sql = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint";
        // Asked twice, since the first question may have to wait for a connection.
        for _ in 0..2 {
            let asked = Instant::now();
            let row = self.read.query_one_raw(Statement::from_string(DbBackend::Postgres, sql)).await?;
            if let Some(row) = row {
                self.clock.learn(Timestamp::from_micros(row.try_get_by_index(0)?), asked);
            }
        }
        Ok(())
    }

    /// Returns the moment that takes the place of the database's own clock: none on PostgreSQL but for tests.
    pub(super) fn clock(&self) -> Option<Timestamp> {
        if self.is_embedded() { Some(self.clock.now()) } else { self.clock.in_place_of_the_database() }
    }

    /// Returns whether it is a file that only this process uses.
    pub fn is_embedded(&self) -> bool {
        self.lock.is_some()
    }

    /// Closes the connections, the reading ones first, so that SQLite folds its log into the file.
    pub async fn close(self) {
        self.read.close().await;
        self.write.close().await;
        drop(self.lock);
    }
}

/// Why a database cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has the SQLite file.
    #[error("{0} is in use by another process of this service: stop it, or choose another file with store.url")]
    InUse(String),
    /// A file or folder cannot be made.
    #[error("{0}: {1}")]
    File(String, std::io::Error),
    /// The database refuses.
    #[error("the database cannot be opened: {0}")]
    Database(DbErr),
}
