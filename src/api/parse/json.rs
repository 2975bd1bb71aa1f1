//! JSON objects that are stored for their creator.

use prost_types::value::Kind as Json;
use prost_types::{Struct, Value as Given};
use serde_json::{Map, Number, Value};

use crate::api::parse::violations::Violations;
use crate::domain::value::rule::{FieldRule, Invalid};
use crate::domain::value::text::{self, MAX_JSON_BYTES};

/// Parses an object to the text that is stored; an absent one is `None`.
pub(in crate::api) fn json(violations: &mut Violations, field: &str, given: Option<&Struct>) -> Option<String> {
    let parsed = json_object(given?).and_then(|object| {
        let text = Value::Object(object).to_string();
        if text.len() <= MAX_JSON_BYTES {
            Ok(text)
        } else {
            Err(Invalid::new(FieldRule::TooLong, "must have at most 16 KiB as JSON"))
        }
    });
    violations.take(field, parsed)
}

/// Parses one field of an object. The object as a whole is limited where it is put together.
pub(in crate::api) fn json_entry(violations: &mut Violations, field: &str, given: &Given) -> Option<Value> {
    violations.take(field, json_value(given))
}

fn json_object(object: &Struct) -> Result<Map<String, Value>, Invalid> {
    object.fields.iter().map(|(key, value)| Ok((plain(key)?, json_value(value)?))).collect()
}

fn json_value(value: &Given) -> Result<Value, Invalid> {
    Ok(match &value.kind {
        None | Some(Json::NullValue(_)) => Value::Null,
        Some(Json::BoolValue(value)) => Value::Bool(*value),
        Some(Json::NumberValue(value)) => {
            Value::Number(Number::from_f64(*value).ok_or(Invalid::format("must not contain infinite numbers or NaN"))?)
        }
        Some(Json::StringValue(value)) => Value::String(plain(value)?),
        Some(Json::ListValue(list)) => Value::Array(list.values.iter().map(json_value).collect::<Result<_, _>>()?),
        Some(Json::StructValue(object)) => Value::Object(json_object(object)?),
    })
}

fn plain(text: &str) -> Result<String, Invalid> {
    if text.chars().any(text::is_control) {
        Err(Invalid::format("must not contain control characters"))
    } else {
        Ok(text.to_owned())
    }
}
