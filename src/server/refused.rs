//! The calls without a valid credential, and the connections that fail to become TLS: they are counted, so that strangers do not fill
//! the log.

use std::fmt::Display;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// The shortest time between two lines.
const PAUSE: Duration = Duration::from_secs(1);

/// Counts refused calls, or failed handshakes, and logs their number now and then.
#[derive(Debug, Default)]
pub(crate) struct RefusedCalls(Mutex<Counted>);

#[derive(Debug, Default)]
struct Counted {
    calls: u64,
    logged: Option<Instant>,
}

impl RefusedCalls {
    /// Counts a call.
    pub(crate) fn count(&self) {
        if let Some(calls) = self.count_at(Instant::now()) {
            tracing::info!(calls, "refused calls without a valid credential");
        }
    }

    /// Counts a connection that has not become one of TLS.
    pub(crate) fn count_handshake(&self, problem: &dyn Display) {
        if let Some(connections) = self.count_at(Instant::now()) {
            tracing::info!(connections, %problem, "TLS handshakes failed");
        }
    }

    /// Counts a call, and returns the number of calls that are to be logged now.
    fn count_at(&self, now: Instant) -> Option<u64> {
        let mut counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counted.calls += 1;
        if counted.logged.is_some_and(|logged| now.duration_since(logged) < PAUSE) {
            return None;
        }
        counted.logged = Some(now);
        Some(std::mem::take(&mut counted.calls))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refused_calls_are_logged_once_a_second_with_their_number() {
        let (refused, start) = (RefusedCalls::default(), Instant::now());
        let at = |millis| start + Duration::from_millis(millis);
        let logged: Vec<_> = [0, 1, 999, 1_000, 1_001, 5_000].map(|millis| refused.count_at(at(millis))).to_vec();
        assert_eq!(logged, [Some(1), None, None, Some(3), None, Some(2)]);
    }
}
