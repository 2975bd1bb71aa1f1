//! Parses the requests that redeem a token.

use crate::api::execute::person::check_of_service;
use crate::api::execute::verify;
use crate::api::parse::acceptor::acceptor;
use crate::api::parse::kind_input::kind_input;
use crate::api::parse::violations::Violations;
use crate::domain::command::{AcceptInvitation, Access};
use crate::domain::reach::person::Person;
use crate::domain::secret::key_ring::KeyRing;
use crate::domain::secret::verification::EmailProof;
use crate::domain::value::text::{self, AccountId};
use crate::pb;

/// Parses an AcceptInvitationRequest of an account and perhaps of a person, whose token and proof are those of the ring.
pub(in crate::api) fn to_accept(
    violations: &mut Violations,
    request: &pb::AcceptInvitationRequest,
    ring: &KeyRing,
    (account, person): (&AccountId, Option<&Person>),
) -> Option<AcceptInvitation> {
    let acceptor = acceptor(violations, person, request.acceptor.as_ref());
    let given = request.kind_input.as_ref().map(Into::into);
    check_of_service(violations, person, "email_proof", !request.email_proof.is_empty());
    let input = kind_input(violations, person, given);
    let proof = violations.optional("email_proof", &request.email_proof, text::sealed).unwrap_or_default();
    let link = verify(ring, violations, &request.token);
    acceptor.zip(link).map(|(acceptor, link)| AcceptInvitation {
        access: Access::Link(link),
        acceptor,
        proof: EmailProof::open(ring, account, link.invitation, &proof),
        created_connection: input.created_connection,
        guest_organization_id: input.guest_organization_id,
        by_system: false,
    })
}
