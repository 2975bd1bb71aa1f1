//! The only type of transaction, on both databases.

use std::time::Duration;

use sea_orm::{ConnectionTrait, DbBackend, DbErr, ExecResult, QueryResult, Statement};
use tokio::runtime::Handle;
use tokio::sync::{Mutex, OwnedSemaphorePermit};
use tokio::time::timeout;

use super::connection::Connection;
use super::error::is_serialization_failure;
use super::pool::{ANSWER_GRACE, ROLLBACK_LIMIT};

/// A transaction that writes.
///
/// It ends with [`Transaction::commit`] or is rolled back, also when it is dropped. A statement that fails ends it too: PostgreSQL
/// would answer a later COMMIT with a rollback, and SQLite may have rolled back by itself, so that later statements would be
/// commits of their own. If COMMIT or ROLLBACK fails, or is given up, the connection is discarded.
pub(in crate::store) struct Transaction {
    backend: DbBackend,
    /// `None` once the transaction has ended.
    open: Mutex<Option<Connection>>,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Transaction {
    /// Begins a transaction on a connection that has none.
    pub(super) async fn begin(mut connection: Connection, begin: &str) -> Result<Self, DbErr> {
        let backend = connection.backend();
        if let Err(error) = connection.execute_unprepared(begin).await {
            connection.condemn();
            return Err(error);
        }
        Ok(Self { backend, open: Mutex::new(Some(connection)), _permit: None })
    }

    /// Keeps a permit for as long as the transaction lasts.
    pub(in crate::store) fn with_permit(mut self, permit: OwnedSemaphorePermit) -> Self {
        self._permit = Some(permit);
        self
    }

    /// Sets the limits of the statements of this transaction on PostgreSQL: the time that each may take, and the part
    /// of it that it may wait for one lock.
    pub(in crate::store) async fn set_limits(&self, statement: Duration, lock: Duration) -> Result<(), DbErr> {
        if self.backend != DbBackend::Postgres {
            return Ok(());
        }
        if let Some(connection) = self.open.lock().await.as_mut() {
            connection.set_limit(statement + ANSWER_GRACE);
        }
        let (statement, lock) = (statement.as_millis().max(1), lock.as_millis().max(1));
        let sql = format!("SET LOCAL statement_timeout = {statement}; SET LOCAL lock_timeout = {lock}");
        self.execute_unprepared(&sql).await.map(drop)
    }

    /// Commits. After an error it is unknown whether the commit has taken effect.
    pub(in crate::store) async fn commit(self) -> Result<(), DbErr> {
        let mut connection = self.open.lock().await.take().ok_or_else(has_ended)?;
        end(&mut connection, "COMMIT").await?;
        connection.note_commit();
        Ok(())
    }

    /// Rolls the transaction back.
    pub(in crate::store) async fn rollback(self) -> Result<(), DbErr> {
        let Some(mut connection) = self.open.lock().await.take() else { return Ok(()) };
        end(&mut connection, "ROLLBACK").await
    }
}

/// Runs the last statement of a transaction, and discards the connection if the statement fails.
async fn end(connection: &mut Connection, sql: &str) -> Result<(), DbErr> {
    let result = connection.execute_unprepared(sql).await;
    // PostgreSQL has rolled back a transaction that met others, and its session goes on.
    if result.as_ref().is_err_and(|error| !is_serialization_failure(error)) {
        connection.condemn();
    }
    result.map(drop)
}

fn has_ended() -> DbErr {
    DbErr::Custom("the transaction has ended: one of its statements failed".to_owned())
}

impl Drop for Transaction {
    fn drop(&mut self) {
        let Some(mut connection) = self.open.get_mut().take() else { return };
        match Handle::try_current() {
            Ok(runtime) if connection.is_fit() => {
                // A runtime that ends drops the task before it has begun.
                connection.condemn();
                runtime.spawn(async move {
                    let ended = timeout(ROLLBACK_LIMIT, end(&mut connection, "ROLLBACK")).await;
                    if ended.is_err() {
                        connection.condemn();
                    }
                });
            }
            Ok(_) | Err(_) => connection.condemn(),
        }
    }
}

/// Runs a statement of an open transaction, and ends the transaction if the statement fails or is given up.
macro_rules! run {
    ($self:ident, $method:ident($argument:expr)) => {{
        let mut open = $self.open.lock().await;
        let mut connection = open.take().ok_or_else(has_ended)?;
        let result = connection.$method($argument).await;
        match &result {
            Ok(_) => *open = Some(connection),
            // A pooler closes its own connection if one of ours is closed in a transaction.
            Err(_) if $self.backend == DbBackend::Postgres && connection.is_fit() => {
                drop(end(&mut connection, "ROLLBACK").await);
            }
            Err(_) => connection.condemn(),
        }
        result
    }};
}

#[async_trait::async_trait]
impl ConnectionTrait for Transaction {
    fn get_database_backend(&self) -> DbBackend {
        self.backend
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        run!(self, execute(statement))
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        run!(self, execute_unprepared(sql))
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        run!(self, query_one(statement))
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        run!(self, query_all(statement))
    }
}
