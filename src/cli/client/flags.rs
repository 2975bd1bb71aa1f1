//! The flags that several commands share, and how their values are parsed.

use std::time::Duration;

use clap::Args;
use clap::builder::PossibleValuesParser;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::schema;
use crate::clock::Clock;
use crate::config::parse_duration;
use crate::domain::value::time::Timestamp;

/// The collection whose names stand for invitations of every kind.
const INVITATIONS: &str = "invitations";

/// The expiry of an invitation.
#[derive(Clone, Debug, Args)]
#[group(id = "expiry", multiple = false)]
pub(super) struct ExpiryArgs {
    /// Time for which the invitation can be accepted, such as 12h or 7d.
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    ttl: Option<Duration>,
    /// Moment of the expiry, such as 2027-01-31T12:00:00Z.
    #[arg(long, value_name = "MOMENT", value_parser = moment)]
    expires_at: Option<Timestamp>,
    /// No expiry.
    #[arg(long)]
    never: bool,
}

impl ExpiryArgs {
    /// Writes the expiry to a message with the `oneof expiration`.
    pub(super) fn put(self, message: &mut Map<String, Value>) {
        let Self { ttl, expires_at, never } = self;
        let given = ttl.is_some() || expires_at.is_some() || never;
        if given {
            // The expiry of a document must not stand beside it.
            for field in ["expire_time", "expireTime", "ttl", "never"] {
                message.remove(field);
            }
        }
        put(message, "ttl", ttl.map(|ttl| format!("{}.{:03}s", ttl.as_secs(), ttl.subsec_millis())));
        put(message, "expire_time", expires_at.map(|moment| moment.to_string()));
        put(message, "never", never.then(|| json!({})));
    }
}

/// A span of time, from one moment to before another.
#[derive(Clone, Debug, Args)]
pub(super) struct SpanArgs {
    /// Beginning of the span: a moment such as 2027-01-31T12:00:00Z, or a time ago such as 2h.
    #[arg(long, value_name = "MOMENT", value_parser = past)]
    pub(super) since: Option<Timestamp>,
    /// End of the span, in the same form.
    #[arg(long, value_name = "MOMENT", value_parser = past)]
    pub(super) until: Option<Timestamp>,
}

impl SpanArgs {
    /// Returns the span as a TimeRange; `None` if neither end is given.
    pub(super) fn into_json(self) -> Option<Value> {
        span(self.since, self.until)
    }
}

/// Returns a TimeRange; `None` if neither end is given.
pub(super) fn span(since: Option<Timestamp>, until: Option<Timestamp>) -> Option<Value> {
    let text = |moment: Timestamp| moment.to_string();
    let is_given = since.is_some() || until.is_some();
    is_given.then(|| json!({"start_time": since.map(text), "end_time": until.map(text)}))
}

/// Sets a field, unless the value is null, empty or not given. A name in the other form of JSON gives way.
pub(super) fn put<T: Into<Value>>(message: &mut Map<String, Value>, field: &str, value: Option<T>) {
    let value = value.map(Into::into).unwrap_or_default();
    let is_empty = match &value {
        Value::Null => true,
        Value::Array(values) => values.is_empty(),
        // An empty message means something, such as `never`.
        Value::Object(_) | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    };
    if !is_empty {
        message.remove(&json_name(field));
        message.insert(field.to_owned(), value);
    }
}

/// Returns the name of a field in the JSON mapping of protobuf.
fn json_name(field: &str) -> String {
    let mut words = field.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |name, word| {
        let (initial, rest) = word.split_at(word.len().min(1));
        name + &initial.to_ascii_uppercase() + rest
    })
}

/// Parses the words of an enum of the API.
pub(super) fn words(name: &str) -> PossibleValuesParser {
    PossibleValuesParser::new(schema::words(name))
}

/// Parses a moment.
pub(super) fn moment(text: &str) -> Result<Timestamp, &'static str> {
    Timestamp::from_rfc3339(text).ok_or("it must be a moment such as 2027-01-01T00:00:00Z")
}

/// Parses a moment, or a time before now.
pub(super) fn past(text: &str) -> Result<Timestamp, &'static str> {
    let expected = "it must be a moment such as 2027-01-01T00:00:00Z, or a time ago such as 2h";
    let ago = || parse_duration(text).ok().map(|ago| Clock::system().now().earlier(ago));
    Timestamp::from_rfc3339(text).or_else(ago).ok_or(expected)
}

/// Parses the name of an invitation in any form that tables and answers have: its id alone, or with its collection.
pub(super) fn invitation(text: &str) -> Result<String, &'static str> {
    let expected =
        "it must be the id of an invitation, or a name such as userInvitations/01920000-0000-7000-8000-000000000001";
    let (collection, id) = text.split_once('/').unwrap_or((INVITATIONS, text));
    let is_known = [INVITATIONS, "connectionInvitations", "userInvitations", "guestInvitations"].contains(&collection);
    let id = Uuid::parse_str(id).map_err(|_| expected)?;
    if is_known { Ok(format!("{collection}/{id}")) } else { Err(expected) }
}

/// Parses the name of a webhook endpoint, or its id alone.
pub(super) fn endpoint(text: &str) -> Result<String, &'static str> {
    let id = text.strip_prefix("webhookEndpoints/").unwrap_or(text);
    let id =
        Uuid::parse_str(id).map_err(|_| "it must be the id of a webhook endpoint, or webhookEndpoints/ and the id")?;
    Ok(format!("webhookEndpoints/{id}"))
}

/// Parses a label.
pub(super) fn label(text: &str) -> Result<(String, String), &'static str> {
    let (key, value) = text.split_once('=').ok_or("it must be KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

/// Returns labels as a field; `None` if there are none.
pub(super) fn labels(labels: Vec<(String, String)>) -> Option<Value> {
    let labels: Map<String, Value> = labels.into_iter().map(|(key, value)| (key, json!(value))).collect();
    (!labels.is_empty()).then_some(Value::Object(labels))
}

/// Parses a scope.
pub(super) fn scope(text: &str) -> Result<Value, &'static str> {
    let (scope_type, id) = text.split_once(':').ok_or("it must be TYPE:ID, such as team:7")?;
    Ok(json!({"type": scope_type, "id": id}))
}

/// Parses the address of a person; the type may be left out where the address shows it.
pub(super) fn target(text: &str) -> Result<Value, &'static str> {
    let known = text.split_once(':').filter(|(word, _)| ["email", "phone", "internal"].contains(word));
    let (word, value) = known.unwrap_or_else(|| match text {
        text if text.contains('@') => ("email", text),
        text if text.starts_with('+') => ("phone", text),
        text => ("internal", text),
    });
    if value.is_empty() {
        Err("it must be email:, phone: or internal: and the address")
    } else {
        Ok(json!({"type": word, "value": value}))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_as_they_are_printed() {
        let id = "01920000-0000-7000-8000-000000000001";
        assert_eq!(invitation(id).unwrap(), format!("invitations/{id}"));
        for name in ["invitations", "connectionInvitations", "userInvitations", "guestInvitations"] {
            assert_eq!(invitation(&format!("{name}/{id}")).unwrap(), format!("{name}/{id}"));
        }
        for refused in
            ["", "x", "invitations/", "apiKeys/x", &format!("other/{id}"), &format!("invitations/{id}/events/1")]
        {
            assert!(invitation(refused).is_err(), "{refused}");
        }
        assert_eq!(endpoint(id), endpoint(&format!("webhookEndpoints/{id}")));
    }

    #[test]
    fn type_of_an_address_may_be_left_out() {
        for (text, word, value) in [
            ("ann@example.org", "email", "ann@example.org"),
            ("+4930123456", "phone", "+4930123456"),
            ("u-17", "internal", "u-17"),
            ("internal:a@b", "internal", "a@b"),
            ("urn:x:1", "internal", "urn:x:1"),
        ] {
            assert_eq!(target(text).unwrap(), json!({"type": word, "value": value}));
        }
        assert!(target("email:").is_err() && scope("team").is_err() && label("a").is_err());
    }

    #[test]
    fn flag_takes_the_place_of_what_a_document_says() {
        let mut message = json!({"expireTime": "2027-01-01T00:00:00Z", "maxUses": 1, "roles": ["a"]});
        let message = message.as_object_mut().unwrap();
        let expiry = ExpiryArgs { ttl: Some(Duration::from_millis(90_500)), expires_at: None, never: false };
        expiry.put(message);
        put(message, "max_uses", Some(3));
        put(message, "roles", Some(Vec::<Value>::new()));
        put(message, "locale", None::<String>);
        assert_eq!(Value::Object(message.clone()), json!({"ttl": "90.500s", "max_uses": 3, "roles": ["a"]}));
    }
}
