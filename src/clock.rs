//! The one source of the present moment. Nothing else in the crate asks the operating system for the time of day.
//!
//! Moments that decide something belong to the database, whose clock all replicas share: the clock of a process may be wrong
//! by minutes. So the clock of a process follows the database's: it carries the last moment that the database returned on by
//! the machine's monotonic clock, which no correction of the time of day moves.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::domain::value::time::Timestamp;

/// The drift of monotonic clocks, in millionths: the most that NTP corrects for.
const DRIFT: u32 = 500;
/// The age at which a moment of the database no longer decides anything.
const MAX_AGE: Duration = Duration::from_secs(60);
/// The error at which a moment is too vague to decide anything.
const MAX_ERROR: Duration = Duration::from_millis(500);

/// The source of time: the database's, as far as it is known, or one that a test moves by hand.
#[derive(Clone, Debug)]
pub enum Clock {
    /// The machine's clock, which follows the database's; shared by all clones.
    System(Arc<SystemClock>),
    /// A clock that stands still until it is advanced; shared by all clones. Microseconds since 1970.
    Manual(Arc<AtomicI64>),
}

/// The machine's clock, and the last moment of the database.
#[derive(Debug)]
pub struct SystemClock {
    /// The error of the machine's clock, in microseconds; 0 outside of tests.
    skew: i64,
    seen: Mutex<Option<Seen>>,
}

/// A moment of the database.
#[derive(Clone, Copy, Debug)]
struct Seen {
    now: Timestamp,
    at: Instant,
    error: Duration,
}

impl Seen {
    /// Returns the moment carried on to `at`, or back if `at` is the earlier one.
    fn carried_to(&self, at: Instant) -> Timestamp {
        let (later, earlier) = (at.saturating_duration_since(self.at), self.at.saturating_duration_since(at));
        Timestamp::from_micros(self.now.micros().saturating_add(micros(later)).saturating_sub(micros(earlier)))
    }

    /// Returns how far the carried moment may be from the database's.
    fn error_at(&self, at: Instant) -> Duration {
        self.error + at.saturating_duration_since(self.at) * DRIFT / 1_000_000
    }
}

impl Clock {
    /// Creates a clock that follows the machine until a database returns the time.
    pub fn system() -> Self {
        Self::skewed(0)
    }

    /// Creates a clock of a machine whose time of day is wrong by some microseconds.
    pub fn skewed(skew: i64) -> Self {
        Self::System(Arc::new(SystemClock { skew, seen: Mutex::new(None) }))
    }

    /// Creates a clock that stands at `now`.
    pub fn manual(now: Timestamp) -> Self {
        Self::Manual(Arc::new(AtomicI64::new(now.micros())))
    }

    /// Returns the present moment.
    pub fn now(&self) -> Timestamp {
        match self {
            Self::System(clock) => clock.seen().map_or_else(|| clock.machine(), |seen| seen.carried_to(Instant::now())),
            Self::Manual(micros) => Timestamp::from_micros(micros.load(Ordering::SeqCst)),
        }
    }

    /// Returns the database's present moment if it is known well enough to decide by.
    pub fn database_now(&self) -> Option<Timestamp> {
        let Self::System(clock) = self else { return Some(self.now()) };
        let (seen, now) = (clock.seen()?, Instant::now());
        let is_fresh = now.saturating_duration_since(seen.at) <= MAX_AGE && seen.error_at(now) <= MAX_ERROR;
        is_fresh.then(|| seen.carried_to(now))
    }

    /// Returns the database's clock minus that of this machine, in microseconds; `None` before the database has returned a moment.
    pub fn database_offset(&self) -> Option<i64> {
        let Self::System(clock) = self else { return None };
        let seen = clock.seen()?;
        Some(seen.carried_to(Instant::now()).micros().saturating_sub(clock.machine().micros()))
    }

    /// Learns the database's answer to a question that was asked at `asked`. A slow answer is less exact than a fast one
    /// that is still fresh, unless the database's clock was set anew.
    pub fn learn(&self, told: Timestamp, asked: Instant) {
        let Self::System(clock) = self else { return };
        let now = Instant::now();
        // The moment lies somewhere between question and answer.
        let error = now.saturating_duration_since(asked) / 2;
        let new = Seen { now: told, at: asked + error, error };
        let mut seen = clock.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let is_better = seen.is_none_or(|old| {
            let apart = (old.carried_to(new.at).micros() - told.micros()).unsigned_abs();
            let known = old.error_at(new.at);
            error <= known || u128::from(apart) > (known + error).as_micros()
        });
        if is_better {
            *seen = Some(new);
        }
    }

    /// Overrides the database clock in tests; `None` in production.
    pub fn in_place_of_the_database(&self) -> Option<Timestamp> {
        match self {
            Self::System(_) => None,
            Self::Manual(_) => Some(self.now()),
        }
    }

    /// Moves a manual clock forward; the machine's clock stays as it is.
    pub fn advance(&self, by: Duration) {
        if let Self::Manual(moment) = self {
            moment.fetch_add(micros(by), Ordering::SeqCst);
        }
    }
}

impl SystemClock {
    fn seen(&self) -> Option<Seen> {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[expect(clippy::disallowed_methods, reason = "this is the place the ban points to")]
    fn machine(&self) -> Timestamp {
        Timestamp::from_micros(chrono::Utc::now().timestamp_micros().saturating_add(self.skew))
    }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIVE_MINUTES: i64 = 300_000_000;

    fn apart(clock: &Clock, moment: Timestamp) -> i64 {
        (clock.now().micros() - moment.micros()).abs()
    }

    #[test]
    fn skewed_clock_follows_the_database_once_it_is_told() {
        for skew in [-FIVE_MINUTES, FIVE_MINUTES] {
            let (clock, truth) = (Clock::skewed(skew), Clock::system().now());
            assert!(apart(&clock, truth) > FIVE_MINUTES - 1_000_000 && clock.database_now().is_none());
            assert_eq!(clock.database_offset(), None);
            clock.learn(truth, Instant::now());
            assert!(apart(&clock, truth) < 1_000_000 && clock.database_now().is_some());
            assert!((clock.database_offset().unwrap() + skew).abs() < 1_000_000, "the machine is off by the skew");
        }
    }

    #[test]
    fn slow_answer_does_not_replace_a_better_known_moment() {
        let (clock, truth) = (Clock::system(), Timestamp::from_micros(1_000_000_000));
        clock.learn(truth, Instant::now());
        let asked = Instant::now().checked_sub(Duration::from_secs(2)).unwrap();
        for told_after in [100_000, 1_900_000] {
            clock.learn(Timestamp::from_micros(truth.micros() - 2_000_000 + told_after), asked);
            assert!(apart(&clock, truth) < 50_000, "an answer that may be off by a second was taken");
            assert!(clock.database_now().is_some());
        }
        clock.learn(Timestamp::from_micros(truth.micros() + FIVE_MINUTES), asked);
        assert!(apart(&clock, truth) > FIVE_MINUTES - 1_500_000, "the database's clock was set anew");
        assert!(clock.database_now().is_none(), "it is not known to half a second");
    }

    #[test]
    fn old_answer_decides_nothing() {
        let clock = Clock::system();
        let asked = Instant::now().checked_sub(MAX_AGE + Duration::from_secs(1)).unwrap();
        let Clock::System(system) = &clock else { panic!("a system clock") };
        let seen = Seen { now: Timestamp::from_micros(0), at: asked, error: Duration::ZERO };
        *system.seen.lock().unwrap() = Some(seen);
        assert_eq!(clock.database_now(), None);
    }
}
