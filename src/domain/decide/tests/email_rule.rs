//! The e-mail rule, over every sort of invitation, link, address and proof.

use super::{after, run};
use crate::domain::decide::{AcceptanceChange, Decided};
use crate::domain::fixtures::{NOW, accept, email, invitation, minutes, person};
use crate::domain::invitation::Invitation;
use crate::domain::refusal::Refusal::{self, EmailNotAllowed, EmailNotVerified, InvitationDeclined};

const R1: &str = "r1@example.org";
const R2: &str = "r2@example.org";
/// Recipient 3 has declined.
const R3: &str = "r3@example.org";
const R1_SPELT_OTHERWISE: &str = " R1@EXAMPLE.org ";
const STRANGER: &str = "eve@example.org";
const R1_TAGGED: &str = "r1+tag@example.org";

type Matched = Result<u16, Refusal>;

/// Link, the acceptor's address, and which recipient they are: not vouched for by the caller, vouched for.
#[rustfmt::skip]
const TABLE: [(u16, Option<&str>, Matched, Matched); 26] = [
    (0, None,                     Err(EmailNotAllowed),    Err(EmailNotAllowed)),
    (0, Some(R1),                 Err(EmailNotVerified),   Ok(1)),
    (0, Some(R1_SPELT_OTHERWISE), Err(EmailNotVerified),   Ok(1)),
    (0, Some(R2),                 Err(EmailNotVerified),   Ok(2)),
    (0, Some(R3),                 Err(EmailNotVerified),   Err(InvitationDeclined)),
    (0, Some(STRANGER),           Err(EmailNotAllowed),    Err(EmailNotAllowed)),
    (0, Some(R1_TAGGED),          Err(EmailNotAllowed),    Err(EmailNotAllowed)),
    (1, None,                     Ok(1),                   Ok(1)),
    (1, Some(R1),                 Ok(1),                   Ok(1)),
    (1, Some(R1_SPELT_OTHERWISE), Ok(1),                   Ok(1)),
    (1, Some(R2),                 Err(EmailNotVerified),   Ok(2)),
    (1, Some(R3),                 Err(EmailNotVerified),   Err(InvitationDeclined)),
    (1, Some(STRANGER),           Err(EmailNotAllowed),    Err(EmailNotAllowed)),
    (1, Some(R1_TAGGED),          Err(EmailNotAllowed),    Err(EmailNotAllowed)),
    (2, None,                     Ok(2),                   Ok(2)),
    (2, Some(R1),                 Err(EmailNotVerified),   Ok(1)),
    (2, Some(R1_SPELT_OTHERWISE), Err(EmailNotVerified),   Ok(1)),
    (2, Some(R2),                 Ok(2),                   Ok(2)),
    (2, Some(R3),                 Err(EmailNotVerified),   Err(InvitationDeclined)),
    (2, Some(STRANGER),           Err(EmailNotAllowed),    Err(EmailNotAllowed)),
    (3, None,                     Err(InvitationDeclined), Err(InvitationDeclined)),
    (3, Some(R1),                 Err(EmailNotVerified),   Ok(1)),
    (3, Some(R2),                 Err(EmailNotVerified),   Ok(2)),
    (3, Some(R3),                 Err(InvitationDeclined), Err(InvitationDeclined)),
    (3, Some(STRANGER),           Err(EmailNotAllowed),    Err(EmailNotAllowed)),
    (3, Some(R1_TAGGED),          Err(EmailNotAllowed),    Err(EmailNotAllowed)),
];

/// Bound to three addresses, the last of whom has declined.
fn bound() -> Invitation {
    let mut invitation = invitation(3, None);
    invitation.recipients[2].declined_at = Some(minutes(-1));
    invitation
}

/// The recipient and the address of the acceptance, and the invitation afterwards.
fn accepted(decided: Decided) -> (Option<u16>, Option<String>, Invitation) {
    let after = after(&decided.changes).unwrap().clone();
    let Some(AcceptanceChange::Create(acceptance)) = decided.changes.acceptance else { panic!("no acceptance") };
    (acceptance.recipient, acceptance.email.map(|email| email.original().to_owned()), after)
}

#[test]
fn a_bound_invitation_takes_proven_addresses_it_allows_and_no_others() {
    let bound = bound();
    for (link, address, unvouched, vouched) in TABLE {
        for (verified, expected) in [(false, unvouched), (true, vouched)] {
            let case = format!("link {link}, {address:?}, verified: {verified}");
            let acceptor = person("a", address.map(email), verified);
            let result = run(&bound, accept(bound.claims(link), acceptor)).map(accepted);
            let Ok((recipient, with, after)) = result else {
                assert_eq!(result.map(|(recipient, ..)| recipient.unwrap()), expected, "{case}");
                continue;
            };
            let ordinal = expected.unwrap_or_else(|refusal| panic!("{case}: not {refusal:?}"));
            assert_eq!(recipient, Some(ordinal), "{case}");
            let own = format!("r{ordinal}@example.org");
            assert_eq!(with.as_deref(), Some(address.map_or(own.as_str(), str::trim)), "{case}");
            for other in &after.recipients {
                assert_eq!(other.accepted_at, (other.ordinal == ordinal).then_some(NOW), "{case}");
            }
        }
    }
}

#[test]
fn an_unbound_invitation_takes_any_address_and_none() {
    let unbound = invitation(0, None);
    for address in [None, Some(R1), Some(STRANGER)] {
        for verified in [false, true] {
            let acceptor = person("a", address.map(email), verified);
            let (recipient, with, _) = accepted(run(&unbound, accept(unbound.claims(0), acceptor)).unwrap());
            assert_eq!((recipient, with.as_deref()), (None, address));
        }
    }
}

#[test]
fn two_subjects_with_one_address_are_two_uses_and_the_first_is_when_it_answered() {
    let mut bound = bound();
    bound.recipients[0].accepted_at = Some(minutes(-1));
    let (recipient, _, after) = accepted(run(&bound, accept(bound.claims(1), person("b", None, false))).unwrap());
    assert_eq!((recipient, after.facts.use_count), (Some(1), 1));
    assert_eq!(after.recipients[0].accepted_at, Some(minutes(-1)));
}

#[test]
fn the_state_is_told_before_the_address_is_judged() {
    let mut bound = bound();
    bound.facts.revoked_at = Some(minutes(-1));
    let acceptor = person("a", Some(email(STRANGER)), false);
    let refusal = run(&bound, accept(bound.claims(0), acceptor)).unwrap_err();
    assert_eq!(refusal, Refusal::InvitationRevoked);
}

#[test]
fn events_of_an_accept_name_the_recipient_by_ordinal_and_hold_no_address() {
    let bound = bound();
    let decided = run(&bound, accept(bound.claims(2), person("a", None, false))).unwrap();
    assert_eq!(decided.changes.events[0].data["recipient"], 2);
    assert!(decided.changes.events.iter().all(|event| !format!("{:?}", event.data).contains('@')));
}
