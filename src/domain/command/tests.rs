//! Tables of the commands: the rows they read, the invitations they reach, and the rows that they write at most.

use std::time::Duration;

use super::*;
use uuid::Uuid;

use crate::domain::delivery::reminder::Schedule;
use crate::domain::fixtures::{
    accept_with, acceptor, account, at, command, connection, creation, details, email, general, in_state, invited,
    loaded, organization, person, reach_of, requested, revoke, scope, sync, target, verbs,
};
use crate::domain::invitation::state::State;
use crate::domain::kind::Details;
use crate::domain::kind::general::Usage;
use crate::domain::quota::Quotas;

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
            Action::Accept(_) => 7,
            Action::Decline(_) | Action::Revoke(_) | Action::Delete(_) => 6,
            _ => 4,
        };
        assert_eq!(command.weight(&schedules()), wanted, "{verb}");
    }
    assert_eq!(sync(&["a.example", "b.example"]).weight(&schedules()), 4 + 2);
}

#[test]
fn commands_read_what_their_decision_rests_on() {
    let invitation = in_state(State::Active);
    for (verb, action) in verbs(&invitation) {
        let command = command(1, action);
        let read_set = command.read_set();
        let about = !matches!(command.action, Action::Create(_));
        assert_eq!(read_set.invitation, about.then_some(invitation.id), "{verb}");
        assert_eq!(command.bytes(), BYTES + command.rules().bytes(), "{verb}");
        assert_eq!(command.rules().bytes() == 0, about, "{verb}");
        let shows = !matches!(
            command.action,
            Action::Create(_) | Action::Accept(_) | Action::Decline(_) | Action::RecordEngagement(_)
        );
        assert_eq!(read_set.newest_acceptances, shows, "{verb}");
    }
}

#[test]
fn accept_reads_subject_connection_and_rival_invitations() {
    let connection = connection(9, "LIVE");
    let invited = invited(1, Details::General(Box::new(general(Usage::SingleUse))), &["ann@example.org"]);
    let accept = accept_with(invited.claims(0), person("ann", Some(email("ann@example.org")), true), Some(connection));
    let command = command(1, accept);
    let read_set = command.read_set();
    assert_eq!(read_set.subject.unwrap().0, "ann");
    assert_eq!(read_set.created_connection, Some(Uuid::from_u128(9)));
    let second = command.second_read_set(&loaded(&invited, &[]), &Quotas::NONE);
    let search = second.open_search.unwrap();
    assert_eq!(search.scope, Some(scope()));
    assert_eq!(search.addresses.len(), 2, "the id and the address of the person");
}

#[test]
fn named_commands_reach_the_invitations_of_their_hosts_alone() {
    let guest = invited(2, details(Kind::Guest), &["ann@example.org"]);
    let host = guest.details.host().unwrap();
    for (hosts, reaches) in [(None, true), (Some(vec![host]), true), (Some(vec![organization(77)]), false)] {
        let target = target(&guest);
        let accept = AcceptInvitation {
            access: Access::Name(target.clone()),
            acceptor: acceptor("ann"),
            proof: None,
            created_connection: None,
            guest_organization_id: None,
            by_system: false,
        };
        for action in [
            Action::Revoke(RevokeInvitation { target: target.clone() }),
            Action::Delete(DeleteInvitation { target: target.clone() }),
            Action::Resend(ResendInvitation {
                send_email: None,
                target: target.clone(),
                rotate: false,
                expiry: None,
                recipients: Vec::new(),
            }),
            Action::Accept(Box::new(accept)),
            Action::Decline(DeclineInvitation { access: Access::Name(target), addresses: Vec::new(), reason: None }),
        ] {
            let command = Command { reach: reach_of(hosts.clone()), ..command(1, action) };
            assert_eq!(command.reaches(&guest), reaches, "{hosts:?}: {:?}", command.action);
        }
    }
}

#[test]
fn part_of_a_call_is_told_from_the_call() {
    let invitation = in_state(State::Active);
    let command = requested(command(1, revoke(&invitation)), "r", "body", &[1]);
    let call = command.request.as_ref().unwrap();
    let part = call.part(invitation.id.0);
    assert!(!call.is_part() && part.is_part());
    let account = account("acme");
    assert_eq!(part.call_key(&account), call.key(&account));
    assert_ne!(part.key(&account), call.key(&account));
    assert_eq!(REMEMBERED_FOR.as_secs(), 172_800);
}
