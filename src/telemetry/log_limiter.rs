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
        if self.last.is_none_or(|last| last.elapsed() >= PAUSE) {
            self.last = Some(Instant::now());
            tracing::warn!(task = name, %error, "a task in the background is held up");
        }
    }
}
