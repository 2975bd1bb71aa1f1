//! Counts what waits in the database, for metrics.

use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::periodic_task::{PeriodicTask, TickResult};
use crate::store::{QueueBacklog, Store, StoreError};
use crate::telemetry::metrics::table::{EVENTS_LAG, QUEUE_MESSAGES, QUEUE_OLDEST};

/// The interval between two counts.
const COUNT_INTERVAL: Duration = Duration::from_secs(10);
/// The pause after a count, as a multiple of the time that it took: a long queue takes no more than a twentieth of a connection.
const PAUSE_SHARE: u32 = 20;

/// Counts until stopped. Each replica counts by itself, since any of them may be the only one.
pub(crate) async fn run(store: Store, stop: CancellationToken) {
    let (name, notified, gather) = ("backlog", None, Duration::ZERO);
    let task = PeriodicTask { name, notified, gather, interval: COUNT_INTERVAL, stop };
    // One tick runs at a time.
    let pause = Mutex::new(Duration::ZERO);
    let count = || async {
        let mut pause = pause.lock().await;
        sleep(pause.saturating_sub(COUNT_INTERVAL)).await;
        let began = Instant::now();
        for QueueBacklog { queue, due, delayed, oldest } in store.backlog().await? {
            QUEUE_MESSAGES.set_count(due, [queue, "due"]);
            QUEUE_MESSAGES.set_count(delayed, [queue, "delayed"]);
            QUEUE_OLDEST.set(oldest.as_secs_f64(), [queue]);
        }
        EVENTS_LAG.set(store.events_lag().await?.as_secs_f64(), []);
        *pause = began.elapsed() * PAUSE_SHARE;
        Ok::<_, StoreError>(TickResult::Done)
    };
    task.run(count).await;
}
