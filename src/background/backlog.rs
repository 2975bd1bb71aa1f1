//! Counts what waits in the database, for metrics.

use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::periodic_task::{PeriodicTask, TickResult};
use crate::store::{Store, StoreError};

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
        store.set_backlog_gauges().await?;
        *pause = began.elapsed() * PAUSE_SHARE;
        Ok::<_, StoreError>(TickResult::Done)
    };
    task.run(count).await;
}
