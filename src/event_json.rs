//! An event as everybody outside sees it: the one JSON object that webhooks post and NATS carries.
//!
//! Fields and words are those of the proto's JSON mapping, so that a client of the API can read it as the `Event` it knows.
//! Like every event it holds neither a token nor an address.

use serde_json::{Map, Value};

use crate::domain::invitation::event::Event;
use crate::domain::kind::Kind;
use crate::domain::value::word::Word;

/// Returns an event as JSON.
pub fn event_json(Event { event, sequence, position: _ }: &Event) -> Value {
    let invitation = format!("invitations/{}", event.invitation.0);
    let fields = [
        ("name", format!("{invitation}/events/{sequence}").into()),
        ("type", event.type_name().into()),
        ("time", event.time.to_string().into()),
        ("account", event.account.as_str().into()),
        ("invitation", invitation.into()),
        ("kind", kind(&event.kind).into()),
        // A number, which JSON readers of 64-bit fields take as well as the text that the mapping writes.
        ("sequence", (*sequence).into()),
        ("actor", event.actor.as_str().into()),
        // Missing where the call had none, as the mapping leaves out what is empty.
        ("requestId", event.request_id.clone().into()),
        ("data", event.data.clone().into()),
    ];
    let fields = fields.into_iter().filter(|(_, value): &(_, Value)| !value.is_null());
    Value::Object(fields.map(|(key, value)| (key.to_owned(), value)).collect::<Map<_, _>>())
}

/// Returns the value of the enum `InvitationKind` by its name, which a newer release forms of its kinds in the same way.
fn kind(kind: &Word<Kind>) -> String {
    format!("INVITATION_KIND_{}", kind.text(Kind::code).to_uppercase())
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use uuid::Uuid;

    use super::*;
    use crate::domain::invitation::event::{EventType, StoredEvent};
    use crate::domain::value::id::InvitationId;
    use crate::domain::value::text::AccountId;
    use crate::domain::value::time::Timestamp;

    fn event(kind: Kind, request_id: Option<&str>) -> Event {
        let event = StoredEvent {
            id: Uuid::from_u128(1),
            account: AccountId::parse("acme").unwrap(),
            invitation: InvitationId(Uuid::from_u128(0x0192_0000_0000_7000_8000_0000_0000_0001)),
            kind: kind.into(),
            event_type: EventType::Accepted.into(),
            time: Timestamp::from_micros(1_800_000_000_000_001),
            actor: "apiKeys/ci".to_owned(),
            request_id: request_id.map(str::to_owned),
            data: Map::from_iter([("use_count".to_owned(), 1.into())]),
        };
        Event { event, sequence: 3, position: Some(99) }
    }

    #[test]
    fn an_event_has_the_fields_of_the_message_and_its_account() {
        let expected = json!({
            "name": "invitations/01920000-0000-7000-8000-000000000001/events/3",
            "type": "invitation.accepted",
            "time": "2027-01-15T08:00:00.000001Z",
            "account": "acme",
            "invitation": "invitations/01920000-0000-7000-8000-000000000001",
            "kind": "INVITATION_KIND_CONNECTION",
            "sequence": 3,
            "actor": "apiKeys/ci",
            "requestId": "try-1",
            "data": {"use_count": 1},
        });
        assert_eq!(event_json(&event(Kind::Connection, Some("try-1"))), expected);
        assert_eq!(event_json(&event(Kind::Connection, None)).get("requestId"), None);
    }

    #[test]
    fn kinds_are_named_as_the_proto_names_them() {
        let named = Kind::ALL.map(|kind| event_json(&event(kind, None))["kind"].clone());
        let words = ["CONNECTION", "USER", "GUEST", "GENERAL"];
        assert_eq!(named, words.map(|word| format!("INVITATION_KIND_{word}")));
        let mut newer = event(Kind::User, None);
        newer.event.kind = Word::Unknown("unheard_of".to_owned());
        newer.event.event_type = Word::Unknown("invitation.transferred".to_owned());
        let json = event_json(&newer);
        assert_eq!(
            (&json["kind"], &json["type"]),
            (&"INVITATION_KIND_UNHEARD_OF".into(), &"invitation.transferred".into())
        );
    }
}
