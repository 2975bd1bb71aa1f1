//! Events. What only followers of events read is one JSON object, the column `data`.

use serde::Deserialize as _;

use super::corrupt;
use crate::domain::invitation::event::{Event, EventData, EventType, NewEvent, Payload, StoredEvent};
use crate::domain::invitation::state::State;
use crate::domain::kind::Kind;
use crate::domain::value::id::InvitationId;
use crate::domain::value::text::AccountId;
use crate::domain::value::time::Timestamp;
use crate::domain::value::word::Word;
use crate::store::sql::entity::event;
use crate::store::sql::error::StoreError;
use crate::telemetry::traces::Origin;

/// The member of `data` that has the span which committed the event; most have none.
const TRACEPARENT: &str = "traceparent";

impl TryFrom<event::Model> for Event {
    type Error = StoreError;

    fn try_from(row: event::Model) -> Result<Self, StoreError> {
        let corrupt = corrupt("event", &row.id);
        let traceparent = row.data.get(TRACEPARENT).and_then(|traceparent| traceparent.as_str()).map(str::to_owned);
        let EventData { state, scope, pass_through, payload } =
            EventData::deserialize(row.data).map_err(|_| corrupt("data", "is not the data of an event"))?;
        let event_type: Word<EventType> =
            Word::parse(&row.event_type, EventType::from_name).ok_or_else(|| corrupt("event_type", "is not a type"))?;
        let payload = event_type.known().map(|event_type| Payload::parse(event_type, payload)).transpose();
        let event = StoredEvent {
            id: row.id,
            account: AccountId::parse(&row.account_id).map_err(|_| corrupt("account_id", "is not an account"))?,
            invitation: InvitationId(row.invitation_id),
            kind: Word::parse(&row.kind, Kind::from_code).ok_or_else(|| corrupt("kind", "is not a kind"))?,
            event_type,
            state: Word::parse(&state, State::from_code).ok_or_else(|| corrupt("data", "has no state"))?,
            scope,
            time: Timestamp::from_micros(row.occurred_at),
            actor: row.actor,
            request_id: row.request_id,
            pass_through,
            payload: payload.map_err(|_| corrupt("data", "has not the content of its type"))?,
        };
        Ok(Self { event, sequence: row.sequence, position: row.position, traceparent })
    }
}

/// Returns the row of an event, numbered `sequence` by the caller.
pub(in crate::store) fn event_row(event: &NewEvent, sequence: i64) -> event::Model {
    // Fields of plain types cannot fail.
    let mut data = serde_json::to_value(event.data()).unwrap_or_default();
    if let Some((origin, fields)) = Origin::of_present_span().zip(data.as_object_mut()) {
        fields.insert(TRACEPARENT.to_owned(), origin.to_traceparent().into());
    }
    event::Model {
        account_id: event.account.as_str().to_owned(),
        invitation_id: event.invitation.0,
        sequence,
        id: event.id,
        kind: event.kind.code().to_owned(),
        event_type: event.event_type.name().to_owned(),
        occurred_at: event.time.micros(),
        actor: event.actor.clone(),
        request_id: event.request_id.clone(),
        data,
        position: None,
    }
}
