//! The order of all events: gives those that were committed their positions, after the commit.
//!
//! Whoever follows events keeps a position as a cursor, so a position that can be seen must mean that all lower ones can be
//! seen. Numbers taken while commits are under way cannot promise that. So events are numbered afterwards, by one at a time
//! over all replicas: the lock on one row is held until what was numbered is committed.

use std::time::Duration;

use sea_orm::{ConnectionTrait, Statement};
use tokio_util::sync::CancellationToken;

use super::Store;
use super::database::Database;
use super::error::StoreError;
use super::rounds::{Round, Rounds};
use super::signals::Topic;
use super::sql::Transaction;

/// How many events are numbered in one transaction, so that none holds its locks for long.
const BATCH: i64 = 5_000;
/// How long commits may gather before they are numbered together; every numbering is a commit of its own.
const GATHER: Duration = Duration::from_millis(10);
/// How often it looks without having been told.
const INTERVAL: Duration = Duration::from_secs(1);

/// Whether there is anything to do, which is found out without a lock.
const WAITING: &str = "SELECT 1 AS waiting FROM event WHERE position IS NULL LIMIT 1";

/// Numbers a batch behind position $1. The events of one invitation are taken, and numbered, in their sequence; among each
/// other invitations go by the clock. The condition that always holds makes PostgreSQL look events up one by one, whatever
/// the table was like when this was planned.
const NUMBER: &str = "
    WITH taken AS MATERIALIZED (
        SELECT account_id, invitation_id, sequence, occurred_at FROM event WHERE position IS NULL
        ORDER BY account_id, invitation_id, sequence LIMIT $2),
    placed AS MATERIALIZED (
        SELECT account_id, invitation_id, sequence,
            max(occurred_at) OVER (PARTITION BY account_id, invitation_id ORDER BY sequence) AS at FROM taken),
    numbered AS MATERIALIZED (
        SELECT account_id, invitation_id, sequence,
            $1 + row_number() OVER (ORDER BY at, account_id, invitation_id, sequence) AS place FROM placed)
    UPDATE event AS e SET position = n.place
    FROM (SELECT * FROM numbered WHERE account_id || '' = account_id) AS n
    WHERE e.account_id = n.account_id AND e.invitation_id = n.invitation_id AND e.sequence = n.sequence";

impl Store {
    /// Gives every committed event its position and returns how many had none; none if another process is at it.
    pub async fn sequence(&self) -> Result<Option<u64>, StoreError> {
        let mut numbered = 0;
        while is_waiting(&self.database).await? {
            let Some(batch) = number_batch(&self.database).await? else { return Ok(None) };
            if batch > 0 {
                self.signals.tell(Topic::Position);
            }
            numbered += batch;
            if batch < BATCH.unsigned_abs() {
                break;
            }
        }
        Ok(Some(numbered))
    }
}

/// Numbers events whenever there are new ones, until stopped. Every replica does, and one of them at a time gets to it.
pub async fn run(store: Store, stop: CancellationToken) {
    let heard = Some(store.signals().hear(Topic::Event));
    let rounds = Rounds { name: "sequencer", heard, gather: GATHER, interval: INTERVAL, stop };
    let round = || async { Ok::<_, StoreError>(store.sequence().await?.map_or(Round::Busy, |_| Round::Done)) };
    rounds.run(round).await;
}

async fn is_waiting(database: &Database) -> Result<bool, StoreError> {
    let statement = Statement::from_string(database.backend(), WAITING);
    Ok(database.read.query_one_raw(statement).await?.is_some())
}

/// Numbers up to [`BATCH`] events and returns how many; none if another process has the lock.
async fn number_batch(database: &Database) -> Result<Option<u64>, StoreError> {
    let transaction = database.begin_write().await?;
    let Some(position) = locked_position(database, &transaction).await? else {
        transaction.rollback().await?;
        return Ok(None);
    };
    // A statement of its own, so that on PostgreSQL it sees everything that was committed before the lock was had.
    let statement = Statement::from_sql_and_values(database.backend(), NUMBER, [position.into(), BATCH.into()]);
    let numbered = transaction.execute_raw(statement).await?.rows_affected();
    let sql = "UPDATE follower SET position = $1 WHERE name = 'sequencer'";
    let position = position.saturating_add_unsigned(numbered);
    transaction.execute_raw(Statement::from_sql_and_values(database.backend(), sql, [position.into()])).await?;
    transaction.commit().await?;
    Ok(Some(numbered))
}

/// Takes the lock that makes it one at a time, and returns the last position there is; none if another process has it.
async fn locked_position(database: &Database, transaction: &Transaction) -> Result<Option<i64>, StoreError> {
    let sql = if database.is_embedded() {
        "SELECT position FROM follower WHERE name = 'sequencer'"
    } else {
        "SELECT position FROM follower WHERE name = 'sequencer' FOR UPDATE SKIP LOCKED"
    };
    let row = transaction.query_one_raw(Statement::from_string(database.backend(), sql)).await?;
    Ok(row.map(|row| row.try_get_by_index(0)).transpose()?)
}
