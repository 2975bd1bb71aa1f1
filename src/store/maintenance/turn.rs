//! The ages after which rows are deleted that users see, and the turn of the replica that deletes them.

use std::time::Duration;

use tokio::time::{Instant, sleep};

/// The longest rest after a chunk: a turn has to end before the tick that it is part of.
const MAX_REST: Duration = Duration::from_secs(4);

/// The ages after which rows are deleted; `None` keeps them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Retention {
    /// The age of an event.
    pub events: Option<Duration>,
    /// The age of a message to a person.
    pub deliveries: Option<Duration>,
    /// The time since an invitation ended.
    pub ended_invitations: Option<Duration>,
    /// Whether the open invitations of accounts are limited, so that they are counted.
    pub counts_open: bool,
    /// Whether this process publishes events, so that none is deleted before NATS has it, however long NATS has been away.
    pub publishes: bool,
}

/// The result of deleting rows for a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pruned {
    /// The number of rows; of invitations, not counting what belongs to them.
    pub rows: u64,
    /// Whether nothing is left to do for now.
    pub is_done: bool,
}

/// The turn of a replica to delete rows.
#[derive(Debug)]
pub struct PruneTurn {
    ends: Instant,
    chunk_begun: Instant,
}

impl PruneTurn {
    /// Begins a turn, which begins no further chunk after a time.
    pub fn lasting(time: Duration) -> Self {
        let now = Instant::now();
        Self { ends: now + time, chunk_begun: now }
    }

    /// Rests for as long as the last chunk took, so that calls have the database for half of the time. Returns whether there is
    /// time for another chunk.
    pub(super) async fn goes_on(&mut self) -> bool {
        sleep(self.chunk_begun.elapsed().min(MAX_REST)).await;
        self.chunk_begun = Instant::now();
        self.chunk_begun < self.ends
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true, crate = "crate::limit")]
    async fn turn_rests_for_half_of_its_time_and_ends() {
        let (begun, mut turn) = (Instant::now(), PruneTurn::lasting(Duration::from_secs(10)));
        for chunk in 1..=4 {
            advance(Duration::from_secs(1)).await;
            assert!(turn.goes_on().await);
            assert_eq!(begun.elapsed().as_secs(), 2 * chunk);
        }
        advance(Duration::from_secs(60)).await;
        assert!(!turn.goes_on().await, "the time is over");
        assert_eq!(begun.elapsed(), Duration::from_secs(68) + MAX_REST);
    }
}
