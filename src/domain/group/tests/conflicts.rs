//! Commands of one group on invitations that the same group has created.

use super::{event_types, run};
use crate::domain::command::{Action, CreateInvitation, OnConflict};
use crate::domain::fixtures::{
    NOW, accept, acceptor, at, command, creation, details, email, general, invited, person, reach, sync,
};
use crate::domain::group::loaded::Loaded;
use crate::domain::group::{Executed, Group};
use crate::domain::invitation::event::EventType::{
    Accepted, AcceptedElsewhere, AutojoinUpdated, Created, Fulfilled, Revoked,
};
use crate::domain::invitation::refusal::Refusal;
use crate::domain::invitation::slot::{Slot, SlotKey};
use crate::domain::invitation::state::State;
use crate::domain::kind::general::{GeneralDetails, Usage};
use crate::domain::kind::{Details, Kind};

const JANE: &str = "jane@example.org";

fn group() -> Group {
    Group::new(Loaded::empty(NOW))
}

fn general_for_jane(on_conflict: OnConflict) -> Action {
    let exclusive = on_conflict != OnConflict::Allow;
    let details = Details::General(Box::new(GeneralDetails { exclusive, ..general(Usage::SingleUse) }));
    Action::Create(Box::new(CreateInvitation { on_conflict, mails: true, ..creation(details, &[at(JANE)]) }))
}

fn done(group: &mut Group, number: u8, action: Action) -> Executed {
    run(group, &command(number, action)).unwrap()
}

#[test]
fn second_holder_in_a_group_is_refused_as_if_after_a_save() {
    for (kind, action) in [
        (Kind::User, Action::Create(Box::new(creation(details(Kind::User), &[at(JANE)])))),
        (Kind::Guest, Action::Create(Box::new(creation(details(Kind::Guest), &[at(JANE)])))),
        (Kind::General, general_for_jane(OnConflict::Reject)),
    ] {
        let mut group = group();
        let first = done(&mut group, 1, action.clone()).invitation.id;
        let second = run(&mut group, &command(2, action));
        assert_eq!(second.unwrap_err(), Refusal::InvitationExists(first, kind));
        assert_eq!((group.save().created.len(), group.save().slots.len()), (1, 1));
        assert!(!group.save().only_creates(), "{kind:?}: a slot can be lost to another");
    }
}

#[test]
fn invitation_of_the_same_group_is_seen_as_a_conflict() {
    let mut group = group();
    let allowed = done(&mut group, 1, general_for_jane(OnConflict::Allow)).invitation.id;
    let refusal = run(&mut group, &command(2, general_for_jane(OnConflict::Reject))).unwrap_err();
    assert_eq!(refusal, Refusal::InvitationExists(allowed, Kind::General));
    let returned = done(&mut group, 3, general_for_jane(OnConflict::ReturnExisting));
    assert_eq!((returned.invitation.id, group.save().events.len()), (allowed, 1));
}

#[test]
fn replacement_in_a_group_inserts_the_replaced_one_revoked() {
    let mut group = group();
    let first = done(&mut group, 1, general_for_jane(OnConflict::Reject)).invitation.id;
    let second = done(&mut group, 2, general_for_jane(OnConflict::Replace)).invitation.id;
    assert_eq!(event_types(&group), [Created, Created, Revoked]);
    let save = group.save();
    assert!(save.updated.is_empty(), "both are still to be inserted");
    assert_eq!([first, second].map(|id| save.created[&id].state_at(NOW)), [State::Revoked, State::Active]);
    let slots: Vec<_> = save.slots.values().collect();
    assert_eq!(
        (slots.len(), slots[0].invitation, slots[0].version),
        (1, second, Slot::first_version(NOW)),
        "guarded as if taken once"
    );
}

#[test]
fn accept_fulfils_another_invitation_created_in_its_group() {
    let mut group = group();
    let [one, other] = [1, 2].map(|n| done(&mut group, n, general_for_jane(OnConflict::Allow)).invitation);
    done(&mut group, 3, accept(one.claims(0), person("u1", Some(email(JANE)), true)));
    assert_eq!(event_types(&group), [Created, Created, Accepted, Fulfilled, AcceptedElsewhere]);
    let late = run(&mut group, &command(4, accept(other.claims(1), acceptor("u2"))));
    assert_eq!(late.unwrap_err(), Refusal::InvitationFulfilled);
}

#[test]
fn syncs_of_one_group_fold_to_the_last_domains() {
    let mut group = group();
    let syncs = [&["a.org"][..], &["a.org", "b.org"], &[], &["c.org", "a.org"]];
    let ids = (1..)
        .zip(syncs)
        .map(|(number, domains)| done(&mut group, number, Action::SyncAutojoin(Box::new(sync(domains)))).invitation.id);
    let ids: Vec<_> = ids.collect();
    assert!(ids.iter().all(|id| *id == ids[0]));
    let save = group.save();
    assert_eq!((save.created.len(), save.updated.len()), (1, 0));
    assert_eq!(save.created[&ids[0]].state_at(NOW), State::Active);
    let domains: Vec<_> = save.domains.iter().map(|((_, domain), (_, joins))| (domain.as_str(), *joins)).collect();
    assert_eq!(domains, [("a.org", true), ("b.org", false), ("c.org", true)]);
    assert_eq!(save.slots.values().map(|slot| slot.version).collect::<Vec<_>>(), [Slot::first_version(NOW)]);
    assert_eq!(event_types(&group)[1..], [AutojoinUpdated; 4]);
}

#[test]
fn slots_of_accounts_do_not_meet() {
    let mut group = group();
    let action = general_for_jane(OnConflict::Reject);
    done(&mut group, 1, action.clone());
    let mut theirs = command(2, action);
    theirs.reach = reach("other");
    assert!(run(&mut group, &theirs).is_ok());
    assert_eq!(group.save().slots.len(), 2);
    let key = SlotKey::of(&details(Kind::User), [at(JANE)].iter());
    assert_eq!(key, invited(1, details(Kind::User), &[JANE]).slots());
}
