//! The requests that are remembered, replayed, and refused because another request had their id.

use uuid::Uuid;

use super::{is_nothing, run_on, together};
use crate::domain::command::{Action, Command, CreateInvitation, Expiry, ExpiryTime, OnConflict, UpdatedFields};
use crate::domain::decide::Affected;
use crate::domain::fixtures::{
    CONTEXT, NOW, accept, accept_by_system, acceptor, account, at, command, connection, create, creation, decline,
    decline_as, delete, details, early, general, in_state, invitation, invited, loaded, minutes, organization,
    reach_of, requested, revoke, set, sync, update, verbs,
};
use crate::domain::group::Group;
use crate::domain::group::loaded::Loaded;
use crate::domain::invitation::Invitation;
use crate::domain::invitation::refusal::Refusal;
use crate::domain::invitation::slot::Slot;
use crate::domain::invitation::state::State;
use crate::domain::kind::general::{GeneralDetails, Usage};
use crate::domain::kind::{Details, Kind};
use crate::domain::reach::Reach;

/// Decides a command and adds only its remembered request to the snapshot.
fn remember(loaded: &mut Loaded, command: &Command) -> Affected {
    let decided = run_on(loaded, command).unwrap();
    let [(key, remembered)] = decided.changes.requests.try_into().unwrap();
    assert_eq!(remembered.at, loaded.now);
    loaded.put_request(key, remembered);
    decided.affected
}

fn snapshot(invitation: &Invitation) -> Loaded {
    loaded(invitation, &[early(invitation)])
}

#[test]
fn replay_of_any_command_changes_nothing_and_answers_alike() {
    let invitation = in_state(State::Active);
    for (verb, action) in verbs(&invitation).into_iter().chain([("create", create(&[], true))]) {
        let mut loaded = snapshot(&invitation);
        let first = remember(&mut loaded, &requested(command(1, action.clone()), "r", "body", &[1]));
        let again = run_on(&loaded, &requested(command(2, action), "r", "body", &[1])).unwrap();
        assert!(is_nothing(&again.changes), "{verb}");
        assert_eq!(again.affected, first, "{verb}");
    }
}

/// Returns the commands of some kinds only, each with its snapshot.
fn of_some_kinds() -> Vec<(&'static str, Loaded, Action)> {
    let guest = invited(2, details(Kind::Guest), &["guest@example.org"]);
    let user = invited(3, details(Kind::User), &["jane@example.org"]);
    let there = GeneralDetails { exclusive: true, ..general(Usage::SingleUse) };
    let there = invited(4, Details::General(Box::new(there)), &["u1", "u2"]);
    let replace = creation(there.details.clone(), &[at("u1")]);
    let replace = CreateInvitation { on_conflict: OnConflict::Replace, ..replace };
    let away = UpdatedFields { archived: Some(true), ..UpdatedFields::default() };
    vec![
        ("accept by system", together(&[&guest]), accept_by_system(&guest, organization(7))),
        ("update", together(&[&guest]), set(&guest, away)),
        ("delete", together(&[&user]), delete(&user)),
        ("decline by name", together(&[&there]), decline_as(&there, Some(at("u2")))),
        ("replace", together(&[&there]), Action::Create(Box::new(replace))),
        ("sync", Loaded::empty(NOW), Action::SyncAutojoin(Box::new(sync(&["a.org"])))),
    ]
}

#[test]
fn replay_of_what_only_some_kinds_know_has_one_effect() {
    for (verb, loaded, action) in of_some_kinds() {
        let mut group = Group::new(loaded);
        let first = group.run(&requested(command(1, action.clone()), "r", "body", &[1]), &CONTEXT).unwrap();
        let saved = format!("{:?}", group.save());
        let again = group.run(&requested(command(2, action.clone()), "r", "body", &[1]), &CONTEXT).unwrap();
        assert_eq!((again.invitation, again.acceptance), (first.invitation, first.acceptance), "{verb}");
        assert!(!again.already_accepted, "{verb}");
        let other = group.run(&requested(command(3, action), "r", "other", &[1]), &CONTEXT);
        assert_eq!(other.unwrap_err(), Refusal::RequestIdReused, "{verb}");
        assert_eq!(format!("{:?}", group.save()), saved, "{verb}");
        assert_eq!(group.save().requests.len(), 1, "{verb}");
    }
}

#[test]
fn create_is_replayed_after_expiry_and_with_its_slot_taken() {
    let create = CreateInvitation {
        expiry: Some(Expiry { time: ExpiryTime::At(minutes(5)), field: "expire_time" }),
        ..creation(details(Kind::User), &[at("jane@example.org")])
    };
    let create = requested(command(1, Action::Create(Box::new(create))), "r", "body", &[1]);
    let mut loaded = Loaded::empty(NOW);
    let first = remember(&mut loaded, &create);
    let rival = invited(2, details(Kind::User), &["jane@example.org"]);
    loaded.put_slot(&rival.account, rival.slots()[0].clone(), Slot { invitation: rival.id, version: 2 });
    loaded.put_invitation(rival);
    loaded.now = minutes(10);
    assert_eq!(run_on(&loaded, &create).unwrap().affected, first);
}

#[test]
fn replay_goes_before_token_name_etag_and_state() {
    let before = invitation(0, Some(1));
    let mut loaded = snapshot(&before);
    let accept = requested(command(1, accept(before.claims(0), acceptor("late"))), "a", "body", &[1]);
    let first = remember(&mut loaded, &accept);
    let mut now = before.clone();
    now.generation += 1;
    now.revision += 1;
    now.facts.revoked_at = Some(NOW);
    loaded.put_invitation(now);
    assert_eq!(run_on(&loaded, &accept).unwrap().affected, first);
}

#[test]
fn request_id_that_was_used_for_something_else_is_refused() {
    let invitation = in_state(State::Active);
    let mut other = invitation.clone();
    other.id.0 = Uuid::from_u128(9);
    let mut loaded = snapshot(&invitation);
    loaded.put_invitation(other.clone());
    remember(&mut loaded, &requested(command(1, revoke(&invitation)), "r", "body", &[1]));
    for (case, again) in [
        ("another body", requested(command(2, revoke(&invitation)), "r", "Body", &[1])),
        ("another invitation", requested(command(2, revoke(&other)), "r", "body", &[1])),
        ("another key", requested(command(2, revoke(&invitation)), "r", "body", &[2])),
    ] {
        assert_eq!(run_on(&loaded, &again).unwrap_err(), Refusal::RequestIdReused, "{case}");
    }
}

#[test]
fn request_ids_are_separate_by_account_method_and_spelling() {
    let invitation = in_state(State::Active);
    let mut loaded = snapshot(&invitation);
    remember(&mut loaded, &requested(command(1, create(&[], true)), "r", "body", &[1]));
    let fresh = requested(command(2, create(&[], true)), "r", "other body", &[1]);
    let mut elsewhere = fresh.clone();
    elsewhere.request.as_mut().unwrap().method = "OtherMethod";
    let theirs = Command { reach: Reach::of_account(account("other")), ..fresh.clone() };
    let mut capital = fresh.clone();
    capital.request.as_mut().unwrap().id = "R".to_owned();
    for (case, command) in [("method", elsewhere), ("account", theirs), ("spelling", capital)] {
        assert_eq!(run_on(&loaded, &command).unwrap().changes.invitations.len(), 1, "{case}");
    }
}

#[test]
fn body_digest_of_an_older_key_is_recognised() {
    let invitation = in_state(State::Active);
    for (then, now, recognised) in [
        (&[1][..], &[2, 1][..], true),
        (&[1, 2], &[2, 1], true),
        (&[2, 1], &[1], false),
        (&[2, 1], &[1, 2], true),
        (&[1], &[2], false),
    ] {
        let mut loaded = snapshot(&invitation);
        remember(&mut loaded, &requested(command(1, revoke(&invitation)), "r", "body", then));
        let again = run_on(&loaded, &requested(command(2, revoke(&invitation)), "r", "body", now));
        assert_eq!(again.map(|_| true).unwrap_or(false), recognised, "{then:?} then {now:?}");
        let other = run_on(&loaded, &requested(command(2, revoke(&invitation)), "r", "other", now));
        assert_eq!(other.unwrap_err(), Refusal::RequestIdReused, "{then:?} then {now:?}");
    }
}

#[test]
fn request_that_found_everything_done_is_remembered() {
    let revoked = in_state(State::Revoked);
    let declined = in_state(State::Declined);
    for (case, invitation, action) in [
        ("revoked already", &revoked, revoke(&revoked)),
        ("declined already", &declined, decline(declined.claims(0))),
        ("accepted already", &declined, accept(declined.claims(0), acceptor("early"))),
        ("so already", &declined, update(&declined, connection(1, "LIVE"), None)),
    ] {
        let decided = run_on(&snapshot(invitation), &requested(command(1, action), "r", "body", &[1])).unwrap();
        assert!(decided.changes.events.is_empty(), "{case}");
        let [(_, remembered)] = decided.changes.requests.as_slice() else { panic!("{case}") };
        assert_eq!((remembered.changed, remembered.invitation), (Some(0), invitation.id), "{case}");
    }
    let unnamed = run_on(&snapshot(&revoked), &command(1, create(&[], true))).unwrap();
    assert!(unnamed.changes.requests.is_empty(), "no request_id");
}

#[test]
fn events_carry_the_request_id_and_the_actor() {
    let invitation = in_state(State::Active);
    for (verb, action) in verbs(&invitation) {
        for request in [Some("r"), None] {
            let command = command(1, action.clone());
            let command = request.map_or(command.clone(), |id| requested(command, id, "body", &[1]));
            let changes = run_on(&snapshot(&invitation), &command).unwrap().changes;
            for event in changes.events {
                assert_eq!((event.request_id.as_deref(), event.actor.as_str()), (request, "caller"), "{verb}");
            }
        }
    }
}

/// Returns a revocation by one organization for another, by a caller who may act for one host.
fn between(number: u8, guest: &Invitation, host: u128, organizations: (u128, u128)) -> Command {
    let mut command = requested(command(number, revoke(guest)), "r", "body", &[1]);
    let request = command.request.as_mut().unwrap();
    request.organizations = Some((organization(organizations.0), organization(organizations.1)));
    command.reach = reach_of(Some(vec![organization(host)]));
    command
}

#[test]
fn request_ids_of_other_organizations_do_not_meet() {
    let guest = invited(2, details(Kind::Guest), &["guest@example.org"]);
    let host = guest.details.host().unwrap();
    let mut loaded = together(&[&guest]);
    let first = between(1, &guest, 1, (1, 1));
    assert_eq!(host, organization(1), "the host of the fixtures");
    remember(&mut loaded, &first);
    for organizations in [(8, 8), (8, 1), (1, 8)] {
        let other = between(2, &guest, 1, organizations);
        assert!(super::super::remembered(&loaded, &other).is_none(), "{organizations:?}");
    }
}

#[test]
fn replay_reaches_no_further_than_a_first_call() {
    let guest = invited(2, details(Kind::Guest), &["guest@example.org"]);
    let mut loaded = together(&[&guest]);
    remember(&mut loaded, &between(1, &guest, 1, (8, 8)));
    let withdrawn = between(2, &guest, 8, (8, 8));
    assert_eq!(run_on(&loaded, &withdrawn).unwrap_err(), Refusal::InvitationNotFound);
}

#[test]
fn parts_of_a_call_remember_the_call_and_refuse_another() {
    let (one, two, three) = (in_state(State::Active), invited(2, details(Kind::User), &[]), in_state(State::Revoked));
    let mut group = Group::new(together(&[&one, &two]));
    let part = |number: u8, invitation: &Invitation, body: &str| {
        let command = requested(command(number, revoke(invitation)), "r", body, &[1]);
        let request = command.request.as_ref().map(|request| request.part(invitation.id.0));
        Command { request, ..command }
    };
    group.run(&part(1, &one, "body"), &CONTEXT).unwrap();
    assert_eq!(group.save().requests.len(), 2, "the part and the call");
    let other = group.run(&part(2, &two, "other"), &CONTEXT);
    assert_eq!(other.unwrap_err(), Refusal::RequestIdReused, "though they have no invitation in common");
    assert!(group.run(&part(3, &two, "body"), &CONTEXT).unwrap().happened);
    let again = group.run(&part(4, &one, "body"), &CONTEXT).unwrap();
    assert!(again.happened && again.decided_at == NOW);
    assert_eq!(group.save().requests.len(), 3);

    let mut group = Group::new(together(&[&three]));
    for number in [5, 6] {
        assert!(!group.run(&part(number, &three, "body"), &CONTEXT).unwrap().happened, "it was revoked already");
        assert_eq!(group.save().requests.len(), 2, "a part that changed nothing is remembered with its call");
    }
    assert!(group.save().events.is_empty() && !group.save().is_empty());
}
