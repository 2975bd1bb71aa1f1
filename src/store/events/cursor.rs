//! Followers of an ordered sequence, one replica at a time each: their positions and their leases.
//!
//! A lease that is not renewed passes to the next replica that asks. A replica that has lost it finds out when it
//! advances.

use std::time::Duration;

use sea_orm::{ConnectionTrait, Statement, Value};
use uuid::Uuid;

use crate::domain::value::time::Timestamp;
use crate::store::Store;
use crate::store::sql::error::StoreError;
use crate::store::sql::rows_param::clock;

/// The time for which a silent replica keeps its lease.
const LEASE_DURATION: Duration = Duration::from_secs(30);

/// A task that follows a sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Follower {
    /// The task that records expiries; its position is a moment in microseconds.
    Expiry,
    /// The task that deletes old rows; its position is the moment of its last run in microseconds.
    Prune,
    /// The task that publishes events to NATS; its position is that of an event.
    Nats,
}

impl Follower {
    fn name(self) -> &'static str {
        match self {
            Self::Expiry => "expiry",
            Self::Nats => "nats",
            Self::Prune => "prune",
        }
    }
}

/// The start of a follower that has no position yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// The first row.
    First,
    /// The end of the events that have a position by now.
    Now,
}

/// A lease that is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leased {
    /// The position up to which the follower has processed the sequence.
    pub position: i64,
    /// The database's clock.
    pub now: Timestamp,
}

impl Store {
    /// Takes or renews a follower's lease; `None` while another holder has it.
    pub async fn lease(&self, follower: Follower, holder: Uuid, begin: Begin) -> Result<Option<Leased>, StoreError> {
        let position = match begin {
            Begin::First => "position",
            // A lease that ended leaves a moment behind, so 0 means that the follower has never run.
            Begin::Now => {
                "CASE WHEN leased_until > 0 THEN position
                    ELSE (SELECT s.position FROM follower s WHERE s.name = 'sequencer') END"
            }
        };
        let now = clock(self.database.backend(), 3);
        let sql = format!(
            "UPDATE follower SET lease = $2, leased_until = {now} + $4, position = {position}
            WHERE name = $1 AND (lease IS NULL OR lease = $2 OR leased_until <= {now}) RETURNING position, {now} AS now",
        );
        let values = [follower.name().into(), holder.into(), self.database_clock(), lease_micros()];
        let statement = Statement::from_sql_and_values(self.database.backend(), sql, values);
        let Some(row) = self.database.write.query_one_raw(statement).await? else { return Ok(None) };
        let now = Timestamp::from_micros(row.try_get("", "now")?);
        Ok(Some(Leased { position: row.try_get("", "position")?, now }))
    }

    /// Moves a follower forward and renews its lease. Returns false, and changes nothing, if the lease was lost.
    pub async fn advance(&self, follower: Follower, holder: Uuid, position: i64) -> Result<bool, StoreError> {
        let now = clock(self.database.backend(), 3);
        let sql = format!(
            "UPDATE follower SET leased_until = {now} + $4, position = CASE WHEN position < $5 THEN $5 ELSE position END
            WHERE name = $1 AND lease = $2"
        );
        let values = [follower.name().into(), holder.into(), self.database_clock(), lease_micros(), position.into()];
        let statement = Statement::from_sql_and_values(self.database.backend(), sql, values);
        Ok(self.database.write.execute_raw(statement).await?.rows_affected() > 0)
    }

    /// Releases a lease, so that no replica has to wait for its end.
    pub async fn release(&self, follower: Follower, holder: Uuid) -> Result<(), StoreError> {
        let sql = "UPDATE follower SET lease = NULL WHERE name = $1 AND lease = $2";
        let values = [follower.name().into(), holder.into()];
        let statement = Statement::from_sql_and_values(self.database.backend(), sql, values);
        self.database.write.execute_raw(statement).await?;
        Ok(())
    }

    /// Overrides the database's clock; NULL on PostgreSQL except in tests.
    fn database_clock(&self) -> Value {
        let clock = &self.database.clock;
        let now = if self.database.is_embedded() { Some(clock.now()) } else { clock.in_place_of_the_database() };
        now.map(Timestamp::micros).into()
    }
}

fn lease_micros() -> Value {
    i64::try_from(LEASE_DURATION.as_micros()).unwrap_or(i64::MAX).into()
}
