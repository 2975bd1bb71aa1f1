//! The effects of a batch's mode on a group.

use super::{BatchMode, Executed, Group, group, run};
use crate::domain::command::{Action, Command};
use crate::domain::fixtures::{
    accept, acceptor, command, create, creation, details, email, engage, invitation, loaded, minutes, resend, revoke,
};
use crate::domain::group::loaded::Loaded;
use crate::domain::invitation::recipient::Address;
use crate::domain::invitation::refusal::Refusal;
use crate::domain::invitation::slot::Slot;
use crate::domain::invitation::{EngagementType, Invitation};
use crate::domain::kind::Kind;

fn run_batch(
    group: &mut Group,
    mode: BatchMode,
    actions: impl IntoIterator<Item = Action>,
) -> Vec<Result<Executed, Refusal>> {
    let commands: Vec<Command> = (100..).zip(actions).map(|(number, action)| command(number, action)).collect();
    group.run_batch(&commands, mode, run)
}

/// Returns the refusal of each command.
fn refusals(results: Vec<Result<Executed, Refusal>>) -> Vec<Option<Refusal>> {
    results.into_iter().map(Result::err).collect()
}

/// Returns actions that fill every part of a save, the last of which is refused.
fn last_refused(invitation: &Invitation) -> Vec<Action> {
    let link = invitation.claims(0);
    let slot = || creation(details(Kind::User), &[Address::Email(email("a@b.org"))]);
    vec![
        create(&[email("c@d.org")], true),
        Action::Create(Box::new(slot())),
        engage(link, EngagementType::View),
        accept(link, acceptor("a")),
        resend(invitation, true, None),
        accept(link, acceptor("b")),
    ]
}

#[test]
fn atomic_batch_with_a_refusal_leaves_the_group_as_it_was() {
    let invitation = invitation(2, None);
    let mut group = group(&invitation);
    run(&mut group, &command(1, engage(invitation.claims(0), EngagementType::View))).unwrap();
    let (loaded, save) =
        (format!("{:?}", group.loaded.invitation(&invitation.account, invitation.id)), group.save.clone());
    let open = Invitation { recipients: Vec::new(), ..invitation.clone() };
    group.loaded.put_invitation(open.clone());
    let refused = refusals(run_batch(&mut group, BatchMode::Atomic, last_refused(&open)));
    assert_eq!(refused, [None, None, None, None, None, Some(Refusal::InvitationNotFound)]);
    assert_eq!(format!("{:?}", group.save), format!("{save:?}"));
    group.loaded.put_invitation(invitation.clone());
    assert_eq!(format!("{:?}", group.loaded.invitation(&invitation.account, invitation.id)), loaded);
}

#[test]
fn every_refusal_of_an_atomic_batch_is_reported() {
    let one = invitation(0, Some(1));
    let mut group = group(&one);
    let link = one.claims(0);
    let actions = ["a", "b", "c"].map(|subject| accept(link, acceptor(subject)));
    let fulfilled = Some(Refusal::InvitationFulfilled);
    assert_eq!(refusals(run_batch(&mut group, BatchMode::Atomic, actions)), [None, fulfilled.clone(), fulfilled]);
    assert!(group.save().is_empty());
    run(&mut group, &command(9, accept(link, acceptor("d")))).expect("its use was given back");
}

#[test]
fn atomic_batch_without_refusals_equals_single_commands() {
    let invitation = invitation(0, None);
    let actions = || last_refused(&invitation).into_iter().take(5);
    let saved = [BatchMode::Independent, BatchMode::Together, BatchMode::Atomic].map(|mode| {
        let mut group = group(&invitation);
        assert!(run_batch(&mut group, mode, actions()).iter().all(Result::is_ok));
        format!("{:?}", group.save())
    });
    assert!(saved.iter().all(|save| *save == saved[0]));
}

#[test]
fn each_of_a_batch_is_decided_for_itself() {
    let invitation = invitation(0, Some(1));
    let link = invitation.claims(0);
    for mode in [BatchMode::Independent, BatchMode::Together] {
        let mut group = group(&invitation);
        let actions = [accept(link, acceptor("a")), accept(link, acceptor("b")), revoke(&invitation)];
        let fulfilled = Some(Refusal::InvitationFulfilled);
        assert_eq!(refusals(run_batch(&mut group, mode, actions)), [None, fulfilled.clone(), fulfilled]);
        assert_eq!(group.save().accepted.len(), 1);
    }
}

#[test]
fn dry_run_sees_its_own_changes_and_leaves_none() {
    let invitation = invitation(0, Some(1));
    let mut group = group(&invitation);
    let link = invitation.claims(0);
    for _ in 0..2 {
        let actions = [accept(link, acceptor("a")), accept(link, acceptor("b")), accept(link, acceptor("a"))];
        let results = run_batch(&mut group, BatchMode::DryRun, actions);
        assert_eq!(*results[1].as_ref().unwrap_err(), Refusal::InvitationFulfilled);
        assert!(results[2].as_ref().unwrap().already_accepted);
        assert_eq!(results[0].as_ref().unwrap().invitation.facts.use_count, 1);
        assert!(group.save().is_empty());
    }
}

#[test]
fn slot_taken_twice_in_a_group_keeps_its_first_version() {
    let mut group = Group::new(Loaded::empty(minutes(0)));
    let slot = || creation(details(Kind::User), &[Address::Email(email("a@b.org"))]);
    let first = run(&mut group, &command(1, Action::Create(Box::new(slot())))).unwrap().invitation;
    run(&mut group, &command(2, revoke(&first))).unwrap();
    let second = run(&mut group, &command(3, Action::Create(Box::new(slot())))).unwrap().invitation;
    let slots: Vec<_> = group.save().slots.values().map(|slot| (slot.invitation, slot.version)).collect();
    assert_eq!(slots, [(second.id, Slot::first_version(minutes(0)))]);
}

#[test]
fn later_load_agrees_unless_it_shows_another_revision() {
    let first = invitation(0, None);
    let mut other = first.clone();
    other.id.0 = uuid::Uuid::from_u128(9);
    let before = loaded(&first, &[]);
    assert!(before.agrees_with(&loaded(&first, &[])) && before.agrees_with(&loaded(&other, &[])));
    let changed = Invitation { revision: first.revision + 1, ..first };
    assert!(!before.agrees_with(&loaded(&changed, &[])));
}
