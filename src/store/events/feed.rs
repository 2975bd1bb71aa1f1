//! The newest events for all in this process who follow them: read once, however many there are.
//!
//! What is handed out is kept for those who are a little behind; who is further behind reads from the database.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

use super::notifications::Topic;
use crate::store::Store;
use crate::store::periodic_task::{PeriodicTask, TickResult};
use crate::store::read::positions::EventBatch;
use crate::store::sql::error::StoreError;

/// How many stretches are kept, and how many events one may have: the most that is kept in memory, whoever is behind.
const KEPT: usize = 32;
const LIMIT: u64 = 256;
/// The interval at which it looks without a notification.
const INTERVAL: Duration = Duration::from_secs(1);

/// Hands out the newest events. Clones hand out the same.
#[derive(Clone, Debug)]
pub struct EventFeed(broadcast::Sender<Arc<EventBatch>>);

impl EventFeed {
    /// Makes one that nobody follows yet.
    pub fn new() -> Self {
        Self(broadcast::Sender::new(KEPT))
    }

    /// Returns where stretches come out from now on, not necessarily without a gap before the first.
    pub fn follow(&self) -> broadcast::Receiver<Arc<EventBatch>> {
        self.0.subscribe()
    }
}

impl Default for EventFeed {
    fn default() -> Self {
        Self::new()
    }
}

/// Reads what is new and hands it out, as long as anybody follows, until stopped.
pub async fn run(store: Store, tail: EventFeed, stop: CancellationToken) {
    let heard = Some(store.notifications().subscribe(Topic::Position));
    let rounds = PeriodicTask { name: "tail", heard, gather: Duration::ZERO, interval: INTERVAL, stop };
    // PeriodicTask are made one after another.
    let at = tokio::sync::Mutex::new(None);
    rounds.run(|| async { read(&store, &tail, &mut *at.lock().await).await }).await;
}

/// Hands out what is behind `at`, or, where nobody knew, from where it goes on.
async fn read(store: &Store, tail: &EventFeed, at: &mut Option<i64>) -> Result<TickResult, StoreError> {
    if tail.0.receiver_count() == 0 {
        *at = None;
        return Ok(TickResult::Done);
    }
    let stretch = match *at {
        Some(after) => store.all_events_behind(after, LIMIT).await?,
        None => {
            let last = store.last_position().await?;
            EventBatch { after: last, until: last, is_last: true, events: Vec::new() }
        }
    };
    let is_last = stretch.is_last;
    if *at != Some(stretch.until) {
        *at = Some(stretch.until);
        // None are left if the last follower went away meanwhile.
        drop(tail.0.send(Arc::new(stretch)));
    }
    Ok(if is_last { TickResult::Done } else { TickResult::More })
}
