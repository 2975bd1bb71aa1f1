//! The order of all events: gives committed events their positions, after the commit.
//!
//! A follower keeps a position as a cursor, so a visible position must mean that all lower ones are visible. Numbers
//! taken while commits are under way cannot promise that. So events are numbered afterwards, by one process at a time
//! over all replicas: the lock on one row is held until the numbers are committed.

use sea_orm::{ConnectionTrait, DbBackend, Statement};

use crate::domain::value::time::Timestamp;
use crate::store::Store;
use crate::store::sql::database::Database;
use crate::store::sql::error::StoreError;
use crate::store::sql::rows_param::statement_clock;

/// Finds the oldest event without a position that is not older than $2, without a lock, and the present moment.
pub(in crate::store) fn unnumbered_sql(backend: DbBackend) -> String {
    format!(
        "SELECT {} AS now, (SELECT occurred_at FROM event WHERE position IS NULL AND occurred_at >= $2
            ORDER BY occurred_at LIMIT 1) AS oldest",
        statement_clock(backend, 1)
    )
}

/// Returns the common table expressions that end with `numbered`: up to $1 events that are not older than $2, and those that
/// come before them in their invitation, with their places behind `position`. The events of one invitation are numbered in
/// their sequence; among each other invitations go by the clock.
fn numbered_sql(backend: DbBackend, position: &str, condition: &str) -> String {
    let own = "e.account_id = w.account_id AND e.invitation_id = w.invitation_id AND e.sequence = w.sequence - 1";
    // The LIMIT keeps PostgreSQL from reading all events for a hash join.
    let before = if backend == DbBackend::Postgres {
        format!("CROSS JOIN LATERAL (SELECT * FROM event e WHERE {own} LIMIT 1) e WHERE e.position IS NULL")
    } else {
        format!("JOIN event e ON {own} WHERE e.position IS NULL")
    };
    format!(
        "taken AS MATERIALIZED (
            SELECT account_id, invitation_id, sequence, occurred_at FROM event
            WHERE position IS NULL AND occurred_at >= $2 {condition}
            ORDER BY occurred_at, account_id, invitation_id, sequence LIMIT $1),
        whole AS (
            SELECT * FROM taken
            UNION SELECT e.account_id, e.invitation_id, e.sequence, e.occurred_at FROM whole w {before}),
        placed AS MATERIALIZED (
            SELECT account_id, invitation_id, sequence,
                max(occurred_at) OVER (PARTITION BY account_id, invitation_id ORDER BY sequence) AS at FROM whole),
        numbered AS MATERIALIZED (
            SELECT account_id, invitation_id, sequence,
                {position} + row_number() OVER (ORDER BY at, account_id, invitation_id, sequence) AS place FROM placed)"
    )
}

/// Returns the statement that numbers events.
pub(in crate::store) fn number_sql(backend: DbBackend) -> String {
    if backend == DbBackend::Postgres { number_on_postgres_sql() } else { number_on_sqlite_sql() }
}

/// Numbers events on PostgreSQL, in one statement: no lock waits for a message of this process, which may be frozen.
///
/// A statement sees rows that were committed before it began, but it may get the lock later, when another process has
/// numbered the same events meanwhile. Numbering events moves the position: if the locked row has another position than
/// the statement sees, nothing is numbered. The condition that always holds makes PostgreSQL look events up one by one,
/// whatever the size of the table was when the statement was planned.
fn number_on_postgres_sql() -> String {
    format!(
        "WITH RECURSIVE locked AS MATERIALIZED (
            SELECT position FROM follower WHERE name = 'sequencer' FOR UPDATE SKIP LOCKED),
        held AS MATERIALIZED (
            SELECT l.position FROM locked l JOIN follower f ON f.name = 'sequencer' AND f.position = l.position),
        {numbered},
        done AS (
            UPDATE event AS e SET position = n.place
            FROM (SELECT * FROM numbered WHERE account_id || '' = account_id) AS n
            WHERE e.account_id = n.account_id AND e.invitation_id = n.invitation_id AND e.sequence = n.sequence
            RETURNING e.position),
        counted AS MATERIALIZED (SELECT count(*) AS events FROM done),
        moved AS (
            UPDATE follower SET position = position + (SELECT events FROM counted)
            WHERE name = 'sequencer' AND (SELECT events FROM counted) > 0)
        SELECT (SELECT events FROM counted) AS events, (SELECT count(*) FROM held) AS held,
            (SELECT position FROM follower WHERE name = 'sequencer') AS position",
        numbered =
            numbered_sql(DbBackend::Postgres, "(SELECT position FROM held)", "AND (SELECT count(*) FROM held) = 1"),
    )
}

/// Returns the same statement for SQLite, for a transaction that excludes all others: $3 is the position.
fn number_on_sqlite_sql() -> String {
    format!(
        "WITH RECURSIVE {}
        UPDATE event AS e SET position = n.place FROM numbered AS n
        WHERE e.account_id = n.account_id AND e.invitation_id = n.invitation_id AND e.sequence = n.sequence",
        numbered_sql(DbBackend::Sqlite, "$3", "")
    )
}

/// The result of an attempt to number events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Numbering {
    /// Gives the number of events that have got their positions.
    Done(u64),
    /// Another process numbers events.
    Busy {
        /// The last position that it has given.
        position: i64,
    },
}

/// The events without a position.
#[derive(Clone, Copy, Debug)]
pub struct Unnumbered {
    /// The database's clock, in microseconds.
    pub now: i64,
    /// The time of the oldest one, in microseconds; `None` if there is none.
    pub oldest: Option<i64>,
}

impl Store {
    /// Looks for events without a position that are not older than `since`, without a lock.
    pub async fn unnumbered_events(&self, since: i64) -> Result<Unnumbered, StoreError> {
        let database = &self.database;
        let backend = database.backend();
        let values = [database.clock().map(Timestamp::micros).into(), since.into()];
        let statement = Statement::from_sql_and_values(backend, unnumbered_sql(backend), values);
        let row = database.read.query_one_raw(statement).await?;
        let row = row
            .ok_or_else(|| StoreError::Refused("the query for events without a position returned no row".to_owned()))?;
        Ok(Unnumbered { now: row.try_get("", "now")?, oldest: row.try_get("", "oldest")? })
    }

    /// Gives up to `batch` events that are not older than `since` their positions.
    pub async fn number_events(&self, batch: i64, since: i64) -> Result<Numbering, StoreError> {
        if self.database.is_embedded() {
            return number_on_sqlite(&self.database, batch, since).await.map(Numbering::Done);
        }
        number_on_postgres(&self.database, batch, since).await
    }
}

async fn number_on_postgres(database: &Database, batch: i64, since: i64) -> Result<Numbering, StoreError> {
    let statement = Statement::from_sql_and_values(
        DbBackend::Postgres,
        number_sql(DbBackend::Postgres),
        [batch.into(), since.into()],
    );
    let row = database.write.query_one_raw(statement).await?;
    let Some(row) = row else { return Ok(Numbering::Busy { position: 0 }) };
    if row.try_get::<i64>("", "held")? == 0 {
        return Ok(Numbering::Busy { position: row.try_get("", "position")? });
    }
    Ok(Numbering::Done(row.try_get::<i64>("", "events")?.unsigned_abs()))
}

async fn number_on_sqlite(database: &Database, batch: i64, since: i64) -> Result<u64, StoreError> {
    let transaction = database.begin_write().await?;
    let sql = "SELECT position FROM follower WHERE name = 'sequencer'";
    let row = transaction.query_one_raw(Statement::from_string(DbBackend::Sqlite, sql)).await?;
    let Some(row) = row else {
        return Err(StoreError::Refused("the row `sequencer` is missing in the table `follower`".to_owned()));
    };
    let position: i64 = row.try_get_by_index(0)?;
    let values = [batch.into(), since.into(), position.into()];
    let statement = Statement::from_sql_and_values(DbBackend::Sqlite, number_sql(DbBackend::Sqlite), values);
    let numbered = transaction.execute_raw(statement).await?.rows_affected();
    let sql = "UPDATE follower SET position = $1 WHERE name = 'sequencer'";
    let position = position.saturating_add_unsigned(numbered);
    transaction.execute_raw(Statement::from_sql_and_values(DbBackend::Sqlite, sql, [position.into()])).await?;
    transaction.commit().await?;
    Ok(numbered)
}
