//! The rows that commands write at most.

use std::time::Duration;

use super::*;
use crate::domain::delivery::reminder::Schedule;
use crate::domain::fixtures::{at, command, creation, details, in_state, sync, verbs};
use crate::domain::invitation::state::State;

fn schedules() -> Schedules {
    let schedule =
        |reminders: usize| Schedule { after: vec![Duration::from_secs(1); reminders], before_expiry: Vec::new() };
    Schedules::from_fn(|kind| match kind {
        Kind::Connection => schedule(2),
        Kind::User => schedule(1),
        Kind::Guest => schedule(3),
        Kind::General => schedule(5),
    })
}

#[test]
fn weight_of_a_create_counts_every_row() {
    let mut create = creation(details(Kind::Connection), &[at("a@example.org"), at("b@example.org")]);
    create.mails = false;
    assert_eq!(create.weight(&schedules()), 3 + 2 * 2);
    create.mails = true;
    assert_eq!(create.weight(&Schedules::NONE), 3 + 2 * 3);
    assert_eq!(create.weight(&schedules()), 3 + 2 * (3 + 2));
    create.labels.insert("key".to_owned(), "value".to_owned());
    assert_eq!(create.weight(&schedules()), 3 + 1 + 2 * (3 + 2));
}

#[test]
fn weights_of_the_other_commands_are_fixed_but_for_reminders() {
    let invitation = in_state(State::Active);
    for (verb, action) in verbs(&invitation) {
        let command = command(1, action);
        let wanted = match &command.action {
            Action::Create(_) => continue,
            Action::Resend(_) => 8 + 5,
            Action::UpdateGuest(_) => 6 + 3,
            Action::Accept(_) => 7,
            Action::Decline(_) | Action::Revoke(_) | Action::Delete(_) => 6,
            _ => 4,
        };
        assert_eq!(command.weight(&schedules()), wanted, "{verb}");
    }
    assert_eq!(sync(&["a.example", "b.example"]).weight(&schedules()), 4 + 2);
}
