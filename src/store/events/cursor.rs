//! Those who follow something in its order, one replica at a time each: where they are, and who it is just now.
//!
//! A lease that is not renewed passes to whoever asks next. Whoever has lost it finds out when it wants to move on.

use std::time::Duration;

use sea_orm::{ConnectionTrait, Statement, Value};
use uuid::Uuid;

use crate::domain::value::time::Timestamp;
use crate::store::Store;
use crate::store::sql::error::StoreError;
use crate::store::sql::rows_param::clock;

/// How long a replica that has fallen silent keeps its lease.
const LEASE: Duration = Duration::from_secs(30);

/// Who follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Follower {
    /// Who tells that invitations have expired; its position is a moment in microseconds.
    Expiry,
    /// Who deletes old rows; its position is the moment of the last time in microseconds.
    Prune,
    /// Who publishes events to NATS; its position is that of an event.
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

/// Where a follower begins that has never been at work before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// With the first there is.
    First,
    /// Behind the last event that has a position by then.
    Now,
}

/// A lease that is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leased {
    /// Up to where the follower has come.
    pub position: i64,
    /// The database's clock.
    pub now: Timestamp,
}

impl Store {
    /// Takes or renews a follower's lease; none while another holder has it.
    pub async fn lease(&self, follower: Follower, holder: Uuid, begin: Begin) -> Result<Option<Leased>, StoreError> {
        let position = match begin {
            Begin::First => "position",
            // A lease that ended leaves a moment behind, so 0 means that there was none.
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

    /// Moves a follower forward and renews its lease; false if the lease was lost, and then nothing has changed.
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

    /// Gives a lease back, so that nobody has to wait for its end.
    pub async fn release(&self, follower: Follower, holder: Uuid) -> Result<(), StoreError> {
        let sql = "UPDATE follower SET lease = NULL WHERE name = $1 AND lease = $2";
        let values = [follower.name().into(), holder.into()];
        let statement = Statement::from_sql_and_values(self.database.backend(), sql, values);
        self.database.write.execute_raw(statement).await?;
        Ok(())
    }

    /// Returns what takes the place of the database's clock: nothing on PostgreSQL but for tests.
    fn database_clock(&self) -> Value {
        let clock = &self.database.clock;
        let now = if self.database.is_embedded() { Some(clock.now()) } else { clock.in_place_of_the_database() };
        now.map(Timestamp::micros).into()
    }
}

fn lease_micros() -> Value {
    i64::try_from(LEASE.as_micros()).unwrap_or(i64::MAX).into()
}
