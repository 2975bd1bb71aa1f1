//! JSON Schemas of messages and enums, by the JSON mapping of protobuf.

use std::collections::BTreeMap;

use prost_reflect::{
    Cardinality, DescriptorPool, EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor, OneofDescriptor,
};
use serde_json::{Map, Value, json};

use super::comments::Comments;

/// The schemas of the messages and enums that were asked for, and of all that these have.
#[derive(Debug)]
pub struct Schemas {
    comments: Comments,
    prefix: &'static str,
    found: BTreeMap<String, Value>,
}

impl Schemas {
    /// Begins with none. `prefix` comes before the name in references.
    pub fn new(pool: &DescriptorPool, prefix: &'static str) -> Self {
        Self { comments: Comments::of(pool), prefix, found: BTreeMap::new() }
    }

    /// Returns all schemas by their names.
    pub fn into_components(self) -> Map<String, Value> {
        self.found.into_iter().collect()
    }

    /// Returns the schema of a message: a reference, or that of a type which the mapping knows.
    pub fn reference(&mut self, message: &MessageDescriptor) -> Value {
        well_known(message).unwrap_or_else(|| json!({"$ref": self.add(message)}))
    }

    fn add(&mut self, message: &MessageDescriptor) -> String {
        let name = message.full_name();
        if !self.found.contains_key(name) {
            // A message may have itself as a part.
            self.found.insert(name.to_owned(), Value::Null);
            let schema = self.object(message);
            self.found.insert(name.to_owned(), schema);
        }
        format!("{}{name}", self.prefix)
    }

    fn object(&mut self, message: &MessageDescriptor) -> Value {
        let mut description = self.comments.at(message);
        for choice in message.oneofs().filter(|choice| !choice.is_synthetic()) {
            let number = if self.comments.at(&choice).starts_with("Required.") { "Exactly" } else { "At most" };
            description += &format!("\n\n{number} one of {} is set.", names(&choice));
        }
        let mut schema = json!({"type": "object", "description": description});
        let properties: Map<_, _> =
            message.fields().map(|field| (field.json_name().to_owned(), self.property(&field))).collect();
        let required: Vec<_> = message.fields().filter(|field| self.is_required(field)).collect();
        // A field that a new resource needs may be left out where the resource changes.
        if message.name().ends_with("Request") && !required.is_empty() {
            schema["required"] = required.iter().map(FieldDescriptor::json_name).collect();
        }
        schema["properties"] = Value::Object(properties);
        schema
    }

    /// Returns whether a request has to have a field. Of a choice it may have another one.
    fn is_required(&self, field: &FieldDescriptor) -> bool {
        let is_choice = field.containing_oneof().is_some_and(|choice| !choice.is_synthetic());
        !is_choice && self.comments.at(field).starts_with("Required.")
    }

    fn property(&mut self, field: &FieldDescriptor) -> Value {
        let mut schema = match field.kind() {
            Kind::Message(entry) if field.is_map() => {
                let value = self.single(&entry.map_entry_value_field());
                json!({"type": "object", "additionalProperties": value})
            }
            _ if field.cardinality() == Cardinality::Repeated => json!({"type": "array", "items": self.single(field)}),
            _ => self.single(field),
        };
        // Beside a reference nothing counts in older versions of JSON Schema.
        if schema.get("$ref").is_some() {
            schema = json!({"allOf": [schema]});
        }
        let comment = self.comments.at(field);
        let is_shown_alone = comment.starts_with("Output only.") && !comment.contains(" In Update");
        for (key, holds) in [("readOnly", is_shown_alone), ("writeOnly", comment.starts_with("Input only."))] {
            if holds {
                schema[key] = json!(true);
            }
        }
        if is_secret(field) {
            schema["format"] = json!("password");
        }
        schema["description"] = json!(comment);
        schema
    }

    /// Returns the schema of one value of a field.
    fn single(&mut self, field: &FieldDescriptor) -> Value {
        match field.kind() {
            Kind::Double | Kind::Float => json!({"type": "number"}),
            Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => json!({"type": "integer", "format": "int32"}),
            Kind::Uint32 | Kind::Fixed32 => json!({"type": "integer", "minimum": 0, "maximum": u32::MAX}),
            Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => {
                json!({"type": "string", "format": "int64", "pattern": "^-?[0-9]+$"})
            }
            Kind::Uint64 | Kind::Fixed64 => json!({"type": "string", "format": "uint64", "pattern": "^[0-9]+$"}),
            Kind::Bool => json!({"type": "boolean"}),
            Kind::String => json!({"type": "string"}),
            Kind::Bytes => json!({"type": "string", "contentEncoding": "base64"}),
            Kind::Message(message) => self.reference(&message),
            Kind::Enum(values) if values.full_name() == "google.protobuf.NullValue" => json!({"type": "null"}),
            Kind::Enum(values) => json!({"$ref": self.add_enum(&values)}),
        }
    }

    fn add_enum(&mut self, values: &EnumDescriptor) -> String {
        let name = values.full_name();
        if !self.found.contains_key(name) {
            let described = values.values().map(|value| format!("- `{}`: {}", value.name(), self.comments.at(&value)));
            let described = described.collect::<Vec<_>>().join("\n");
            let names: Vec<_> = values.values().map(|value| value.name().to_owned()).collect();
            let description = format!("{}\n\n{described}", self.comments.at(values));
            self.found.insert(name.to_owned(), json!({"type": "string", "enum": names, "description": description}));
        }
        format!("{}{name}", self.prefix)
    }
}

/// Returns the schema of a message that has a form of its own in JSON.
fn well_known(message: &MessageDescriptor) -> Option<Value> {
    Some(match message.full_name() {
        "google.protobuf.Timestamp" => json!({"type": "string", "format": "date-time"}),
        "google.protobuf.Duration" => json!({"type": "string", "pattern": r"^-?[0-9]+(\.[0-9]{1,9})?s$"}),
        "google.protobuf.FieldMask" => {
            json!({"type": "string", "description": "Paths in lowerCamelCase, with commas between."})
        }
        "google.protobuf.Struct" | "google.protobuf.Empty" => json!({"type": "object"}),
        "google.protobuf.Value" => json!({}),
        "google.protobuf.ListValue" => json!({"type": "array", "items": {}}),
        _ => return None,
    })
}

/// Returns the fields of a choice, as a sentence has them.
fn names(choice: &OneofDescriptor) -> String {
    choice.fields().map(|field| format!("`{}`", field.json_name())).collect::<Vec<_>>().join(", ")
}

fn is_secret(field: &FieldDescriptor) -> bool {
    let redacted = field.options().get_field_by_name("debug_redact").and_then(|value| value.as_bool());
    redacted.unwrap_or_default()
}

/// Returns the schema of a CloudEvent whose data is an event.
pub fn cloud_event(event: &Value) -> Value {
    json!({
        "type": "object",
        "description": "An event as a CloudEvent 1.0 in its JSON format (https://cloudevents.io).",
        "required": ["specversion", "id", "source", "type", "time", "datacontenttype", "data"],
        "properties": {
            "specversion": {"type": "string", "enum": ["1.0"]},
            "id": {"type": "string", "description": "The event's `uid`."},
            "source": {"type": "string", "format": "uri-reference", "description": "`//invitation-service/accounts/{account}`."},
            "type": {"type": "string", "description": "The event's `type` after `invitation-service.`, for example `invitation-service.invitation.accepted`."},
            "time": {"type": "string", "format": "date-time"},
            "subject": {"type": "string", "description": "The name of the invitation, if the event is of one."},
            "partitionkey": {"type": "string", "description": "The UUID of the invitation, if the event is of one."},
            "traceparent": {"type": "string", "description": "The span that caused the event (W3C Trace Context), if it was recorded."},
            "datacontenttype": {"type": "string", "enum": ["application/json"]},
            "data": event,
        },
    })
}
