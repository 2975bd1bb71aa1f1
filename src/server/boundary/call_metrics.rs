//! The metrics and the spans of calls: their durations by method and code, and the reasons of refusals.

use std::collections::HashMap;
use std::sync::OnceLock;
use std::time::Duration;

use metrics::Histogram;
use tonic::Code;

use crate::pb::ErrorReason;
use crate::server::call_log::outcome::{Outcome, code_name};
use crate::telemetry::metrics::table::{CALL_SECONDS, CALLS_REFUSED};
use crate::telemetry::traces::Span;

/// The system of `rpc.system.name`, and the method of calls that none is known for, as OpenTelemetry has them.
const SYSTEM: &str = "grpc";
const OTHER: &str = "_OTHER";

/// The number of codes.
const CODES: usize = 17;

/// The histograms of one method, each made at its first call.
type ByCode = [OnceLock<Option<Histogram>>; CODES];

/// The histograms of all methods.
pub(super) struct CallMetrics {
    known: HashMap<&'static str, ByCode>,
    other: ByCode,
}

impl CallMetrics {
    /// Creates the metrics of these methods, by their paths.
    pub(super) fn new(paths: impl Iterator<Item = &'static str>) -> Self {
        Self { known: paths.map(|path| (path, ByCode::default())).collect(), other: ByCode::default() }
    }

    /// Returns the name of a method by its path, in words of this program.
    pub(super) fn method(&self, path: &str) -> &'static str {
        self.known.get_key_value(path).map_or(OTHER, |(path, _)| path.trim_start_matches('/'))
    }

    /// Notes an answered call.
    pub(super) fn note(&self, path: &str, Outcome { code, reason }: &Outcome, took: Duration) {
        let code = *code;
        let (method, by_code) = match self.known.get_key_value(path) {
            Some((path, by_code)) => (path.trim_start_matches('/'), by_code),
            None => (OTHER, &self.other),
        };
        // There is a place for each code.
        if let Some(place) = usize::try_from(i32::from(code)).ok().and_then(|code| by_code.get(code)) {
            let histogram = place.get_or_init(|| CALL_SECONDS.handle([SYSTEM, method, code_name(code)]));
            histogram.iter().for_each(|histogram| histogram.record(took.as_secs_f64()));
        }
        // UNAVAILABLE is a failure of the service, and not a refusal of what the caller asks for.
        let is_refusal = matches!(code, Code::Unauthenticated | Code::PermissionDenied | Code::ResourceExhausted);
        if let (true, Some(reason)) = (is_refusal, reason.as_deref()) {
            CALLS_REFUSED.count([known_reason(reason)]);
        }
    }
}

/// Returns the reason among those of the contract.
fn known_reason(reason: &str) -> &'static str {
    let known = ErrorReason::from_str_name(&format!("ERROR_REASON_{reason}"));
    known.unwrap_or(ErrorReason::Unspecified).as_str_name().trim_start_matches("ERROR_REASON_")
}

/// Notes the answer of a call in its span.
pub(super) fn end(traced: &Span, Outcome { code, reason }: &Outcome) {
    traced.set("rpc.response.status_code", code_name(*code));
    if is_failure(*code) {
        traced.fail(reason.clone().unwrap_or_default());
    }
}

/// Returns whether a code is a failure of the server, as OpenTelemetry has it for gRPC.
fn is_failure(code: Code) -> bool {
    matches!(
        code,
        Code::Unknown
            | Code::DeadlineExceeded
            | Code::Unimplemented
            | Code::Internal
            | Code::Unavailable
            | Code::DataLoss
    )
}
