//! Whether a command changed anything is told to its caller, in a retry too.

use super::{group, run};
use crate::domain::fixtures::{command, in_state, requested, revoke};
use crate::domain::invitation::state::State;

#[test]
fn something_happened_if_it_did_now_or_when_it_was_first_sent() {
    let revoked = in_state(State::Revoked);
    let active = in_state(State::Active);
    for (invitation, happened) in [(&revoked, false), (&active, true)] {
        let mut group = group(invitation);
        for number in [1, 2] {
            let revoke = requested(command(number, revoke(invitation)), "r", "body", &[1]);
            assert_eq!(run(&mut group, &revoke).unwrap().happened, happened, "time {number}");
        }
    }
}
