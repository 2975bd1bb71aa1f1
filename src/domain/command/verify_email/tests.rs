//! Verified addresses: the event of a verification, and the effect of a proof on an acceptance.

use crate::domain::command::{AcceptInvitation, Access, Action, VerifyEmail};
use crate::domain::decide::tests::{event_types, run};
use crate::domain::fixtures::{
    NOW, accept, acceptor, address, details, email, general, in_state, invitation, invited, minutes, person,
};
use crate::domain::invitation::Invitation;
use crate::domain::invitation::event::EventType;
use crate::domain::invitation::refusal::Refusal;
use crate::domain::invitation::state::State;
use crate::domain::kind::general::{GeneralDetails, Usage};
use crate::domain::kind::{Details, Kind};
use crate::domain::secret::verification::EmailProof;
use crate::domain::value::email::Email;
use crate::domain::value::time::Timestamp;
use uuid::Uuid;

fn verify(invitation: &Invitation, email: Email) -> Action {
    Action::VerifyEmail(VerifyEmail { access: Access::Link(invitation.claims(0)), email })
}

fn proof_of(email: Email, now: Timestamp) -> EmailProof {
    EmailProof::new(Uuid::from_u128(7), email, now)
}

/// Accepts with an address, or none, that is not vouched for, and a proof.
fn accept_with(invitation: &Invitation, recipient: u16, email: Option<Email>, proof: EmailProof) -> Action {
    let Action::Accept(accept) = accept(invitation.claims(recipient), person("p", email, false)) else {
        unreachable!()
    };
    Action::Accept(Box::new(AcceptInvitation { proof: Some(proof), ..*accept }))
}

#[test]
fn verified_address_is_recorded_by_ordinal_alone() {
    let invitation = invitation(2, None);
    for (asked, ordinal) in [("R2@example.org", Some(2)), ("other@example.org", None)] {
        let changes = run(&invitation, verify(&invitation, email(asked))).unwrap().changes;
        assert_eq!(event_types(&changes), [EventType::EmailVerified]);
        assert_eq!(changes.events[0].payload.json().get("recipient").and_then(serde_json::Value::as_u64), ordinal);
        assert!(!format!("{:?}", changes.events).to_lowercase().contains("@example"), "no address in an event");
        assert!(changes.invitations.is_empty() && changes.deliveries.is_empty(), "{changes:?}");
    }
}

#[test]
fn no_address_is_verified_for_what_cannot_be_accepted() {
    for state in State::ALL {
        let invitation = in_state(state);
        let result = run(&invitation, verify(&invitation, address(1))).map(|_| ());
        assert_eq!(result, state.require_active(), "{state:?}");
    }
}

#[test]
fn proof_counts_as_a_verified_address_where_one_is_needed() {
    let proof = |value: &str| proof_of(email(value), NOW);
    let late = |value: &str| EmailProof { expire_at: NOW, ..proof(value) };
    let some = |value: &str| Some(email(value));
    let (ann, bob) = ("ann@example.org", "bob@example.org");
    for (case, brought, proof, expected) in [
        ("it stands for the address", None, proof(ann), Ok((Some(1), ann))),
        ("it is of the address", some("Ann@Example.org"), proof(ann), Ok((Some(1), ann))),
        ("it is of another address", some(ann), proof(bob), Err(Refusal::EmailNotVerified)),
        ("it is too old", some(ann), late(ann), Err(Refusal::EmailNotVerified)),
        ("it is too old to stand for the address", None, late(ann), Err(Refusal::EmailNotAllowed)),
        ("its address is not invited", None, proof("eve@example.org"), Err(Refusal::EmailNotAllowed)),
    ] {
        let invitation = invited(1, details(Kind::Connection), &[ann, bob]);
        let decided = run(&invitation, accept_with(&invitation, 0, brought, proof));
        let accepted = decided.map(|decided| match decided.changes.acceptance {
            Some(crate::domain::decide::AcceptanceChange::Create(made)) => (made.recipient, made.email.unwrap()),
            other => panic!("{case}: {other:?}"),
        });
        let expected = expected.map(|(recipient, address)| (recipient, address.to_owned()));
        assert_eq!(
            accepted.map(|(recipient, email)| (recipient, email.comparable().unwrap().key().to_owned())),
            expected,
            "{case}"
        );
    }
}

#[test]
fn proof_opens_an_auto_join() {
    let details = GeneralDetails { domains: vec!["example.org".to_owned()], ..general(Usage::Autojoin) };
    let mut invitation = invited(1, Details::General(Box::new(details)), &[]);
    invitation.facts.max_uses = None;
    let nothing = run(&invitation, accept(invitation.claims(0), acceptor("p"))).map(|_| ());
    assert_eq!(nothing, Err(Refusal::EmailNotAllowed));
    let proof = proof_of(email("new@example.org"), minutes(-29));
    assert!(run(&invitation, accept_with(&invitation, 0, None, proof)).is_ok());
}

#[test]
fn proof_finds_the_same_persons_other_invitations() {
    let details = || Details::General(Box::new(general(Usage::SingleUse)));
    let (one, other) = (invited(1, details(), &["ann@example.org"]), invited(2, details(), &["ann@example.org"]));
    let mut loaded = crate::domain::decide::tests::together(&[&one, &other]);
    loaded.now = NOW;
    let accept = accept_with(&one, 0, None, proof_of(email("ann@example.org"), NOW));
    let changes =
        crate::domain::decide::tests::run_on(&loaded, &crate::domain::fixtures::command(1, accept)).unwrap().changes;
    assert_eq!(
        crate::domain::decide::tests::beside(&changes).iter().map(|closed| closed.id).collect::<Vec<_>>(),
        [other.id]
    );
}
