//! The time before another attempt.

use std::time::Duration;

/// The least delay, so that an operation that fails at once is not retried without pause.
const MIN_DELAY: Duration = Duration::from_secs(1);

/// Delays whose bound doubles with each attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The bound after the first attempt; at least a second.
    pub first: Duration,
    /// The largest bound.
    pub longest: Duration,
}

impl Backoff {
    /// Returns the bound of the delay after a number of attempts.
    pub fn bound(self, attempts: u32) -> Duration {
        let doublings = attempts.saturating_sub(1).min(20);
        self.first.saturating_mul(1 << doublings).min(self.longest)
    }

    /// Returns the delay after the `attempts`th attempt: any duration up to the bound, so that operations that failed
    /// together do not retry together ("full jitter").
    pub fn delay(self, attempts: u32, random: u64) -> Duration {
        let span = u64::try_from(self.bound(attempts).saturating_sub(MIN_DELAY).as_micros()).unwrap_or(u64::MAX);
        MIN_DELAY + Duration::from_micros(random % span.saturating_add(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_from_the_first_to_the_longest_with_full_jitter() {
        let seconds = Duration::from_secs;
        let backoff = Backoff { first: seconds(10), longest: seconds(6 * 3_600) };
        for (attempts, wanted) in [(0, 10), (1, 10), (2, 20), (3, 40), (10, 5_120), (12, 20_480), (13, 21_600)] {
            let bound = backoff.bound(attempts);
            assert_eq!(bound, seconds(wanted), "{attempts}");
            let span = u64::try_from((bound - MIN_DELAY).as_micros()).unwrap();
            assert_eq!(backoff.delay(attempts, 0), MIN_DELAY);
            assert_eq!(backoff.delay(attempts, span), bound);
            assert_eq!(backoff.delay(attempts, span + 1), MIN_DELAY);
            assert_eq!(backoff.delay(attempts, span / 2), MIN_DELAY + Duration::from_micros(span / 2));
        }
        assert_eq!(backoff.bound(u32::MAX), seconds(21_600));
    }
}
