//! Events.

use prost_types::value::Kind as Json;
use prost_types::{ListValue, Struct};
use serde_json::{Map, Value};

use super::{kind, timestamp};
use crate::domain::event::Event;
use crate::grpc::name::invitation_name;
use crate::pb;

/// Converts an event.
pub(in crate::grpc) fn event(Event { event, sequence }: &Event) -> pb::Event {
    let invitation = invitation_name(event.invitation);
    pb::Event {
        name: format!("{invitation}/events/{sequence}"),
        r#type: event.event_type.name().to_owned(),
        time: Some(timestamp(event.time)),
        invitation,
        kind: kind(event.kind),
        sequence: *sequence,
        actor: event.actor.clone(),
        request_id: event.request_id.clone().unwrap_or_default(),
        data: Some(json_object(&event.data)),
    }
}

fn json_object(object: &Map<String, Value>) -> Struct {
    Struct { fields: object.iter().map(|(key, value)| (key.clone(), json_value(value))).collect() }
}

fn json_value(value: &Value) -> prost_types::Value {
    let kind = match value {
        Value::Null => Json::NullValue(0),
        Value::Bool(value) => Json::BoolValue(*value),
        Value::Number(value) => Json::NumberValue(value.as_f64().unwrap_or_default()),
        Value::String(value) => Json::StringValue(value.clone()),
        Value::Array(values) => Json::ListValue(ListValue { values: values.iter().map(json_value).collect() }),
        Value::Object(object) => Json::StructValue(json_object(object)),
    };
    prost_types::Value { kind: Some(kind) }
}
