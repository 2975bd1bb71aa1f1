//! The newest events for all in this process who follow them: read once, however many there are.
//!
//! Batches are kept for followers that are a little behind; a follower that is further behind reads from the database.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

use super::periodic_task::{PeriodicTask, TickResult};
use crate::store::{EventBatch, Store, StoreError, Topic};

/// The batches that are kept, and the events that one may have: the most that is in memory, however far a follower is behind.
const MAX_BATCHES: usize = 32;
const MAX_EVENTS: u64 = 256;
/// The interval at which it looks without a notification.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// Hands out the newest events. Clones hand out the same.
#[derive(Clone, Debug)]
pub struct EventFeed(broadcast::Sender<Arc<EventBatch>>);

impl EventFeed {
    /// Creates a feed without followers.
    pub fn new() -> Self {
        Self(broadcast::Sender::new(MAX_BATCHES))
    }

    /// Returns the batches from now on. There may be a gap before the first.
    pub fn follow(&self) -> broadcast::Receiver<Arc<EventBatch>> {
        self.0.subscribe()
    }
}

impl Default for EventFeed {
    fn default() -> Self {
        Self::new()
    }
}

/// Reads new events and hands them out while there are followers, until stopped.
pub async fn run(store: Store, feed: EventFeed, stop: CancellationToken) {
    let notified = Some(store.notifications().subscribe(Topic::Position));
    let task = PeriodicTask { name: "event_feed", notified, gather: Duration::ZERO, interval: POLL_INTERVAL, stop };
    // One tick runs at a time.
    let at = tokio::sync::Mutex::new(None);
    task.run(|| async { read(&store, &feed, &mut *at.lock().await).await }).await;
}

/// Hands out the events behind `at`; without it, an empty batch that says from where it goes on.
async fn read(store: &Store, feed: &EventFeed, at: &mut Option<i64>) -> Result<TickResult, StoreError> {
    if feed.0.receiver_count() == 0 {
        *at = None;
        return Ok(TickResult::Done);
    }
    let batch = match *at {
        Some(after) => store.all_events_behind(after, MAX_EVENTS).await?,
        None => {
            let last = store.last_position().await?;
            EventBatch { after: last, until: last, is_last: true, time: None, events: Vec::new() }
        }
    };
    let is_last = batch.is_last;
    if *at != Some(batch.until) {
        *at = Some(batch.until);
        // There is no receiver if the last follower went away meanwhile.
        drop(feed.0.send(Arc::new(batch)));
    }
    Ok(if is_last { TickResult::Done } else { TickResult::More })
}
