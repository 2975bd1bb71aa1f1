//! The reason why a request in JSON is no message, at the path of its field. It is looked for only after the library has refused the
//! request, whose own words would repeat values: a token may be one of them.

use prost_reflect::{DynamicMessage, EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor};
use serde_json::{Map, Value};
use tonic::Status;

use crate::domain::value::rule::FieldRule;
use crate::server::status;

/// The most bytes of a path that is told.
const MAX_PATH: usize = 200;

/// The first problem of a request.
#[derive(Debug)]
enum Problem {
    /// The message has no field of this name.
    Unknown(String),
    /// The value of a field has another form.
    Value { path: String, rule: FieldRule, description: String },
}

/// Returns the status of a request in JSON that is no message of the descriptor.
pub(super) fn of(descriptor: &MessageDescriptor, json: &[u8]) -> Status {
    let value: Value = match serde_json::from_slice(json) {
        Ok(value) => value,
        Err(error) => {
            let place = format!("line {} column {}", error.line(), error.column());
            return status::malformed(&format!("the request is not JSON: it breaks off, or is wrong, at {place}"));
        }
    };
    let Value::Object(fields) = value else {
        return status::malformed("the request is not a JSON object: send {} for a message without fields");
    };
    let problem = unknown(descriptor, &fields, "").map(Problem::Unknown);
    match problem.or_else(|| wrong(descriptor, &fields, "")) {
        Some(Problem::Unknown(path)) => status::unknown_field(shortened(&path)),
        Some(Problem::Value { path, rule, description }) => {
            status::invalid_json_value(shortened(&path), rule, &description)
        }
        // Each value is right by itself.
        None => status::malformed("the request has two fields of which one excludes the other"),
    }
}

fn shortened(path: &str) -> &str {
    path.get(..path.floor_char_boundary(MAX_PATH)).unwrap_or_default()
}

fn find(descriptor: &MessageDescriptor, name: &str) -> Option<FieldDescriptor> {
    descriptor.get_field_by_json_name(name).or_else(|| descriptor.get_field_by_name(name))
}

fn inside(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// Returns the message in a field whose JSON is an object of its fields; `None` for a map, and for Google's own messages, whose JSON
/// is not that of their fields.
fn message_of(field: &FieldDescriptor) -> Option<MessageDescriptor> {
    match field.kind() {
        Kind::Message(inner) if !field.is_map() && inner.package_name() != "google.protobuf" => Some(inner),
        _ => None,
    }
}

/// Returns the path of the first field that a message does not have.
fn unknown(descriptor: &MessageDescriptor, fields: &Map<String, Value>, path: &str) -> Option<String> {
    fields.iter().find_map(|(name, value)| {
        let Some(field) = find(descriptor, name) else { return Some(inside(path, name)) };
        let (inner, path) = (message_of(&field)?, inside(path, field.name()));
        match value {
            Value::Object(fields) => unknown(&inner, fields, &path),
            Value::Array(entries) => entries
                .iter()
                .enumerate()
                .find_map(|(index, entry)| unknown(&inner, entry.as_object()?, &format!("{path}[{index}]"))),
            _ => None,
        }
    })
}

/// Returns the first field whose value the library refuses by itself.
fn wrong(descriptor: &MessageDescriptor, fields: &Map<String, Value>, path: &str) -> Option<Problem> {
    fields.iter().find_map(|(name, value)| {
        let field = find(descriptor, name)?;
        if is_taken(descriptor, name, value.clone()) {
            return None;
        }
        let path = inside(path, field.name());
        if let (true, Value::Array(entries)) = (field.is_list(), value) {
            let entry = entries.iter().enumerate().find_map(|(index, entry)| {
                let alone = Value::Array(vec![entry.clone()]);
                let path = format!("{path}[{index}]");
                (!is_taken(descriptor, name, alone)).then(|| wrong_value(&field, entry, path))
            });
            return entry.or_else(|| Some(form(&field, path)));
        }
        if field.is_list() {
            return Some(Problem::Value {
                path,
                rule: FieldRule::InvalidFormat,
                description: "must be a list".to_owned(),
            });
        }
        Some(wrong_value(&field, value, path))
    })
}

/// Returns whether a message takes a value in a field.
fn is_taken(descriptor: &MessageDescriptor, name: &str, value: Value) -> bool {
    let alone = Value::Object([(name.to_owned(), value)].into_iter().collect());
    DynamicMessage::deserialize(descriptor.clone(), alone).is_ok()
}

/// Returns the problem inside of a value, or the value's own.
fn wrong_value(field: &FieldDescriptor, value: &Value, path: String) -> Problem {
    let Some((inner, fields)) = message_of(field).zip(value.as_object()) else { return form(field, path) };
    wrong(&inner, fields, &path).unwrap_or_else(|| {
        // Each of its fields is right by itself.
        let description = "has two fields of which one excludes the other".to_owned();
        Problem::Value { path, rule: FieldRule::Conflicts, description }
    })
}

/// Returns the form that a field's values have.
fn form(field: &FieldDescriptor, path: String) -> Problem {
    let (rule, description) = match field.kind() {
        _ if field.is_map() => (FieldRule::InvalidFormat, "must be an object of values of one form".to_owned()),
        Kind::Enum(known) => (FieldRule::UnknownValue, format!("must be one of {}", words(&known))),
        kind => (FieldRule::InvalidFormat, format!("must be {}", form_of(&kind))),
    };
    Problem::Value { path, rule, description }
}

fn words(known: &EnumDescriptor) -> String {
    let words: Vec<_> = known.values().map(|value| value.name().to_owned()).collect();
    words.join(", ")
}

fn form_of(kind: &Kind) -> &'static str {
    match kind {
        Kind::Double | Kind::Float => "a number",
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => "a whole number of 32 bits",
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => "a whole number of 64 bits",
        Kind::Uint32 | Kind::Fixed32 => "a whole number of 32 bits, not below 0",
        Kind::Uint64 | Kind::Fixed64 => "a whole number of 64 bits, not below 0",
        Kind::Bool => "true or false",
        Kind::String => "a text",
        Kind::Bytes => "a text in base64",
        Kind::Enum(_) => "a word",
        Kind::Message(message) => match message.full_name() {
            "google.protobuf.Timestamp" => "a time such as \"2026-01-01T00:00:00Z\"",
            "google.protobuf.Duration" => "a duration in seconds such as \"3600s\"",
            "google.protobuf.FieldMask" => "a text of names of fields such as \"maxUses,labels\"",
            _ => "an object",
        },
    }
}
