//! Gives committed events their positions: looks for new ones, and adapts to how much there is.

use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::periodic_task::{PeriodicTask, TickResult};
use crate::store::events::sequencer::{Numbering, Unnumbered};
use crate::store::{Store, StoreError, Topic};

/// The number of events that are numbered at once, so that no statement holds its locks for long.
const MAX_BATCH: i64 = 5_000;
const MIN_BATCH: i64 = 100;
/// The time that commits gather before they are numbered together; every numbering is a commit of its own.
const GATHER_TIME: Duration = Duration::from_millis(10);
/// The interval at which it looks without a notification.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// The time before its last complete look that a sequencer looks at again, for events that were committed late, in microseconds.
const MARGIN: i64 = 5_000_000;
/// The shortest time after which it looks at everything again.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// The pause before the next such look, as a multiple of the time that the last one took.
const LOOK_SHARE: u32 = 20;

/// Gives events their positions, and remembers how far it has looked.
///
/// A snapshot that is held for long, as by a dump, keeps the entries of numbered events in the index of those without a
/// position. So a look begins a little behind the last complete one. Events that were committed later than that are found by
/// a look at everything, every few seconds.
#[derive(Debug)]
pub struct Sequencer {
    store: Store,
    /// The moment from which on there may be events without a position, in microseconds.
    since: i64,
    /// The moment of the last look at everything, and the time after which it does so again.
    looked: Option<(Instant, Duration)>,
    /// The number of events it numbers at once: fewer after a batch that took longer than a statement may.
    batch: i64,
}

impl Sequencer {
    /// Creates a sequencer that looks at everything first.
    pub fn new(store: Store) -> Self {
        Self { store, since: 0, looked: None, batch: MAX_BATCH }
    }

    /// Gives every committed event its position and returns how many had none; `None` if another process is at it.
    pub async fn sequence(&mut self) -> Result<Option<u64>, StoreError> {
        Ok(match self.number_events().await? {
            Numbering::Done(events) => Some(events),
            Numbering::Busy { .. } => None,
        })
    }

    async fn number_events(&mut self) -> Result<Numbering, StoreError> {
        let result = self.look().await;
        match &result {
            Err(StoreError::Slow) => self.batch = (self.batch / 2).max(MIN_BATCH),
            Ok(Numbering::Done(_)) => self.batch = (self.batch * 2).min(MAX_BATCH),
            Ok(Numbering::Busy { .. }) | Err(_) => {}
        }
        result
    }

    async fn look(&mut self) -> Result<Numbering, StoreError> {
        let everything = self.looked.is_none_or(|(at, pause)| at.elapsed() >= pause);
        let since = if everything { 0 } else { self.since };
        let began = Instant::now();
        let Unnumbered { now, mut oldest } = self.store.unnumbered_events(since).await?;
        if everything {
            self.looked = Some((Instant::now(), LOOK_AGAIN.max(began.elapsed() * LOOK_SHARE)));
        }
        let mut numbered = 0;
        while oldest.is_some() {
            let events = match self.store.number_events(self.batch, since).await? {
                Numbering::Done(events) => events,
                Numbering::Busy { .. } => {
                    return Ok(Numbering::Busy { position: self.store.last_position().await? });
                }
            };
            if events > 0 {
                self.store.notifications().notify(Topic::Position);
            }
            numbered += events;
            if events < self.batch.unsigned_abs() {
                break;
            }
            oldest = self.store.unnumbered_events(since).await?.oldest;
        }
        self.since = self.since.max(now.saturating_sub(MARGIN));
        Ok(Numbering::Done(numbered))
    }
}

impl Store {
    /// Gives every committed event its position; see [`Sequencer::sequence`].
    pub async fn sequence(&self) -> Result<Option<u64>, StoreError> {
        Sequencer::new(self.clone()).sequence().await
    }
}

/// Numbers new events until stopped. Every replica runs this, and one of them at a time numbers.
pub async fn run(store: Store, stop: CancellationToken) {
    let notified = Some(store.notifications().subscribe(Topic::Event));
    let task = PeriodicTask { name: "sequencer", notified, gather: GATHER_TIME, interval: POLL_INTERVAL, stop };
    // One tick runs at a time.
    let sequencer = Mutex::new(Sequencer::new(store));
    let tick = || async {
        Ok::<_, StoreError>(match sequencer.lock().await.number_events().await? {
            Numbering::Done(_) => TickResult::Done,
            Numbering::Busy { position } => TickResult::Busy { at: position },
        })
    };
    task.run(tick).await;
}
