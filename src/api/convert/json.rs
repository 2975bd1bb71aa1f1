//! JSON objects, as they are stored, and the well-known type that carries them.

use prost_types::value::Kind as Json;
use prost_types::{ListValue, Struct};
use serde_json::{Map, Value};

/// Converts an object.
pub(in crate::api) fn json_object(object: &Map<String, Value>) -> Struct {
    Struct { fields: object.iter().map(|(key, value)| (key.clone(), json_value(value))).collect() }
}

/// Converts the text of an object, which was checked when it was stored.
pub(in crate::api) fn json_text(text: &str) -> Option<Struct> {
    serde_json::from_str(text).ok().map(|object| json_object(&object))
}

/// Converts any value.
pub(in crate::api) fn json_value(value: &Value) -> prost_types::Value {
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
