//! A walk along a table whose key is the account and an id that begins with the moment of its creation.
//!
//! Rows to be deleted of such a table are found without an index of their own: a look steps from account to account, and reads
//! the rows of each up to the ids of a moment. An index over what decides, such as the number of uses, would cost every accept
//! an entry in every index of the table.

use std::time::Duration;

use sea_orm::{ConnectionTrait, DbBackend, QueryResult, Statement, Value};
use uuid::Uuid;

use super::turn::{PruneTurn, Pruned};
use super::{CHUNK_ROWS, Maintenance, deliveries, ended};
use crate::store::sql::error::StoreError;

/// The number of rows that a turn looks at and keeps. The next turn goes on behind them, so that a table of open invitations is
/// not read from end to end every few minutes.
const MAX_KEPT: usize = 100_000;

/// The key of a row, behind which a walk goes on.
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

/// The rows that a look has found.
struct Look {
    /// The rows to be deleted, each with the number of rows that go with it.
    due: Vec<(Place, i64)>,
    /// The number of rows that are kept.
    kept: usize,
    /// The place behind which the walk goes on; `None` at its end.
    read_on: Option<Place>,
}

/// A walk along a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Walk {
    /// The walk along messages to people.
    Messages,
    /// The walk along invitations.
    Invitations,
}

impl Walk {
    fn table(self) -> &'static str {
        match self {
            Self::Messages => "outbox",
            Self::Invitations => "invitation",
        }
    }

    /// Returns an expression for the number of rows that are deleted with row `i`, itself included: 0 if it is kept. $5 is the
    /// moment before which rows are old.
    fn weight(self) -> String {
        match self {
            Self::Messages => format!("CASE WHEN {} THEN 1 ELSE 0 END", deliveries::old("$5")),
            Self::Invitations => {
                format!("CASE WHEN {} THEN 1 + CAST(i.use_count AS bigint) ELSE 0 END", ended::ended("$5"))
            }
        }
    }

    /// Returns the text of a look at up to $4 rows behind ($1, $2) whose ids come before $3. An account without such rows
    /// counts as one.
    pub(super) fn look_sql(self, backend: DbBackend) -> String {
        let (table, weight) = (self.table(), self.weight());
        let (uuid, nil) = match backend {
            DbBackend::Postgres => ("uuid", format!("CAST('{}' AS uuid)", Uuid::nil())),
            _ => ("blob", "x''".to_owned()),
        };
        let range = format!(
            "i.account_id = a.account_id AND i.id < $3
                AND i.id > CASE WHEN a.account_id = $1 THEN CAST($2 AS {uuid}) ELSE {nil} END"
        );
        let (rows, weight) = if backend == DbBackend::Postgres {
            let rows = format!(
                "LEFT JOIN LATERAL (SELECT i.id, CAST({weight} AS bigint) AS weight FROM {table} i
                    WHERE {range} ORDER BY i.id LIMIT $4) i ON true"
            );
            (rows, "i.weight".to_owned())
        } else {
            (format!("LEFT JOIN {table} i ON {range}"), weight)
        };
        format!(
            "WITH RECURSIVE account AS (
                SELECT f.account_id FROM (
                    SELECT t.account_id FROM {table} t WHERE t.account_id >= $1 ORDER BY t.account_id LIMIT 1) f
                UNION ALL SELECT (
                    SELECT t.account_id FROM {table} t WHERE t.account_id > a.account_id ORDER BY t.account_id LIMIT 1)
                FROM account a WHERE a.account_id IS NOT NULL)
            SELECT a.account_id, i.id, CASE WHEN i.id IS NULL THEN 0 ELSE {weight} END AS weight FROM account a {rows}
            WHERE a.account_id IS NOT NULL LIMIT $4"
        )
    }
}

impl Maintenance {
    /// Deletes the rows of a walk that are older than `age`, until its end or that of the turn. It begins where the last turn
    /// stopped.
    pub(super) async fn walk_along(
        &self,
        walk: Walk,
        age: Duration,
        turn: &mut PruneTurn,
    ) -> Result<Pruned, StoreError> {
        let before = self.before(age).await?;
        let begun = self.walked(walk).await?;
        let (mut rows, mut kept, mut place) = (0, 0, begun.clone());
        let is_done = loop {
            let look = self.look(walk, &place, before).await?;
            kept += look.kept;
            if !look.due.is_empty() {
                rows += match walk {
                    Walk::Messages => self.delete_messages(&look.due, before).await?,
                    Walk::Invitations => self.delete_ended(look.due, before).await?,
                };
            }
            let is_last = look.read_on.is_none();
            place = look.read_on.unwrap_or_else(Place::start);
            if is_last || kept >= MAX_KEPT {
                break true;
            }
            if !turn.goes_on().await {
                break false;
            }
        };
        if place != begun {
            self.note_walked(walk, &place).await?;
        }
        Ok(Pruned { rows, is_done })
    }

    /// Looks at the next rows of a walk that were created before a moment, in microseconds.
    async fn look(&self, walk: Walk, after: &Place, before: i64) -> Result<Look, StoreError> {
        let backend = self.0.backend();
        // Ids begin with the milliseconds of their creation.
        let least = Uuid::from_u128(u128::try_from(before / 1_000).unwrap_or_default() << 80);
        let Place { account_id, id } = after.clone();
        let values: [Value; 5] = [account_id.into(), id.into(), least.into(), CHUNK_ROWS.into(), before.into()];
        let look = Statement::from_sql_and_values(backend, walk.look_sql(backend), values);
        let rows = self.0.read.query_all_raw(look).await?;
        let is_full = rows.len() >= usize::try_from(CHUNK_ROWS).unwrap_or(usize::MAX);
        let mut look = Look { due: Vec::new(), kept: 0, read_on: None };
        for row in &rows {
            let (place, weight) = place_from(row)?;
            match weight {
                0 => look.kept += 1,
                weight => look.due.push((place.clone(), weight)),
            }
            look.read_on = Some(place).filter(|_| is_full);
        }
        Ok(look)
    }

    /// Returns the place behind which a walk goes on.
    async fn walked(&self, walk: Walk) -> Result<Place, StoreError> {
        let sql = "SELECT account_id, id FROM prune_walk WHERE name = $1";
        let select = Statement::from_sql_and_values(self.0.backend(), sql, [walk.table().into()]);
        let Some(row) = self.0.read.query_one_raw(select).await? else { return Ok(Place::start()) };
        Ok(Place { account_id: row.try_get("", "account_id")?, id: row.try_get("", "id")? })
    }

    async fn note_walked(&self, walk: Walk, place: &Place) -> Result<(), StoreError> {
        let sql = "INSERT INTO prune_walk (name, account_id, id) VALUES ($1, $2, $3)
            ON CONFLICT (name) DO UPDATE SET account_id = excluded.account_id, id = excluded.id";
        let values: [Value; 3] = [walk.table().into(), place.account_id.as_str().into(), place.id.into()];
        self.0.write.execute_raw(Statement::from_sql_and_values(self.0.backend(), sql, values)).await?;
        Ok(())
    }
}

fn place_from(row: &QueryResult) -> Result<(Place, i64), StoreError> {
    let id = row.try_get::<Option<Uuid>>("", "id")?;
    // All rows of an account without any are behind it.
    let place = Place { account_id: row.try_get("", "account_id")?, id: id.unwrap_or(Uuid::max()) };
    Ok((place, row.try_get("", "weight")?))
}
