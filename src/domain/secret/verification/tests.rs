//! Codes, limits and proofs as tables.

use std::collections::HashSet;
use std::time::Duration;

use super::*;
use crate::domain::command::AcceptInvitation;
use crate::domain::delivery::{Delivery, DeliveryState, NewDelivery, Purpose};
use crate::domain::fixtures;
use crate::domain::fixtures::{NOW, account, details, email, general, in_state, invitation, invited, minutes, person};
use crate::domain::invitation::acceptance::Acceptor;
use crate::domain::invitation::state::State;
use crate::domain::kind::general::{GeneralDetails, RecipientMatch, Usage};
use crate::domain::kind::{Details, Kind};
use crate::domain::value::given_email::GivenEmail;

fn ring(ids: &[u8]) -> KeyRing {
    let keys: Vec<_> = ids.iter().map(|id| KeyRing::format_key(*id, [*id; 32])).collect();
    KeyRing::parse(&keys.join(",")).unwrap()
}

fn verification(id: u128) -> Verification {
    let (account, invitation) = (account("acme"), invitation(0, None).id);
    Verification { account, invitation, id: Uuid::from_u128(id), key_id: 1, form: CodeForm::Digits }
}

fn proof_of(email: Email, now: Timestamp) -> EmailProof {
    EmailProof::new(Uuid::from_u128(7), email, now)
}

fn matching(recipient_match: RecipientMatch) -> Details {
    Details::General(Box::new(GeneralDetails { recipient_match, ..general(Usage::SingleUse) }))
}

#[test]
fn code_goes_to_an_address_that_could_accept_once_verified() {
    let autojoin = GeneralDetails { domains: vec!["example.org".to_owned()], ..general(Usage::Autojoin) };
    let autojoin = Details::General(Box::new(autojoin));
    let [exact, domain, any] = [RecipientMatch::Exact, RecipientMatch::Domain, RecipientMatch::Any].map(matching);
    let multi = Details::General(Box::new(general(Usage::MultiUse)));
    let (ann, bob, eve) = ("ann@example.org", "BOB@Example.org", "eve@elsewhere.org");
    let two: &[&str] = &[ann, "bob@example.org"];
    let to = |value: &str| Some(Addressee::Address(email(value)));
    let n = |ordinal| Some(Addressee::Recipient(ordinal));
    for (case, details, addresses, asked, expected) in [
        ("the first of two", details(Kind::Connection), two, ann, n(1)),
        ("in another spelling", details(Kind::Connection), two, bob, n(2)),
        ("none of them", details(Kind::Connection), two, eve, None),
        ("an open link", details(Kind::Connection), &[], ann, None),
        ("a user", details(Kind::User), &[ann], ann, n(1)),
        ("another user", details(Kind::User), &[ann], bob, None),
        ("a guest", details(Kind::Guest), &[ann], ann, n(1)),
        ("another guest", details(Kind::Guest), &[ann], eve, None),
        ("the very target", exact.clone(), two, ann, n(1)),
        ("the same domain, when the address counts", exact.clone(), &[ann], bob, None),
        ("the same domain, when that counts", domain.clone(), &[ann], bob, to(bob)),
        ("the target, when its domain counts", domain.clone(), two, bob, n(2)),
        ("another domain, when one counts", domain, &[ann], eve, None),
        ("any, when any counts", any.clone(), &[ann], eve, to(eve)),
        ("any, when none is an address", any, &["42"], eve, None),
        ("a phone number binds nobody", exact, &["+4912345678"], eve, None),
        ("a link for many", multi, two, ann, None),
        ("a domain that joins", autojoin.clone(), &[], bob, to(bob)),
        ("a domain that does not", autojoin, &[], eve, None),
    ] {
        let invitation = invited(1, details, addresses);
        assert_eq!(addressee(&invitation, &email(asked), NOW), Ok(expected), "{case}");
    }
}

#[test]
fn no_code_goes_out_after_an_answer_or_an_end() {
    let mut invitation = invitation(3, None);
    invitation.recipients[0].accepted_at = Some(minutes(-1));
    invitation.recipients[1].declined_at = Some(minutes(-1));
    for (recipient, expected) in [(1, None), (2, None), (3, Some(Addressee::Recipient(3)))] {
        assert_eq!(addressee(&invitation, &fixtures::address(recipient), NOW), Ok(expected));
    }
    for (state, refusal) in [
        (State::Expired, Refusal::InvitationExpired),
        (State::Revoked, Refusal::InvitationRevoked),
        (State::Declined, Refusal::InvitationDeclined),
        (State::Fulfilled, Refusal::InvitationFulfilled),
    ] {
        for asked in ["r1@example.org", "nobody@example.org"] {
            assert_eq!(addressee(&in_state(state), &email(asked), NOW), Err(refusal.clone()), "{state:?}");
        }
    }
}

#[test]
fn code_has_its_form_and_differs_with_every_input() {
    let (ring, ann) = (ring(&[1, 2]), email("ann@example.org"));
    let code = |verification: &Verification, email: &Email| verification.code(&ring, email).unwrap();
    let first = verification(1);
    let others = [
        (Verification { account: account("other"), ..first.clone() }, ann.clone()),
        (Verification { invitation: InvitationId(Uuid::from_u128(9)), ..first.clone() }, ann.clone()),
        (Verification { id: Uuid::from_u128(2), ..first.clone() }, ann.clone()),
        (Verification { key_id: 2, ..first.clone() }, ann.clone()),
        (first.clone(), email("bob@example.org")),
    ];
    assert_eq!(code(&first, &ann), code(&first, &email("Ann@EXAMPLE.org")), "the same mailbox");
    for (verification, email) in others {
        assert_ne!(code(&first, &ann), code(&verification, &email), "{verification:?}");
    }
    assert_eq!(Verification { key_id: 3, ..first.clone() }.code(&ring, &ann), None, "a retired key");
    let mut short = 0;
    for id in 0..1_000 {
        let code = code(&verification(id), &ann);
        let digits = code.reveal();
        assert!(digits.len() == 6 && digits.bytes().all(|byte| byte.is_ascii_digit()), "{digits}");
        assert_eq!(Code::parse(&digits), Ok(code));
        short += u32::from(digits.starts_with('0'));
    }
    assert!((50..200).contains(&short), "a tenth of the codes, not {short} of 1000, begin with 0");
    let long = |id| Verification { form: CodeForm::Characters, ..verification(id) };
    let codes: HashSet<String> = (0..1_000).map(|id| code(&long(id), &ann).reveal()).collect();
    assert_eq!(codes.len(), 1_000);
    assert!(codes.iter().all(|code| code.len() == 9), "two groups of four");
}

#[test]
fn address_key_differs_by_invitation_and_matches_every_ring_key() {
    let (acme, id, ann) = (account("acme"), invitation(0, None).id, email("ann@example.org"));
    let keys = |ids: &[u8]| address_keys(&ring(ids), &acme, id, &ann);
    assert_eq!(keys(&[2, 1]), [keys(&[2]), keys(&[1])].concat());
    assert_eq!(keys(&[1]), address_keys(&ring(&[1]), &acme, id, &email("ANN@example.org")));
    let others = [
        address_keys(&ring(&[1]), &acme, id, &email("bob@example.org")),
        address_keys(&ring(&[1]), &account("other"), id, &ann),
        address_keys(&ring(&[1]), &acme, InvitationId(Uuid::from_u128(9)), &ann),
    ];
    assert!(others.iter().all(|other| *other != keys(&[1])));
    assert!(keys(&[1])[0].bytes().all(|byte| byte.is_ascii_hexdigit()) && keys(&[1])[0].len() == 64);
}

#[test]
fn client_key_is_a_hash_for_one_invitation() {
    let (acme, id) = (account("acme"), invitation(0, None).id);
    let keys = |ids: &[u8], client| client_keys(&ring(ids), &acme, id, client);
    assert_eq!(keys(&[2, 1], Some("a")), [keys(&[2], Some("a")), keys(&[1], Some("a"))].concat());
    assert_eq!(keys(&[1], None).len(), 1, "callers without a client key are one client");
    let others = [
        keys(&[1], None),
        keys(&[1], Some("b")),
        client_keys(&ring(&[1]), &account("other"), id, Some("a")),
        client_keys(&ring(&[1]), &acme, InvitationId(Uuid::from_u128(9)), Some("a")),
        address_keys(&ring(&[1]), &acme, id, &email("a@example.org")),
    ];
    assert!(others.iter().all(|other| *other != keys(&[1], Some("a"))));
    assert_ne!(
        keys(&[1], Some("a@example.org")),
        address_keys(&ring(&[1]), &acme, id, &email("a@example.org")),
        "a client is no address"
    );
}

#[test]
fn address_is_invited_if_it_is_a_recipients() {
    let mut invitation = invited(1, details(Kind::Connection), &["ann@example.org"]);
    invitation.recipients[0].declined_at = Some(NOW);
    let invited = |value: &str| is_invited(&invitation, &email(value));
    assert_eq!(["ANN@example.org", "eve@example.org"].map(invited), [true, false], "answered or not");
}

#[test]
fn code_expires_after_ten_minutes_and_is_mailed_no_more() {
    let invitation = invitation(1, None);
    let message = NewDelivery {
        id: Uuid::from_u128(1),
        invitation: invitation.id,
        purpose: Purpose::VerificationCode,
        recipient: 1,
        address: None,
        about: Some(Uuid::from_u128(2)),
        moment: None,
        created_at: NOW,
        due_at: NOW,
    };
    let (state, due_at) = (DeliveryState::Queued, Some(NOW));
    let delivery = Delivery { message, state, lease: None, attempts: 0, last_error: None, sent_at: None, due_at };
    for (at, too_old) in [(minutes(10).earlier(Duration::from_micros(1)), false), (minutes(10), true)] {
        assert_eq!(is_too_old(NOW, at), too_old);
        assert_eq!(delivery.needless(&invitation, at).is_some(), too_old);
    }
    let message = NewDelivery { recipient: 0, ..delivery.message.clone() };
    let nobodys = Delivery { message, ..delivery };
    assert!(nobodys.needless(&invitation, NOW).is_some(), "an address that is no longer kept");
}

#[test]
fn proof_opens_for_its_own_invitation_and_account_alone() {
    let (acme, id) = (account("acme"), invitation(0, None).id);
    let proof = proof_of(email("Ann@example.org"), NOW);
    let sealed = proof.seal(&ring(&[1]), &acme, id, [7; 24]).unwrap();
    let open = |ids: &[u8], account: &AccountId, id, sealed: &str| EmailProof::open(&ring(ids), account, id, sealed);
    let opened = open(&[2, 1], &acme, id, &sealed).unwrap();
    assert_eq!((opened.id, opened.email.key(), opened.expire_at), (proof.id, "ann@example.org", minutes(30)));
    assert_eq!(open(&[1], &account("other"), id, &sealed), None);
    assert_eq!(open(&[1], &acme, InvitationId(Uuid::from_u128(9)), &sealed), None);
    assert_eq!(open(&[2], &acme, id, &sealed), None);
    for text in ["", "x", &sealed[1..], &format!("{sealed}A")] {
        assert_eq!(open(&[1], &acme, id, text), None);
    }
    assert!(!format!("{proof:?}").contains("Ann"));
}

#[test]
fn proof_shows_its_own_address_for_half_an_hour() {
    let (ann, bob) = (email("ann@example.org"), email("bob@example.org"));
    let before = Some(minutes(30).earlier(Duration::from_micros(1)));
    for (acceptors, verified, at, shown) in [
        (None, false, before, Some((&ann, true))),
        (None, false, Some(minutes(30)), None),
        (Some(&ann), false, before, Some((&ann, true))),
        (Some(&ann), true, before, Some((&ann, true))),
        (Some(&ann), false, Some(minutes(30)), Some((&ann, false))),
        (Some(&bob), false, before, Some((&bob, false))),
        (Some(&bob), true, before, Some((&bob, true))),
    ] {
        let accept = AcceptInvitation {
            access: crate::domain::command::Access::Link(invitation(0, None).claims(0)),
            acceptor: person("p", acceptors.cloned(), verified),
            proof: Some(proof_of(ann.clone(), NOW)),
            created_connection: None,
            guest_organization_id: None,
            by_system: false,
        };
        let acceptor = accept.proven_acceptor(&invitation(0, None), at.unwrap());
        let is_shown = acceptor.email.as_ref().and_then(GivenEmail::comparable);
        assert_eq!(is_shown, shown.map(|(email, _)| email), "{acceptors:?} at {at:?}");
        assert_eq!(acceptor.email_verified, shown.is_some_and(|(_, verified)| verified), "{acceptors:?} at {at:?}");
    }
}

#[test]
fn proof_does_not_replace_the_address_of_a_mailed_link() {
    let ann = email("ann@example.org");
    let invited = invited(1, details(Kind::Connection), &["ann@example.org", "bob@example.org"]);
    for (link, shown) in [(0, Some((&ann, true))), (1, Some((&ann, true))), (2, None)] {
        let accept = AcceptInvitation {
            access: crate::domain::command::Access::Link(invited.claims(link)),
            acceptor: person("p", None, false),
            proof: Some(proof_of(ann.clone(), NOW)),
            created_connection: None,
            guest_organization_id: None,
            by_system: false,
        };
        let acceptor = accept.proven_acceptor(&invited, NOW);
        let found =
            acceptor.email.as_ref().and_then(GivenEmail::comparable).map(|email| (email, acceptor.email_verified));
        assert_eq!(found, shown, "recipient {link}");
    }
}

#[test]
fn proof_does_not_replace_an_address_that_is_not_plain() {
    let invitation = invited(1, details(Kind::Connection), &["ann@example.org"]);
    let email = Some(GivenEmail::parse("a..b@example.org").unwrap());
    let accept = AcceptInvitation {
        access: crate::domain::command::Access::Link(invitation.claims(1)),
        acceptor: Acceptor { email: email.clone(), ..person("p", None, false) },
        proof: Some(EmailProof::new(Uuid::from_u128(1), self::email("ann@example.org"), NOW)),
        created_connection: None,
        guest_organization_id: None,
        by_system: false,
    };
    let acceptor = accept.proven_acceptor(&invitation, NOW);
    assert_eq!((&acceptor.email, acceptor.email_verified), (&email, false));
}
