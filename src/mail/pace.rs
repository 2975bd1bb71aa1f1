//! The limit of messages per second.

use std::time::Duration;

use tokio::time::Instant;

/// A bucket that fills by the second and holds a second's worth.
#[derive(Debug)]
pub(crate) struct Pace {
    per_second: Option<u32>,
    held: f64,
    filled: Instant,
}

impl Pace {
    /// Begins full; without a number there is no limit.
    pub(crate) fn new(per_second: Option<u32>, now: Instant) -> Self {
        Self { per_second, held: per_second.map_or(0.0, f64::from), filled: now }
    }

    /// Returns how many of those that are wanted may leave now; what is not used is to be given back.
    pub(crate) fn take(&mut self, wanted: u32, now: Instant) -> u32 {
        let Some(per_second) = self.per_second else { return wanted };
        let per_second = f64::from(per_second);
        self.held = (self.held + now.saturating_duration_since(self.filled).as_secs_f64() * per_second).min(per_second);
        self.filled = now;
        let mut taken = 0;
        while taken < wanted && self.held >= 1.0 {
            self.held -= 1.0;
            taken += 1;
        }
        taken
    }

    /// Takes back what did not leave.
    pub(crate) fn give_back(&mut self, unused: u32) {
        if self.per_second.is_some() {
            self.held += f64::from(unused);
        }
    }

    /// Returns how long it takes until one more may leave.
    pub(crate) fn next(&self) -> Duration {
        let missing = self.per_second.map(|per_second| (1.0 - self.held).max(0.0) / f64::from(per_second));
        missing.map_or(Duration::ZERO, Duration::from_secs_f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_leave_than_fit_the_pace() {
        let start = Instant::now();
        let after = |millis| start + Duration::from_millis(millis);
        let mut pace = Pace::new(Some(10), start);
        assert_eq!(pace.take(25, start), 10, "a second's worth at once");
        assert_eq!(pace.take(25, start), 0);
        assert_eq!(pace.next(), Duration::from_millis(100));
        assert_eq!(pace.take(25, after(500)), 5);
        pace.give_back(3);
        assert_eq!(pace.take(25, after(500)), 3);
        assert_eq!(pace.take(25, after(60_000)), 10, "no more than a second's worth gathers");
    }

    #[test]
    fn without_a_pace_all_may_leave_at_once() {
        let mut pace = Pace::new(None, Instant::now());
        assert_eq!((pace.take(1_000, Instant::now()), pace.next()), (1_000, Duration::ZERO));
    }
}
