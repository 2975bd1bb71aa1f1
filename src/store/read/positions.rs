//! Reads of events in the order of their positions, which followers of events use.

use std::sync::Arc;

use sea_orm::{ConnectionTrait, DbBackend, Statement};
use uuid::Uuid;

use super::Params;
use super::unreadable::skip_unreadable;
use crate::domain::invitation::event::Event;
use crate::domain::reach::Reach;
use crate::domain::value::time::Timestamp;
use crate::store::Store;
use crate::store::executor::load::parse_json;
use crate::store::sql::entity::event;
use crate::store::sql::error::StoreError;
use crate::store::sql::rows_param::{Columns, by_index};

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
    /// The events, in order.
    pub events: Vec<Arc<PositionedEvent>>,
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
        let mut params = Params(Vec::new());
        let condition = format!("e.position > {}", params.push(after));
        self.event_batch(after, limit, params, &condition, "e.position").await
    }

    /// Reads the events within a reach behind a position.
    pub async fn events_behind(&self, reach: &Reach, after: i64, limit: u64) -> Result<EventBatch, StoreError> {
        let mut params = Params(Vec::new());
        let (account, after_) = (params.push(reach.account().as_str()), params.push(after));
        let own = by_index(self.database.backend(), "position", "e", &account);
        let condition = format!("{own} AND e.position > {after_} AND e.position IS NOT NULL");
        let mut batch = self.event_batch(after, limit, params, &condition, "e.position").await?;
        batch.events.retain(|event| event.is_within(reach));
        Ok(batch)
    }

    async fn event_batch(
        &self,
        after: i64,
        limit: u64,
        mut params: Params,
        condition: &str,
        order: &str,
    ) -> Result<EventBatch, StoreError> {
        let backend = self.database.backend();
        // The last position is read in the same statement: an event that is not in the answer up to it does not exist.
        let sql = format!(
            "SELECT f.position AS last, e.position AS position, {body} AS body, e.host FROM follower f
            LEFT JOIN (SELECT e.*, i.scope_id AS host FROM (
                    SELECT * FROM event e WHERE {condition} ORDER BY {order} LIMIT {limit}) e
                LEFT JOIN invitation i ON e.kind = 'guest' AND i.account_id = e.account_id AND i.id = e.invitation_id
            ) e ON e.sequence IS NOT NULL
            WHERE f.name = 'sequencer' ORDER BY e.position",
            body = body(backend),
            limit = params.push(limit.cast_signed()),
        );
        let rows = self.database.read.query_all_raw(Statement::from_sql_and_values(backend, sql, params.0)).await?;
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
            let host = row.try_get::<Option<String>>("", "host")?.and_then(|host| host.parse().ok());
            events.push(Arc::new(PositionedEvent { event, position, host }));
        }
        let is_last = found < limit;
        let until = if is_last { last.max(after) } else { place };
        Ok(EventBatch { after, until, is_last, time, events })
    }
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
