//! Errors as the Connect protocol has them: a status of HTTP, and JSON with code, message and details.

use std::collections::{BTreeMap, BTreeSet};

use prost_reflect::{DescriptorPool, MessageDescriptor};
use serde_json::{Map, Value, json};

use super::comments::Comments;

/// The codes: their names in gRPC and in Connect, and the status of HTTP that each has. A caller never sees CANCELLED.
const CODES: [(&str, &str, u16); 15] = [
    ("INVALID_ARGUMENT", "invalid_argument", 400),
    ("FAILED_PRECONDITION", "failed_precondition", 400),
    ("OUT_OF_RANGE", "out_of_range", 400),
    ("UNAUTHENTICATED", "unauthenticated", 401),
    ("PERMISSION_DENIED", "permission_denied", 403),
    ("NOT_FOUND", "not_found", 404),
    ("ALREADY_EXISTS", "already_exists", 409),
    ("ABORTED", "aborted", 409),
    ("RESOURCE_EXHAUSTED", "resource_exhausted", 429),
    ("UNKNOWN", "unknown", 500),
    ("INTERNAL", "internal", 500),
    ("DATA_LOSS", "data_loss", 500),
    ("UNIMPLEMENTED", "unimplemented", 501),
    ("UNAVAILABLE", "unavailable", 503),
    ("DEADLINE_EXCEEDED", "deadline_exceeded", 504),
];

/// The statuses with which any call can end, beside those of the reasons that its comment names. 415 has no `Error`.
const OF_ANY: [u16; 9] = [400, 401, 403, 415, 429, 500, 501, 503, 504];
/// The status of a write that meets other writers.
const OF_WRITES: u16 = 409;

/// The codes of the reasons.
#[derive(Debug)]
pub(super) struct Errors(BTreeMap<String, u16>);

impl Errors {
    /// Reads the reasons, whose comments begin with their codes.
    pub(super) fn of(pool: &DescriptorPool, comments: &Comments) -> Self {
        let reasons = pool.get_enum_by_name("invitation.v1.ErrorReason");
        let reasons = reasons.iter().flat_map(prost_reflect::EnumDescriptor::values).filter_map(|value| {
            let comment = comments.at(&value);
            let code = comment.split('.').next()?;
            let (_, _, status) = CODES.iter().find(|(name, ..)| *name == code)?;
            Some((value.name().strip_prefix("ERROR_REASON_")?.to_owned(), *status))
        });
        Self(reasons.collect())
    }

    /// Returns the responses of an RPC other than success, by its comment and its request.
    pub(super) fn of_call(&self, comment: &str, input: &MessageDescriptor) -> Map<String, Value> {
        let named = comment.split('`').skip(1).step_by(2).filter_map(|word| self.0.get(word).copied());
        let is_write = input.get_field_by_name("request_id").is_some();
        let statuses: BTreeSet<u16> = OF_ANY.into_iter().chain(is_write.then_some(OF_WRITES)).chain(named).collect();
        let reference = |status: u16| json!({"$ref": format!("#/components/responses/{status}")});
        statuses.into_iter().map(|status| (status.to_string(), reference(status))).collect()
    }
}

/// Returns the responses that operations refer to.
pub(super) fn responses() -> Map<String, Value> {
    let mut codes = BTreeMap::<u16, Vec<&str>>::new();
    for (_, code, status) in CODES {
        codes.entry(status).or_default().push(code);
    }
    let responses = codes.into_iter().map(|(status, codes)| {
        let quoted: Vec<_> = codes.iter().map(|code| format!("`{code}`")).collect();
        let error = json!({"$ref": "#/components/schemas/Error"});
        let schema = json!({"allOf": [error, {"properties": {"code": {"enum": codes}}}]});
        let content = json!({"application/json": {"schema": schema}});
        (status.to_string(), json!({"description": format!("An error: {}.", quoted.join(", ")), "content": content}))
    });
    let mut responses: Map<_, _> = responses.collect();
    let unsupported = json!({"description": "The request has no content type that the server reads."});
    responses.insert("415".to_owned(), unsupported);
    responses
}

/// Returns the schema of an error.
pub(super) fn schema() -> Value {
    let codes: Vec<_> = CODES.iter().map(|(_, code, _)| *code).collect();
    json!({
        "type": "object",
        "description": "An error (https://connectrpc.com/docs/protocol#error-end-stream). Act on the code, refine by the reason.",
        "required": ["code"],
        "properties": {
            "code": {"type": "string", "enum": codes, "description": "The code of gRPC."},
            "message": {"type": "string", "description": "A sentence that says what is wrong and what to do; it may be reworded."},
            "details": {
                "type": "array",
                "description": "Messages such as `google.rpc.ErrorInfo`, whose reason is explained with `ErrorReason`, `google.rpc.BadRequest` and `google.rpc.RetryInfo`.",
                "items": {
                    "type": "object",
                    "required": ["type", "value"],
                    "properties": {
                        "type": {"type": "string", "description": "The name of the message."},
                        "value": {"type": "string", "description": "The message in protobuf and base64, without padding."},
                        "debug": {"description": "The message in JSON, if there is one."},
                    },
                },
            },
        },
    })
}
