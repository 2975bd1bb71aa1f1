//! Acceptances that are undone, and such that are ended.

mod grants;
mod seats;

use uuid::Uuid;

use crate::domain::decide::tests::{after, beside, event_types, is_nothing, run_on, together};
use crate::domain::decide::{AcceptanceChange, Decided};
use crate::domain::fixtures::{
    CONTEXT, NOW, accept, accept_with, acceptor, command, connection, details, email, general, invited, minutes,
    person, reach_of, release, requested,
};
use crate::domain::group::Group;
use crate::domain::group::loaded::Loaded;
use crate::domain::invitation::Invitation;
use crate::domain::invitation::acceptance::{Acceptance, AcceptanceState, ReleaseMode};
use crate::domain::invitation::event::{EventType, Payload};
use crate::domain::invitation::recipient::{Address, RecipientState};
use crate::domain::invitation::refusal::Refusal;
use crate::domain::invitation::slot::Slot;
use crate::domain::invitation::state::State;
use crate::domain::kind::general::{GeneralDetails, Usage};
use crate::domain::kind::{Details, Kind};
use crate::domain::quota::Quotas;
use crate::domain::value::id::{AcceptanceId, InvitationId};
use ReleaseMode::{End, Undo};

const JANE: &str = "jane@example.org";

fn exclusive(usage: Usage) -> Details {
    Details::General(Box::new(GeneralDetails { exclusive: true, ..general(usage) }))
}

/// Returns an invitation to Jane of each kind.
fn kinds() -> impl Iterator<Item = Invitation> {
    Kind::ALL.into_iter().map(|kind| invited(1, details(kind), &[JANE]))
}

/// Accepts as Jane, and returns the group with what the accept has changed, and the acceptance.
fn accepted(invitations: &[&Invitation]) -> (Group, Acceptance) {
    let mut group = Group::new(together(invitations));
    let jane = person("u1", Some(email(JANE)), true);
    let accepted = group.run(&command(1, accept(invitations[0].claims(1), jane)), &CONTEXT).unwrap();
    (group, accepted.acceptance.unwrap())
}

/// Returns what is there after the commands of a group so far.
fn there(group: &Group, of: &[&Invitation], accepted: &Acceptance) -> Loaded {
    let mut loaded = together(&[]);
    for known in of {
        let save = group.save();
        let left = save
            .updated
            .get(&known.id)
            .map_or_else(|| Invitation::clone(known), |it| Invitation::clone(&it.invitation));
        for key in left.slots() {
            loaded.put_slot(&left.account, key, Slot { invitation: left.id, version: 1 });
        }
        loaded.put_invitation(left);
    }
    loaded.put_acceptance(accepted.clone());
    loaded
}

fn released(decided: &Decided) -> &Acceptance {
    match &decided.changes.acceptance {
        Some(AcceptanceChange::Stop(acceptance)) => acceptance,
        other => panic!("{other:?}"),
    }
}

#[test]
fn undo_leaves_the_invitation_as_it_was_in_every_kind() {
    for before in kinds() {
        let (group, acceptance) = accepted(&[&before]);
        let decided = run_on(&there(&group, &[&before], &acceptance), &command(2, release(&acceptance, Undo))).unwrap();
        let after = after(&decided.changes).unwrap();
        let case = format!("{:?}", before.details.kind());
        assert_eq!((after.facts, &after.details), (before.facts, &before.details), "{case}");
        assert_eq!(after.recipients, before.recipients, "{case}");
        assert_eq!((after.revision, after.updated_at), (before.revision + 2, NOW), "{case}");
        assert_eq!(event_types(&decided.changes), [EventType::AcceptanceReleased], "{case}");
        let undone = released(&decided);
        assert_eq!((undone.state_at(NOW), undone.revision), (AcceptanceState::Released, 2), "{case}");
        assert_eq!(decided.affected.acceptance, Some(acceptance.id), "{case}");
    }
}

#[test]
fn end_leaves_the_use_spent_in_every_kind() {
    for before in kinds() {
        let (group, acceptance) = accepted(&[&before]);
        let loaded = there(&group, &[&before], &acceptance);
        let held = loaded.invitation(&before.account, before.id).unwrap();
        let decided = run_on(&loaded, &command(2, release(&acceptance, End))).unwrap();
        let after = after(&decided.changes).unwrap();
        assert_eq!((after.facts, &after.details, &after.recipients), (held.facts, &held.details, &held.recipients));
        assert_eq!(event_types(&decided.changes), [EventType::AcceptanceEnded]);
        assert_eq!(released(&decided).state_at(NOW), AcceptanceState::Ended);
        assert!(decided.changes.slots.is_empty());
    }
}

#[test]
fn second_release_changes_nothing_and_lets_nobody_back_in() {
    for (first, second, wanted) in
        [(Undo, Undo, Ok(())), (Undo, End, Err(Refusal::AcceptanceReleased)), (End, Undo, Ok(())), (End, End, Ok(()))]
    {
        let invitation = invited(1, details(Kind::User), &[JANE]);
        let (mut group, acceptance) = accepted(&[&invitation]);
        group.run(&command(2, release(&acceptance, first)), &CONTEXT).unwrap();
        let events = group.save().events.len();
        let again = group.run(&command(3, release(&acceptance, second)), &CONTEXT);
        assert_eq!(again.map(|_| ()), wanted, "{first:?}, then {second:?}");
        assert_eq!(group.save().events.len(), events, "{first:?}, then {second:?}");
    }
}

#[test]
fn same_subject_accepts_again_after_undo_and_not_after_end() {
    for before in kinds() {
        let jane = || person("u1", Some(email(JANE)), true);
        let (mut group, first) = accepted(&[&before]);
        group.run(&command(2, release(&first, Undo)), &CONTEXT).unwrap();
        let second = group.run(&command(3, accept(before.claims(1), jane())), &CONTEXT).unwrap();
        let second = second.acceptance.unwrap();
        assert_ne!(second.id, first.id, "another name");
        assert_eq!((second.state_at(NOW), second.revision), (AcceptanceState::Active, 1));
        // A release of the first that comes late does not touch the second.
        assert!(!group.run(&command(4, release(&first, Undo)), &CONTEXT).unwrap().happened);
        group.run(&command(5, release(&second, End)), &CONTEXT).unwrap();
        for link in [before.claims(0), before.claims(1)] {
            let refused = group.run(&command(6, accept(link, jane())), &CONTEXT).unwrap_err();
            assert_eq!(refused, Refusal::AcceptanceEnded, "by every link");
        }
    }
}

#[test]
fn replay_of_an_accept_tells_what_became_of_it() {
    for (mode, wanted) in [(Undo, Refusal::AcceptanceReleased), (End, Refusal::AcceptanceEnded)] {
        let invitation = invited(1, details(Kind::User), &[JANE]);
        let accept = accept(invitation.claims(1), acceptor("u1"));
        let accept = requested(command(1, accept), "r", "body", &[1]);
        let mut group = Group::new(together(&[&invitation]));
        let acceptance = group.run(&accept, &CONTEXT).unwrap().acceptance.unwrap();
        assert!(group.run(&accept, &CONTEXT).is_ok(), "a retry");
        let release = requested(command(2, release(&acceptance, mode)), "r2", "body", &[1]);
        let first = group.run(&release, &CONTEXT).unwrap();
        assert_eq!(group.run(&accept, &CONTEXT).unwrap_err(), wanted);
        let again = group.run(&release, &CONTEXT).unwrap();
        assert_eq!((again.acceptance, again.happened), (first.acceptance, true), "a retry of the release");
    }
}

#[test]
fn invitation_stays_closed_if_its_place_is_taken() {
    for own in [details(Kind::User), details(Kind::Guest), exclusive(Usage::SingleUse)] {
        let before = invited(1, own.clone(), &[JANE]);
        let (group, acceptance) = accepted(&[&before]);
        let mut loaded = there(&group, &[&before], &acceptance);
        let rival = invited(2, own, &[JANE]);
        for key in rival.slots() {
            loaded.put_slot(&rival.account, key, Slot { invitation: rival.id, version: 2 });
        }
        loaded.put_invitation(rival);
        let decided = run_on(&loaded, &command(2, release(&acceptance, Undo))).unwrap();
        let after = after(&decided.changes).unwrap();
        assert_eq!((after.state_at(NOW), after.facts.use_count), (State::Fulfilled, 0), "closed, with its use back");
        assert_eq!(after.facts.accepted_elsewhere_at, Some(NOW));
        assert_eq!(released(&decided).state_at(NOW), AcceptanceState::Released);
        assert!(decided.changes.slots.is_empty());
    }
}

#[test]
fn invitation_takes_its_place_again() {
    let before = invited(1, details(Kind::User), &[JANE]);
    let (group, acceptance) = accepted(&[&before]);
    let command = command(2, release(&acceptance, Undo));
    let loaded = there(&group, &[&before], &acceptance);
    assert_eq!(command.second_read_set(&loaded, &Quotas::NONE).slots, before.slots(), "it reads who has it");
    let taken = run_on(&loaded, &command).unwrap().changes.slots;
    assert_eq!(taken.iter().map(|(key, slot)| (key, slot.version)).collect::<Vec<_>>(), [(&before.slots()[0], 2)]);
}

#[test]
fn ended_invitation_only_gets_its_use_back() {
    for (state, change) in [
        (State::Revoked, (|this| this.facts.revoked_at = Some(minutes(-1))) as fn(&mut Invitation)),
        (State::Declined, |this| this.facts.declined_at = Some(minutes(-1))),
        (State::Expired, |this| this.facts.expire_at = Some(NOW)),
        // Its service has deleted it.
        (State::Fulfilled, |this| this.deleted_at = Some(minutes(-1))),
    ] {
        let before = invited(1, details(Kind::User), &[JANE]);
        let (group, acceptance) = accepted(&[&before]);
        let mut closed = Invitation::clone(&group.save().updated[&before.id].invitation);
        change(&mut closed);
        let mut loaded = there(&group, &[], &acceptance);
        loaded.put_invitation(closed);
        let decided = run_on(&loaded, &command(2, release(&acceptance, Undo))).unwrap();
        let after = after(&decided.changes).unwrap();
        assert_eq!((after.state_at(NOW), after.facts.use_count), (state, 0));
        let told = event_types(&decided.changes).contains(&EventType::Expired);
        assert_eq!(told, state == State::Expired, "an expiry while it was used up is told now");
        assert_eq!(after.expiry_told_at.is_some(), told);
        assert!(decided.changes.slots.is_empty(), "{state:?} takes no place");
    }
}

#[test]
fn erased_people_do_not_leave_an_open_link_behind() {
    let before = invited(1, details(Kind::General), &[JANE]);
    let (group, acceptance) = accepted(&[&before]);
    let mut erased = Invitation::clone(&group.save().updated[&before.id].invitation);
    erased.recipients[0].address = Address::Erased;
    let mut loaded = there(&group, &[], &acceptance);
    loaded.put_invitation(erased);
    let decided = run_on(&loaded, &command(2, release(&acceptance, Undo))).unwrap();
    assert_eq!(after(&decided.changes).unwrap().state_at(NOW), State::Fulfilled);
}

#[test]
fn others_that_it_closed_open_again() {
    let [before, other, later] = [1, 2, 3].map(|number| invited(number, exclusive(Usage::SingleUse), &["u1", JANE]));
    let [before, other] = [before, other].map(|it| Invitation { details: details(Kind::General), ..it });
    let (group, acceptance) = accepted(&[&before, &other]);
    assert_eq!(acceptance.closed, [other.id]);
    let all = [&before, &other];
    let command = command(2, release(&acceptance, Undo));
    let mut loaded = Loaded::empty(NOW);
    loaded.put_acceptance(acceptance.clone());
    loaded.put_invitation(before.clone());
    assert_eq!(command.second_read_set(&loaded, &Quotas::NONE).found, [other.id], "it reads them");

    let decided = run_on(&there(&group, &all, &acceptance), &command).unwrap();
    assert_eq!(event_types(&decided.changes), [EventType::AcceptanceReleased, EventType::Reopened]);
    let opened = beside(&decided.changes)[0];
    assert_eq!((opened.id, opened.facts), (other.id, other.facts));
    let Payload::Reopened(told) = &decided.changes.events[1].payload else { panic!() };
    assert_eq!((told.invitation, told.acceptance), (before.id, acceptance.id));

    // One that another acceptance has closed, or that has no place any more, stays closed.
    for (case, change) in [
        ("closed later", (|this| this.facts.accepted_elsewhere_at = Some(minutes(1))) as fn(&mut Invitation)),
        ("revoked", |this| {
            this.facts.accepted_elsewhere_at = None;
            this.facts.revoked_at = Some(NOW);
        }),
        ("erased", |this| this.recipients.iter_mut().for_each(|gone| gone.address = Address::Erased)),
        ("place taken", |this| this.details = exclusive(Usage::SingleUse)),
    ] {
        let mut loaded = there(&group, &all, &acceptance);
        let mut closed = Invitation::clone(loaded.invitation(&other.account, other.id).unwrap());
        change(&mut closed);
        for key in later.slots() {
            loaded.put_slot(&later.account, key, Slot { invitation: later.id, version: 1 });
        }
        loaded.put_invitation(later.clone());
        loaded.put_invitation(closed);
        let changes = run_on(&loaded, &command).unwrap().changes;
        assert_eq!(event_types(&changes), [EventType::AcceptanceReleased], "{case}");
    }
    let ended =
        run_on(&there(&group, &all, &acceptance), &crate::domain::fixtures::command(3, release(&acceptance, End)));
    assert_eq!(event_types(&ended.unwrap().changes), [EventType::AcceptanceEnded], "END opens nothing");
}

#[test]
fn recipient_is_open_again_unless_another_acceptance_is_theirs() {
    let mut before = invited(1, details(Kind::Connection), &[JANE]);
    before.facts.max_uses = Some(3);
    let (group, first) = accepted(&[&before]);
    let second = Acceptance { id: AcceptanceId(Uuid::from_u128(2)), accepted_at: minutes(1), ..first.clone() };
    for (others, wanted, state) in [
        (vec![], None, RecipientState::Open),
        (vec![second.clone()], Some(minutes(1)), RecipientState::Accepted),
        (vec![second.changed(|it| it.recipient = None)], None, RecipientState::Open),
    ] {
        let mut loaded = there(&group, &[&before], &first);
        let mut held = Invitation::clone(loaded.invitation(&before.account, before.id).unwrap());
        held.facts.use_count = 1 + u32::try_from(others.len()).unwrap();
        held.acceptances = others;
        loaded.put_invitation(held);
        let decided = run_on(&loaded, &command(2, release(&first, Undo))).unwrap();
        let recipient = &after(&decided.changes).unwrap().recipients[0];
        assert_eq!((recipient.accepted_at, recipient.state()), (wanted, state));
    }
}

#[test]
fn undone_acceptance_frees_its_connection() {
    let before = invited(1, details(Kind::Connection), &[]);
    let made = |number| command(number, accept_with(before.claims(0), acceptor("u1"), Some(connection(1, "NEW"))));
    let mut group = Group::new(together(&[&before]));
    let first = group.run(&made(1), &CONTEXT).unwrap().acceptance.unwrap();
    group.run(&command(2, release(&first, Undo)), &CONTEXT).unwrap();
    let second = group.run(&made(3), &CONTEXT).unwrap().acceptance.unwrap();
    assert_ne!(first.id, second.id);
    let add = crate::domain::fixtures::update(&before, connection(2, "NEW"), Some(first.id));
    assert_eq!(group.run(&command(4, add), &CONTEXT).unwrap_err(), Refusal::AcceptanceReleased);
}

#[test]
fn event_has_what_is_to_be_taken_back_and_no_address() {
    let before = invited(1, details(Kind::General), &[JANE]);
    let (group, acceptance) = accepted(&[&before]);
    let decided = run_on(&there(&group, &[&before], &acceptance), &command(2, release(&acceptance, End))).unwrap();
    let [event] = decided.changes.events.as_slice() else { panic!() };
    let json = event.payload.json();
    assert_eq!(Payload::parse(event.event_type, json.clone()).unwrap(), event.payload, "as it is read back");
    assert_eq!(json["subject"], "u1");
    assert_eq!(json["roles"], serde_json::json!(["editor"]));
    assert_eq!(json["reason"], "ask [removed]");
    assert_eq!((json["use_count"].as_u64(), json["recipient"].as_u64()), (Some(1), Some(1)));
}

#[test]
fn acceptance_has_to_be_there_reached_and_of_the_etag() {
    let before = invited(1, details(Kind::Guest), &[JANE]);
    let (group, acceptance) = accepted(&[&before]);
    let loaded = there(&group, &[&before], &acceptance);
    let missing = Acceptance { id: AcceptanceId(Uuid::from_u128(9)), ..acceptance.clone() };
    let foreign = Acceptance { invitation: InvitationId(Uuid::from_u128(9)), ..acceptance.clone() };
    let run = |action| run_on(&loaded, &command(2, action)).map(|_| ());
    for other in [missing, foreign] {
        let wanted = Refusal::AcceptanceNotFound(other.invitation, other.id);
        assert_eq!(run(release(&other, Undo)), Err(wanted));
    }
    let host = before.details.host().unwrap();
    for (hosts, is_found) in [(vec![host], true), (vec![Uuid::from_u128(9)], false)] {
        let command =
            crate::domain::command::Command { reach: reach_of(Some(hosts)), ..command(2, release(&acceptance, Undo)) };
        assert_eq!(run_on(&loaded, &command).is_ok(), is_found);
    }
    for (etag, wanted) in [
        (acceptance.etag(), Ok(())),
        (acceptance.changed(|_| ()).etag(), Err(Refusal::AcceptanceEtagMismatch)),
        (before.etag(), Err(Refusal::AcceptanceEtagMismatch)),
    ] {
        let crate::domain::command::Action::ReleaseAcceptance(mut release) = release(&acceptance, Undo) else {
            panic!()
        };
        release.target.etag = Some(etag);
        assert_eq!(run(crate::domain::command::Action::ReleaseAcceptance(release)), wanted);
    }
    assert!(!is_nothing(&run_on(&loaded, &command(2, release(&acceptance, Undo))).unwrap().changes));
}
