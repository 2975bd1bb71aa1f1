//! A walk along a table for rows to be deleted: step by step, with rests, from where the last turn stopped.

use sea_orm::{ConnectionTrait, Statement, Value};
use uuid::Uuid;

use super::Maintenance;
use super::turn::{PruneTurn, Pruned};
use crate::store::sql::error::StoreError;

/// The number of rows that a turn looks at and keeps. The next turn goes on behind them, so that a table of open invitations, or a
/// long backlog of an endpoint, is not read from end to end every few minutes.
const MAX_KEPT: u64 = 100_000;

/// The place behind which a walk goes on: the key of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) account_id: String,
    pub(super) id: Uuid,
}

impl Place {
    /// Returns the place before all rows.
    pub(super) fn start() -> Self {
        Self { account_id: String::new(), id: Uuid::nil() }
    }
}

/// The result of a step.
pub(super) struct Step {
    pub(super) deleted: u64,
    /// The number of rows that were looked at and kept.
    pub(super) kept: u64,
    /// The place behind which the walk goes on; `None` at its end.
    pub(super) read_on: Option<Place>,
    /// Whether the turn may end behind the step. It may not before a step has got on: the next turn would begin like this one.
    pub(super) may_end: bool,
}

/// A walk along a table.
pub(super) trait Walk {
    /// Returns the name of the table.
    fn table(&self) -> &'static str;

    /// Deletes the rows of the next chunk behind a place.
    fn step(
        &mut self,
        maintenance: &Maintenance,
        after: &Place,
    ) -> impl Future<Output = Result<Step, StoreError>> + Send;
}

impl Maintenance {
    /// Walks until the end of a walk or that of the turn. It notes the place where it stops, also after an error.
    pub(super) async fn walk(&self, mut walk: impl Walk + Send, turn: &mut PruneTurn) -> Result<Pruned, StoreError> {
        let begun = self.walked(walk.table()).await?;
        let mut place = begun.clone();
        let pruned = self.walk_on(&mut walk, &mut place, turn).await;
        if place != begun {
            let noted = self.note_walked(walk.table(), &place).await;
            return pruned.and_then(|pruned| noted.map(|()| pruned));
        }
        pruned
    }

    async fn walk_on(
        &self,
        walk: &mut (impl Walk + Send),
        place: &mut Place,
        turn: &mut PruneTurn,
    ) -> Result<Pruned, StoreError> {
        let (mut rows, mut all_kept) = (0, 0);
        loop {
            let Step { deleted, kept, read_on, may_end } = walk.step(self, place).await?;
            (rows, all_kept) = (rows + deleted, all_kept + kept);
            let is_last = read_on.is_none();
            // At its end it begins anew.
            *place = read_on.unwrap_or_else(Place::start);
            if is_last || may_end && all_kept >= MAX_KEPT {
                return Ok(Pruned { rows, is_done: true });
            }
            if !turn.goes_on().await && may_end {
                return Ok(Pruned { rows, is_done: false });
            }
        }
    }

    /// Returns the place behind which the walk along a table goes on.
    async fn walked(&self, table: &str) -> Result<Place, StoreError> {
        let sql = "SELECT account_id, id FROM prune_walk WHERE name = $1";
        let select = Statement::from_sql_and_values(self.0.backend(), sql, [table.into()]);
        let Some(row) = self.0.read.query_one_raw(select).await? else { return Ok(Place::start()) };
        Ok(Place { account_id: row.try_get("", "account_id")?, id: row.try_get("", "id")? })
    }

    async fn note_walked(&self, table: &str, place: &Place) -> Result<(), StoreError> {
        let sql = "INSERT INTO prune_walk (name, account_id, id) VALUES ($1, $2, $3)
            ON CONFLICT (name) DO UPDATE SET account_id = excluded.account_id, id = excluded.id";
        let values: [Value; 3] = [table.into(), place.account_id.as_str().into(), place.id.into()];
        self.0.write.execute_raw(Statement::from_sql_and_values(self.0.backend(), sql, values)).await?;
        Ok(())
    }
}
