//! Deletes old events that every follower has had.
//!
//! Events go in the order of their positions. The highest deleted position of each account is noted in the same transaction
//! (`pruned_events`), so that a watch that continues from before it is refused instead of missing events: see
//! `store::events::resume`.

use std::collections::BTreeMap;
use std::time::Duration;

use sea_orm::sea_query::ColumnType::{BigInteger, Text};
use sea_orm::{ConnectionTrait, DbBackend, Statement, Value};
use uuid::Uuid;

use super::turn::{PruneTurn, Pruned};
use super::walk::{Place, Step, Walk};
use super::{CHUNK_LIMIT, CHUNK_ROWS, LOCK_LIMIT, Maintenance};
use crate::store::sql::error::StoreError;
use crate::store::sql::retry::retry;
use crate::store::sql::rows_param::{Columns, RowsParam, by_index};

/// The time after which NATS counts as given up, in microseconds, if no process has published to it.
const NATS_GIVEN_UP: i64 = 30 * 86_400_000_000;

/// The positions up to which events were followed.
#[derive(Clone, Copy, Debug)]
struct Followers {
    /// The last position.
    last: i64,
    /// The position up to which messages to endpoints were written.
    webhooks: i64,
    /// Whether any endpoint is enabled.
    has_endpoints: bool,
    /// The position up to which events were published, and the end of the last lease for that: 0 if there was none.
    nats: i64,
    nats_leased_until: i64,
}

impl Followers {
    /// Returns the position that every follower has passed.
    fn passed_by_all(&self, publishes: bool, now: i64) -> i64 {
        // A new endpoint gets no earlier events. Without endpoints the dispatcher moves its position from time to time.
        let webhooks = if self.has_endpoints { self.webhooks } else { self.last };
        let was_followed = self.nats_leased_until > 0 && now - self.nats_leased_until < NATS_GIVEN_UP;
        let nats = if publishes || was_followed { self.nats } else { self.last };
        self.last.min(webhooks).min(nats)
    }
}

/// The walk along events by their positions, up to one, for those from before a moment in microseconds.
struct EventWalk {
    until: i64,
    before: i64,
}

impl Walk for EventWalk {
    fn table(&self) -> &'static str {
        "event"
    }

    async fn step(&mut self, maintenance: &Maintenance, after: &Place) -> Result<Step, StoreError> {
        let after = i64::try_from(after.id.as_u128()).unwrap_or_default();
        retry(|| maintenance.prune_events_behind(after, self.until, self.before)).await
    }
}

/// Returns the place of a position, which stands in for an id.
fn place_of(position: i64) -> Place {
    Place { id: Uuid::from_u128(u128::try_from(position).unwrap_or_default()), ..Place::start() }
}

impl Maintenance {
    /// Deletes events that are older than `age` until the turn ends. `publishes` is whether this process publishes events.
    pub async fn prune_events(
        &self,
        age: Duration,
        publishes: bool,
        turn: &mut PruneTurn,
    ) -> Result<Pruned, StoreError> {
        let before = self.before(age).await?;
        let followers = self.followers().await?;
        let until = followers.passed_by_all(publishes, self.0.clock.now().micros());
        self.walk(EventWalk { until, before }, turn).await
    }

    async fn followers(&self) -> Result<Followers, StoreError> {
        let sql = "SELECT s.position AS last, w.position AS webhooks, n.position AS nats,
                n.leased_until AS nats_leased_until,
                (SELECT count(*) FROM (SELECT 1 FROM webhook_endpoint WHERE disabled_at IS NULL LIMIT 1) e) AS endpoints
            FROM follower s JOIN follower w ON w.name = 'webhooks' JOIN follower n ON n.name = 'nats'
            WHERE s.name = 'sequencer'";
        let row = self.0.read.query_one_raw(Statement::from_string(self.0.backend(), sql)).await?;
        let row = row.ok_or_else(|| StoreError::Refused("a row is missing in the table `follower`".to_owned()))?;
        Ok(Followers {
            last: row.try_get("", "last")?,
            webhooks: row.try_get("", "webhooks")?,
            has_endpoints: row.try_get::<i64>("", "endpoints")? > 0,
            nats: row.try_get("", "nats")?,
            nats_leased_until: row.try_get("", "nats_leased_until")?,
        })
    }

    /// Deletes what is old of the next events. An event that was decided before another one may have a later position, so the
    /// walk ends behind a chunk without any old event.
    async fn prune_events_behind(&self, after: i64, until: i64, before: i64) -> Result<Step, StoreError> {
        let backend = self.0.backend();
        let transaction = self.0.begin_write().await?;
        transaction.set_limits(CHUNK_LIMIT, LOCK_LIMIT).await?;
        let values: [Value; 4] = [after.into(), until.into(), before.into(), CHUNK_ROWS.into()];
        let look = Statement::from_sql_and_values(backend, look_sql(backend), values);
        let (mut looked, mut place, mut any_old) = (0_i64, after, false);
        let (mut due, mut highest) = (Vec::new(), BTreeMap::new());
        for row in transaction.query_all_raw(look).await? {
            let (account, position): (String, i64) = (row.try_get("", "account_id")?, row.try_get("", "position")?);
            let is_old = row.try_get::<i32>("", "is_old")? == 1;
            (looked, place, any_old) = (looked + 1, position, any_old || is_old);
            if is_old && row.try_get::<i32>("", "is_awaited")? == 0 {
                due.push((account.clone(), position));
                highest.insert(account, position);
            }
        }
        let mut deleted = 0;
        if !due.is_empty() {
            let [delete, note] = delete_sqls(backend);
            deleted = transaction.execute_raw(with_rows(backend, delete, due)).await?.rows_affected();
            transaction.execute_raw(with_rows(backend, note, highest)).await?;
        }
        transaction.commit().await?;
        let read_on = (any_old && looked == CHUNK_ROWS).then(|| place_of(place));
        Ok(Step { deleted, kept: looked.unsigned_abs().saturating_sub(deleted), read_on, may_end: true })
    }
}

fn columns() -> Columns {
    Columns::list([("account_id", Text), ("position", BigInteger)])
}

fn with_rows(backend: DbBackend, sql: String, rows: impl IntoIterator<Item = (String, i64)>) -> Statement {
    let rows = rows.into_iter().map(|(account, position)| -> [Value; 2] { [account.into(), position.into()] });
    Statement::from_sql_and_values(backend, sql, RowsParam::new(columns(), rows).params(backend))
}

/// Returns an expression for whether an endpoint has still to get event `t`: 1 or 0. Such a look-up is a subselect, which
/// PostgreSQL never turns into a join of whole tables.
fn awaited(backend: DbBackend) -> String {
    let of_event = by_index(backend, "event", "m", "w.account_id");
    format!(
        "coalesce((
            SELECT 1 FROM webhook_endpoint w WHERE w.account_id = t.account_id AND (
                SELECT true FROM webhook_message m WHERE {of_event} AND m.endpoint_id = w.id
                    AND m.invitation_id = t.invitation_id AND m.sequence = t.sequence AND m.due_at IS NOT NULL LIMIT 1)
            LIMIT 1), 0)"
    )
}

/// Returns the text that reads up to $4 events behind $1 and up to $2: whether each is older than $3, and whether an endpoint
/// has still to get it.
pub(super) fn look_sql(backend: DbBackend) -> String {
    let awaited = awaited(backend);
    format!(
        "SELECT t.account_id, t.position, CASE WHEN t.occurred_at < $3 THEN 1 ELSE 0 END AS is_old,
            CASE WHEN t.occurred_at < $3 THEN {awaited} ELSE 0 END AS is_awaited
        FROM event t WHERE t.position > $1 AND t.position <= $2 AND t.position IS NOT NULL ORDER BY t.position LIMIT $4"
    )
}

/// Returns the texts that delete events and that note the highest position of each account. An event that a caller has queued to
/// an endpoint since the look is kept.
pub(super) fn delete_sqls(backend: DbBackend) -> [String; 2] {
    let delete = format!(
        "DELETE FROM event AS t WHERE t.position IS NOT NULL AND t.position IN (SELECT position FROM {})
            AND {} = 0",
        columns().keys_of(backend, 1, "k"),
        awaited(backend)
    );
    let note = format!(
        "INSERT INTO pruned_events (account_id, position) SELECT r.account_id, r.position FROM {} WHERE true
        ON CONFLICT (account_id) DO UPDATE SET position = excluded.position
        WHERE pruned_events.position < excluded.position",
        columns().rows_of(backend, 1, "r")
    );
    [delete, note]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_wait_for_every_follower_that_there_is() {
        const DAY: i64 = 86_400_000_000;
        const NOW: i64 = 100 * DAY;
        for (has_endpoints, publishes, nats_leased_until, passed) in [
            (false, false, 0, 9),
            (true, false, 0, 7),
            (false, true, 0, 5),
            (true, true, NOW, 5),
            (true, true, 1, 5),
            (true, false, NOW + 1, 5),
            (false, false, NOW - 30 * DAY + 1, 5),
            (false, false, NOW - 30 * DAY, 9),
            (true, false, NOW - 30 * DAY, 7),
        ] {
            let followers = Followers { last: 9, webhooks: 7, has_endpoints, nats: 5, nats_leased_until };
            assert_eq!(followers.passed_by_all(publishes, NOW), passed, "{followers:?}, {publishes}");
        }
    }
}
