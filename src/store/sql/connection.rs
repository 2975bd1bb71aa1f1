//! One connection out of the pool, and the decision whether it may go back.

use std::io;
use std::time::{Duration, Instant};

use sea_orm::sqlx::pool::PoolConnection;
use sea_orm::sqlx::{self, AssertSqlSafe, Executor as _, Postgres, SqlStr, Sqlite};
use sea_orm::{DbBackend, DbErr, ExecResult, QueryResult, RuntimeErr, SqlxError, Statement, Values};
use sea_query_sqlx::SqlxValues;
use tokio::runtime::Handle;
use tokio::time::timeout;

use super::arguments::postgres_arguments;
use super::error::{condemns_session, is_outage_of_file, is_read_only};
use super::pool::health::PoolHealth;
use super::pool::warm::Warm;
use super::sqlite_file::SqliteFile;
use crate::telemetry::traces::Span;

/// The longest a connection may take to return to its pool, which pings the database.
const RETURN_LIMIT: Duration = Duration::from_secs(2);

/// A connection of one database.
pub(super) enum Raw {
    Postgres(PoolConnection<Postgres>),
    Sqlite(PoolConnection<Sqlite>),
}

impl Raw {
    /// Gives the connection back, unless its answer to a ping takes too long.
    pub(super) async fn return_to_pool(self) {
        drop(timeout(RETURN_LIMIT, self.give_back()).await);
    }

    async fn give_back(self) {
        match self {
            Self::Postgres(mut raw) => raw.return_to_pool().await,
            Self::Sqlite(mut raw) => raw.return_to_pool().await,
        }
    }

    /// Closes the connection without a message to the database, and frees its place in the pool at once. A server may
    /// not answer a farewell; SQLite rolls an open transaction back.
    pub(super) fn discard(self) {
        match self {
            Self::Postgres(raw) => drop(raw.detach()),
            Self::Sqlite(raw) => drop(raw.detach()),
        }
    }
}

/// A connection that is discarded when it is dropped, unless its last statement was answered.
pub(super) struct Connection {
    /// `None` only while the connection is dropped.
    raw: Option<Raw>,
    /// The moment at which it was taken out of the pool.
    taken: Instant,
    /// Where it goes after its use.
    warm: Warm,
    /// Whether the connection may be used again: false while a statement is under way, and after an error that condemns
    /// it.
    is_fit: bool,
    /// The time that a statement may take; `None` for any time.
    limit: Option<Duration>,
    /// Whether the server keeps prepared statements under their names, as no pooler does for one of its clients.
    is_named: bool,
    health: PoolHealth,
    /// The file that a connection to SQLite writes to.
    file: Option<SqliteFile>,
}

/// Runs a statement on either database.
macro_rules! run {
    ($self:ident, $statement:expr, $method:ident, $convert:expr, $error:path) => {{
        let Statement { sql, values, .. } = $statement;
        let trace = $self.trace(&sql);
        let (sql, values) = (AssertSqlSafe(sql), values.unwrap_or_else(|| Values(Vec::new())));
        $self.is_fit = false;
        let result = match &mut $self.raw {
            Some(Raw::Postgres(raw)) => {
                let query = postgres_arguments(values).map(|arguments| sqlx::query_with(sql, arguments));
                match query {
                    Ok(query) => {
                        let query = query.persistent($self.is_named);
                        in_time($self.limit, query.$method(&mut **raw)).await.map($convert)
                    }
                    Err(error) => Err(SqlxError::Encode(error)),
                }
            }
            Some(Raw::Sqlite(raw)) => sqlx::query_with(sql, SqlxValues(values)).$method(&mut **raw).await.map($convert),
            None => Err(SqlxError::PoolClosed),
        };
        $self.judge(result.as_ref().err(), &trace);
        result.map_err(|error| $error(RuntimeErr::SqlxError(error.into())))
    }};
}

impl Connection {
    /// Creates a connection that reports the results of its writes to its file.
    pub(super) fn of_file(raw: (Raw, Instant), warm: Warm, file: SqliteFile) -> Self {
        let (raw, taken) = raw;
        Self {
            raw: Some(raw),
            taken,
            warm,
            is_fit: true,
            limit: None,
            is_named: true,
            health: PoolHealth::default(),
            file: Some(file),
        }
    }

    /// Creates a connection whose statements have a time limit, and that reports to its pool.
    pub(super) fn limited(
        raw: (Raw, Instant),
        warm: Warm,
        limit: Duration,
        is_named: bool,
        health: PoolHealth,
    ) -> Self {
        let (raw, taken) = raw;
        Self { raw: Some(raw), taken, warm, is_fit: true, limit: Some(limit), is_named, health, file: None }
    }

    /// Sets another time limit for the next statements, until the connection returns to its pool.
    pub(super) fn set_limit(&mut self, limit: Duration) {
        self.limit = self.limit.map(|_| limit);
    }

    /// Decides whether the connection may be used again, after a statement was answered.
    fn judge(&mut self, error: Option<&SqlxError>, trace: &Span) {
        if error.is_some() {
            trace.fail("the statement failed");
        }
        self.is_fit = error.is_none_or(|error| !condemns_session(error));
        if self.is_fit {
            self.health.note_answer();
        }
        if let (Some(file), Some(true)) = (&self.file, error.map(is_outage_of_file)) {
            file.note_write(false);
        }
        if error.is_some_and(is_read_only) {
            // The other connections were opened to the same server before it changed.
            self.health.replace_all();
        }
    }

    /// Begins the span of a statement.
    fn trace(&self, sql: &str) -> Span {
        Span::of_statement(if self.backend() == DbBackend::Sqlite { "sqlite" } else { "postgresql" }, sql)
    }

    pub(super) fn backend(&self) -> DbBackend {
        if matches!(self.raw, Some(Raw::Sqlite(_))) { DbBackend::Sqlite } else { DbBackend::Postgres }
    }

    pub(super) fn is_fit(&self) -> bool {
        self.is_fit
    }

    pub(super) async fn execute(&mut self, statement: Statement) -> Result<ExecResult, DbErr> {
        run!(self, statement, execute, Into::into, DbErr::Exec)
    }

    pub(super) async fn query_one(&mut self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        run!(self, statement, fetch_optional, |row| row.map(Into::into), DbErr::Query)
    }

    pub(super) async fn query_all(&mut self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        run!(self, statement, fetch_all, |rows| rows.into_iter().map(Into::into).collect(), DbErr::Query)
    }

    /// Runs a text of several statements without preparing it.
    pub(super) async fn execute_unprepared(&mut self, sql: &str) -> Result<ExecResult, DbErr> {
        let trace = self.trace(sql);
        let sql: SqlStr = sqlx::SqlSafeStr::into_sql_str(AssertSqlSafe(sql));
        self.is_fit = false;
        let result = match &mut self.raw {
            Some(Raw::Postgres(raw)) => in_time(self.limit, raw.execute(sql)).await.map(ExecResult::from),
            Some(Raw::Sqlite(raw)) => raw.execute(sql).await.map(ExecResult::from),
            None => Err(SqlxError::PoolClosed),
        };
        self.judge(result.as_ref().err(), &trace);
        result.map_err(|error| DbErr::Exec(RuntimeErr::SqlxError(error.into())))
    }

    /// Notes that a commit has reached its file.
    pub(super) fn note_commit(&self) {
        if let Some(file) = &self.file {
            file.note_write(true);
        }
    }

    /// Discards the connection when it is dropped, whatever its last statement was.
    pub(super) fn condemn(&mut self) {
        self.is_fit = false;
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let Some(raw) = self.raw.take() else { return };
        match Handle::try_current() {
            Ok(runtime) if self.is_fit => {
                for raw in self.warm.keep(raw, self.taken) {
                    runtime.spawn(raw.return_to_pool());
                }
            }
            Ok(_) | Err(_) => {
                self.health.suspect_others();
                raw.discard();
            }
        }
    }
}

/// Gives up a statement after its time limit. The server ends it by itself at about the same time.
async fn in_time<T>(
    limit: Option<Duration>,
    statement: impl Future<Output = Result<T, SqlxError>>,
) -> Result<T, SqlxError> {
    let Some(limit) = limit else { return statement.await };
    timeout(limit, statement).await.unwrap_or_else(|_| Err(SqlxError::Io(io::ErrorKind::TimedOut.into())))
}
