//! Warnings of tasks that go on failing: one line now and then, and one for each cause.

use std::fmt::Display;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::metrics::table::TASK_FAILURES;

/// The shortest time between two warnings.
const PAUSE: Duration = Duration::from_secs(10);
/// The time for which nobody else logs a cause again. Whoever has logged it does so first, since it is longer than the pause.
const CAUSE_PAUSE: Duration = Duration::from_secs(15);
/// The most causes that are remembered.
const MAX_CAUSES: usize = 32;

/// The causes that were logged, with the name of the task and the moment. An outage of the database meets every task of the process.
static CAUSES: Mutex<Vec<Cause>> = Mutex::new(Vec::new());

struct Cause {
    text: String,
    name: &'static str,
    at: Instant,
}

/// Warns at most once in a while.
#[derive(Debug, Default)]
pub(crate) struct LogLimiter {
    last: Option<Instant>,
}

impl LogLimiter {
    /// Counts a failure of a background task, and logs it as [`LogLimiter::log`] does.
    pub(crate) fn warn(&mut self, name: &'static str, error: &dyn Display) {
        TASK_FAILURES.count([name]);
        self.log(name, error);
    }

    /// Logs that a background task fails, unless a warning was logged a moment ago, or another task has logged the same cause.
    pub(crate) fn log(&mut self, name: &'static str, error: &dyn Display) {
        if self.is_due() && is_news(name, &error.to_string()) {
            log_event!(warn, TASK_FAILING, task = name, %error, "a task in the background fails");
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

/// Notes that a cause is logged, whoever else has logged it.
pub(crate) fn note_cause(name: &'static str, text: &str) {
    CAUSES.lock().unwrap_or_else(PoisonError::into_inner).retain(|cause| cause.text != text);
    is_news(name, text);
}

/// Returns whether no other task has logged a cause a moment ago, and notes that this one does.
fn is_news(name: &'static str, text: &str) -> bool {
    let mut causes = CAUSES.lock().unwrap_or_else(PoisonError::into_inner);
    causes.retain(|cause| cause.at.elapsed() < CAUSE_PAUSE);
    match causes.iter_mut().find(|cause| cause.text == text) {
        Some(cause) if cause.name != name => return false,
        Some(cause) => {
            cause.at = Instant::now();
            return true;
        }
        None => {}
    }
    if causes.len() < MAX_CAUSES {
        causes.push(Cause { text: text.to_owned(), name, at: Instant::now() });
    }
    true
}

#[cfg(test)]
mod tests {
    use tokio::time::sleep;

    use super::*;

    #[tokio::test(start_paused = true, crate = "crate::limit")]
    async fn cause_is_logged_by_one_task_at_a_time() {
        let logged = |name| is_news(name, "the cause of this test");
        assert!(logged("one") && !logged("two") && is_news("two", "another cause of this test"));
        sleep(PAUSE).await;
        assert!(!logged("two") && logged("one"), "the first is the first again");
        sleep(CAUSE_PAUSE).await;
        assert!(logged("two"), "the first has stopped");
    }
}
