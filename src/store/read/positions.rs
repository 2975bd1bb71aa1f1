//! Reads of events in the order of their positions, which followers of events use.

use std::sync::Arc;

use sea_orm::{ConnectionTrait, DbBackend, QueryResult, Statement};
use uuid::Uuid;

use super::Params;
use super::unreadable::skip_unreadable;
use crate::domain::invitation::event::{Event, EventFilter, EventTypeFilter};
use crate::domain::kind::{Kind, Scope};
use crate::domain::reach::Reach;
use crate::domain::value::text::AccountId;
use crate::domain::value::time::Timestamp;
use crate::store::Store;
use crate::store::events::resume::pruned_until_sql;
use crate::store::executor::load::parse_json;
use crate::store::sql::entity::event;
use crate::store::sql::error::StoreError;
use crate::store::sql::rows_param::{Columns, by_index};
use crate::store::sql::turns::Turn;

/// The most stored events that one look reads for a filter that may choose few of them.
const MAX_SCAN: u64 = 5_000;

/// All events of a range of positions.
#[derive(Clone, Debug)]
pub struct EventBatch {
    /// The position behind which the batch begins.
    pub after: i64,
    /// The last position that it covers; no event up to it is missing.
    pub until: i64,
    /// Whether it was the end of the events when it was read.
    pub is_last: bool,
    /// The time of the last event that it covers; `None` if it covers none.
    pub time: Option<Timestamp>,
    /// The highest position of the account's deleted events when it was read, for a batch of one account; 0 if none was deleted.
    pub pruned_until: i64,
    /// The events, in order.
    pub events: Vec<Arc<PositionedEvent>>,
}

/// The turn of a watch to read stored events, until it is dropped.
#[derive(Debug)]
pub struct CatchUpTurn {
    _turns: [Turn; 2],
}

/// An event in the order of all events.
#[derive(Clone, Debug)]
pub struct PositionedEvent {
    /// The event.
    pub event: Event,
    /// The event's position.
    pub position: i64,
    /// The organization that hosts its invitation, if one does.
    pub host: Option<Uuid>,
}

impl PositionedEvent {
    /// Returns whether a reach includes its invitation.
    pub fn is_within(&self, reach: &Reach) -> bool {
        self.event.event.account == *reach.account() && reach.includes(self.host)
    }
}

impl Store {
    /// Returns the last position.
    pub async fn last_position(&self) -> Result<i64, StoreError> {
        let sql = "SELECT position FROM follower WHERE name = 'sequencer'";
        let row = self.database.read.query_one_raw(Statement::from_string(self.database.backend(), sql)).await?;
        Ok(row.map(|row| row.try_get_by_index(0)).transpose()?.unwrap_or_default())
    }

    /// Reads the events of all accounts behind a position, for a feed that serves all accounts and gives each its own
    /// events only.
    pub async fn all_events_behind(&self, after: i64, limit: u64) -> Result<EventBatch, StoreError> {
        let backend = self.database.backend();
        // The last position is read in the same statement: an event that is not in the answer up to it does not exist.
        let sql = format!(
            "SELECT f.position AS last, e.position AS position, {body} AS body, e.host FROM follower f
            LEFT JOIN (SELECT e.*, i.scope_id AS host FROM (
                    SELECT * FROM event e WHERE e.position > $1 ORDER BY e.position LIMIT $2) e
                LEFT JOIN invitation i ON e.kind = 'guest' AND i.account_id = e.account_id AND i.id = e.invitation_id
            ) e ON e.sequence IS NOT NULL
            WHERE f.name = 'sequencer' ORDER BY e.position",
            body = body(backend),
        );
        let values = [after.into(), limit.cast_signed().into()];
        let rows = self.database.read.query_all_raw(Statement::from_sql_and_values(backend, sql, values)).await?;
        batch_from(&rows, after, limit)
    }

    /// Waits until an account may read stored events for one more of its watches.
    pub async fn turn_to_catch_up(&self, account: &AccountId) -> Result<CatchUpTurn, StoreError> {
        Ok(CatchUpTurn { _turns: self.database.read_turns.catch_up(account).await? })
    }

    /// Reads the events within a reach behind a position that a filter chooses. A look ends after a number of rows, also if
    /// the filter chooses none of them: the next one goes on from there.
    pub async fn events_behind(
        &self,
        reach: &Reach,
        filter: &EventFilter,
        after: i64,
        limit: u64,
    ) -> Result<EventBatch, StoreError> {
        let backend = self.database.backend();
        let mut params = Params(vec![reach.account().as_str().into(), after.into()]);
        let scan = if filter.is_all() { limit } else { MAX_SCAN.max(limit) };
        let sql = format!(
            "WITH looked AS MATERIALIZED (
                SELECT e.invitation_id, e.sequence, e.position, e.occurred_at, {chosen} AS chosen FROM event e
                WHERE {own} AND e.position > $2 AND e.position IS NOT NULL ORDER BY e.position LIMIT {scan}),
            picked AS MATERIALIZED (SELECT * FROM looked WHERE chosen ORDER BY position LIMIT {limit})
            SELECT f.position AS last, e.position AS position, {body} AS body, e.host,
                (SELECT count(*) FROM looked) AS looked, (SELECT max(position) FROM looked) AS seen,
                (SELECT occurred_at FROM looked ORDER BY position DESC LIMIT 1) AS seen_at, {pruned} AS pruned
            FROM follower f
            LEFT JOIN (SELECT e.*, i.scope_id AS host FROM picked p {picked}
                LEFT JOIN invitation i ON e.kind = 'guest' AND i.account_id = e.account_id AND i.id = e.invitation_id
            ) e ON e.sequence IS NOT NULL
            WHERE f.name = 'sequencer' ORDER BY e.position",
            chosen = chosen_sql(backend, "e", filter, &mut params),
            own = by_index(backend, "position", "e", "$1"),
            scan = params.push(scan.cast_signed()),
            limit = params.push(limit.cast_signed()),
            body = body(backend),
            picked = picked_sql(backend),
            pruned = pruned_until_sql("$1"),
        );
        let rows = self
            .database
            .reading_for(reach)
            .query_all_raw(Statement::from_sql_and_values(backend, sql, params.0))
            .await?;
        let mut batch = batch_from(&rows, after, limit)?;
        if let Some(row) = rows.first() {
            batch.pruned_until = row.try_get("", "pruned")?;
        }
        if let Some(row) = rows.first().filter(|_| batch.is_last)
            && row.try_get::<i64>("", "looked")?.cast_unsigned() >= scan
        {
            let until = row.try_get::<Option<i64>>("", "seen")?.unwrap_or(after);
            let time = row.try_get::<Option<i64>>("", "seen_at")?.map(Timestamp::from_micros);
            batch = EventBatch { until, time, is_last: false, ..batch };
        }
        batch.events.retain(|event| event.is_within(reach));
        Ok(batch)
    }
}

/// Returns the condition for an event to be chosen by a filter.
pub(super) fn chosen_sql(backend: DbBackend, alias: &str, filter: &EventFilter, params: &mut Params) -> String {
    let EventFilter { types, kinds, scope, is_hosted } = filter;
    let mut all = Vec::new();
    if !types.is_empty() {
        let chosen = types.iter().map(|wanted| match wanted {
            EventTypeFilter::Type(event_type) => format!("{alias}.event_type = {}", params.push(event_type.name())),
            // The prefixes are texts of this program, without characters that LIKE or SQL know.
            EventTypeFilter::Family(family) => format!("{alias}.event_type LIKE '{}%'", family.prefix()),
        });
        all.push(format!("({})", chosen.collect::<Vec<_>>().join(" OR ")));
    }
    if !kinds.is_empty() {
        all.push(format!("{alias}.kind IN ({})", params.list(kinds.iter().map(|kind| kind.code()))));
    }
    if *is_hosted {
        all.push(format!("{alias}.kind = {}", params.push(Kind::Guest.code())));
    }
    if let Some(Scope { scope_type, id, display_name: _ }) = scope {
        let of_scope = |field: &str| match backend {
            DbBackend::Postgres => format!("{alias}.data->'scope'->>'{field}'"),
            // A text that is not JSON would fail the whole statement.
            _ => format!("json_extract(iif(json_valid({alias}.data), {alias}.data, '{{}}'), '$.scope.{field}')"),
        };
        all.push(format!("coalesce({} = {}, false)", of_scope("type"), params.push(scope_type.as_str())));
        all.push(format!("coalesce({} = {}, false)", of_scope("id"), params.push(id.as_str())));
    }
    if all.is_empty() { "true".to_owned() } else { all.join(" AND ") }
}

/// Returns the join of picked rows `p` to their events `e`, each of which is looked up.
fn picked_sql(backend: DbBackend) -> &'static str {
    if backend == DbBackend::Postgres {
        "CROSS JOIN LATERAL (SELECT * FROM event e WHERE e.account_id = $1 AND e.invitation_id = p.invitation_id
            AND e.sequence = p.sequence LIMIT 1) e"
    } else {
        "CROSS JOIN event e ON e.account_id = $1 AND e.invitation_id = p.invitation_id AND e.sequence = p.sequence"
    }
}

/// Reads the rows of a look, which all have the last position of the sequencer.
fn batch_from(rows: &[QueryResult], after: i64, limit: u64) -> Result<EventBatch, StoreError> {
    let (mut last, mut place, mut time, mut found) = (after, after, None, 0);
    let mut events = Vec::new();
    for row in rows {
        last = row.try_get("", "last")?;
        let Some(body) = row.try_get::<Option<String>>("", "body")? else { continue };
        let position = row.try_get("", "position")?;
        (place, found) = (position, found + 1);
        // Followers continue behind an event that cannot be read.
        let Some(event) = skip_unreadable(event_from(&body))? else { continue };
        time = Some(event.event.time);
        let host = row.try_get::<Option<String>>("", "host")?.or_else(|| host_of(&event));
        let host = host.and_then(|host| host.parse().ok());
        events.push(Arc::new(PositionedEvent { event, position, host }));
    }
    let is_last = found < limit;
    let until = if is_last { last.max(after) } else { place };
    Ok(EventBatch { after, until, is_last, time, pruned_until: 0, events })
}

/// Returns the host of an event whose invitation is deleted: the scope of a guest invitation.
pub(super) fn host_of(event: &Event) -> Option<String> {
    let event = &event.event;
    event.scope.as_ref().filter(|_| event.kind == Kind::Guest).map(|scope| scope.id.clone())
}

/// Reads an event.
fn event_from(body: &str) -> Result<Event, StoreError> {
    parse_json::<event::Model>(body, "event").and_then(Event::try_from)
}

/// Returns an expression for event `e` as JSON text, NULL where there is none.
fn body(backend: DbBackend) -> String {
    let json = Columns::of::<event::Entity>().json_of(backend, "e");
    let cast = if backend == DbBackend::Postgres { "::text" } else { "" };
    format!("CASE WHEN e.sequence IS NOT NULL THEN ({json}){cast} END")
}
