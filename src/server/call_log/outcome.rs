//! The result of a call: the status code, and the reason of a refusal.

use http::Response;
use tonic::body::Body;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::server::request_body::MAX_MESSAGE;
use crate::server::status;

/// The result of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) code: Code,
    /// The reason in the ErrorInfo of a refusal.
    pub(crate) reason: Option<String>,
}

impl Outcome {
    fn of(refused: &Status) -> Self {
        Self { code: refused.code(), reason: refused.get_details_error_info().map(|info| info.reason) }
    }
}

/// Returns the response with its outcome. If tonic refused by itself, the response is that of the contract.
pub(crate) fn with_outcome(answered: Response<Body>) -> (Response<Body>, Outcome) {
    let Some(refused) = Status::from_header_map(answered.headers()) else {
        return (answered, Outcome { code: Code::Ok, reason: None });
    };
    match status::of_tonic(&refused, MAX_MESSAGE) {
        Some(refused) if refused.code() != Code::Ok => {
            let outcome = Outcome::of(&refused);
            (refused.into_http(), outcome)
        }
        _ => {
            let outcome = Outcome::of(&refused);
            (status::bounded(&refused).map_or(answered, Status::into_http), outcome)
        }
    }
}

/// Returns the canonical name of a code, as the specification of gRPC writes it.
pub(crate) fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}
