//! The state over all combinations of facts, against a table written by hand.

use super::{Facts, State};
use crate::domain::fixtures::{NOW, invitation, minutes};
use crate::domain::value::time::Timestamp;

/// The facts, a bit each, and the state that follows from the first of them that holds.
const PRECEDENCE: [(u8, State); 7] = [
    (REVOKED, State::Revoked),
    (EMPTIED, State::Revoked),
    (DECLINED, State::Declined),
    (USED_UP, State::Fulfilled),
    (ELSEWHERE, State::Fulfilled),
    (EXPIRED, State::Expired),
    (0, State::Active),
];

const REVOKED: u8 = 1;
const EMPTIED: u8 = 2;
const DECLINED: u8 = 4;
const USED_UP: u8 = 8;
const ELSEWHERE: u8 = 16;
const EXPIRED: u8 = 32;

/// The largest number of uses, the number of uses, and whether all are used up.
const USES: [(Option<u32>, u32, u8); 7] = [
    (None, 0, 0),
    (None, u32::MAX, 0),
    (Some(1), 0, 0),
    (Some(1), 1, USED_UP),
    (Some(50), 49, 0),
    (Some(50), 50, USED_UP),
    (Some(u32::MAX), u32::MAX, USED_UP),
];

/// The moment of expiry in microseconds from now, and whether that has passed.
const EXPIRIES: [(Option<i64>, u8); 5] =
    [(None, 0), (Some(1), 0), (Some(0), EXPIRED), (Some(-1), EXPIRED), (Some(i64::MAX / 2), 0)];

#[test]
fn state_follows_from_every_combination_of_facts() {
    for (max_uses, use_count, used_up) in USES {
        for (expiry, expired) in EXPIRIES {
            for stored in 0..EXPIRED {
                let is = |bit| (stored & bit != 0).then(|| minutes(-1));
                let facts = Facts {
                    accepted_at: (use_count > 0).then_some(NOW),
                    use_count,
                    revoked_at: is(REVOKED),
                    emptied_at: is(EMPTIED),
                    declined_at: is(DECLINED),
                    accepted_elsewhere_at: is(ELSEWHERE),
                    ..Facts::new(max_uses, expiry.map(|micros| Timestamp::from_micros(NOW.micros() + micros)))
                };
                let holds = (stored & !USED_UP) | used_up | expired;
                let first = PRECEDENCE.into_iter().find(|(bit, _)| *bit == 0 || holds & bit != 0);
                assert_eq!(Some(facts.state_at(NOW)), first.map(|(_, state)| state), "{facts:?}");
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

#[test]
fn invitation_has_ended_since_its_expiry_or_its_last_change() {
    for (expire_at, revoked_at, updated_at, ended) in [
        (None, None, -60, false),
        (Some(1), None, -60, false),
        (Some(0), None, -60, true),
        (Some(0), None, 0, false),
        (None, Some(-1), -1, true),
        (None, Some(-1), 0, false),
        (None, Some(-1), 1, false),
        (Some(1), Some(-1), -1, true),
    ] {
        let mut invitation = invitation(1, None);
        invitation.facts = Facts { revoked_at: revoked_at.map(minutes), ..Facts::new(None, expire_at.map(minutes)) };
        invitation.updated_at = minutes(updated_at);
        assert_eq!(invitation.ended_before(NOW), ended, "{expire_at:?} {revoked_at:?} {updated_at}");
        invitation.facts.emptied_at = Some(minutes(-60));
        assert!(!invitation.ended_before(NOW), "a sync gives it domains again");
        invitation.deleted_at = Some(minutes(-60));
        assert_eq!(invitation.ended_before(NOW), updated_at < 0);
    }
}
