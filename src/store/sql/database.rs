//! The connections: one database, with a pool for reads and a pool for writes, and perhaps those to a standby of it.

mod connect_failure;
pub(in crate::store) mod login;
mod postgres;
pub(in crate::store) mod read_scope;

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sea_orm::sqlx::ConnectOptions;
use sea_orm::sqlx::postgres::PgPoolOptions;
use sea_orm::sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DbBackend, DbErr, QueryResult, RuntimeErr, SqlxError, SqlxPostgresConnector,
    Statement,
};
use tokio::sync::{Semaphore, watch};

use super::error::StoreError;
use super::read_turns::ReadTurns;
use super::sqlite_lock::SqliteLock;
use super::{Pool, PoolOptions, Transaction};
use crate::clock::Clock;
use crate::domain::reach::Reach;
use crate::domain::value::text::AccountId;
use crate::domain::value::time::Timestamp;
use crate::private_file;
pub use connect_failure::{ConnectFailure, ConnectProblem, Place};
use login::Login;
pub use postgres::{ChangedLogins, PostgresOptions};
use postgres::{STATEMENTS, Server};

/// The longest a SQLite statement waits for a lock; only another program's transaction can hold one.
const BUSY_TIMEOUT: Duration = Duration::from_secs(1);

/// The cache of pages of a SQLite connection that reads, in KiB (negative, as SQLite wants it): the operating system caches the file
/// once for all of them.
const READER_CACHE: &str = "-512";

/// The connections to a database. Clones share them.
#[derive(Clone)]
pub struct Database {
    /// The pool for reads. On PostgreSQL also the pool for writes.
    pub(in crate::store) read: Pool,
    /// The pool for writes: on SQLite the only connection that may write.
    pub(in crate::store) write: Pool,
    /// The pool for readiness: on PostgreSQL a connection of its own, so that no call has to end first.
    pub(in crate::store) upkeep: Pool,
    /// The pool for reads of calls, whose connections have the role that sees what a read may see alone; `None` if there is none.
    reader: Option<Pool>,
    /// The server of PostgreSQL; `None` on SQLite.
    primary: Option<Server>,
    /// The turns in which accounts get connections for their reads.
    pub(in crate::store) read_turns: ReadTurns,
    /// The standby; `None` if there is none.
    standby: Option<Server>,
    /// Whether `read` and `upkeep` lead to a standby. Everything else belongs to the database that it is a copy of.
    reads_standby: bool,
    /// The login of the connection that waits for notifications; `None` if none does.
    pub(in crate::store) listen: Option<Login>,
    /// The share of the connections that may wait for locks of other transactions.
    pub(in crate::store) lock_wait_permits: Arc<Semaphore>,
    /// Follows the database's clock, and replaces it if the database has none.
    pub(in crate::store) clock: Clock,
    lock: Option<SqliteLock>,
    /// Changes whenever a server refuses a login.
    refused: watch::Sender<()>,
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
        let failed = |error| OpenError::Database(path.display().to_string(), text_of(&error));
        let write = Pool::sqlite(options(1), connect.clone()).await.map_err(failed)?;
        let connect = connect.create_if_missing(false).pragma("cache_size", READER_CACHE);
        let read = Pool::sqlite(options(max_connections), connect).await.map_err(failed)?;
        Ok(Self::of_file(read, write, max_connections, clock, Some(lock)))
    }

    /// Opens a SQLite file that another process may have open, to read it. Nothing can be written.
    pub async fn sqlite_beside(path: &Path, timeout: Duration, clock: Clock) -> Result<Self, OpenError> {
        let connect = SqliteConnectOptions::new().filename(path).create_if_missing(false).read_only(true);
        let connect = connect.busy_timeout(BUSY_TIMEOUT).disable_statement_logging();
        let options = PoolOptions { max_connections: 1, acquire_timeout: timeout };
        let read = Pool::sqlite(options, connect).await;
        let read = read.map_err(|error| OpenError::Database(path.display().to_string(), text_of(&error)))?;
        Ok(Self::of_file(read.clone(), read, 1, clock, None))
    }

    fn of_file(read: Pool, write: Pool, max_connections: u32, clock: Clock, lock: Option<SqliteLock>) -> Self {
        let (upkeep, read_turns, lock_wait_permits) =
            (read.clone(), ReadTurns::of_file(max_connections), share(max_connections, 4));
        Self {
            read,
            write,
            upkeep,
            reader: None,
            primary: None,
            listen: None,
            read_turns,
            standby: None,
            reads_standby: false,
            lock_wait_permits,
            clock,
            lock,
            refused: watch::Sender::new(()),
        }
    }

    /// Returns the same database, read from its standby, and the longest that a read may take there; `None` if there is no standby.
    /// Its writes go to the primary as ever.
    pub(in crate::store) fn of_standby(&self) -> Option<(Self, Duration)> {
        let Server { read, reader, upkeep, read_turns, limit, .. } = self.standby.clone()?;
        Some((Self { read, reader, upkeep, read_turns, standby: None, reads_standby: true, ..self.clone() }, limit))
    }

    /// Returns every pool with the name that it has in metrics.
    pub(in crate::store) fn pools(&self) -> Vec<(&'static str, &Pool)> {
        let own = if self.is_embedded() {
            vec![("read", &self.read), ("write", &self.write)]
        } else {
            vec![("calls", &self.write), ("upkeep", &self.upkeep)]
        };
        let reader = self.reader.iter().map(|pool| ("reader", pool));
        let standby = self.standby.iter().flat_map(|Server { read, reader, .. }| {
            [("standby", read)].into_iter().chain(reader.iter().map(|pool| ("standby_reader", pool)))
        });
        own.into_iter().chain(reader).chain(standby).collect()
    }

    /// Returns the role for reads of calls; `None` if there is none.
    pub(in crate::store) fn reader_role(&self) -> Option<&str> {
        self.primary.as_ref()?.reader_role.as_deref()
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

    /// Reads a list for a caller, in the turn of their account.
    pub(in crate::store) async fn list(
        &self,
        reach: &Reach,
        statement: Statement,
    ) -> Result<Vec<QueryResult>, StoreError> {
        let _turn = self.read_turns.list(reach.account()).await?;
        Ok(self.reading_for(reach).query_all_raw(statement).await?)
    }

    /// Reads a list of what no organization has a part in, in the turn of an account.
    pub(in crate::store) async fn list_of_account(
        &self,
        account: &AccountId,
        statement: Statement,
    ) -> Result<Vec<QueryResult>, StoreError> {
        let _turn = self.read_turns.list(account).await?;
        Ok(self.reading_for(account).query_all_raw(statement).await?)
    }

    /// Returns the server and the role; `None` on SQLite.
    pub fn place(&self) -> Option<Place> {
        self.primary.as_ref().map(|server| server.login.place())
    }

    /// Opens a connection for calls if there is none.
    pub(in crate::store) async fn open_for_calls(&self) -> Result<(), DbErr> {
        self.read.open_one().await
    }

    /// Connects once, beside the pools, to find out why these get no connection. A file is always there.
    ///
    /// # Errors
    /// The reason, with the place and a remedy.
    pub async fn try_connect(&self, limit: Duration) -> Result<(), ConnectFailure> {
        match &self.primary {
            Some(server) => server.login.try_connect(limit).await,
            None => Ok(()),
        }
    }

    /// Connects to the servers of notifications and of lagging reads, if they are others, and returns what came of it, by the key of
    /// their URL.
    pub async fn try_others(&self, limit: Duration) -> Vec<(&'static str, Place, Result<(), ConnectFailure>)> {
        let own = self.place();
        let standby = self.standby.as_ref().map(|server| &server.login);
        let logins = [("store.listen_url", self.listen.as_ref()), ("store.read_url", standby)];
        let mut tried = Vec::new();
        for (key, login) in logins {
            if let Some(login) = login.filter(|login| Some(login.place()) != own) {
                tried.push((key, login.place(), login.try_connect(limit).await));
            }
        }
        tried
    }

    /// Closes all connections before their next use.
    pub(in crate::store) fn replace_connections(&self) {
        self.upkeep.replace_all();
    }

    /// Returns connections for migrations, whose statements take as long as there are rows.
    pub(in crate::store) async fn for_migrations(&self) -> DatabaseConnection {
        match &self.primary {
            Some(server) => {
                // SeaORM's own connections name each statement, and a pooler gives the next transaction another connection:
                // so a migration drops its names, and none of them is thought to be there.
                let connect = server.login.options().statement_cache_capacity(0);
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
        self.backend() == DbBackend::Sqlite
    }

    /// Closes the connections, the reading ones first, so that SQLite folds its log into the file.
    pub async fn close(self) {
        if let Some(Server { read, reader, upkeep, .. }) = self.standby {
            upkeep.close().await;
            read.close().await;
            close(reader).await;
        }
        self.upkeep.close().await;
        close(self.reader).await;
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

async fn close(pool: Option<Pool>) {
    if let Some(pool) = pool {
        pool.close().await;
    }
}

/// Returns the text of an error of SQLite, whose sentences about a file are fixed ones.
fn text_of(error: &DbErr) -> String {
    match error {
        DbErr::Conn(RuntimeErr::SqlxError(error)) => match error.as_ref() {
            SqlxError::Database(error) => {
                format!("{} (SQLite code {})", error.message(), error.code().unwrap_or_default())
            }
            other => other.to_string(),
        },
        other => other.to_string(),
    }
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
    #[error(
        "{0} cannot be created: {1}: make its folder writable, as by mounting a volume, or choose another file with store.url"
    )]
    File(String, std::io::Error),
    /// The database refuses the connection. Errors of SQLite name no secret, and no place.
    #[error("{0} cannot be opened as a database: {1}: check store.url, or restore a backup")]
    Database(String, String),
    /// The library does not take a URL that the configuration takes. Its own text may repeat a part of the URL.
    #[error("store.url, store.listen_url or store.read_url is no URL that the driver of PostgreSQL understands")]
    Url,
}
