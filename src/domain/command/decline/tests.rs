//! The recipients who may decline, and the condition for the state DECLINED.

use crate::domain::command::{Access, Action, DeclineInvitation};
use crate::domain::decide::Decided;
use crate::domain::decide::tests::{after, event_types, is_nothing, run};
use crate::domain::fixtures::{NOW, accept, acceptor, at, decline, decline_as, general, invitation, invited, minutes};
use crate::domain::invitation::Invitation;
use crate::domain::invitation::event::EventType;
use crate::domain::invitation::refusal::Refusal;
use crate::domain::invitation::state::State;
use crate::domain::kind::Details;
use crate::domain::kind::general::Usage;

/// The answer of a recipient so far.
#[derive(Clone, Copy, Debug)]
enum Answer {
    Open,
    Yes,
    No,
}

use Answer::{No, Open, Yes};

#[derive(Clone, Debug)]
enum Expected {
    /// Declined by this recipient, with the state that follows.
    By(Option<u16>, State),
    Unchanged,
    Refused(Refusal),
}

use Expected::{By, Refused, Unchanged};

#[rustfmt::skip]
const TABLE: [(&[Answer], u16, Expected); 18] = [
    (&[],               0, By(None, State::Declined)),
    (&[Open],           0, By(Some(1), State::Declined)),
    (&[Open],           1, By(Some(1), State::Declined)),
    (&[Yes],            0, Refused(Refusal::InvitationFulfilled)),
    (&[Yes],            1, Refused(Refusal::InvitationFulfilled)),
    (&[Open, Open],     0, Refused(Refusal::RecipientUnknown)),
    (&[Open, No],       0, Refused(Refusal::RecipientUnknown)),
    (&[Open, Open],     1, By(Some(1), State::Active)),
    (&[Open, Open],     2, By(Some(2), State::Active)),
    (&[No, Open],       1, Unchanged),
    (&[No, Open],       2, By(Some(2), State::Declined)),
    (&[Yes, Open],      1, Refused(Refusal::InvitationFulfilled)),
    (&[Yes, Open],      2, By(Some(2), State::Active)),
    (&[No, Open, No],   2, By(Some(2), State::Declined)),
    (&[No, Open, Open], 2, By(Some(2), State::Active)),
    (&[No, Open, Yes],  2, By(Some(2), State::Active)),
    (&[No, Open, Yes],  3, Refused(Refusal::InvitationFulfilled)),
    (&[Open, Open],     3, Refused(Refusal::InvitationNotFound)),
];

fn answered(answers: &[Answer]) -> Invitation {
    let mut invitation = invitation(u16::try_from(answers.len()).unwrap(), Some(1));
    for (recipient, answer) in invitation.recipients.iter_mut().zip(answers) {
        match answer {
            Open => {}
            Yes => recipient.accepted_at = Some(minutes(-1)),
            No => recipient.declined_at = Some(minutes(-1)),
        }
    }
    invitation
}

#[test]
fn invitation_is_declined_once_all_recipients_have_declined() {
    for (answers, link, expected) in TABLE {
        let case = format!("{answers:?} by link {link}");
        let before = answered(answers);
        match (run(&before, decline(before.claims(link))), expected) {
            (Err(refusal), Refused(expected)) => assert_eq!(refusal, expected, "{case}"),
            (Ok(Decided { changes, .. }), Unchanged) => assert!(is_nothing(&changes), "{case}"),
            (Ok(Decided { changes, .. }), By(recipient, state)) => {
                let mut wanted = before.clone();
                for declining in wanted.recipients.iter_mut().filter(|other| Some(other.ordinal) == recipient) {
                    declining.declined_at = Some(NOW);
                }
                wanted.facts.declined_at = (state == State::Declined).then_some(NOW);
                wanted.touch("caller", NOW);
                assert_eq!(after(&changes), Some(&wanted), "{case}");
                assert_eq!(wanted.state_at(NOW), state, "{case}");
                assert_eq!(event_types(&changes), [EventType::Declined], "{case}");
                let data = &changes.events[0].payload.json();
                assert_eq!(data.get("recipient"), recipient.map(Into::into).as_ref(), "{case}");
                assert_eq!(data["reason"], "no time", "{case}");
            }
            (result, expected) => panic!("{case}: {result:?}, not {expected:?}"),
        }
    }
}

#[test]
fn plain_link_of_an_invitation_for_many_declines_for_nobody() {
    for max_uses in [None, Some(2)] {
        for (answers, link, result) in [
            (&[][..], 0, Err(Refusal::NotDeclinable)),
            (&[Open], 0, Err(Refusal::NotDeclinable)),
            (&[Open], 1, Ok(())),
            (&[Open, Open], 0, Err(Refusal::RecipientUnknown)),
            (&[Open, Open], 2, Ok(())),
        ] {
            let mut before = answered(answers);
            before.facts.max_uses = max_uses;
            let declined = run(&before, decline(before.claims(link))).map(drop);
            assert_eq!(declined, result, "{answers:?} by link {link}, {max_uses:?}");
        }
    }
}

#[test]
fn who_declined_cannot_accept_while_the_others_can() {
    let invitation = answered(&[No, Open]);
    let refusal = run(&invitation, accept(invitation.claims(1), acceptor("a"))).unwrap_err();
    assert_eq!(refusal, Refusal::InvitationDeclined);
    assert!(run(&invitation, accept(invitation.claims(2), acceptor("b"))).is_ok());
}

fn of(usage: Usage) -> Details {
    Details::General(Box::new(general(usage)))
}

/// The targets, the link, the address with a name, and the result; for a general invitation for one.
type Row = (&'static [&'static str], Option<u16>, Option<&'static str>, Expected);

#[rustfmt::skip]
const BY_TARGET: [Row; 14] = [
    (&[],                                Some(0), None,                   By(None, State::Declined)),
    (&[""],                              Some(0), None,                   By(Some(1), State::Declined)),
    (&["jane@a.org"],                    Some(0), None,                   By(Some(1), State::Declined)),
    (&["jane@a.org", "u1", "+4930123"],  Some(0), None,                   Refused(Refusal::RecipientUnknown)),
    (&["jane@a.org", "u1", "+4930123"],  Some(1), None,                   By(Some(1), State::Active)),
    (&["jane@a.org", "u1", "+4930123"],  None,    None,                   Refused(Refusal::RecipientUnknown)),
    (&["jane@a.org", "u1", "+4930123"],  None,    Some(" Jane@A.ORG "),   By(Some(1), State::Active)),
    (&["jane@a.org", "u1", "+4930123"],  None,    Some("u1"),             By(Some(2), State::Active)),
    (&["jane@a.org", "u1", "+4930123"],  None,    Some("+4930123"),       By(Some(3), State::Active)),
    (&["jane@a.org", "u1", "+4930123"],  None,    Some("U1"),             Refused(Refusal::RecipientUnknown)),
    (&["jane@a.org"],                    None,    Some("joe@a.org"),      Refused(Refusal::RecipientUnknown)),
    (&["jane@a.org"],                    None,    Some("jane@a.org"),     By(Some(1), State::Declined)),
    (&["jane@a.org"],                    None,    None,                   By(Some(1), State::Declined)),
    (&[],                                None,    Some("jane@a.org"),     Refused(Refusal::RecipientUnknown)),
];

#[test]
fn target_declines_by_its_link_or_by_being_named() {
    for (targets, link, address, expected) in BY_TARGET {
        let case = format!("{targets:?} by {link:?} as {address:?}");
        let before = invited(1, of(Usage::SingleUse), targets);
        let action = link.map_or_else(|| decline_as(&before, address.map(at)), |link| decline(before.claims(link)));
        match (run(&before, action), expected) {
            (Err(refusal), Refused(expected)) => assert_eq!(refusal, expected, "{case}"),
            (Ok(Decided { changes, .. }), By(recipient, state)) => {
                let after = after(&changes).unwrap();
                let out = after.recipients.iter().find(|recipient| recipient.declined_at.is_some());
                assert_eq!(out.map(|out| out.ordinal), recipient, "{case}");
                assert_eq!(after.state_at(NOW), state, "{case}");
                let data = &changes.events[0].payload.json();
                assert_eq!(data.get("recipient"), recipient.map(Into::into).as_ref(), "{case}");
                assert!(!format!("{data:?}").contains("jane"), "{case}: an address in {data:?}");
            }
            (result, expected) => panic!("{case}: {result:?}, not {expected:?}"),
        }
    }
}

#[test]
fn invitation_for_many_cannot_be_declined() {
    for (case, invitation) in [
        ("for many", invited(1, of(Usage::MultiUse), &["jane@a.org"])),
        ("auto-join", invited(1, of(Usage::Autojoin), &[])),
    ] {
        let link = invitation.recipients.len().try_into().unwrap();
        let named = Some(at("jane@a.org"));
        for action in [decline(invitation.claims(link)), decline_as(&invitation, named), decline_as(&invitation, None)]
        {
            assert_eq!(run(&invitation, action).unwrap_err(), Refusal::NotDeclinable, "{case}");
        }
    }
}

#[test]
fn reason_is_told_and_no_reason_is_not() {
    let invitation = invitation(1, Some(1));
    for reason in [Some("no time".to_owned()), None] {
        let access = Access::Link(invitation.claims(1));
        let decline = DeclineInvitation { access, addresses: Vec::new(), reason: reason.clone() };
        let changes = run(&invitation, Action::Decline(decline)).unwrap().changes;
        assert_eq!(changes.events[0].payload.json().get("reason").and_then(|told| told.as_str()), reason.as_deref());
    }
}
