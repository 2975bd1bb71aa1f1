//! Events as CloudEvents 1.0 (<https://cloudevents.io>): the attributes, and both content modes.

use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::ser::{Serialize, SerializeMap as _, Serializer};
use serde_json::value::RawValue;
use uuid::Uuid;

use super::{EncodedEvent, JSON, NoJson};
use crate::domain::invitation::event::{Event, EventFormat};
use crate::domain::value::id::InvitationId;
use crate::domain::value::text::AccountId;
use crate::domain::value::time::Timestamp;

/// The media type of a CloudEvent in one JSON object.
const CLOUD_EVENT_JSON: &str = "application/cloudevents+json";
/// The authority of the sources and the prefix of the types: the name that errors have as their domain.
const SERVICE: &str = "invitation-service";
/// The prefix of the headers that are attributes in the binary mode.
const HEADER_PREFIX: &str = "ce-";

/// The characters that a segment of a path does not have as they are (RFC 3986, section 2.3).
const SEGMENT: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// The characters that a header does not have as they are, beside those outside ASCII (HTTP and NATS bindings, section 3.1.3.2).
const HEADER: AsciiSet = CONTROLS.add(b' ').add(b'"').add(b'%');

/// The facts about an event that become the attributes of a CloudEvent.
#[derive(Debug)]
pub(crate) struct Attributes<'a> {
    /// The event's id.
    pub(crate) id: Uuid,
    /// The name of its type.
    pub(crate) event_type: &'a str,
    /// The account that it is of.
    pub(crate) account: &'a AccountId,
    /// The moment of the decision.
    pub(crate) time: Timestamp,
    /// The invitation, `None` if it belongs to none.
    pub(crate) invitation: Option<InvitationId>,
    /// The span that committed it.
    pub(crate) traceparent: Option<&'a str>,
}

impl<'a> Attributes<'a> {
    /// Returns the facts about an event.
    pub(super) fn of(Event { event, traceparent, .. }: &'a Event) -> Self {
        Self {
            id: event.id,
            event_type: event.type_name(),
            account: &event.account,
            time: event.time,
            invitation: event.is_of_invitation().then_some(event.invitation),
            traceparent: traceparent.as_deref(),
        }
    }

    /// Returns the event with `data`, its JSON, in a format.
    pub(crate) fn encode(&self, data: String, format: EventFormat) -> Result<EncodedEvent, NoJson> {
        Ok(match format {
            EventFormat::ProtoJson => EncodedEvent { content_type: JSON, headers: Vec::new(), body: data },
            EventFormat::CloudEventsStructured => {
                let data = RawValue::from_string(data).map_err(|_| NoJson)?;
                let event = Structured { attributes: self.headers(), data };
                let body = serde_json::to_string(&event).map_err(|_| NoJson)?;
                EncodedEvent { content_type: CLOUD_EVENT_JSON, headers: Vec::new(), body }
            }
            EventFormat::CloudEventsBinary => {
                let encoded = |(name, value): (_, String)| (name, utf8_percent_encode(&value, &HEADER).to_string());
                let headers = self.headers().into_iter().map(encoded).collect();
                EncodedEvent { content_type: JSON, headers, body: data }
            }
        })
    }

    /// Returns the attributes by their headers, but for the type of the data. `sequence` is not among them: as the extension of
    /// that name it would be the order of the whole source, and ours is that of one invitation.
    fn headers(&self) -> Vec<(&'static str, String)> {
        let account = utf8_percent_encode(self.account.as_str(), &SEGMENT);
        let mut headers = vec![
            ("ce-specversion", "1.0".to_owned()),
            ("ce-id", self.id.to_string()),
            ("ce-source", format!("//{SERVICE}/accounts/{account}")),
            ("ce-type", format!("{SERVICE}.{}", self.event_type)),
            ("ce-time", self.time.to_string()),
        ];
        if let Some(InvitationId(id)) = self.invitation {
            headers.push(("ce-subject", format!("invitations/{id}")));
            headers.push(("ce-partitionkey", id.to_string()));
        }
        headers.extend(self.traceparent.map(|traceparent| ("ce-traceparent", traceparent.to_owned())));
        headers
    }
}

/// A CloudEvent in its JSON format.
struct Structured {
    attributes: Vec<(&'static str, String)>,
    data: Box<RawValue>,
}

impl Serialize for Structured {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (header, value) in &self.attributes {
            map.serialize_entry(header.trim_start_matches(HEADER_PREFIX), value)?;
        }
        map.serialize_entry("datacontenttype", JSON)?;
        map.serialize_entry("data", &self.data)?;
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const DATA: &str = r#"{"type":"invitation.accepted","sequence":"3"}"#;

    fn encoded(account: &str, format: EventFormat) -> EncodedEvent {
        let account = AccountId::parse(account).unwrap();
        let attributes = Attributes {
            id: Uuid::from_u128(1),
            event_type: "invitation.accepted",
            account: &account,
            time: Timestamp::from_micros(1_800_000_000_000_001),
            invitation: Some(InvitationId(Uuid::from_u128(2))),
            traceparent: Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
        };
        attributes.encode(DATA.to_owned(), format).unwrap()
    }

    #[test]
    fn structured_event_is_one_object_around_the_mapping() {
        let event = encoded("acme", EventFormat::CloudEventsStructured);
        assert_eq!((event.content_type, event.headers), (CLOUD_EVENT_JSON, Vec::new()));
        let expected = json!({
            "specversion": "1.0",
            "id": "00000000-0000-0000-0000-000000000001",
            "source": "//invitation-service/accounts/acme",
            "type": "invitation-service.invitation.accepted",
            "time": "2027-01-15T08:00:00.000001Z",
            "subject": "invitations/00000000-0000-0000-0000-000000000002",
            "partitionkey": "00000000-0000-0000-0000-000000000002",
            "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "datacontenttype": "application/json",
            "data": {"type": "invitation.accepted", "sequence": "3"},
        });
        assert_eq!(serde_json::from_str::<Value>(&event.body).unwrap(), expected);
        assert!(event.body.contains(DATA), "the data is as it is elsewhere, byte by byte");
    }

    #[test]
    fn binary_event_is_the_mapping_with_headers() {
        let event = encoded("acme", EventFormat::CloudEventsBinary);
        assert_eq!((event.content_type, event.body.as_str()), (JSON, DATA));
        let Value::Object(structured) =
            serde_json::from_str(&encoded("acme", EventFormat::CloudEventsStructured).body).unwrap()
        else {
            panic!("an object")
        };
        let headers = event.headers.iter().map(|(name, value)| (name.trim_start_matches("ce-").to_owned(), value));
        let headers: serde_json::Map<_, _> = headers.map(|(name, value)| (name, json!(value))).collect();
        let left: Vec<_> = structured.keys().filter(|name| !headers.contains_key(*name)).collect();
        assert_eq!(left, ["data", "datacontenttype"]);
        assert!(headers.iter().all(|(name, value)| structured[name] == *value), "{headers:?}");
    }

    #[test]
    fn source_is_a_uri_and_headers_are_printable_ascii() {
        for (account, source, header) in [
            ("a b", "//invitation-service/accounts/a%20b", "//invitation-service/accounts/a%2520b"),
            (
                "ä/\"?",
                "//invitation-service/accounts/%C3%A4%2F%22%3F",
                "//invitation-service/accounts/%25C3%25A4%252F%2522%253F",
            ),
        ] {
            let structured: Value =
                serde_json::from_str(&encoded(account, EventFormat::CloudEventsStructured).body).unwrap();
            assert_eq!(structured["source"], source);
            let headers = encoded(account, EventFormat::CloudEventsBinary).headers;
            assert!(headers.contains(&("ce-source", header.to_owned())), "{headers:?}");
        }
        assert_eq!(utf8_percent_encode("Euro € 😀\"", &HEADER).to_string(), "Euro%20%E2%82%AC%20%F0%9F%98%80%22");
    }

    #[test]
    fn attribute_names_are_lower_case_letters_and_digits() {
        for (name, _) in encoded("acme", EventFormat::CloudEventsBinary).headers {
            let name = name.strip_prefix(HEADER_PREFIX).unwrap();
            let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
            assert!((1..=20).contains(&name.len()) && name.bytes().all(fits), "{name}");
        }
    }
}
