//! The connections: one database, with a pool for reads and a pool for writes, and perhaps those to a standby of it.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sea_orm::sqlx::ConnectOptions;
use sea_orm::sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sea_orm::sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DbBackend, DbErr, QueryResult, RuntimeErr, SqlxError, SqlxPostgresConnector,
    Statement,
};
use tokio::sync::Semaphore;

use super::error::StoreError;
use super::read_turns::ReadTurns;
use super::sqlite_lock::SqliteLock;
use super::{Pool, PoolHealth, PoolOptions, Transaction};
use crate::clock::Clock;
use crate::domain::value::text::AccountId;
use crate::domain::value::time::Timestamp;
use crate::private_file;

/// The longest a SQLite statement waits for a lock; only another program's transaction can hold one.
const BUSY_TIMEOUT: Duration = Duration::from_secs(1);

/// The cache of pages of a SQLite connection that reads, in KiB (negative, as SQLite wants it): the operating system caches the file
/// once for all of them.
const READER_CACHE: &str = "-512";

/// The statements of which a connection keeps the plans: more than there are.
const STATEMENTS: usize = 200;

/// The isolation of a statement that is a transaction by itself: it has to see the changes that it waited for.
const ISOLATION: (&str, &str) = ("default_transaction_isolation", "read committed");

/// The settings of a session, and of a transaction behind a pooler, that only reads from a standby.
const READ_ONLY: (&str, &str) = ("default_transaction_read_only", "on");
const READ_ONLY_TRANSACTION: &str = "; SET LOCAL transaction_read_only = on";

/// The planner settings of PostgreSQL: one plan per statement, whatever the number of rows, since sets are one
/// parameter, whose size is unknown to the planner; and plans for tables that grow, so that rows are looked up by an
/// index however few there are at that moment.
const PLANNER_SETTINGS: [(&str, &str); 5] = [
    ("plan_cache_mode", "force_generic_plan"),
    ("enable_seqscan", "off"),
    ("enable_mergejoin", "off"),
    ("random_page_cost", "1.1"),
    // The scan of a set, which no index can replace, costs 10^10 with the settings above and would seem worth
    // compiling.
    ("jit", "off"),
];

/// The time for which the server works on a statement after its caller has given up.
const STATEMENT_GRACE: Duration = Duration::from_millis(500);
/// The longest wait for a lock. Between lanes and replicas a wait takes milliseconds; a transaction that holds a lock
/// for longer is frozen, or belongs to another program.
const LOCK_TIMEOUT: Duration = Duration::from_millis(250);
/// The time that a transaction may wait for its next statement, for example in a frozen process, before its locks are
/// released.
const IDLE_IN_TRANSACTION: Duration = Duration::from_secs(4);

/// The time after which the server gives up a client that is silent on TCP, in seconds and milliseconds. Over a Unix
/// socket it ignores the settings.
const TCP_SETTINGS: [(&str, &str); 4] = [
    ("tcp_keepalives_idle", "5"),
    ("tcp_keepalives_interval", "2"),
    ("tcp_keepalives_count", "2"),
    ("tcp_user_timeout", "9000"),
];

/// Returns the time limits of a session whose callers wait for `timeout`.
fn time_limits(timeout: Duration) -> [(&'static str, String); 3] {
    let milliseconds = |limit: Duration| limit.as_millis().to_string();
    [
        ("statement_timeout", milliseconds(timeout + STATEMENT_GRACE)),
        ("lock_timeout", milliseconds(LOCK_TIMEOUT)),
        ("idle_in_transaction_session_timeout", milliseconds(IDLE_IN_TRANSACTION)),
    ]
}

/// Makes the commit of a transaction wait until it is on disk, unless it waits for more, such as a standby.
const DURABLE: &str = "; SELECT set_config('synchronous_commit', 'on', true)
    WHERE current_setting('synchronous_commit') = 'off'";

/// Returns the statements that set for one transaction what a session has without a pooler.
fn local_settings(timeout: Duration) -> Arc<str> {
    let planner = PLANNER_SETTINGS.map(|(name, value)| (name, value.to_owned()));
    let set = |(name, value): &(&str, String)| format!("; SET LOCAL {name} = {value}");
    let settings: String = planner.iter().chain(&time_limits(timeout)).map(set).collect();
    (settings + DURABLE).into()
}

/// The options of the connections to a PostgreSQL.
#[derive(Clone, Copy)]
pub struct PostgresOptions<'a> {
    /// The URL.
    pub url: &'a str,
    /// Whether a pooler gives connections away after each transaction, so that no state of a session lasts.
    pub pooler: bool,
    /// The URL of the connection that waits for notifications; `None` if none does.
    pub listen_url: Option<&'a str>,
    /// The URL of a standby for reads that may lag; `None` if there is none.
    pub read_url: Option<&'a str>,
    /// The largest number of connections for calls.
    pub max_connections: u32,
    /// The longest one call waits for the database.
    pub timeout: Duration,
}

/// The connections to a database. Clones share them.
#[derive(Clone)]
pub struct Database {
    /// The pool for reads. On PostgreSQL also the pool for writes.
    pub(in crate::store) read: Pool,
    /// The pool for writes: on SQLite the only connection that may write.
    pub(in crate::store) write: Pool,
    /// The pool for readiness: on PostgreSQL a connection of its own, so that no call has to end first.
    pub(in crate::store) upkeep: Pool,
    /// The options of a connection to PostgreSQL whose statements may take any time.
    unlimited: Option<PgConnectOptions>,
    /// The turns in which accounts get connections for their reads.
    pub(in crate::store) read_turns: ReadTurns,
    /// The connections to a standby; `None` if there is none.
    standby: Option<StandbyPools>,
    /// Whether `read` and `upkeep` lead to a standby. Everything else belongs to the database that it is a copy of.
    reads_standby: bool,
    /// The options of the connection that waits for notifications; `None` if none does.
    pub(in crate::store) listen: Option<PgConnectOptions>,
    /// The share of the connections that may wait for locks of other transactions.
    pub(in crate::store) lock_wait_permits: Arc<Semaphore>,
    /// Follows the database's clock, and replaces it if the database has none.
    pub(in crate::store) clock: Clock,
    lock: Option<SqliteLock>,
}

/// The connections to a standby.
#[derive(Clone)]
struct StandbyPools {
    read: Pool,
    /// The pool that the standby is looked at with, so that no call has to end first.
    upkeep: Pool,
    read_turns: ReadTurns,
    /// The longest that a read may take.
    limit: Duration,
}

impl Database {
    /// Opens a SQLite file, and creates it if there is none. Refuses a file that another process has open.
    pub async fn sqlite(path: &Path, max_connections: u32, timeout: Duration, clock: Clock) -> Result<Self, OpenError> {
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            private_file::make_folder(folder).map_err(|error| OpenError::File(folder.display().to_string(), error))?;
        }
        let lock = SqliteLock::acquire(path)?;
        // SQLite gives its further files the mode of this one.
        private_file::make_file(path).map_err(|error| OpenError::File(path.display().to_string(), error))?;
        let connect = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(BUSY_TIMEOUT)
            .statement_cache_capacity(STATEMENTS)
            .disable_statement_logging();
        let options = |max_connections| PoolOptions { max_connections, acquire_timeout: timeout };
        let write = Pool::sqlite(options(1), connect.clone()).await.map_err(OpenError::Database)?;
        let connect = connect.create_if_missing(false).pragma("cache_size", READER_CACHE);
        let read = Pool::sqlite(options(max_connections), connect).await.map_err(OpenError::Database)?;
        let (upkeep, read_turns, lock_wait_permits) =
            (read.clone(), ReadTurns::of_file(max_connections), share(max_connections, 4));
        Ok(Self {
            read,
            write,
            upkeep,
            unlimited: None,
            listen: None,
            read_turns,
            standby: None,
            reads_standby: false,
            lock_wait_permits,
            clock,
            lock: Some(lock),
        })
    }

    /// Prepares to connect to PostgreSQL, which need not be there yet.
    pub fn postgres(options: &PostgresOptions<'_>, clock: Clock) -> Result<Self, OpenError> {
        let &PostgresOptions { url, pooler, listen_url, read_url, max_connections, timeout } = options;
        let unlimited = connect_options(url, pooler)?;
        let limited = if pooler { unlimited.clone() } else { unlimited.clone().options(time_limits(timeout)) };
        let local = pooler.then(|| local_settings(timeout));
        let health = PoolHealth::default();
        let pool = |max_connections| {
            let options = PoolOptions { max_connections, acquire_timeout: timeout };
            Pool::postgres(options, limited.clone(), local.clone(), timeout + STATEMENT_GRACE, health.clone())
        };
        let (calls, upkeep) = (pool(max_connections), pool(1));
        let standby = read_url.map(|url| StandbyPools::new(url, options)).transpose()?;
        let (read_turns, lock_wait_permits) = (ReadTurns::of_server(max_connections), share(max_connections, 4));
        Ok(Self {
            read: calls.clone(),
            write: calls,
            upkeep,
            unlimited: Some(unlimited),
            listen: listen_url.map(parse).transpose()?.map(|listen| listen.options(TCP_SETTINGS)),
            read_turns,
            standby,
            reads_standby: false,
            lock_wait_permits,
            clock,
            lock: None,
        })
    }

    /// Returns the same database, read from its standby, and the longest that a read may take there; `None` if there is no standby.
    /// Its writes go to the primary as ever.
    pub(in crate::store) fn of_standby(&self) -> Option<(Self, Duration)> {
        let StandbyPools { read, upkeep, read_turns, limit } = self.standby.clone()?;
        Some((Self { read, upkeep, read_turns, standby: None, reads_standby: true, ..self.clone() }, limit))
    }

    /// Returns the type of the database.
    pub fn backend(&self) -> DbBackend {
        self.read.get_database_backend()
    }

    /// Begins a transaction that writes.
    pub(in crate::store) async fn begin_write(&self) -> Result<Transaction, StoreError> {
        Ok(self.write.begin().await?)
    }

    /// Begins a transaction that waits for the lock of calls of the same kind, with one of the permits for such waits.
    pub(in crate::store) async fn begin_write_with_lock_wait(&self) -> Result<Transaction, StoreError> {
        let permit = Arc::clone(&self.lock_wait_permits).acquire_owned().await;
        let permit = permit.map_err(|_| StoreError::Unavailable("the database is closed".to_owned()))?;
        Ok(self.write.begin_with_lock_wait().await?.with_permit(permit))
    }

    /// Learns the moment that came with an answer of PostgreSQL. SQLite has no clock of its own: it would only return
    /// the moment of this process, late by the time of the answer.
    pub(in crate::store) fn learn(&self, now: Timestamp, asked: Instant) {
        if self.clock().is_none() {
            self.clock.learn(now, asked);
        }
    }

    /// Asks PostgreSQL for the time, so that the clock of this process follows it.
    pub(in crate::store) async fn learn_time(&self) -> Result<(), DbErr> {
        if self.backend() != DbBackend::Postgres {
            return Ok(());
        }
        let sql = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint";
        // The query runs twice, since the first one may have to wait for a connection.
        for _ in 0..2 {
            let asked = Instant::now();
            let row = self.upkeep.query_one_raw(Statement::from_string(DbBackend::Postgres, sql)).await?;
            if let Some(row) = row {
                self.learn(Timestamp::from_micros(row.try_get_by_index(0)?), asked);
            }
        }
        Ok(())
    }

    /// Reads a list for an account, in its turn.
    pub(in crate::store) async fn list(
        &self,
        account: &AccountId,
        statement: Statement,
    ) -> Result<Vec<QueryResult>, StoreError> {
        let _turn = self.read_turns.list(account).await?;
        Ok(self.read.query_all_raw(statement).await?)
    }

    /// Closes all connections before their next use.
    pub(in crate::store) fn replace_connections(&self) {
        self.upkeep.replace_all();
    }

    /// Returns connections for migrations, whose statements take as long as there are rows.
    pub(in crate::store) async fn for_migrations(&self) -> DatabaseConnection {
        match &self.unlimited {
            Some(connect) => {
                // SeaORM's own connections name each statement, and a pooler gives the next transaction another connection:
                // so a migration drops its names, and none of them is thought to be there.
                let connect = connect.clone().statement_cache_capacity(0);
                let pool = PgPoolOptions::new().max_connections(2).connect_lazy_with(connect);
                SqlxPostgresConnector::from_sqlx_postgres_pool(pool)
            }
            None => self.write.unguarded().await,
        }
    }

    /// Overrides the clock of the server that is asked; `None` on PostgreSQL except in tests and for a standby, whose clock may
    /// differ from the one that decides: there, the moment is the one that this process carries on.
    pub(in crate::store) fn clock(&self) -> Option<Timestamp> {
        let has_none = self.is_embedded() || self.reads_standby;
        if has_none { Some(self.clock.now()) } else { self.clock.in_place_of_the_database() }
    }

    /// Returns whether the database is a file that only this process uses.
    pub fn is_embedded(&self) -> bool {
        self.lock.is_some()
    }

    /// Closes the connections, the reading ones first, so that SQLite folds its log into the file.
    pub async fn close(self) {
        if let Some(StandbyPools { read, upkeep, .. }) = self.standby {
            upkeep.close().await;
            read.close().await;
        }
        self.upkeep.close().await;
        self.read.close().await;
        self.write.close().await;
        drop(self.lock);
    }
}

impl fmt::Debug for Database {
    // The options of a connection hold its password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Database({:?})", self.backend())
    }
}

impl StandbyPools {
    /// Prepares to connect to a standby, with as many connections for calls as to the database itself.
    fn new(url: &str, options: &PostgresOptions<'_>) -> Result<Self, OpenError> {
        let &PostgresOptions { pooler, max_connections, timeout, .. } = options;
        // The other half of the time is left for the primary, in case the standby is too slow.
        let timeout = timeout / 2;
        let connect = connect_options(url, pooler)?;
        let connect = if pooler { connect } else { connect.options([READ_ONLY]).options(time_limits(timeout)) };
        let local = pooler.then(|| (local_settings(timeout).to_string() + READ_ONLY_TRANSACTION).into());
        let health = PoolHealth::default();
        let pool = |max_connections| {
            let options = PoolOptions { max_connections, acquire_timeout: timeout };
            Pool::postgres(options, connect.clone(), local.clone(), timeout + STATEMENT_GRACE, health.clone())
        };
        let read_turns = ReadTurns::of_server(max_connections);
        Ok(Self { read: pool(max_connections), upkeep: pool(1), read_turns, limit: timeout })
    }
}

/// Returns the options of a connection whose statements may take any time. A pooler refuses the settings of a session.
fn connect_options(url: &str, pooler: bool) -> Result<PgConnectOptions, OpenError> {
    let connect = parse(url)?;
    if pooler {
        return Ok(connect.extra_float_digits(None));
    }
    let connect = connect.statement_cache_capacity(STATEMENTS).options([ISOLATION]);
    Ok(connect.options(PLANNER_SETTINGS).options(TCP_SETTINGS))
}

fn parse(url: &str) -> Result<PgConnectOptions, OpenError> {
    let connect: PgConnectOptions = url
        .parse()
        .map_err(|error: SqlxError| OpenError::Database(DbErr::Conn(RuntimeErr::SqlxError(error.into()))))?;
    Ok(connect.application_name("invitation-service").disable_statement_logging())
}

/// Returns permits for a part of the connections, at least one.
fn share(max_connections: u32, parts: u32) -> Arc<Semaphore> {
    Arc::new(Semaphore::new(usize::try_from(max_connections / parts).unwrap_or(1).max(1)))
}

/// The reason why a database cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has the SQLite file open.
    #[error("{0} is in use by another process of this service: stop it, or choose another file with store.url")]
    InUse(String),
    /// A file or folder cannot be created.
    #[error("{0}: {1}")]
    File(String, std::io::Error),
    /// The database refuses the connection.
    #[error("the database cannot be opened: {0}")]
    Database(DbErr),
}
