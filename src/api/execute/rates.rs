//! Rates, which each process counts for itself: invitees by credential and by account, and look-ups of tokens that find nothing
//! by credential. What holds over all replicas is a quota (`domain::quota`).
//!
//! The arithmetic is governor's (GCRA). Its states lie in a map of ours, because governor can neither look at a state without
//! changing it (governor#66), nor take anything back, nor bound its map.

#[cfg(test)]
mod tests;

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
use tonic::{Code, Status};

use crate::auth::caller::{Caller, Credential};
use crate::clock::Clock;
use crate::config::{LimitsConfig, Rate};
use crate::domain::command::Action;
use crate::domain::quota::invitees;
use crate::server::status;

/// The invitees of one credential.
pub(crate) const PER_KEY: &str = "invitations_per_key";
/// The invitees of one account.
pub(crate) const PER_ACCOUNT: &str = "invitations_per_account";
/// The tokens of one credential that led nowhere.
pub(crate) const FAILED_LOOKUPS: &str = "failed_lookups_per_key";

/// The most keys of one rate that a process remembers. The half that has used least is forgotten then.
const MAX_KEYS: usize = 10_000;

/// The rates of a process; `None` is no limit.
#[derive(Debug)]
pub struct Rates {
    per_key: Option<KeyedRate>,
    per_account: Option<KeyedRate>,
    failed_lookups: Option<KeyedRate>,
}

/// A rate, and the part of it that is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RateLeft {
    pub(crate) name: &'static str,
    pub(crate) rate: Rate,
    pub(crate) used: u32,
    /// The time after which all of it is there again.
    pub(crate) reset_after: Duration,
}

impl Rates {
    /// Creates the rates that are configured, of which nothing is used.
    pub fn new(config: &LimitsConfig, clock: &Clock) -> Self {
        let rate = |name, rate: Option<Rate>| rate.and_then(|rate| KeyedRate::new(name, rate, clock));
        Self {
            per_key: rate(PER_KEY, config.invitations_per_key),
            per_account: rate(PER_ACCOUNT, config.invitations_per_account),
            failed_lookups: rate(FAILED_LOOKUPS, config.failed_lookups_per_key),
        }
    }

    /// Counts invitees for a caller and their account, or refuses them. Those that are not invited after all are given back.
    pub(crate) fn invite(&self, caller: &Caller, number: u32) -> Result<Invited<'_>, Status> {
        let mut invited = Invited { counted: Vec::new() };
        for (rate, key) in self.of_invitees(caller) {
            // The first rate gets back its count if the second one refuses.
            if let Err(refused) = rate.take(&key, number) {
                invited.give_back(number);
                return Err(refused);
            }
            invited.counted.push((rate, key));
        }
        Ok(invited)
    }

    /// Runs a look-up by token. One that finds nothing is counted, and none is made while there were too many of those.
    pub(crate) async fn look_up<T>(
        &self,
        caller: &Caller,
        look_up: impl Future<Output = Result<T, Status>>,
    ) -> Result<T, Status> {
        let limited = self.failed_lookups.as_ref().zip(credential(caller));
        if let Some((rate, key)) = &limited {
            rate.check(key)?;
        }
        let found = look_up.await;
        if let (Some((rate, key)), Err(refused)) = (&limited, &found)
            && refused.code() == Code::NotFound
        {
            // It has taken place, so it counts even if others have used up the rate meanwhile.
            drop(rate.take(key, 1));
        }
        found
    }

    /// Returns what is left of each rate for a caller.
    pub(crate) fn left(&self, caller: &Caller) -> Vec<RateLeft> {
        let lookups = self.failed_lookups.as_ref().zip(credential(caller));
        self.of_invitees(caller).chain(lookups).map(|(rate, key)| rate.left(&key)).collect()
    }

    fn of_invitees(&self, caller: &Caller) -> impl Iterator<Item = (&KeyedRate, String)> {
        let per_key = self.per_key.as_ref().zip(credential(caller));
        let per_account = self.per_account.as_ref().map(|rate| (rate, caller.account.as_str().to_owned()));
        per_key.into_iter().chain(per_account)
    }
}

/// Returns the key of a credential; `None` where callers show none, so that all of them are one.
fn credential(caller: &Caller) -> Option<String> {
    match caller.credential {
        Credential::None => None,
        // No name has a line feed in it.
        Credential::ApiKey | Credential::ClientCertificate | Credential::Jwt | Credential::Person(_) => {
            Some(format!("{}\n{}", caller.account.as_str(), caller.name))
        }
    }
}

/// Returns the number of people that an action invites: 0 unless it creates an invitation.
pub(crate) fn invitees_of(action: &Action) -> u32 {
    let Action::Create(create) = action else { return 0 };
    invitees(create.recipients.len())
}

/// Invitees that were counted.
#[derive(Debug)]
pub(crate) struct Invited<'a> {
    counted: Vec<(&'a KeyedRate, String)>,
}

impl Invited<'_> {
    /// Gives back those who were not invited after all.
    pub(crate) fn give_back(&self, number: u32) {
        for (rate, key) in &self.counted {
            rate.give_back(key, number);
        }
    }
}

type Limiter = RateLimiter<String, States, RateClock, NoOpMiddleware<Duration>>;

/// A rate, by key.
struct KeyedRate {
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
    /// Returns `None` for a rate so fast that it limits nothing.
    fn new(name: &'static str, rate: Rate, clock: &Clock) -> Option<Self> {
        let interval = rate.per / rate.most.get();
        let quota = Quota::with_period(interval)?.allow_burst(rate.most);
        let (states, clock) = (States::default(), RateClock::new(clock));
        let limiter = RateLimiter::new(quota, states.clone(), clock.clone());
        let interval = u64::try_from(interval.as_nanos()).ok()?;
        Some(Self { name, rate, interval, limiter, states, clock })
    }

    fn take(&self, key: &String, number: u32) -> Result<(), Status> {
        let Some(number) = NonZeroU32::new(number) else { return Ok(()) };
        match self.limiter.check_key_n(key, number) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(until)) => Err(status::rate_limited(self.name, until.wait_time_from(self.clock.now()))),
            Err(_) => Err(self.never(number)),
        }
    }

    /// More at once than the rate ever allows: there is nothing to wait for.
    fn never(&self, number: NonZeroU32) -> Status {
        let most = self.rate.most;
        let message =
            format!("{number} invitees at once are more than {most}, the most at any time: send smaller batches");
        status::quota_exceeded(self.name, &message)
    }

    fn check(&self, key: &str) -> Result<(), Status> {
        let RateLeft { used, reset_after, .. } = self.left(key);
        if used < self.rate.most.get() {
            return Ok(());
        }
        let all_but_one = Duration::from_nanos(self.interval) * (self.rate.most.get() - 1);
        Err(status::rate_limited(self.name, reset_after.saturating_sub(all_but_one)))
    }

    fn left(&self, key: &str) -> RateLeft {
        let now = nanos(self.clock.now());
        let ahead = self.states.lock().get(key).map_or(0, |state| state.as_u64().saturating_sub(now));
        let used = u32::try_from(ahead.div_ceil(self.interval)).unwrap_or(u32::MAX).min(self.rate.most.get());
        RateLeft { name: self.name, rate: self.rate, used, reset_after: Duration::from_nanos(ahead) }
    }

    fn give_back(&self, key: &str, number: u32) {
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
