//! The end of a command that failed: one readable line, and the code that the process exits with.

use std::fmt;
use std::io;
use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use super::connection::with_causes;
use super::output::printable::printable;
use crate::cli::exit::Exit;

/// The longest wait that a server may ask for and that a command obeys; beyond it the command fails, and tells the time.
const MAX_WAIT: Duration = Duration::from_secs(120);

/// The reason why a command failed.
#[derive(Clone, Debug)]
pub struct Failure {
    kind: FailureKind,
    text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FailureKind {
    /// The server refused, or something here failed.
    Failed,
    /// The arguments cannot be used.
    Usage,
    /// The server refused the caller, and would refuse every other call like this one.
    Denied,
    /// No server answered, or not in time.
    Unreachable,
    /// The reader of the output has gone, as `head` does.
    Closed,
}

impl Failure {
    fn new(kind: FailureKind, text: &str) -> Self {
        Self { kind, text: printable(text).into_owned() }
    }

    /// Creates a failure of anything but the arguments and the connection.
    pub(super) fn failed(text: impl AsRef<str>) -> Self {
        Self::new(FailureKind::Failed, text.as_ref())
    }

    /// Creates the failure of arguments that cannot be used.
    pub(super) fn usage(text: impl AsRef<str>) -> Self {
        Self::new(FailureKind::Usage, text.as_ref())
    }

    /// Creates the failure of a server that does not answer.
    pub(super) fn unreachable(text: impl AsRef<str>) -> Self {
        Self::new(FailureKind::Unreachable, text.as_ref())
    }

    /// Reads the status of a call to an endpoint.
    pub(super) fn of(status: &Status, endpoint: &str) -> Self {
        // A status that the server sent has no source.
        if let Some(source) = std::error::Error::source(status) {
            // The outermost cause says no more than that there is one.
            let source = source.source().unwrap_or(source);
            let causes = with_causes(source);
            let hint = scheme_hint(endpoint, &causes).unwrap_or_default();
            return Self::unreachable(format!("cannot reach {endpoint}: {causes}{hint}"));
        }
        let reason = reason(status);
        let kind = match status.code() {
            Code::Unavailable | Code::DeadlineExceeded => FailureKind::Unreachable,
            Code::Unauthenticated => FailureKind::Denied,
            Code::PermissionDenied if reason == "PERMISSION_DENIED" => FailureKind::Denied,
            _ => FailureKind::Failed,
        };
        Self::new(kind, &format!("{reason}: {}", sentence(status)))
    }

    /// Returns the same failure with what follows from it.
    pub(super) fn followed_by(mut self, text: &str) -> Self {
        self.text += text;
        self
    }

    /// Returns whether every other call like this one would fail too.
    pub(super) fn is_final(&self) -> bool {
        matches!(self.kind, FailureKind::Unreachable | FailureKind::Denied | FailureKind::Closed)
    }

    /// Returns the code that the process exits with.
    pub fn exit(&self) -> Exit {
        match self.kind {
            FailureKind::Closed => Exit::Success,
            FailureKind::Failed | FailureKind::Denied => Exit::Failed,
            FailureKind::Usage => Exit::Usage,
            FailureKind::Unreachable => Exit::Unreachable,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Failure {}

/// The output could not be written.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::new(FailureKind::Closed, ""),
            _ => Self::failed(format!("cannot write the output: {error}")),
        }
    }
}

/// Returns the other scheme to try if an error is that of a server which speaks TLS to a caller that does not, or the other way round.
fn scheme_hint(endpoint: &str, causes: &str) -> Option<&'static str> {
    // A record of TLS has no meaning as a frame of HTTP/2, and a frame none as a record.
    let is_record = causes.contains("frame with invalid size");
    let is_frame = causes.contains("InvalidContentType") || causes.contains("corrupt message");
    match endpoint.split_once(':')?.0.to_ascii_lowercase().as_str() {
        "http" if is_record => Some(": the server may serve TLS: try an https:// endpoint"),
        "https" if is_frame => Some(": the server may serve no TLS: try an http:// endpoint"),
        _ => None,
    }
}

/// Returns the reason of this API, or else the code.
fn reason(status: &Status) -> String {
    status.get_details_error_info().map_or_else(|| format!("{:?}", status.code()), |info| info.reason)
}

/// Returns the fields that break a rule or else the message, and the time to wait.
fn sentence(status: &Status) -> String {
    let violations = status.get_details_bad_request().map(|bad| bad.field_violations).unwrap_or_default();
    let violations: Vec<_> =
        violations.iter().map(|violation| format!("{} {}", violation.field, violation.description)).collect();
    let text = if violations.is_empty() { status.message().to_owned() } else { violations.join("; ") };
    let wait = match wanted_wait(status) {
        Some(wait) if wait > Duration::from_secs(1) => format!(" (try again in {} s)", wait.as_secs_f64().ceil()),
        _ => String::new(),
    };
    text + &wait
}

fn wanted_wait(status: &Status) -> Option<Duration> {
    status.get_details_retry_info()?.retry_delay
}

/// Returns the time after which a call that may be repeated is worth another try; `None` if it is not.
pub(super) fn retry_after(status: &Status, waits_for_rates: bool) -> Option<Duration> {
    let wanted = wanted_wait(status);
    let is_away = std::error::Error::source(status).is_some() || status.code() == Code::Unavailable;
    let is_limited = waits_for_rates && status.code() == Code::ResourceExhausted && wanted.is_some();
    let may_try = is_away || is_limited || (status.code() == Code::Aborted && wanted.is_some());
    may_try.then(|| wanted.unwrap_or_default()).filter(|wait| *wait <= MAX_WAIT)
}

#[cfg(test)]
mod tests {
    use tonic_types::ErrorDetails;

    use super::*;

    #[test]
    fn refusal_is_one_line_with_its_reason_and_its_fields() {
        let mut details =
            ErrorDetails::with_error_info("INVALID_FIELD", "invitation-service", std::collections::HashMap::new());
        details.add_bad_request_violation("invitation.scope.id", "must not be empty");
        details.add_bad_request_violation("a", "is \u{1b}[31mred\nor not");
        let status = Status::with_error_details(Code::InvalidArgument, "2 fields", details);
        let failure = Failure::of(&status, "http://h");
        let expected = "INVALID_FIELD: invitation.scope.id must not be empty; a is \\u{1b}[31mred\\u{a}or not";
        assert_eq!((failure.to_string().as_str(), failure.exit()), (expected, Exit::Failed));
        assert!(!failure.is_final());
    }

    #[test]
    fn time_to_wait_is_told_and_obeyed_where_it_may_help() {
        let limited = |wait| {
            let mut details = ErrorDetails::with_retry_info(Some(Duration::from_secs(wait)));
            details.set_error_info("RATE_LIMITED", "invitation-service", std::collections::HashMap::new());
            Status::with_error_details(Code::ResourceExhausted, "too many", details)
        };
        assert_eq!(Failure::of(&limited(42), "").to_string(), "RATE_LIMITED: too many (try again in 42 s)");
        assert_eq!(retry_after(&limited(42), false), None);
        assert_eq!(retry_after(&limited(42), true), Some(Duration::from_secs(42)));
        assert_eq!(retry_after(&limited(3_600), true), None);
        assert_eq!(retry_after(&Status::unavailable("away"), false), Some(Duration::ZERO));
        for code in [Code::Aborted, Code::Internal, Code::Unknown, Code::DeadlineExceeded, Code::ResourceExhausted] {
            assert_eq!(retry_after(&Status::new(code, ""), true), None, "{code:?}");
        }
    }

    #[test]
    fn each_kind_has_its_exit_code() {
        let of = |code| Failure::of(&Status::new(code, ""), "").exit();
        let wanted = [Exit::Unreachable, Exit::Unreachable, Exit::Failed];
        assert_eq!([Code::Unavailable, Code::DeadlineExceeded, Code::NotFound].map(of), wanted);
        assert_eq!((Failure::usage("").exit(), Failure::failed("").exit()), (Exit::Usage, Exit::Failed));
        let gone = Failure::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert!(gone.exit() == Exit::Success && gone.is_final());
    }
}
