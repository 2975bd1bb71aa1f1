//! Warnings of a task that goes on failing: one line now and then.

use std::fmt::Display;
use std::time::Duration;

use tokio::time::Instant;

/// The shortest time between two warnings.
const PAUSE: Duration = Duration::from_secs(10);

/// Warns at most once in a while.
#[derive(Debug, Default)]
pub(crate) struct LogLimiter {
    last: Option<Instant>,
}

impl LogLimiter {
    /// Logs that a background task is held up, unless a warning was logged a moment ago.
    pub(crate) fn warn(&mut self, name: &'static str, error: &dyn Display) {
        if self.is_due() {
            tracing::warn!(task = name, %error, "a task in the background is held up");
        }
    }

    /// Returns whether a warning may be logged now, and notes that it is.
    pub(crate) fn is_due(&mut self) -> bool {
        let is_due = self.last.is_none_or(|last| last.elapsed() >= PAUSE);
        if is_due {
            self.last = Some(Instant::now());
        }
        is_due
    }
}
