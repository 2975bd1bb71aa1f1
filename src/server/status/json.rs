//! The statuses for requests that are written in JSON, or break the rules of Connect.

use tonic::Status;

use super::{invalid_fields, status};
use crate::domain::value::rule::FieldRule;
use crate::pb::ErrorReason;
use crate::server::violation::Violation;

/// INVALID_ARGUMENT for a request that is no message, with the reason and the remedy in words.
pub(crate) fn malformed(message: &str) -> Status {
    status(ErrorReason::MalformedMessage, message, [])
}

/// INVALID_ARGUMENT for a field of a request in JSON whose value has another form.
pub(crate) fn invalid_json_value(path: &str, rule: FieldRule, description: &str) -> Status {
    invalid_fields(vec![Violation::new(path, rule, description)])
}

/// RESOURCE_EXHAUSTED for a request in JSON with more values than any request needs.
pub(crate) fn too_many_values(most: usize) -> Status {
    let message = format!("the request has more than {most} values: split it");
    status(ErrorReason::MessageTooLarge, &message, [("max_values", most.to_string())])
}
