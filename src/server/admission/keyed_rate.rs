//! A rate by key, which each process counts for itself.
//!
//! The arithmetic is governor's (GCRA). Its states lie in a map of ours, because governor can neither look at a state without
//! changing it (governor#66), nor take anything back, nor bound its map.

use std::collections::HashMap;
use std::fmt;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use governor::clock::Clock as _;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::StateStore;
use governor::{Quota, RateLimiter};
use tonic::Status;

use crate::clock::Clock;
use crate::config::Rate;
use crate::server::status;

/// The most keys of one rate that a process remembers. The half that has used least is forgotten then.
pub(crate) const MAX_KEYS: usize = 10_000;

/// A rate, and the part of it that is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RateLeft {
    pub(crate) name: &'static str,
    pub(crate) rate: Rate,
    pub(crate) used: u32,
    /// The time after which all of it is there again.
    pub(crate) reset_after: Duration,
}

type Limiter = RateLimiter<String, States, RateClock, NoOpMiddleware<Duration>>;

/// A rate, by key.
pub(crate) struct KeyedRate {
    name: &'static str,
    rate: Rate,
    /// The time after which one is there again, in nanoseconds.
    interval: u64,
    limiter: Limiter,
    states: States,
    clock: RateClock,
}

impl fmt::Debug for KeyedRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyedRate({}: {:?})", self.name, self.rate)
    }
}

impl KeyedRate {
    /// Creates a rate of which nothing is used; `None` for one so fast that it limits nothing.
    pub(crate) fn new(name: &'static str, rate: Rate, clock: &Clock) -> Option<Self> {
        let interval = rate.per / rate.most.get();
        let quota = Quota::with_period(interval)?.allow_burst(rate.most);
        let (states, clock) = (States::default(), RateClock::new(clock));
        let limiter = RateLimiter::new(quota, states.clone(), clock.clone());
        let interval = u64::try_from(interval.as_nanos()).ok()?;
        Some(Self { name, rate, interval, limiter, states, clock })
    }

    /// Counts a number for a key, or refuses it with the time to wait.
    pub(crate) fn take(&self, key: &String, number: u32) -> Result<(), Status> {
        let Some(number) = NonZeroU32::new(number) else { return Ok(()) };
        match self.limiter.check_key_n(key, number) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(until)) => Err(status::rate_limited(self.name, until.wait_time_from(self.clock.now()))),
            Err(_) => Err(self.never(number)),
        }
    }

    /// Returns the number of keys that are remembered.
    #[cfg(test)]
    pub(crate) fn remembered(&self) -> usize {
        self.states.lock().len()
    }

    /// More at once than the rate ever allows: there is nothing to wait for.
    fn never(&self, number: NonZeroU32) -> Status {
        let most = self.rate.most;
        let message =
            format!("{number} invitees at once are more than {most}, the most at any time: send smaller batches");
        status::quota_exceeded(self.name, &message)
    }

    /// Refuses a key that has used up its rate, and counts nothing.
    pub(crate) fn check(&self, key: &str) -> Result<(), Status> {
        let RateLeft { used, reset_after, .. } = self.left(key);
        if used < self.rate.most.get() {
            return Ok(());
        }
        let all_but_one = Duration::from_nanos(self.interval) * (self.rate.most.get() - 1);
        Err(status::rate_limited(self.name, reset_after.saturating_sub(all_but_one)))
    }

    /// Returns the part that a key has used.
    pub(crate) fn left(&self, key: &str) -> RateLeft {
        let now = nanos(self.clock.now());
        let ahead = self.states.lock().get(key).map_or(0, |state| state.as_u64().saturating_sub(now));
        let used = u32::try_from(ahead.div_ceil(self.interval)).unwrap_or(u32::MAX).min(self.rate.most.get());
        RateLeft { name: self.name, rate: self.rate, used, reset_after: Duration::from_nanos(ahead) }
    }

    /// Takes back a number that was counted.
    pub(crate) fn give_back(&self, key: &str, number: u32) {
        if let Some(state) = self.states.lock().get_mut(key) {
            *state = Nanos::new(state.as_u64().saturating_sub(self.interval.saturating_mul(number.into())));
        }
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// The moments at which all of a rate is there again, by key, in nanoseconds of the rate's clock.
#[derive(Clone, Debug, Default)]
struct States(Arc<Mutex<HashMap<String, Nanos>>>);

impl States {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Nanos>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StateStore for States {
    type Key = String;

    fn measure_and_replace<T, F, E>(&self, key: &String, f: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let mut states = self.lock();
        let (answer, state) = f(states.get(key).copied())?;
        if let Some(known) = states.get_mut(key) {
            *known = state;
            return Ok(answer);
        }
        if states.len() >= MAX_KEYS {
            let mut all: Vec<_> = states.values().copied().collect();
            let (_, median, _) = all.select_nth_unstable(MAX_KEYS / 2);
            let median = *median;
            states.retain(|_, state| *state > median);
        }
        states.insert(key.clone(), state);
        Ok(answer)
    }
}

/// The clock of the rates: a monotonic one, which no correction of the time of day moves, or the one that a test moves by hand.
#[derive(Clone, Debug)]
struct RateClock {
    clock: Clock,
    begun: Instant,
    begun_at: i64,
}

impl RateClock {
    fn new(clock: &Clock) -> Self {
        Self { clock: clock.clone(), begun: Instant::now(), begun_at: clock.now().micros() }
    }
}

impl governor::clock::Clock for RateClock {
    type Instant = Duration;

    fn now(&self) -> Duration {
        match &self.clock {
            Clock::System(_) => self.begun.elapsed(),
            Clock::Manual(_) => {
                let micros = self.clock.now().micros().saturating_sub(self.begun_at);
                Duration::from_micros(u64::try_from(micros).unwrap_or_default())
            }
        }
    }
}
