//! The effects of each command on one invitation, as tables.

mod conformance;
mod elsewhere;
mod foretold;
mod free_text;
mod link;
mod notice;
mod person;
mod reminders;
mod request_id;
mod rivals;
mod roles;
mod slots;

use super::{Change, Changes, Decided, decide};
use crate::domain::command::{Action, Command};
use crate::domain::fixtures::{
    CONTEXT, NOW, accept, acceptor, address, command, create, early, in_state, invitation, loaded, minutes, resend,
    ttl, verbs,
};
use crate::domain::group::loaded::Loaded;
use crate::domain::invitation::Invitation;
use crate::domain::invitation::event::EventType;
use crate::domain::invitation::event::EventType::{Accepted, Clicked, Declined, Fulfilled, Resent, Revoked, Updated};
use crate::domain::invitation::refusal::Refusal;
use crate::domain::invitation::slot::Slot;
use crate::domain::invitation::state::State;

/// Decides on an invitation without acceptances.
pub(in crate::domain) fn run(invitation: &Invitation, action: Action) -> Result<Decided, Refusal> {
    decide(&loaded(invitation, &[]), &command(1, action), &CONTEXT)
}

pub(in crate::domain) fn run_on(loaded: &Loaded, command: &Command) -> Result<Decided, Refusal> {
    decide(loaded, command, &CONTEXT)
}

/// Returns the changed invitation, if it changes.
pub(in crate::domain) fn after(changes: &Changes) -> Option<&Invitation> {
    changes.invitations.first().map(changed)
}

pub(in crate::domain) fn changed(change: &Change) -> &Invitation {
    let (Change::Create(invitation) | Change::Update { invitation, .. }) = change;
    invitation
}

/// Returns the other changed invitations.
pub(in crate::domain) fn beside(changes: &Changes) -> Vec<&Invitation> {
    let others = changes.invitations.iter().skip(1);
    others.map(changed).collect()
}

/// Returns a snapshot of several invitations, each with the slots that it took at its creation.
pub(in crate::domain) fn together(invitations: &[&Invitation]) -> Loaded {
    let mut loaded = Loaded::empty(NOW);
    for invitation in invitations {
        for key in invitation.slots() {
            loaded.put_slot(&invitation.account, key, Slot { invitation: invitation.id, version: 1 });
        }
        loaded.put_invitation(Invitation::clone(invitation));
    }
    loaded
}

pub(in crate::domain) fn event_types(changes: &Changes) -> Vec<EventType> {
    changes.events.iter().map(|event| event.event_type).collect()
}

/// Returns whether there is nothing to save.
pub(in crate::domain) fn is_nothing(changes: &Changes) -> bool {
    format!("{changes:?}") == format!("{:?}", Changes::default())
}

#[derive(Clone, Debug)]
enum Expected {
    /// Another row with a higher revision, in this state.
    To(State, &'static [EventType]),
    /// An event happened beside the invitation.
    Beside(&'static [EventType]),
    Unchanged,
    Refused(Refusal),
}

use Expected::{Beside, Refused, To, Unchanged};

/// One row of the lifecycle table; the verbs as in `fixtures::verbs`.
fn lifecycle(state: State) -> [Expected; 9] {
    let stays = |events| To(state, events);
    match state {
        State::Active => [
            To(State::Fulfilled, &[Accepted, Fulfilled]),
            To(State::Declined, &[Declined]),
            To(State::Revoked, &[Revoked]),
            stays(&[Resent]),
            stays(&[Resent]),
            stays(&[Resent]),
            stays(&[Resent]),
            Beside(&[Clicked]),
            stays(&[Updated]),
        ],
        State::Expired => [
            Refused(Refusal::InvitationExpired),
            Refused(Refusal::InvitationExpired),
            To(State::Revoked, &[Revoked]),
            Refused(Refusal::InvitationExpired),
            To(State::Active, &[Resent]),
            Refused(Refusal::InvitationExpired),
            To(State::Active, &[Resent]),
            Beside(&[Clicked]),
            stays(&[Updated]),
        ],
        State::Revoked => closed(Refusal::InvitationRevoked, state, None, Some(())),
        State::Declined => closed(Refusal::InvitationDeclined, state, Some(()), None),
        State::Fulfilled => closed(Refusal::InvitationFulfilled, state, None, None),
    }
}

/// A row of a terminal state, in which only the action of that state is OK once more.
fn closed(refusal: Refusal, state: State, decline: Option<()>, revoke: Option<()>) -> [Expected; 9] {
    let no = Refused(refusal);
    let [decline, revoke] = [decline, revoke].map(|fits| fits.map_or(no.clone(), |()| Unchanged));
    let [a, b, c, d, e] = std::array::from_fn(|_| no.clone());
    [a, decline, revoke, b, c, d, e, Beside(&[Clicked]), To(state, &[Updated])]
}

/// The invitation in this state, then the same with its expiry passed where that makes no difference.
pub(in crate::domain) fn ways_to_be(state: State) -> Vec<Invitation> {
    let plain = in_state(state);
    let mut late = plain.clone();
    late.facts.expire_at = Some(minutes(-1));
    if state == State::Active { vec![plain] } else { vec![plain, late] }
}

#[test]
fn every_verb_does_in_every_state_what_the_lifecycle_says() {
    for state in State::ALL {
        for invitation in ways_to_be(state) {
            assert_eq!(invitation.state_at(NOW), state);
            for ((verb, action), expected) in verbs(&invitation).into_iter().zip(lifecycle(state)) {
                let result = run_on(&loaded(&invitation, &[early(&invitation)]), &command(1, action));
                check(&format!("{verb} when {state:?}"), &invitation, result, expected);
            }
        }
    }
}

fn check(case: &str, before: &Invitation, result: Result<Decided, Refusal>, expected: Expected) {
    match (result, expected) {
        (Err(refusal), Refused(expected)) => assert_eq!(refusal, expected, "{case}"),
        (Ok(Decided { changes, .. }), Unchanged) => assert!(is_nothing(&changes), "{case}: {changes:?}"),
        (Ok(Decided { changes, .. }), Beside(events)) => {
            assert_eq!(event_types(&changes), events, "{case}");
            assert!(changes.invitations.is_empty() && changes.engagement.is_some(), "{case}: {changes:?}");
        }
        (Ok(Decided { changes, affected }), To(state, events)) => {
            let after = after(&changes).unwrap();
            assert_eq!(after.state_at(NOW), state, "{case}");
            assert_eq!((after.revision, after.updated_at), (before.revision + 1, NOW), "{case}");
            assert_eq!(event_types(&changes), events, "{case}");
            assert!(changes.events.iter().all(|event| event.invitation == before.id && event.time == NOW), "{case}");
            assert_eq!(affected.invitation, before.id, "{case}");
        }
        (result, expected) => panic!("{case}: {result:?}, not {expected:?}"),
    }
}

#[test]
fn second_accept_of_a_subject_succeeds_in_any_state_without_use() {
    for invitation in State::ALL.into_iter().flat_map(ways_to_be) {
        let early = early(&invitation);
        let again = command(1, accept(invitation.claims(0), acceptor("early")));
        let Decided { changes, affected } = run_on(&loaded(&invitation, std::slice::from_ref(&early)), &again).unwrap();
        assert!(is_nothing(&changes), "{changes:?}");
        assert!(affected.already_accepted);
        assert_eq!(affected.acceptance, Some(early.id));
    }
}

#[test]
fn accept_uses_one_and_fulfils_with_the_last() {
    for (max_uses, use_count, state) in [
        (None, 0, State::Active),
        (None, 1_000_000, State::Active),
        (Some(1), 0, State::Fulfilled),
        (Some(3), 0, State::Active),
        (Some(3), 1, State::Active),
        (Some(3), 2, State::Fulfilled),
    ] {
        let mut invitation = invitation(0, max_uses);
        invitation.facts.use_count = use_count;
        let Decided { changes, affected } = run(&invitation, accept(invitation.claims(0), acceptor("late"))).unwrap();
        let after = after(&changes).unwrap();
        assert_eq!((after.facts.use_count, after.state_at(NOW)), (use_count + 1, state), "{max_uses:?}");
        assert_eq!(event_types(&changes).contains(&Fulfilled), state == State::Fulfilled, "{max_uses:?}");
        assert!(
            matches!(changes.invitations[..], [Change::Update { unexpired: true, .. }]),
            "the save looks at the clock"
        );
        assert!(affected.acceptance.is_some() && !affected.already_accepted);
    }
}

#[test]
fn first_acceptance_is_the_one_whose_time_stays() {
    let mut invitation = invitation(0, None);
    let first = run(&invitation, accept(invitation.claims(0), acceptor("a"))).unwrap();
    assert_eq!(after(&first.changes).unwrap().facts.accepted_at, Some(NOW));
    invitation.facts.accepted_at = Some(minutes(-5));
    let second = run(&invitation, accept(invitation.claims(0), acceptor("b"))).unwrap();
    assert_eq!(after(&second.changes).unwrap().facts.accepted_at, Some(minutes(-5)));
}

#[test]
fn created_invitation_is_active_and_mails_each_recipient_a_link() {
    for (recipients, mails, mailed) in [(0, true, 0), (0, false, 0), (3, true, 3), (3, false, 0)] {
        let emails: Vec<_> = (1..=recipients).map(address).collect();
        let made = run_on(&Loaded::empty(NOW), &command(1, create(&emails, mails))).unwrap();
        let invitation = after(&made.changes).unwrap();
        assert!(matches!(made.changes.invitations[..], [Change::Create(_)]));
        assert_eq!((invitation.state_at(NOW), invitation.revision, invitation.generation), (State::Active, 1, 0));
        assert_eq!(invitation.facts.expire_at, Some(minutes(60)));
        assert_eq!(made.affected.invitation, invitation.id);
        let ordinals: Vec<_> = invitation.recipients.iter().map(|recipient| recipient.ordinal).collect();
        assert_eq!(ordinals, (1..=recipients).collect::<Vec<_>>());
        let to: Vec<_> = made.changes.deliveries.iter().map(|delivery| delivery.recipient).collect();
        assert_eq!(to, (1..=mailed).collect::<Vec<_>>());
        assert_eq!(invitation.deliveries, u32::from(mailed));
        assert_eq!(event_types(&made.changes), [EventType::Created]);
    }
}

#[test]
fn command_decided_again_creates_the_same_ids() {
    let invitation = invitation(3, Some(1));
    let accept = accept(invitation.claims(1), acceptor("a"));
    for action in [accept, create(&[address(1), address(2)], true), resend(&invitation, true, Some(ttl(1)))] {
        let decide = |number| run_on(&loaded(&invitation, &[]), &command(number, action.clone())).unwrap();
        assert_eq!(format!("{:?}", decide(1)), format!("{:?}", decide(1)));
        let ids = |number| {
            let Decided { changes, affected } = decide(number);
            let events = changes.events.iter().map(|event| event.id);
            let deliveries = changes.deliveries.iter().map(|delivery| delivery.id);
            let acceptance = affected.acceptance.map(|id| id.0);
            let created = matches!(changes.invitations[..], [Change::Create(_)]).then_some(affected.invitation.0);
            events.chain(deliveries).chain(acceptance).chain(created).collect::<Vec<_>>()
        };
        let mut all = [ids(1), ids(2)].concat();
        let made = all.len();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), made, "all distinct");
    }
}
