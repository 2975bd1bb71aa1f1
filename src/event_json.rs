//! An event as webhooks post it and NATS carries it: the protobuf JSON mapping of `invitation.v1.Event`, by itself or in a
//! CloudEvent.
//!
//! The library that knows the mapping works on the compiled protos, so nothing is written out here that the protos say.

pub(crate) mod cloud_event;

use std::sync::LazyLock;

use prost::Message as _;
use prost_reflect::{DynamicMessage, MessageDescriptor};

use crate::api::event_message;
use crate::domain::invitation::event::{Event, EventFormat};
use crate::pb;
use cloud_event::Attributes;

/// The media type of the mapping.
const JSON: &str = "application/json";

static DESCRIPTOR: LazyLock<Option<MessageDescriptor>> =
    LazyLock::new(|| pb::POOL.get_message_by_name("invitation.v1.Event"));

/// The reason why an event is not converted, which is a defect of this program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an event cannot be converted to JSON")]
pub struct NoJson;

/// Returns an event as JSON.
pub fn event_json(event: &Event) -> Result<String, NoJson> {
    let descriptor = DESCRIPTOR.clone().ok_or(NoJson)?;
    let bytes = event_message(event).encode_to_vec();
    let message = DynamicMessage::decode(descriptor, bytes.as_slice()).map_err(|_| NoJson)?;
    serde_json::to_string(&message).map_err(|_| NoJson)
}

/// An event as the content of a request or of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EncodedEvent {
    /// The media type of the body.
    pub(crate) content_type: &'static str,
    /// The attributes of the CloudEvent that are not in the body, as headers in printable ASCII.
    pub(crate) headers: Vec<(&'static str, String)>,
    /// The body.
    pub(crate) body: String,
}

/// Returns an event in a format.
pub(crate) fn encoded_event(event: &Event, format: EventFormat) -> Result<EncodedEvent, NoJson> {
    Attributes::of(event).encode(event_json(event)?, format)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use uuid::Uuid;

    use super::*;
    use crate::domain::invitation::event::payload::{AcceptedPayload, Payload};
    use crate::domain::invitation::event::{EventType, StoredEvent};
    use crate::domain::invitation::state::State;
    use crate::domain::kind::{Kind, Scope};
    use crate::domain::value::id::{AcceptanceId, InvitationId};
    use crate::domain::value::text::AccountId;
    use crate::domain::value::time::Timestamp;
    use crate::domain::value::word::Word;

    fn accepted() -> Event {
        let payload = AcceptedPayload {
            acceptance: AcceptanceId(Uuid::from_u128(0xa1)),
            subject: "user-42".to_owned(),
            roles: vec!["admin".to_owned()],
            groups: vec![Scope { scope_type: "team".to_owned(), id: "blue".to_owned(), display_name: None }],
            use_count: 1,
            recipient: Some(3),
            guest_organization_id: None,
            connection_id: None,
            grant_expire_at: None,
        };
        let event = StoredEvent {
            id: Uuid::from_u128(1),
            account: AccountId::parse("acme").unwrap(),
            invitation: InvitationId(Uuid::from_u128(0x0192_0000_0000_7000_8000_0000_0000_0001)),
            kind: Kind::General.into(),
            event_type: EventType::Accepted.into(),
            state: State::Fulfilled.into(),
            scope: Some(Scope { scope_type: "team".to_owned(), id: "red".to_owned(), display_name: None }),
            time: Timestamp::from_micros(1_800_000_000_000_001),
            actor: "apiKeys/ci".to_owned(),
            request_id: Some("try-1".to_owned()),
            pass_through: None,
            payload: Some(Payload::Accepted(Box::new(payload))),
        };
        Event { event, sequence: 3, position: Some(99), traceparent: None }
    }

    fn parsed(event: &Event) -> Value {
        serde_json::from_str(&event_json(event).unwrap()).unwrap()
    }

    #[test]
    fn event_has_the_names_and_forms_of_the_json_mapping() {
        let invitation = "invitations/01920000-0000-7000-8000-000000000001";
        let expected = json!({
            "name": format!("{invitation}/events/3"),
            "uid": "00000000-0000-0000-0000-000000000001",
            "type": "invitation.accepted",
            "time": "2027-01-15T08:00:00.000001Z",
            "account": "acme",
            "invitation": invitation,
            "kind": "INVITATION_KIND_GENERAL",
            "state": "INVITATION_STATE_FULFILLED",
            "scope": {"type": "team", "id": "red"},
            "sequence": "3",
            "actor": "apiKeys/ci",
            "requestId": "try-1",
            "accepted": {
                "acceptance": format!("{invitation}/acceptances/00000000-0000-0000-0000-0000000000a1"),
                "subject": "user-42",
                "roles": ["admin"],
                "groups": [{"type": "team", "id": "blue"}],
                "useCount": 1,
                "recipient": format!("{invitation}/recipients/3"),
            },
        });
        assert_eq!(parsed(&accepted()), expected);
    }

    #[test]
    fn event_of_a_newer_release_has_its_type_and_no_payload() {
        let mut newer = accepted();
        newer.event.kind = Word::Unknown("unheard_of".to_owned());
        newer.event.state = Word::Unknown("paused".to_owned());
        newer.event.event_type = Word::Unknown("invitation.transferred".to_owned());
        newer.event.payload = None;
        let json = parsed(&newer);
        assert_eq!(json["type"], "invitation.transferred");
        assert!(["kind", "state", "accepted"].iter().all(|key| json.get(key).is_none()), "{json}");
    }
}
