//! Every kind in every state under every verb, compared with the lifecycle table of the API.

use super::{after, event_types, is_nothing, run_on};
use crate::domain::command::Action;
use crate::domain::decide::{Changes, Decided};
use crate::domain::fixtures::{
    NOW, accept, acceptor, command, decline, details, email, general, invited, loaded, minutes, person, resend, revoke,
    ttl,
};
use crate::domain::invitation::Invitation;
use crate::domain::invitation::acceptance::{Acceptance, Acceptor};
use crate::domain::invitation::event::{EventType, Payload};
use crate::domain::invitation::refusal::Refusal;
use crate::domain::invitation::refusal::Refusal::{
    InvalidField, InvitationDeclined, InvitationExpired, InvitationFulfilled, InvitationRevoked, NotDeclinable,
};
use crate::domain::invitation::state::State;
use crate::domain::invitation::state::State::{Active, Declined, Expired, Fulfilled, Revoked};
use crate::domain::kind::general::Usage;
use crate::domain::kind::{Details, Kind};
use crate::domain::value::id::AcceptanceId;
use crate::domain::value::rule::{FieldRule, Invalid};

/// The effect of a verb in a state.
#[derive(Clone, Debug, PartialEq)]
enum Cell {
    /// OK: one use more, and FULFILLED when that is the last.
    Used,
    /// OK: changed, with an event, and in this state.
    To(State),
    /// OK, and nothing changes.
    Stays,
    /// Refused, and nothing changes.
    No(Refusal),
}

use Cell::{No, Stays, To, Used};

const VERBS: [&str; 6] = ["accept", "decline", "revoke", "resend", "resend with ttl", "expiry passes"];

/// The table of the API: a row for each state, a cell for each verb.
#[rustfmt::skip]
const LIFECYCLE: [(State, [Cell; 6]); 5] = [
    (Active,    [Used,                    To(Declined),            To(Revoked),             To(Active),              To(Active),              To(Expired)]),
    (Expired,   [No(InvitationExpired),   No(InvitationExpired),   To(Revoked),             No(InvitationExpired),   To(Active),              Stays]),
    (Revoked,   [No(InvitationRevoked),   No(InvitationRevoked),   Stays,                   No(InvitationRevoked),   No(InvitationRevoked),   Stays]),
    (Declined,  [No(InvitationDeclined),  Stays,                   No(InvitationDeclined),  No(InvitationDeclined),  No(InvitationDeclined),  Stays]),
    (Fulfilled, [No(InvitationFulfilled), No(InvitationFulfilled), No(InvitationFulfilled), No(InvitationFulfilled), No(InvitationFulfilled), Stays]),
];

const NO_TTL: Refusal = InvalidField {
    field: "ttl",
    invalid: Invalid::new(FieldRule::NotAllowed, "must not be set: an auto-join never expires"),
};

/// Returns the cell of the table, except where a shape of invitation differs: an invitation for many is not declined by
/// one of them, and an auto-join never expires.
fn expected(shape: Shape, state: State, verb: &str, invitation: &Invitation) -> Cell {
    let (_, row) = LIFECYCLE.into_iter().find(|(of, _)| *of == state).unwrap();
    let (_, cell) = VERBS.into_iter().zip(row).find(|(of, _)| *of == verb).unwrap();
    match (shape, verb, state) {
        (Shape::ForMany | Shape::Link | Shape::Autojoin, "decline", Active) => No(NotDeclinable),
        (Shape::Autojoin, "resend with ttl", Active) => No(NO_TTL),
        (Shape::Autojoin, "expiry passes", Active) => Stays,
        // It is shown as REVOKED, but a sync restores it until it is revoked by a call.
        (Shape::Autojoin, "revoke", Revoked) if invitation.facts.emptied_at.is_some() => To(Revoked),
        (Shape::One(_) | Shape::ForMany | Shape::Link | Shape::Autojoin, _, _) => cell,
    }
}

/// The shapes of invitation, as far as the lifecycle distinguishes them.
#[derive(Clone, Copy, Debug)]
pub(super) enum Shape {
    /// To one address, of any kind.
    One(Kind),
    /// A connection invitation for everyone with the link.
    Link,
    /// A general one for many.
    ForMany,
    Autojoin,
}

pub(super) fn shapes() -> impl Iterator<Item = Shape> {
    Kind::ALL.map(Shape::One).into_iter().chain([Shape::Link, Shape::ForMany, Shape::Autojoin])
}

/// An ACTIVE invitation of a shape, with the last of its uses left where those are counted.
fn active(shape: Shape) -> Invitation {
    let of = |usage| Details::General(Box::new(general(usage)));
    let mut invitation = match shape {
        Shape::One(kind) => invited(0, details(kind), &["r1@example.org"]),
        Shape::Link => invited(0, details(Kind::Connection), &[]),
        Shape::ForMany => invited(0, of(Usage::MultiUse), &["r1@example.org"]),
        Shape::Autojoin => invited(0, of(Usage::Autojoin), &[]),
    };
    invitation.facts.max_uses = match shape {
        Shape::One(_) => Some(1),
        Shape::Link | Shape::ForMany => Some(3),
        Shape::Autojoin => None,
    };
    invitation.facts.use_count = invitation.facts.max_uses.map_or(5, |max_uses| max_uses - 1);
    invitation.facts.expire_at = invitation.facts.max_uses.map(|_| minutes(60));
    if let Details::General(details) = &mut invitation.details
        && details.usage == Usage::Autojoin
    {
        details.domains = vec!["example.org".to_owned()];
    }
    invitation
}

/// Returns the ways in which an invitation of a shape is in a state; empty if it never is.
pub(super) fn ways_to_be(shape: Shape, state: State) -> Vec<Invitation> {
    let at = Some(minutes(-10));
    let with = |change: fn(&mut Invitation)| {
        let mut invitation = active(shape);
        change(&mut invitation);
        invitation
    };
    let mut ways = match (state, shape) {
        (Active, _) => vec![active(shape)],
        (Expired, Shape::Autojoin) | (Declined | Fulfilled, Shape::Autojoin) => vec![],
        (Expired, _) => vec![with(|this| this.facts.expire_at = Some(NOW))],
        (Revoked, Shape::Autojoin) => vec![with(|_| {}), with(|this| this.facts.emptied_at = Some(minutes(-10)))],
        (Revoked, _) => vec![with(|_| {})],
        (Declined, Shape::One(_)) => vec![with(|this| this.recipients[0].declined_at = Some(minutes(-10)))],
        (Declined, _) => vec![],
        (Fulfilled, Shape::One(Kind::General)) => {
            vec![with(|this| this.facts.use_count = 1), with(|this| this.facts.accepted_elsewhere_at = Some(NOW))]
        }
        (Fulfilled, _) => vec![with(|this| this.facts.use_count += 1)],
    };
    for access in &mut ways {
        match state {
            Revoked if access.facts.emptied_at.is_none() => access.facts.revoked_at = at,
            Declined => access.facts.declined_at = at,
            Active | Expired | Revoked | Fulfilled => {}
        }
    }
    if state == Active || matches!(shape, Shape::Autojoin) {
        return ways;
    }
    let late = ways.iter().cloned().map(|mut late| {
        late.facts.expire_at = Some(minutes(-1));
        late
    });
    let late: Vec<_> = late.collect();
    ways.into_iter().chain(late).collect()
}

/// Returns a new acceptor with the required proof.
pub(super) fn newcomer(shape: Shape) -> (u16, Acceptor) {
    match shape {
        Shape::One(_) => (1, acceptor("late")),
        Shape::Link | Shape::ForMany => (0, acceptor("late")),
        Shape::Autojoin => (0, person("late", Some(email("late@example.org")), true)),
    }
}

fn action(shape: Shape, verb: &str, invitation: &Invitation) -> Action {
    let (link, acceptor) = newcomer(shape);
    let link = invitation.claims(link);
    match verb {
        "accept" => accept(link, acceptor),
        "decline" => decline(link),
        "revoke" => revoke(invitation),
        "resend" => resend(invitation, false, None),
        "resend with ttl" => resend(invitation, false, Some(ttl(10))),
        _ => panic!("no verb: {verb}"),
    }
}

#[test]
fn every_kind_follows_the_lifecycle_in_every_state() {
    for shape in shapes() {
        for state in State::ALL {
            for invitation in ways_to_be(shape, state) {
                let case = format!("{shape:?} {state:?} {:?}", invitation.facts);
                assert_eq!(invitation.state_at(NOW), state, "{case}");
                for verb in VERBS {
                    let expected = expected(shape, state, verb, &invitation);
                    check(&format!("{case}: {verb}"), shape, verb, &invitation, expected);
                }
            }
        }
    }
}

fn check(case: &str, shape: Shape, verb: &str, before: &Invitation, expected: Cell) {
    if verb == "expiry passes" {
        let later = before.state_at(minutes(61));
        let wanted = if let To(state) = expected { state } else { before.state_at(NOW) };
        return assert_eq!(later, wanted, "{case}");
    }
    let result = run_on(&loaded(before, &[]), &command(1, action(shape, verb, before)));
    let uses = before.facts.use_count;
    let last = before.facts.max_uses == Some(uses + 1);
    match (result, expected) {
        (Err(refusal), No(expected)) => assert_eq!(refusal, expected, "{case}"),
        (Ok(Decided { changes, .. }), Stays) => assert!(is_nothing(&changes), "{case}: {changes:?}"),
        (Ok(Decided { changes, .. }), To(state)) => check_changed(case, before, &changes, (state, uses)),
        (Ok(Decided { changes, affected }), Used) => {
            let state = if last { Fulfilled } else { Active };
            check_changed(case, before, &changes, (state, uses + 1));
            assert!(affected.acceptance.is_some() && !affected.already_accepted, "{case}");
            assert_eq!(event_types(&changes).contains(&EventType::Fulfilled), last, "{case}");
        }
        (result, expected) => panic!("{case}: {result:?}, not {expected:?}"),
    }
}

/// Checks the properties of every change.
fn check_changed(case: &str, before: &Invitation, changes: &Changes, (state, uses): (State, u32)) {
    let after = after(changes).unwrap();
    let facts = after.facts;
    assert_eq!((after.state_at(NOW), facts.use_count), (state, uses), "{case}");
    assert_eq!(
        (after.revision, after.updated_at, after.updater.as_str()),
        (before.revision + 1, NOW, "caller"),
        "{case}"
    );
    let terminal = [facts.revoked_at, facts.emptied_at, facts.declined_at, facts.accepted_elsewhere_at];
    let terminal = terminal.into_iter().flatten().count() + usize::from(facts.remaining_uses() == Some(0));
    assert!(terminal <= 1, "{case}: at most one terminal fact: {facts:?}");
    let first = match (before.state_at(NOW), state) {
        (Active, Active | Fulfilled) if uses > before.facts.use_count => EventType::Accepted,
        (_, Declined) => EventType::Declined,
        (_, Revoked) => EventType::Revoked,
        (_, Active) => EventType::Resent,
        (_, Expired | Fulfilled) => panic!("{case}: {state:?} is no way to go"),
    };
    assert_eq!(event_types(changes)[0], first, "{case}");
    for event in &changes.events {
        assert_eq!((event.invitation, event.kind), (before.id, before.details.kind()), "{case}");
        let kept = before.details.general().and_then(|details| details.caller_data.pass_through.as_deref());
        assert_eq!(event.pass_through.as_deref(), kept, "{case}");
        let json = event.payload.json();
        assert!(!json.to_string().contains('@'), "{case}: an address in {json}");
        assert_eq!(Payload::parse(event.event_type, json).unwrap(), event.payload, "{case}: as it is read back");
    }
}

#[test]
fn same_subject_again_is_ok_in_every_state_of_every_kind() {
    for shape in shapes() {
        for (state, invitation) in State::ALL
            .into_iter()
            .flat_map(|state| ways_to_be(shape, state).into_iter().map(move |invitation| (state, invitation)))
        {
            let (link, late) = newcomer(shape);
            let id = AcceptanceId(uuid::Uuid::from_u128(0xacc3));
            let there = Acceptance::new(id, invitation.id, &late, (None, None), None, minutes(-30));
            let again = command(1, accept(invitation.claims(link), acceptor("late")));
            let Decided { changes, affected } = run_on(&loaded(&invitation, &[there]), &again).unwrap();
            assert!(is_nothing(&changes) && affected.already_accepted, "{shape:?} {state:?}");
            assert_eq!(affected.acceptance, Some(id), "{shape:?} {state:?}");
        }
    }
}
