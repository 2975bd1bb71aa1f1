//! Counts what waits in the database, for metrics.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::periodic_task::{PeriodicTask, TickResult};
use crate::store::{FollowerLag, QueueBacklog, Store, StoreError};
use crate::telemetry::metrics::count_to_f64;
use crate::telemetry::metrics::table::{EVENTS_LAG, FOLLOWER_LAG, QUEUE_MESSAGES, QUEUE_OLDEST};

/// The interval between two counts.
const COUNT_INTERVAL: Duration = Duration::from_secs(10);
/// The pause after a count, as a multiple of the time that it took: a long queue takes no more than a twentieth of a connection.
const PAUSE_SHARE: u32 = 20;
/// The follower that there is only where events are published.
const NATS: &str = "nats";
/// The time by which a count may be late before what it has found before is no longer shown.
const MAX_DELAY: Duration = Duration::from_secs(60);

/// The present numbers, and how long they are good for. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Backlog(Arc<Mutex<Option<Counted>>>);

#[derive(Clone, Debug)]
struct Counted {
    queues: Vec<QueueBacklog>,
    events_lag: Duration,
    followers: Vec<FollowerLag>,
    good_until: Instant,
}

impl Backlog {
    /// Counts until stopped. Each replica counts by itself, since any of them may be the only one. `publishes` is whether this
    /// process publishes events to NATS.
    pub(crate) async fn run(self, store: Store, publishes: bool, stop: CancellationToken) {
        let (name, notified, gather) = ("backlog", None, Duration::ZERO);
        let task = PeriodicTask { name, notified, gather, interval: COUNT_INTERVAL, stop };
        // One tick runs at a time.
        let pause = tokio::sync::Mutex::new(Duration::ZERO);
        let count = || async {
            let mut pause = pause.lock().await;
            sleep(pause.saturating_sub(COUNT_INTERVAL)).await;
            let began = Instant::now();
            let (queues, events_lag) = (store.backlog().await?, store.events_lag().await?);
            let mut followers = store.follower_lags().await?;
            followers.retain(|lag| publishes || lag.follower != NATS);
            *pause = began.elapsed() * PAUSE_SHARE;
            let good_until = Instant::now() + (*pause).max(COUNT_INTERVAL) + MAX_DELAY;
            self.replace(Counted { queues, events_lag, followers, good_until });
            Ok::<_, StoreError>(TickResult::Done)
        };
        task.run(count).await;
    }

    fn replace(&self, counted: Counted) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(counted);
    }

    /// Sets the gauges: to NaN if the database has not been asked successfully for too long.
    pub(crate) fn set_gauges(&self) {
        let counted = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(counted) = counted else { return };
        let shown = |value: f64| counted.shown(value, Instant::now());
        for QueueBacklog { queue, due, delayed, oldest } in &counted.queues {
            QUEUE_MESSAGES.set(shown(count_to_f64(*due)), [queue, "due"]);
            QUEUE_MESSAGES.set(shown(count_to_f64(*delayed)), [queue, "delayed"]);
            QUEUE_OLDEST.set(shown(oldest.as_secs_f64()), [queue]);
        }
        EVENTS_LAG.set(shown(counted.events_lag.as_secs_f64()), []);
        for FollowerLag { follower, lag } in &counted.followers {
            FOLLOWER_LAG.set(shown(lag.as_secs_f64()), [follower]);
        }
    }
}

impl Counted {
    /// Returns a value that was counted, or NaN if it is too old at a moment: what is shown was measured.
    fn shown(&self, value: f64, now: Instant) -> f64 {
        if now <= self.good_until { value } else { f64::NAN }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn count_that_is_too_old_is_not_shown() {
        let now = Instant::now();
        let good_until = now + COUNT_INTERVAL + MAX_DELAY;
        let counted = Counted { queues: Vec::new(), events_lag: Duration::ZERO, followers: Vec::new(), good_until };
        assert!((counted.shown(7.0, now) - 7.0).abs() < f64::EPSILON);
        assert!((counted.shown(7.0, good_until) - 7.0).abs() < f64::EPSILON);
        assert!(counted.shown(7.0, good_until + Duration::from_millis(1)).is_nan());
    }
}
