//! Deletes old rows: remembered request_ids, verification codes, and what was posted to webhook endpoints.
//!
//! One replica at a time does it, in short statements, and nothing waits for it: not readiness, and no call.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::periodic_task::{PeriodicTask, TickResult};
use crate::entropy::Entropy;
use crate::store::{Begin, Follower, Store, StoreError};

/// The interval at which a replica looks whether it is time.
const POLL_INTERVAL: Duration = Duration::from_secs(60);
/// The interval at which old rows are deleted, over all replicas, in microseconds.
const PRUNE_INTERVAL: i64 = 600_000_000;

/// Deletes old rows until stopped.
pub(crate) async fn run(store: Store, stop: CancellationToken) {
    let holder = Uuid::from_bytes(Entropy::system().bytes());
    let task = PeriodicTask { name: "prune", notified: None, gather: Duration::ZERO, interval: POLL_INTERVAL, stop };
    task.run(|| async { store.prune_in_turn(holder).await.map(|_| TickResult::Done) }).await;
    // The lease ends by itself otherwise, which is soon enough.
    drop(store.release(Follower::Prune, holder).await);
}

impl Store {
    /// Deletes old rows if it is time and no other replica does. Returns how many, `None` if it did not look.
    pub async fn prune_in_turn(&self, holder: Uuid) -> Result<Option<u64>, StoreError> {
        let Some(leased) = self.lease(Follower::Prune, holder, Begin::First).await? else { return Ok(None) };
        let now = leased.now.micros();
        if now - leased.position < PRUNE_INTERVAL {
            return Ok(None);
        }
        let maintenance = self.maintenance();
        let requests = maintenance.prune_requests().await?;
        let codes = maintenance.prune_verifications().await?;
        let webhooks = maintenance.prune_webhooks().await?;
        self.advance(Follower::Prune, holder, now).await?;
        if requests + codes + webhooks > 0 {
            tracing::info!(requests, codes, webhooks, "old rows were deleted");
        }
        Ok(Some(requests + codes + webhooks))
    }
}
