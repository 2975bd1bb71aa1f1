//! Who may decline, and what it takes for an invitation to be DECLINED.

use super::{after, event_types, is_nothing, run};
use crate::domain::decide::Decided;
use crate::domain::event::EventType;
use crate::domain::fixtures::{NOW, accept, acceptor, decline, invitation, minutes};
use crate::domain::invitation::Invitation;
use crate::domain::refusal::Refusal;
use crate::domain::state::State;

/// What a recipient has answered so far.
#[derive(Clone, Copy, Debug)]
enum Answer {
    Open,
    Yes,
    No,
}

use Answer::{No, Open, Yes};

#[derive(Clone, Copy, Debug)]
enum Expected {
    /// Declined by this recipient, which makes it of this state.
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
    let mut invitation = invitation(u16::try_from(answers.len()).unwrap(), None);
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
fn each_recipient_declines_for_themselves_and_all_of_them_for_the_invitation() {
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
                wanted.touch(NOW);
                assert_eq!(after(&changes), Some(&wanted), "{case}");
                assert_eq!(wanted.state_at(NOW), state, "{case}");
                assert_eq!(event_types(&changes), [EventType::Declined], "{case}");
                let data = &changes.events[0].data;
                assert_eq!(data.get("recipient"), recipient.map(Into::into).as_ref(), "{case}");
                assert_eq!(data["reason"], "no time", "{case}");
            }
            (result, expected) => panic!("{case}: {result:?}, not {expected:?}"),
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
