//! The log of calls: the span whose fields every line of a call has, and the one line about its answer.

mod correlation_id;
pub(crate) mod outcome;
pub(crate) mod refused;

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use http::HeaderMap;
use tonic::Code;
use tracing::Span;
use tracing::field::{Empty, display};

use self::correlation_id::correlation_id;
use self::outcome::{Outcome, code_name};
use crate::auth::caller::Caller;
use crate::config::LoggedCalls;
use crate::telemetry::events::CALLS;
use crate::telemetry::traces::TraceId;

/// The duration from which on a call is slow, and always logged.
pub(crate) const SLOW: Duration = Duration::from_secs(1);

/// The log of calls.
#[derive(Debug)]
pub(crate) struct CallLog {
    logged: LoggedCalls,
    /// The number of calls that are no problem and not slow.
    ordinary: AtomicU64,
}

/// A call that was answered.
pub(crate) struct AnsweredCall<'a> {
    pub(crate) outcome: &'a Outcome,
    pub(crate) duration: Duration,
    pub(crate) peer: Option<IpAddr>,
    pub(crate) sizes: &'a Sizes,
}

/// The bytes of a call's request and of its answer; 0 if they were not read.
#[derive(Debug, Default)]
pub(crate) struct Sizes {
    pub(crate) request: AtomicUsize,
    pub(crate) response: AtomicUsize,
}

/// Returns the span of a call. It is there as long as any line of a call may be, which has its fields of the span.
pub(crate) fn span(
    (service, method): (&str, &str),
    caller: Option<&Caller>,
    trace_id: Option<TraceId>,
    headers: &HeaderMap,
) -> Span {
    tracing::error_span!(
        target: CALLS,
        "rpc",
        service,
        method,
        account = caller.map(|caller| caller.account.as_str()),
        caller = caller.map(|caller| caller.name.as_str()),
        trace_id = trace_id.map(display),
        correlation_id = correlation_id(headers),
        invitation = Empty,
        request_id = Empty
    )
}

impl CallLog {
    /// Creates the log of the calls that are to be logged.
    pub(crate) fn new(logged: LoggedCalls) -> Self {
        Self { logged, ordinary: AtomicU64::new(0) }
    }

    /// Logs the answer to a call, if it is to be logged.
    pub(crate) fn answered(&self, span: &Span, call: &AnsweredCall<'_>) {
        let AnsweredCall { outcome: Outcome { code, reason }, duration, peer, sizes } = call;
        let Some(stands_for) = self.sample_weight(*code, *duration) else { return };
        // Whole microseconds: more digits are noise, and half of the line's length.
        let duration_ms = duration.as_micros() as f64 / 1_000.0;
        let (peer, reason, name) = (peer.map(display), reason.as_deref(), code_name(*code));
        let [request_bytes, response_bytes] = [&sizes.request, &sizes.response]
            .map(|bytes| Some(bytes.load(Ordering::Relaxed)).filter(|bytes| *bytes > 0));
        let sample = (stands_for > 1).then_some(stands_for);
        let _entered = span.enter();
        macro_rules! log {
            ($level:ident) => {
                log_event!(
                    $level,
                    CALL_ANSWERED,
                    code = name,
                    reason,
                    duration_ms,
                    peer,
                    request_bytes,
                    response_bytes,
                    sample,
                    "answered"
                )
            };
        }
        match code {
            Code::Internal | Code::Unknown | Code::DataLoss => log!(error),
            Code::Unavailable | Code::DeadlineExceeded => log!(warn),
            _ => log!(info),
        }
    }

    /// Returns the number of calls that the line of a call stands for; `None` if it has none.
    fn sample_weight(&self, code: Code, duration: Duration) -> Option<u64> {
        if is_problem(code) || duration >= SLOW {
            return Some(1);
        }
        match self.logged {
            LoggedCalls::All => Some(1),
            LoggedCalls::Problems => None,
            LoggedCalls::OneOf(calls) => {
                let is_chosen = self.ordinary.fetch_add(1, Ordering::Relaxed).is_multiple_of(calls.get());
                is_chosen.then_some(calls.get())
            }
        }
    }
}

/// Returns whether a code calls for somebody's attention: the operator's, or that of whoever wrote or configured the caller. The others are
/// the answers that a correct caller gets now and then.
fn is_problem(code: Code) -> bool {
    match code {
        Code::Unknown
        | Code::Internal
        | Code::DataLoss
        | Code::Unavailable
        | Code::DeadlineExceeded
        | Code::ResourceExhausted
        | Code::PermissionDenied
        | Code::Unauthenticated
        | Code::Unimplemented => true,
        Code::Ok
        | Code::Cancelled
        | Code::InvalidArgument
        | Code::NotFound
        | Code::AlreadyExists
        | Code::FailedPrecondition
        | Code::Aborted
        | Code::OutOfRange => false,
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;

    use super::*;

    fn weights(logged: LoggedCalls, calls: &[(Code, u64)]) -> Vec<Option<u64>> {
        let log = CallLog::new(logged);
        calls.iter().map(|(code, millis)| log.sample_weight(*code, Duration::from_millis(*millis))).collect()
    }

    #[test]
    fn problems_and_slow_calls_are_always_logged() {
        let calls = [(Code::Ok, 1), (Code::Unavailable, 1), (Code::NotFound, 999), (Code::NotFound, 1_000)];
        assert_eq!(weights(LoggedCalls::All, &calls), [Some(1); 4]);
        assert_eq!(weights(LoggedCalls::Problems, &calls), [None, Some(1), None, Some(1)]);
        let third = LoggedCalls::OneOf(NonZeroU64::new(3).unwrap());
        assert_eq!(weights(third, &calls), [Some(3), Some(1), None, Some(1)]);
    }

    #[test]
    fn sample_stands_for_all_ordinary_calls() {
        let tenth = LoggedCalls::OneOf(NonZeroU64::new(10).unwrap());
        let weights = weights(tenth, &[(Code::Ok, 1); 100]);
        assert_eq!((weights.iter().flatten().count(), weights.iter().flatten().sum::<u64>()), (10, 100));
    }
}
