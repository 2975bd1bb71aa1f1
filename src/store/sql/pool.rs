//! A pool of connections to one database.

pub(super) mod health;
#[cfg(test)]
mod tests;
pub(super) mod warm;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sea_orm::sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sea_orm::sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
use sea_orm::sqlx::{AssertSqlSafe, Executor as _, PgPool, Row as _, SqlitePool};
use sea_orm::{
    ConnAcquireErr, ConnectionTrait, DatabaseConnection, DbBackend, DbErr, ExecResult, QueryResult, RuntimeErr,
    SqlxError, SqlxPostgresConnector, SqlxSqliteConnector, Statement,
};

use super::connection::{Connection, Raw};
use super::database::login::Login;
use super::error::is_serialization_failure;
use super::sqlite_file::SqliteFile;
use super::transaction::Transaction;
use health::PoolHealth;
use warm::Warm;

/// The longest a ROLLBACK may take after its transaction was dropped.
pub(super) const ROLLBACK_LIMIT: Duration = Duration::from_secs(2);
/// The time for which an answer is awaited after the server's own limit.
pub(super) const ANSWER_GRACE: Duration = Duration::from_secs(1);

/// The longest a connection to a server stays open without use.
const LONGEST_IDLE: Duration = Duration::from_secs(600);

const NO_SESSION: &str = "a pooler drops the settings of the session: set store.pooler = \"transaction\"";
/// Begins a transaction on PostgreSQL. A statement has to see the change that it, or one before it, waited for, whatever the default
/// isolation of the database is.
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED";
/// The attempts at a statement that is refused because of other transactions.
const MAX_ATTEMPTS: usize = 8;

/// The size of a pool, and the time that a caller waits for a connection.
#[derive(Clone, Copy, Debug)]
pub(in crate::store) struct PoolOptions {
    /// The largest number of connections.
    pub(in crate::store) max_connections: u32,
    /// The longest wait, connecting included.
    pub(in crate::store) acquire_timeout: Duration,
}

/// The beginning of each session of a server, or of each transaction behind a pooler.
pub(in crate::store) struct Session {
    /// The statement of a session, whose first column is a setting that shows that settings of a session last.
    pub(in crate::store) look: String,
    /// The statements of a transaction behind a pooler, where no setting of a session lasts; `None` without a pooler.
    pub(in crate::store) local: Option<Arc<str>>,
}

/// Connections to one database; clones share them. A statement outside of a transaction is one by itself.
#[derive(Clone)]
pub(in crate::store) enum Pool {
    /// Connections to a server.
    Postgres {
        /// The connections.
        pool: PgPool,
        /// The shared state of the connections.
        health: PoolHealth,
        /// The time for which the answer to a statement is awaited.
        limit: Duration,
        /// The statements that a transaction begins with behind a pooler, where no setting of a session lasts.
        local: Option<Arc<str>>,
        /// The connections that were used last.
        warm: Warm,
        /// The login, which the server may refuse.
        login: Login,
        /// The longest wait for a connection.
        patience: Duration,
    },
    /// Connections to a file.
    Sqlite {
        /// The connections.
        pool: SqlitePool,
        /// The file.
        file: SqliteFile,
        /// The connections that were used last.
        warm: Warm,
    },
}

impl Pool {
    /// Creates a pool that connects on first use, with the options of the login and those of a session. The server ends statements
    /// after `statement_timeout`.
    pub(in crate::store) fn postgres(
        options: PoolOptions,
        (login, connect): (Login, PgConnectOptions),
        Session { look, local }: Session,
        statement_timeout: Duration,
        health: PoolHealth,
    ) -> Self {
        let PoolOptions { max_connections, acquire_timeout } = options;
        let pool = PgPoolOptions::new().max_connections(max_connections).acquire_timeout(acquire_timeout);
        let pool = pool.test_before_acquire(false).idle_timeout(LONGEST_IDLE);
        let (known, accepted, has_session) = (health.clone(), login.clone(), local.is_none());
        let look: Arc<str> = look.into();
        let pool = pool.after_connect(move |connection, _| {
            let (health, look) = (known.clone(), look.to_string());
            accepted.note_accepted();
            Box::pin(async move {
                if has_session {
                    let look = connection.fetch_one(AssertSqlSafe(look)).await?;
                    // The driver would only log an error from here, and connect again.
                    health.note_session(look.try_get::<&str, _>(0)? != "force_generic_plan");
                }
                Ok(())
            })
        });
        let known = health.clone();
        let pool = pool.before_acquire(move |connection, metadata| {
            let health = known.clone();
            Box::pin(async move { Ok(health.may_use(connection, metadata.age, metadata.idle_for).await) })
        });
        let (pool, limit) = (pool.connect_lazy_with(connect), statement_timeout + ANSWER_GRACE);
        Self::Postgres { pool, health, limit, local, warm: Warm::new(), login, patience: acquire_timeout }
    }

    /// Creates a pool and opens its first connection, which fails if the file cannot be used.
    pub(in crate::store) async fn sqlite(options: PoolOptions, connect: SqliteConnectOptions) -> Result<Self, DbErr> {
        let PoolOptions { max_connections, acquire_timeout } = options;
        let pool = SqlitePoolOptions::new().max_connections(max_connections).acquire_timeout(acquire_timeout);
        let pool = pool.test_before_acquire(false).idle_timeout(None).max_lifetime(None);
        let (path, pool) = (connect.get_filename().to_owned(), pool.connect_lazy_with(connect));
        pool.acquire().await.map_err(connection_error)?.return_to_pool().await;
        let file = SqliteFile::at(&path).map_err(|error| connection_error(SqlxError::Io(error)))?;
        Ok(Self::Sqlite { pool, file, warm: Warm::new() })
    }

    /// Opens a connection to a server if there is none.
    pub(in crate::store) async fn open_one(&self) -> Result<(), DbErr> {
        match self {
            Self::Postgres { pool, .. } if pool.size() == 0 => self.acquire().await.map(drop),
            Self::Postgres { .. } | Self::Sqlite { .. } => Ok(()),
        }
    }

    async fn acquire(&self) -> Result<Connection, DbErr> {
        let connection = match self {
            Self::Postgres { health, limit, local, warm, .. } => {
                let connection = |raw| Connection::limited(raw, warm.clone(), *limit, local.is_none(), health.clone());
                self.raw(warm).await.map(connection)
            }
            Self::Sqlite { file, warm, .. } => match file.check() {
                Ok(()) => self.raw(warm).await.map(|raw| Connection::of_file(raw, warm.clone(), file.clone())),
                Err(error) => Err(SqlxError::Io(error)),
            },
        };
        if matches!(self, Self::Postgres { health, .. } if health.lacks_session()) {
            if let Ok(mut connection) = connection {
                connection.condemn();
            }
            return Err(connection_error(SqlxError::Configuration(NO_SESSION.into())));
        }
        connection.map_err(connection_error)
    }

    /// Takes a connection, and returns the moment at which it was taken out of the pool: the one that was used last, if it may
    /// still be used.
    async fn raw(&self, warm: &Warm) -> Result<(Raw, Instant), SqlxError> {
        let _waiting = loop {
            let mut kept = match warm.take() {
                Ok(kept) => kept,
                Err(waiting) => break waiting,
            };
            let (age, idle) = (kept.taken.elapsed(), kept.used.elapsed());
            let may_use = match (kept.raw.as_mut(), self) {
                (Some(Raw::Postgres(_)), Self::Postgres { .. }) if idle > LONGEST_IDLE => false,
                (Some(Raw::Postgres(raw)), Self::Postgres { health, .. }) => health.may_use(raw, age, idle).await,
                _ => true,
            };
            if may_use && let Some(raw) = kept.raw.take() {
                return Ok((raw, kept.taken));
            }
        };
        // Facts about others that are learned while this one is taken concern it too.
        let taken = Instant::now();
        // Its future is large, and hardly ever needed: in a box it takes no room in those of all calls.
        let raw = match self {
            Self::Postgres { pool, login, patience, .. } => {
                Raw::Postgres(Box::pin(login.acquire(pool, *patience)).await?)
            }
            Self::Sqlite { pool, .. } => Raw::Sqlite(Box::pin(pool.acquire()).await?),
        };
        Ok((raw, taken))
    }

    /// Returns the file; `None` on PostgreSQL.
    pub(in crate::store) fn file(&self) -> Option<&SqliteFile> {
        match self {
            Self::Postgres { .. } => None,
            Self::Sqlite { file, .. } => Some(file),
        }
    }

    /// Returns the number of open connections, of those that nobody uses, and of those that may be open.
    pub(in crate::store) fn connections(&self) -> (usize, usize, usize) {
        let (open, idle, most, warm) = match self {
            Self::Postgres { pool, warm, .. } => {
                (pool.size(), pool.num_idle(), pool.options().get_max_connections(), warm)
            }
            Self::Sqlite { pool, warm, .. } => {
                (pool.size(), pool.num_idle(), pool.options().get_max_connections(), warm)
            }
        };
        let count = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
        (count(open), idle + warm.idle(), count(most))
    }

    /// Begins a transaction that writes.
    pub(in crate::store) async fn begin(&self) -> Result<Transaction, DbErr> {
        self.begin_with(false).await
    }

    /// Begins a transaction that waits for the locks of others.
    pub(in crate::store) async fn begin_with_lock_wait(&self) -> Result<Transaction, DbErr> {
        self.begin_with(true).await
    }

    async fn begin_with(&self, waits_for_locks: bool) -> Result<Transaction, DbErr> {
        let waits = if waits_for_locks { "; SET LOCAL lock_timeout = 0" } else { "" };
        let begin = match self {
            Self::Postgres { local, .. } => format!("{BEGIN}{}{waits}", local.as_deref().unwrap_or_default()),
            // A deferred transaction on SQLite that reads before it writes may find that it can no longer write.
            Self::Sqlite { .. } => "BEGIN IMMEDIATE".to_owned(),
        };
        Transaction::begin(self.acquire().await?, &begin).await
    }

    /// Returns the statements that a transaction begins with behind a pooler; `None` if there is none.
    fn local(&self) -> Option<&str> {
        match self {
            Self::Postgres { local, .. } => local.as_deref(),
            Self::Sqlite { .. } => None,
        }
    }

    /// Returns the connections of a SQLite file for SeaORM's own tools, which do not watch their state.
    pub(in crate::store) async fn unguarded(&self) -> DatabaseConnection {
        self.give_back_all().await;
        match self {
            Self::Postgres { pool, .. } => SqlxPostgresConnector::from_sqlx_postgres_pool(pool.clone()),
            Self::Sqlite { pool, .. } => SqlxSqliteConnector::from_sqlx_sqlite_pool(pool.clone()),
        }
    }

    /// Gives the connections that nobody uses back to the pool.
    async fn give_back_all(&self) {
        let (Self::Postgres { warm, .. } | Self::Sqlite { warm, .. }) = self;
        for raw in warm.drain() {
            raw.return_to_pool().await;
        }
    }

    /// Returns whether the database has answered any statement since a moment; always false on SQLite.
    pub(in crate::store) fn has_answered_since(&self, moment: Instant) -> bool {
        matches!(self, Self::Postgres { health, .. } if health.has_answered_since(moment))
    }

    /// Opens new connections with other options from now on.
    pub(in crate::store) fn connect_with(&self, connect: PgConnectOptions) {
        if let Self::Postgres { pool, .. } = self {
            pool.set_connect_options(connect);
        }
    }

    /// Closes all connections before their next use, including those of the pools that share the health.
    pub(in crate::store) fn replace_all(&self) {
        if let Self::Postgres { health, .. } = self {
            health.replace_all();
        }
    }

    /// Closes all connections when those in use have been returned.
    pub(in crate::store) async fn close(self) {
        let (Self::Postgres { warm, .. } | Self::Sqlite { warm, .. }) = &self;
        warm.close();
        // Once the pool is being closed, it pings none that comes back.
        match &self {
            Self::Postgres { pool, .. } => drop(tokio::join!(biased; pool.close(), self.give_back_all())),
            Self::Sqlite { pool, .. } => drop(tokio::join!(biased; pool.close(), self.give_back_all())),
        }
    }
}

fn connection_error(error: SqlxError) -> DbErr {
    match error {
        SqlxError::PoolTimedOut => DbErr::ConnectionAcquire(ConnAcquireErr::Timeout),
        SqlxError::PoolClosed => DbErr::ConnectionAcquire(ConnAcquireErr::ConnectionClosed),
        error => DbErr::Conn(RuntimeErr::SqlxError(error.into())),
    }
}

/// Runs a statement on a connection of the pool: behind a pooler in a transaction with its settings, else as it is.
macro_rules! run_once {
    ($self:ident, $begin:expr, $method:ident, $raw:ident, $statement:expr) => {
        match $begin {
            None => $self.acquire().await?.$method($statement).await,
            Some(begin) => {
                let transaction = Transaction::begin($self.acquire().await?, begin).await?;
                match transaction.$raw($statement).await {
                    Ok(result) => transaction.commit().await.map(|()| result),
                    Err(error) => Err(error),
                }
            }
        }
    };
}

/// Runs a statement, again if PostgreSQL refuses it because of other transactions: then it has changed nothing.
macro_rules! run {
    ($self:ident, $method:ident, $raw:ident, $statement:expr) => {{
        let statement = $statement;
        let begin = $self.local().map(|local| format!("{BEGIN}{local}"));
        let attempts = if $self.file().is_some() { 1 } else { MAX_ATTEMPTS };
        for _ in 1..attempts {
            let result = run_once!($self, begin.as_deref(), $method, $raw, statement.clone());
            if !result.as_ref().is_err_and(is_serialization_failure) {
                return result;
            }
        }
        run_once!($self, begin.as_deref(), $method, $raw, statement)
    }};
}

#[async_trait::async_trait]
impl ConnectionTrait for Pool {
    fn get_database_backend(&self) -> DbBackend {
        match self {
            Self::Postgres { .. } => DbBackend::Postgres,
            Self::Sqlite { .. } => DbBackend::Sqlite,
        }
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        run!(self, execute, execute_raw, statement)
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        run!(self, execute_unprepared, execute_unprepared, sql)
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        run!(self, query_one, query_one_raw, statement)
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        run!(self, query_all, query_all_raw, statement)
    }
}

impl fmt::Debug for Pool {
    // The options of a connection hold its password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pool({:?})", self.get_database_backend())
    }
}
