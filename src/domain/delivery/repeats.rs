//! The limits on mailing an invitation again. They are per invitation and not per recipient, so that an invitation for many is
//! no way around them.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::domain::invitation::refusal::RateLimited;
use crate::domain::value::time::Timestamp;

/// The time within which resends, and moves of the expiry, are counted.
const WINDOW: Duration = Duration::from_secs(24 * 3_600);
/// The number of moves of the expiry in any [`WINDOW`].
const MAX_MOVES: usize = 10;

/// The limits on the resends of one invitation that mail somebody. They are counted in the row of the invitation, which a
/// save updates only if nobody else has: so they hold over all replicas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResendLimits {
    /// The most resends in any 24 hours.
    pub per_day: u16,
    /// The least time between two of them.
    pub min_interval: Duration,
}

impl ResendLimits {
    /// One a minute, and ten in any 24 hours.
    pub const DEFAULT: Self = Self { per_day: 10, min_interval: Duration::from_secs(60) };
}

/// The moments of the last day at which callers had an invitation mailed again, and that at which its inviter was first told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Repeats {
    /// The resends that mailed somebody, in order.
    resends: Vec<Timestamp>,
    /// The moves of the expiry that planned reminders, in order.
    moves: Vec<Timestamp>,
    /// The first acceptance that the inviter was told of. It stays, also where the acceptance itself is taken back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) first_told: Option<Timestamp>,
}

impl Repeats {
    /// Counts a resend that mails somebody, or refuses it.
    pub(in crate::domain) fn count_resend(&mut self, now: Timestamp, limits: &ResendLimits) -> Result<(), RateLimited> {
        let ResendLimits { per_day, min_interval } = *limits;
        count(&mut self.resends, ("resends_per_invitation", min_interval, per_day.into()), now)
    }

    /// Counts a move of the expiry that plans reminders, or refuses it. There is no pause between two, so that a wrong
    /// expiry can be corrected at once.
    pub(in crate::domain) fn count_move(&mut self, now: Timestamp) -> Result<(), RateLimited> {
        count(&mut self.moves, ("expiry_moves_per_invitation", Duration::ZERO, MAX_MOVES), now)
    }
}

fn count(
    moments: &mut Vec<Timestamp>,
    (limit, min_interval, most): (&'static str, Duration, usize),
    now: Timestamp,
) -> Result<(), RateLimited> {
    moments.retain(|at| *at > now.earlier(WINDOW));
    let pause = moments.last().map(|last| last.later(min_interval));
    let oldest_of_full = moments.len().checked_sub(most).and_then(|first| moments.get(first));
    let next = pause.max(oldest_of_full.map(|oldest| oldest.later(WINDOW)));
    match next.filter(|next| *next > now) {
        Some(next) => Err(RateLimited { limit, retry_after: next.since(now) }),
        None => {
            moments.push(now);
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::fixtures::minutes;

    const DAY: i64 = 24 * 60;

    /// Counts resends at some minutes, and returns the minutes that each of them has to wait.
    fn waits(at: &[i64]) -> Vec<u64> {
        let mut repeats = Repeats::default();
        let wait = |minute: &i64| match repeats.count_resend(minutes(*minute), &ResendLimits::DEFAULT) {
            Ok(()) => 0,
            Err(limited) => {
                assert_eq!(limited.limit, "resends_per_invitation");
                limited.retry_after.as_secs() / 60
            }
        };
        at.iter().map(wait).collect()
    }

    #[test]
    fn one_resend_a_minute_is_allowed() {
        assert_eq!(waits(&[0, 0, 1, 1, 2]), [0, 1, 0, 1, 0]);
        let mut repeats = Repeats::default();
        repeats.count_resend(minutes(0), &ResendLimits::DEFAULT).unwrap();
        let almost = minutes(1).earlier(Duration::from_micros(1));
        assert_eq!(
            repeats.count_resend(almost, &ResendLimits::DEFAULT).unwrap_err().retry_after,
            Duration::from_micros(1)
        );
    }

    #[test]
    fn ten_resends_in_any_day_are_allowed() {
        let ten: Vec<i64> = (DAY - 10..DAY).collect();
        let then = [DAY, 2 * DAY - 11, 2 * DAY - 10, 2 * DAY - 10, 2 * DAY - 9];
        let waited = waits(&[ten.as_slice(), &then].concat());
        let day = u64::try_from(DAY).unwrap();
        assert_eq!(waited, [[0; 10].as_slice(), &[day - 10, 1, 0, 1, 0]].concat());
    }

    #[test]
    fn refused_resends_do_not_count() {
        let refused: Vec<i64> = std::iter::repeat_n(0, 20).collect();
        assert_eq!(waits(&[refused.as_slice(), &[1]].concat()).last(), Some(&0));
    }

    #[test]
    fn ten_moves_of_the_expiry_in_a_day_are_allowed() {
        let mut repeats = Repeats::default();
        let moves = (0..11).map(|_| repeats.count_move(minutes(0)).is_ok()).filter(|moved| *moved).count();
        assert_eq!(moves, 10);
        assert_eq!(repeats.count_move(minutes(0)).unwrap_err().limit, "expiry_moves_per_invitation");
        assert!(repeats.count_resend(minutes(0), &ResendLimits::DEFAULT).is_ok(), "they are counted apart");
        assert!(repeats.count_move(minutes(DAY)).is_ok());
    }

    #[test]
    fn clock_that_is_set_back_keeps_the_pause_short() {
        assert_eq!(waits(&[5, 4, 6]), [0, 2, 0]);
    }
}
