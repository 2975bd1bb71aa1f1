//! Counts the calls that are being answered, so that a shutdown knows when all are answered.

use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

/// The calls of this service that are under way. Health and reflection streams do not count: they never end by themselves.
#[derive(Clone, Debug, Default)]
pub struct InFlight(TaskTracker);

impl InFlight {
    /// Counts a call until its answer is written or given up.
    pub(crate) fn enter(&self) -> TaskTrackerToken {
        self.0.token()
    }

    /// Waits until no call is under way. It is called once no new calls are accepted.
    pub async fn finished(&self) {
        self.0.close();
        self.0.wait().await;
    }

    /// Returns the number of calls under way.
    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// Returns whether no call is under way.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
