//! The order of all events: gives those that were committed their positions, after the commit.
//!
//! Whoever follows events keeps a position as a cursor, so a position that can be seen must mean that all lower ones can be
//! seen. Numbers taken while commits are under way cannot promise that. So events are numbered afterwards, by one at a time
//! over all replicas: the lock on one row is held until what was numbered is committed.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use sea_orm::{ConnectionTrait, DbBackend, Statement};
use tokio_util::sync::CancellationToken;

use super::Store;
use super::database::Database;
use super::error::StoreError;
use super::rounds::{Round, Rounds};
use super::signals::Topic;

/// The most and the fewest events that are numbered at once, so that no statement holds its locks for long.
const BATCH: i64 = 5_000;
const LEAST: i64 = 100;
/// How long commits may gather before they are numbered together; every numbering is a commit of its own.
const GATHER: Duration = Duration::from_millis(10);
/// How often it looks without having been told.
const INTERVAL: Duration = Duration::from_secs(1);

/// Whether there is anything to do, which is found out without a lock.
const WAITING: &str = "SELECT 1 AS waiting FROM event WHERE position IS NULL LIMIT 1";

/// Numbers up to $1 events on PostgreSQL, in one statement: no lock waits for a word of this process, which may be frozen. The
/// events of one invitation are taken, and numbered, in their sequence; among each other invitations go by the clock.
///
/// A statement sees what was committed before it began, but it may get the lock later, when another process has numbered the
/// same events meanwhile. Whoever numbers events moves the position: if the locked row has another position than the
/// statement sees, nothing is numbered. The condition that always holds makes PostgreSQL look events up one by one, whatever the
/// table was like when this was planned.
const NUMBER_ON_POSTGRES: &str = "
    WITH locked AS MATERIALIZED (
        SELECT position FROM follower WHERE name = 'sequencer' FOR UPDATE SKIP LOCKED),
    held AS MATERIALIZED (
        SELECT l.position FROM locked l JOIN follower f ON f.name = 'sequencer' AND f.position = l.position),
    taken AS MATERIALIZED (
        SELECT account_id, invitation_id, sequence, occurred_at FROM event
        WHERE position IS NULL AND (SELECT count(*) FROM held) = 1
        ORDER BY account_id, invitation_id, sequence LIMIT $1),
    placed AS MATERIALIZED (
        SELECT account_id, invitation_id, sequence,
            max(occurred_at) OVER (PARTITION BY account_id, invitation_id ORDER BY sequence) AS at FROM taken),
    numbered AS MATERIALIZED (
        SELECT account_id, invitation_id, sequence, (SELECT position FROM held)
            + row_number() OVER (ORDER BY at, account_id, invitation_id, sequence) AS place FROM placed),
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
        (SELECT position FROM follower WHERE name = 'sequencer') AS position";

/// The same on SQLite, in a transaction that nobody else can have at the same time: $1 is the position, $2 how many.
const NUMBER_ON_SQLITE: &str = "
    WITH taken AS MATERIALIZED (
        SELECT account_id, invitation_id, sequence, occurred_at FROM event WHERE position IS NULL
        ORDER BY account_id, invitation_id, sequence LIMIT $2),
    placed AS MATERIALIZED (
        SELECT account_id, invitation_id, sequence,
            max(occurred_at) OVER (PARTITION BY account_id, invitation_id ORDER BY sequence) AS at FROM taken),
    numbered AS MATERIALIZED (
        SELECT account_id, invitation_id, sequence,
            $1 + row_number() OVER (ORDER BY at, account_id, invitation_id, sequence) AS place FROM placed)
    UPDATE event AS e SET position = n.place FROM numbered AS n
    WHERE e.account_id = n.account_id AND e.invitation_id = n.invitation_id AND e.sequence = n.sequence";

/// What became of an attempt to number events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Numbering {
    /// So many events have their positions now.
    Done(u64),
    /// Another process is at it, and the last position seen is this.
    Busy { position: i64 },
}

impl Store {
    /// Gives every committed event its position and returns how many had none; `None` if another process is at it.
    pub async fn sequence(&self) -> Result<Option<u64>, StoreError> {
        match self.number_events(BATCH).await? {
            Numbering::Done(events) => Ok(Some(events)),
            Numbering::Busy { .. } => Ok(None),
        }
    }

    async fn number_events(&self, batch: i64) -> Result<Numbering, StoreError> {
        let mut numbered = 0;
        while is_waiting(&self.database).await? {
            let Numbering::Done(events) = number_batch(&self.database, batch).await? else {
                return Ok(Numbering::Busy { position: self.last_position().await? });
            };
            if events > 0 {
                self.signals.tell(Topic::Position);
            }
            numbered += events;
            if events < batch.unsigned_abs() {
                break;
            }
        }
        Ok(Numbering::Done(numbered))
    }
}

/// Numbers events whenever there are new ones, until stopped. Every replica does, and one of them at a time gets to it.
pub async fn run(store: Store, stop: CancellationToken) {
    let heard = Some(store.signals().hear(Topic::Event));
    let rounds = Rounds { name: "sequencer", heard, gather: GATHER, interval: INTERVAL, stop };
    // A batch that takes longer than a statement may is tried again in smaller parts.
    let batch = AtomicI64::new(BATCH);
    let round = || async {
        let size = batch.load(Ordering::Relaxed);
        let result = store.number_events(size).await;
        match &result {
            Err(StoreError::Slow) => batch.store((size / 2).max(LEAST), Ordering::Relaxed),
            Ok(Numbering::Done(_)) => batch.store((size * 2).min(BATCH), Ordering::Relaxed),
            Ok(Numbering::Busy { .. }) | Err(_) => {}
        }
        Ok::<_, StoreError>(match result? {
            Numbering::Done(_) => Round::Done,
            Numbering::Busy { position } => Round::Busy { at: position },
        })
    };
    rounds.run(round).await;
}

async fn is_waiting(database: &Database) -> Result<bool, StoreError> {
    let statement = Statement::from_string(database.backend(), WAITING);
    Ok(database.read.query_one_raw(statement).await?.is_some())
}

/// Numbers up to so many events.
async fn number_batch(database: &Database, batch: i64) -> Result<Numbering, StoreError> {
    if database.is_embedded() {
        return number_on_sqlite(database, batch).await.map(Numbering::Done);
    }
    let statement = Statement::from_sql_and_values(DbBackend::Postgres, NUMBER_ON_POSTGRES, [batch.into()]);
    let row = match database.write.query_one_raw(statement).await.map_err(StoreError::from) {
        // At a stricter isolation level than the usual, a lock that came too late is an error.
        Err(StoreError::Conflict) => None,
        result => result?,
    };
    let Some(row) = row else { return Ok(Numbering::Busy { position: 0 }) };
    if row.try_get::<i64>("", "held")? == 0 {
        return Ok(Numbering::Busy { position: row.try_get("", "position")? });
    }
    Ok(Numbering::Done(row.try_get::<i64>("", "events")?.unsigned_abs()))
}

async fn number_on_sqlite(database: &Database, batch: i64) -> Result<u64, StoreError> {
    let transaction = database.begin_write().await?;
    let sql = "SELECT position FROM follower WHERE name = 'sequencer'";
    let row = transaction.query_one_raw(Statement::from_string(DbBackend::Sqlite, sql)).await?;
    let Some(row) = row else { return Err(StoreError::Refused("there is no follower `sequencer`".to_owned())) };
    let position: i64 = row.try_get_by_index(0)?;
    let statement =
        Statement::from_sql_and_values(DbBackend::Sqlite, NUMBER_ON_SQLITE, [position.into(), batch.into()]);
    let numbered = transaction.execute_raw(statement).await?.rows_affected();
    let sql = "UPDATE follower SET position = $1 WHERE name = 'sequencer'";
    let position = position.saturating_add_unsigned(numbered);
    transaction.execute_raw(Statement::from_sql_and_values(DbBackend::Sqlite, sql, [position.into()])).await?;
    transaction.commit().await?;
    Ok(numbered)
}
