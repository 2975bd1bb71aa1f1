//! A pool of connections to one database.

use std::fmt;
use std::time::Duration;

use sea_orm::sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sea_orm::sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
use sea_orm::sqlx::{PgPool, SqlitePool};
use sea_orm::{
    ConnAcquireErr, ConnectionTrait, DatabaseConnection, DbBackend, DbErr, ExecResult, QueryResult, RuntimeErr,
    SqlxError, SqlxPostgresConnector, SqlxSqliteConnector, Statement,
};

use super::connection::{Connection, Raw};
use super::transaction::Transaction;

/// The longest a ROLLBACK may take that nobody waits for.
pub(super) const ROLLBACK_LIMIT: Duration = Duration::from_secs(2);

/// How many connections a pool has, and how long a caller waits for one.
#[derive(Clone, Copy, Debug)]
pub(in crate::store) struct PoolOptions {
    /// The most connections.
    pub(in crate::store) max_connections: u32,
    /// The longest wait, connecting included.
    pub(in crate::store) acquire_timeout: Duration,
}

/// Connections to one database; clones share them. A statement outside of a transaction is one by itself.
#[derive(Clone)]
pub(in crate::store) enum Pool {
    /// Connections to a server.
    Postgres(PgPool),
    /// Connections to a file.
    Sqlite(SqlitePool),
}

impl Pool {
    /// Makes a pool that connects when it is asked to.
    pub(in crate::store) fn postgres(options: PoolOptions, connect: PgConnectOptions) -> Self {
        let PoolOptions { max_connections, acquire_timeout } = options;
        let pool = PgPoolOptions::new().max_connections(max_connections).acquire_timeout(acquire_timeout);
        let pool = pool.test_before_acquire(false).idle_timeout(Duration::from_secs(600));
        Self::Postgres(pool.connect_lazy_with(connect))
    }

    /// Makes a pool and opens its first connection, which tells whether the file can be used.
    pub(in crate::store) async fn sqlite(options: PoolOptions, connect: SqliteConnectOptions) -> Result<Self, DbErr> {
        let PoolOptions { max_connections, acquire_timeout } = options;
        let pool = SqlitePoolOptions::new().max_connections(max_connections).acquire_timeout(acquire_timeout);
        let pool = pool.test_before_acquire(false).idle_timeout(None).max_lifetime(None);
        let pool = Self::Sqlite(pool.connect_lazy_with(connect));
        pool.acquire().await?;
        Ok(pool)
    }

    async fn acquire(&self) -> Result<Connection, DbErr> {
        let raw = match self {
            Self::Postgres(pool) => pool.acquire().await.map(Raw::Postgres),
            Self::Sqlite(pool) => pool.acquire().await.map(Raw::Sqlite),
        };
        raw.map(Connection::new).map_err(|error| match error {
            SqlxError::PoolTimedOut => DbErr::ConnectionAcquire(ConnAcquireErr::Timeout),
            SqlxError::PoolClosed => DbErr::ConnectionAcquire(ConnAcquireErr::ConnectionClosed),
            error => DbErr::Conn(RuntimeErr::SqlxError(error.into())),
        })
    }

    /// Begins a transaction that is going to write.
    pub(in crate::store) async fn begin(&self) -> Result<Transaction, DbErr> {
        Transaction::begin(self.acquire().await?).await
    }

    /// Returns the same connections for SeaORM's own tools, which look after the state of none of them.
    pub(in crate::store) fn unguarded(&self) -> DatabaseConnection {
        match self {
            Self::Postgres(pool) => SqlxPostgresConnector::from_sqlx_postgres_pool(pool.clone()),
            Self::Sqlite(pool) => SqlxSqliteConnector::from_sqlx_sqlite_pool(pool.clone()),
        }
    }

    /// Returns how the pool connects, if it does so to PostgreSQL.
    pub(in crate::store) fn postgres_options(&self) -> Option<PgConnectOptions> {
        match self {
            Self::Postgres(pool) => Some((*pool.connect_options()).clone()),
            Self::Sqlite(_) => None,
        }
    }

    /// Closes all connections, when those in use have come back.
    pub(in crate::store) async fn close(self) {
        match self {
            Self::Postgres(pool) => pool.close().await,
            Self::Sqlite(pool) => pool.close().await,
        }
    }
}

#[async_trait::async_trait]
impl ConnectionTrait for Pool {
    fn get_database_backend(&self) -> DbBackend {
        match self {
            Self::Postgres(_) => DbBackend::Postgres,
            Self::Sqlite(_) => DbBackend::Sqlite,
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
