//! A pool of connections to one database.

use std::fmt;
use std::time::{Duration, Instant};

use sea_orm::sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sea_orm::sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
use sea_orm::sqlx::{Executor as _, PgPool, SqlitePool};
use sea_orm::{
    ConnAcquireErr, ConnectionTrait, DatabaseConnection, DbBackend, DbErr, ExecResult, QueryResult, RuntimeErr,
    SqlxError, SqlxPostgresConnector, SqlxSqliteConnector, Statement,
};

use super::connection::{Connection, Raw};
use super::pool_health::PoolHealth;
use super::sqlite_file::SqliteFile;
use super::transaction::Transaction;

/// The longest a ROLLBACK may take after its transaction was dropped.
pub(super) const ROLLBACK_LIMIT: Duration = Duration::from_secs(2);
/// The time for which an answer is awaited after the server's own limit.
pub(super) const ANSWER_GRACE: Duration = Duration::from_secs(1);

/// Makes a session wait until its commits are on disk, unless it waits for more, such as a standby.
const DURABLE: &str = "SELECT set_config('synchronous_commit', 'on', false)
    WHERE current_setting('synchronous_commit') = 'off'";

/// The size of a pool, and the time that a caller waits for a connection.
#[derive(Clone, Copy, Debug)]
pub(in crate::store) struct PoolOptions {
    /// The largest number of connections.
    pub(in crate::store) max_connections: u32,
    /// The longest wait, connecting included.
    pub(in crate::store) acquire_timeout: Duration,
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
    },
    /// Connections to a file.
    Sqlite {
        /// The connections.
        pool: SqlitePool,
        /// The file.
        file: SqliteFile,
    },
}

impl Pool {
    /// Creates a pool that connects on first use. The server ends statements after `statement_timeout`.
    pub(in crate::store) fn postgres(
        options: PoolOptions,
        connect: PgConnectOptions,
        statement_timeout: Duration,
        health: PoolHealth,
    ) -> Self {
        let PoolOptions { max_connections, acquire_timeout } = options;
        let pool = PgPoolOptions::new().max_connections(max_connections).acquire_timeout(acquire_timeout);
        let pool = pool.test_before_acquire(false).idle_timeout(Duration::from_secs(600));
        // A server that answers a COMMIT before it is on disk would lose changes that callers believe to be saved.
        let pool =
            pool.after_connect(|connection, _| Box::pin(async move { connection.execute(DURABLE).await.map(drop) }));
        let known = health.clone();
        let pool = pool.before_acquire(move |connection, metadata| {
            let health = known.clone();
            Box::pin(async move { Ok(health.may_use(connection, &metadata).await) })
        });
        Self::Postgres { pool: pool.connect_lazy_with(connect), health, limit: statement_timeout + ANSWER_GRACE }
    }

    /// Creates a pool and opens its first connection, which fails if the file cannot be used.
    pub(in crate::store) async fn sqlite(options: PoolOptions, connect: SqliteConnectOptions) -> Result<Self, DbErr> {
        let PoolOptions { max_connections, acquire_timeout } = options;
        let pool = SqlitePoolOptions::new().max_connections(max_connections).acquire_timeout(acquire_timeout);
        let pool = pool.test_before_acquire(false).idle_timeout(None).max_lifetime(None);
        let (path, pool) = (connect.get_filename().to_owned(), pool.connect_lazy_with(connect));
        drop(pool.acquire().await.map_err(connection_error)?);
        let file = SqliteFile::at(&path).map_err(|error| connection_error(SqlxError::Io(error)))?;
        Ok(Self::Sqlite { pool, file })
    }

    async fn acquire(&self) -> Result<Connection, DbErr> {
        let connection = match self {
            Self::Postgres { pool, health, limit } => {
                pool.acquire().await.map(|raw| Connection::limited(Raw::Postgres(raw), *limit, health.clone()))
            }
            Self::Sqlite { pool, file } => match file.check() {
                Ok(()) => pool.acquire().await.map(|raw| Connection::of_file(Raw::Sqlite(raw), file.clone())),
                Err(error) => Err(SqlxError::Io(error)),
            },
        };
        connection.map_err(connection_error)
    }

    /// Returns the file; `None` on PostgreSQL.
    pub(in crate::store) fn file(&self) -> Option<&SqliteFile> {
        match self {
            Self::Postgres { .. } => None,
            Self::Sqlite { file, .. } => Some(file),
        }
    }

    /// Begins a transaction that writes.
    pub(in crate::store) async fn begin(&self) -> Result<Transaction, DbErr> {
        Transaction::begin(self.acquire().await?, false).await
    }

    /// Begins a transaction that waits for the locks of others.
    pub(in crate::store) async fn begin_with_lock_wait(&self) -> Result<Transaction, DbErr> {
        Transaction::begin(self.acquire().await?, true).await
    }

    /// Returns the same connections for SeaORM's own tools, which do not watch their state.
    pub(in crate::store) fn unguarded(&self) -> DatabaseConnection {
        match self {
            Self::Postgres { pool, .. } => SqlxPostgresConnector::from_sqlx_postgres_pool(pool.clone()),
            Self::Sqlite { pool, .. } => SqlxSqliteConnector::from_sqlx_sqlite_pool(pool.clone()),
        }
    }

    /// Returns the options of connections to PostgreSQL; `None` on SQLite.
    pub(in crate::store) fn postgres_options(&self) -> Option<PgConnectOptions> {
        match self {
            Self::Postgres { pool, .. } => Some((*pool.connect_options()).clone()),
            Self::Sqlite { .. } => None,
        }
    }

    /// Returns whether the database has answered any statement since a moment; always false on SQLite.
    pub(in crate::store) fn has_answered_since(&self, moment: Instant) -> bool {
        matches!(self, Self::Postgres { health, .. } if health.has_answered_since(moment))
    }

    /// Closes all connections before their next use, including those of the pools that share the health.
    pub(in crate::store) fn replace_all(&self) {
        if let Self::Postgres { health, .. } = self {
            health.replace_all();
        }
    }

    /// Closes all connections when those in use have been returned.
    pub(in crate::store) async fn close(self) {
        match self {
            Self::Postgres { pool, .. } => pool.close().await,
            Self::Sqlite { pool, .. } => pool.close().await,
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

#[async_trait::async_trait]
impl ConnectionTrait for Pool {
    fn get_database_backend(&self) -> DbBackend {
        match self {
            Self::Postgres { .. } => DbBackend::Postgres,
            Self::Sqlite { .. } => DbBackend::Sqlite,
        }
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        self.acquire().await?.execute(statement).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.acquire().await?.execute_unprepared(sql).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        self.acquire().await?.query_one(statement).await
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        self.acquire().await?.query_all(statement).await
    }
}

impl fmt::Debug for Pool {
    // The options of a connection hold its password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pool({:?})", self.get_database_backend())
    }
}
