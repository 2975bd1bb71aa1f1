//! The state over all combinations of facts, against a table written by hand.

use super::{Facts, State};
use crate::domain::fixtures::{NOW, minutes};
use crate::domain::time::Timestamp;

/// What holds (revoked, declined, used up, expired: one bit each) and the state that follows.
const TABLE: [(u8, State); 16] = [
    (0b0000, State::Active),
    (0b0001, State::Expired),
    (0b0010, State::Fulfilled),
    (0b0011, State::Fulfilled),
    (0b0100, State::Declined),
    (0b0101, State::Declined),
    (0b0110, State::Declined),
    (0b0111, State::Declined),
    (0b1000, State::Revoked),
    (0b1001, State::Revoked),
    (0b1010, State::Revoked),
    (0b1011, State::Revoked),
    (0b1100, State::Revoked),
    (0b1101, State::Revoked),
    (0b1110, State::Revoked),
    (0b1111, State::Revoked),
];

/// max_uses, use_count and whether all uses are used up.
const USES: [(Option<u32>, u32, u8); 7] = [
    (None, 0, 0),
    (None, u32::MAX, 0),
    (Some(1), 0, 0),
    (Some(1), 1, 1),
    (Some(50), 49, 0),
    (Some(50), 50, 1),
    (Some(u32::MAX), u32::MAX, 1),
];

/// The moment of expiry in microseconds from now, and whether it has passed.
const EXPIRIES: [(Option<i64>, u8); 5] =
    [(None, 0), (Some(1), 0), (Some(0), 1), (Some(-1), 1), (Some(i64::MAX / 2), 0)];

#[test]
fn the_state_follows_from_every_combination_of_facts() {
    for (max_uses, use_count, used_up) in USES {
        for (expiry, expired) in EXPIRIES {
            for (revoked, declined) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
                let facts = Facts {
                    max_uses,
                    use_count,
                    expire_at: expiry.map(|micros| Timestamp::from_micros(NOW.micros() + micros)),
                    accepted_at: (use_count > 0).then_some(NOW),
                    declined_at: (declined == 1).then(|| minutes(-1)),
                    revoked_at: (revoked == 1).then(|| minutes(-1)),
                };
                let holds = revoked << 3 | declined << 2 | used_up << 1 | expired;
                let (_, state) = TABLE.into_iter().find(|(bits, _)| *bits == holds).unwrap();
                assert_eq!(facts.state_at(NOW), state, "{holds:04b} {facts:?}");
            }
        }
    }
}

#[test]
fn facts_alone_pass_no_time() {
    let facts = Facts { revoked_at: Some(minutes(10)), ..Facts::new(Some(1), Some(minutes(5))) };
    assert_eq!(facts.state_at(minutes(-60)), State::Revoked, "a clock that went back revives nothing");
    let facts = Facts::new(Some(1), Some(minutes(5)));
    let states = [4, 5, 6].map(|at| facts.state_at(minutes(at)));
    assert_eq!(states, [State::Active, State::Expired, State::Expired]);
}

#[test]
fn new_invitations_are_active_until_they_expire() {
    for max_uses in [None, Some(1), Some(u32::MAX)] {
        assert_eq!(Facts::new(max_uses, None).state_at(Timestamp::MAX), State::Active);
        assert_eq!(Facts::new(max_uses, Some(NOW)).state_at(NOW), State::Expired);
        assert_eq!(Facts::new(max_uses, None).remaining_uses(), max_uses);
    }
}
