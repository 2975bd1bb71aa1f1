//! Deletes old rows: remembered request_ids, verification codes, and what was posted to webhook endpoints; and, if an age is set
//! for them, events, messages to people and ended invitations.
//!
//! One replica at a time does it, in short statements, and nothing waits for it: not readiness, and no call. Where much is to be
//! deleted, it does so in turns of some seconds, with pauses as long as the statements.

use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::periodic_task::{PeriodicTask, TickResult};
use crate::entropy::Entropy;
use crate::store::{Begin, Follower, PruneTurn, Pruned, Retention, Store, StoreError};

/// The interval at which a replica looks whether it is time.
const POLL_INTERVAL: Duration = Duration::from_secs(60);
/// The interval at which old rows are deleted, over all replicas, in microseconds.
const PRUNE_INTERVAL: i64 = 600_000_000;

/// The time after which a turn begins no further chunk: its lease and the limit of a tick last longer.
const TURN_TIME: Duration = Duration::from_secs(10);

/// Deletes old rows until stopped.
pub(crate) async fn run(store: Store, retention: Retention, stop: CancellationToken) {
    let holder = Uuid::from_bytes(Entropy::system().bytes());
    let task = PeriodicTask { name: "prune", notified: None, gather: Duration::ZERO, interval: POLL_INTERVAL, stop };
    task.run(|| async {
        let pruned = store.prune_in_turn(holder, &retention).await?;
        Ok::<_, StoreError>(if pruned.is_none_or(|pruned| pruned.is_done) {
            TickResult::Done
        } else {
            TickResult::More
        })
    })
    .await;
    // The lease ends by itself otherwise, which is soon enough.
    drop(store.release(Follower::Prune, holder).await);
}

impl Store {
    /// Deletes old rows if it is time and no other replica does. Returns `None` if it did not look.
    pub async fn prune_in_turn(&self, holder: Uuid, retention: &Retention) -> Result<Option<Pruned>, StoreError> {
        let Some(leased) = self.lease(Follower::Prune, holder, Begin::First).await? else { return Ok(None) };
        let now = leased.now.micros();
        if now - leased.position < PRUNE_INTERVAL {
            return Ok(None);
        }
        let (maintenance, begun) = (self.maintenance(), Instant::now());
        let mut troubles = Troubles::default();
        let requests = troubles.without(maintenance.prune_requests().await, 0);
        let codes = troubles.without(maintenance.prune_verifications().await, 0);
        let webhooks = troubles.without(maintenance.prune_webhooks().await, 0);
        let quotas = troubles.without(maintenance.prune_quotas().await, 0);
        // The turn begins here, because it rests for as long as its own chunks took; the time before counts for its end.
        let mut turn = PruneTurn::lasting(TURN_TIME.saturating_sub(begun.elapsed()));
        let Retention { events, deliveries, ended_invitations, counts_open, publishes } = *retention;
        let holds = match counts_open {
            true => troubles.without(maintenance.compare_holds(&mut turn).await, NONE),
            false => NONE,
        };
        let events = match events {
            Some(age) => troubles.without(maintenance.prune_events(age, publishes, &mut turn).await, NONE),
            None => NONE,
        };
        let deliveries = match deliveries {
            Some(age) => troubles.without(maintenance.prune_deliveries(age, &mut turn).await, NONE),
            None => NONE,
        };
        let invitations = match ended_invitations {
            Some(age) => troubles.without(maintenance.prune_ended_invitations(age, &mut turn).await, NONE),
            None => NONE,
        };
        let is_done = holds.is_done && events.is_done && deliveries.is_done && invitations.is_done;
        if is_done && troubles.0.is_none() {
            self.advance(Follower::Prune, holder, now).await?;
        }
        let (events, deliveries, invitations) = (events.rows, deliveries.rows, invitations.rows);
        let quotas = quotas + holds.rows;
        let rows = requests + codes + webhooks + quotas + events + deliveries + invitations;
        if rows > 0 {
            log_event!(
                info,
                OLD_ROWS_DELETED,
                requests,
                codes,
                webhooks,
                quotas,
                events,
                deliveries,
                invitations,
                "old rows were deleted"
            );
        }
        troubles.0.map_or(Ok(Some(Pruned { rows, is_done })), Err)
    }
}

const NONE: Pruned = Pruned { rows: 0, is_done: true };

/// The first trouble of a turn: what cannot be deleted holds up nothing else.
#[derive(Default)]
struct Troubles(Option<StoreError>);

impl Troubles {
    /// Returns the rows that were deleted, or those of trouble.
    fn without<T>(&mut self, pruned: Result<T, StoreError>, none: T) -> T {
        pruned.unwrap_or_else(|error| {
            self.0.get_or_insert(error);
            none
        })
    }
}
