//! The text of one value of a message, for people: short words, times to the second, lists in one line.

use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MapKey, ReflectMessage as _, Value};

use super::printable::{printable, safe_json};
use crate::cli::client::schema;
use crate::domain::value::time::Timestamp;

/// Returns the text at a path of fields, such as `scope.id`. Two paths may be joined by `:` or `/`. A segment may also be a
/// `oneof`, which stands for the field of it that is set. The text is empty if there is nothing.
pub(super) fn cell(message: &DynamicMessage, paths: &str) -> String {
    let separator = if paths.contains('/') { "/" } else { ":" };
    let texts = paths.split(['/', ':']).map(|path| {
        let segments: Vec<_> = path.split('.').collect();
        at(message, &segments).join(", ")
    });
    texts.filter(|text| !text.is_empty()).collect::<Vec<_>>().join(separator)
}

/// Returns the texts at a path, several if it leads through a list.
fn at(message: &DynamicMessage, path: &[&str]) -> Vec<String> {
    let Some((first, rest)) = path.split_first() else { return vec![summary(message)] };
    let Some(field) = field(message, first) else { return Vec::new() };
    let value = message.get_field(&field);
    if rest.is_empty() {
        return if is_shown(message, &field) { vec![text(&value, &field)] } else { Vec::new() };
    }
    match value.as_ref() {
        Value::Message(inner) if message.has_field(&field) => at(inner, rest),
        Value::List(values) => values.iter().filter_map(Value::as_message).flat_map(|inner| at(inner, rest)).collect(),
        _ => Vec::new(),
    }
}

fn field(message: &DynamicMessage, name: &str) -> Option<FieldDescriptor> {
    let descriptor = message.descriptor();
    descriptor.get_field_by_name(name).or_else(|| {
        let choice = descriptor.oneofs().find(|oneof| oneof.name() == name)?;
        choice.fields().find(|field| message.has_field(field))
    })
}

/// A number that is 0 says something, unlike a text that is empty.
fn is_shown(message: &DynamicMessage, field: &FieldDescriptor) -> bool {
    let is_plain = !field.supports_presence() && !field.is_list() && !field.is_map();
    message.has_field(field) || (is_plain && !matches!(field.kind(), Kind::Enum(_) | Kind::String))
}

/// Returns the text of a field's value, of all of them if it is a list or a map.
pub(super) fn text(value: &Value, field: &FieldDescriptor) -> String {
    let kind = field.kind();
    match value {
        Value::List(values) => values.iter().map(|value| one(value, &kind)).collect::<Vec<_>>().join(", "),
        Value::Map(entries) => {
            let kind = match &kind {
                Kind::Message(entry) if entry.is_map_entry() => entry.map_entry_value_field().kind(),
                _ => kind,
            };
            let mut texts: Vec<_> =
                entries.iter().map(|(key, value)| format!("{}={}", key_text(key), one(value, &kind))).collect();
            texts.sort();
            texts.join(", ")
        }
        value => one(value, &kind),
    }
}

fn key_text(key: &MapKey) -> String {
    match key {
        MapKey::String(text) => printable(text).into_owned(),
        MapKey::Bool(value) => value.to_string(),
        MapKey::I32(value) => value.to_string(),
        MapKey::I64(value) => value.to_string(),
        MapKey::U32(value) => value.to_string(),
        MapKey::U64(value) => value.to_string(),
    }
}

fn one(value: &Value, kind: &Kind) -> String {
    match (value, kind) {
        (Value::Bool(value), _) => if *value { "yes" } else { "no" }.to_owned(),
        (Value::String(text), _) => printable(text).into_owned(),
        (Value::EnumNumber(number), Kind::Enum(known)) => schema::word(known, *number),
        (Value::Message(message), _) => summary(message),
        (Value::I32(value), _) => value.to_string(),
        (Value::I64(value), _) => value.to_string(),
        (Value::U32(value), _) => value.to_string(),
        (Value::U64(value), _) => value.to_string(),
        (Value::F32(value), _) => value.to_string(),
        (Value::F64(value), _) => value.to_string(),
        (Value::Bytes(value), _) => format!("{} bytes", value.len()),
        (Value::EnumNumber(number), _) => number.to_string(),
        (Value::List(_) | Value::Map(_), _) => String::new(),
    }
}

/// Returns a message in one line: a time, a duration, or the texts of the fields that are set.
fn summary(message: &DynamicMessage) -> String {
    let descriptor = message.descriptor();
    match descriptor.full_name() {
        "google.protobuf.Timestamp" => moment(message),
        "google.protobuf.Empty" => "yes".to_owned(),
        name if name.starts_with("google.protobuf.") => {
            let json = serde_json::to_string(message).unwrap_or_default();
            printable(safe_json(json).trim_matches('"')).into_owned()
        }
        _ => {
            let mut fields: Vec<_> = message.fields().collect();
            fields.sort_by_key(|(field, _)| field.number());
            let texts = fields.iter().map(|(field, value)| match field.kind() {
                Kind::String => text(value, field).split(", ").map(short_name).collect::<Vec<_>>().join(", "),
                Kind::Enum(_) => text(value, field),
                _ => format!("{}={}", field.name(), text(value, field)),
            });
            texts.filter(|text| !text.is_empty()).collect::<Vec<_>>().join(" ")
        }
    }
}

/// Returns the end of the name of something that belongs to an invitation, such as `recipients/1`: the row tells the invitation.
fn short_name(text: &str) -> &str {
    match text.strip_prefix("invitations/").and_then(|rest| rest.split_once('/')) {
        Some((_, inner)) => inner,
        None => text,
    }
}

/// Returns a time to the second, since a table is for people.
fn moment(message: &DynamicMessage) -> String {
    let seconds = message.get_field_by_name("seconds").and_then(|value| value.as_i64()).unwrap_or_default();
    let text = Timestamp::from_micros(seconds.saturating_mul(1_000_000)).to_string();
    text.replace(".000000Z", "Z")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(name: &str, json: serde_json::Value) -> DynamicMessage {
        schema::message(schema::method(name).unwrap().output(), json).unwrap()
    }

    #[test]
    fn values_are_short_and_safe() {
        let invitation = of(
            "InvitationService.GetInvitation",
            json!({
                "state": "active", "kind": "general", "expireTime": "2027-01-15T08:00:00.000001Z", "useCount": 0,
                "maxUses": 3, "mailed": false, "roles": ["a", "b"], "labels": {"x": "1", "a": "\u{1b}[2J"},
                "scope": {"type": "team", "id": "7", "displayName": "Seven"},
                "targets": [{"type": "email", "value": "a@b.example"}, {"type": "phone", "value": "+49"}],
                "metadata": {"seat": "\u{202e}7"},
            }),
        );
        for (path, expected) in [
            ("state", "active"),
            ("status", ""),
            ("expire_time", "2027-01-15T08:00:00Z"),
            ("expiration", "2027-01-15T08:00:00Z"),
            ("revoke_time", ""),
            ("use_count/max_uses", "0/3"),
            ("mailed", "no"),
            ("roles", "a, b"),
            ("labels", "a=\\u{1b}[2J, x=1"),
            ("scope.type:scope.id", "team:7"),
            ("inviter.user_id", ""),
            ("scope", "team 7 Seven"),
            ("targets.value", "a@b.example, +49"),
            ("targets", "email a@b.example, phone +49"),
            ("metadata", "{\"seat\":\"\\u202e7\"}"),
            ("nothing", ""),
        ] {
            assert_eq!(cell(&invitation, path), expected, "{path}");
        }
    }

    #[test]
    fn content_of_an_event_is_that_of_its_oneof() {
        let event = |json| of("EventService.GetEvent", json);
        let name = "invitations/01920000-0000-7000-8000-000000000001/acceptances/7";
        let json = json!({"acceptance": name, "subject": "u-1", "useCount": 2, "roles": ["viewer", "editor"]});
        let accepted = event(json!({"accepted": json}));
        assert_eq!(cell(&accepted, "payload"), "acceptances/7 u-1 viewer, editor use_count=2");
        assert_eq!(cell(&event(json!({})), "payload"), "");
        let attempt = of("WebhookService.GetWebhookAttempt", json!({"duration": "1.500s", "httpStatus": 0}));
        assert_eq!((cell(&attempt, "duration"), cell(&attempt, "http_status")), ("1.500s".to_owned(), "0".to_owned()));
    }
}
