//! Parsing and answering without a call, for the counted cases (`benches/instructions.rs`) alone.

use bytes::Bytes;
use prost::Message;
use tonic::Status;

use crate::api::connection;
use crate::api::general;
use crate::api::parse::violations::Violations;
use crate::api::redemption;
use crate::api::resource::{Identity, Resource};
use crate::domain::command::{AcceptInvitation, CreateInvitation};
use crate::domain::invitation::Invitation;
use crate::domain::secret::key_ring::KeyRing;
use crate::domain::value::text::AccountId;
use crate::domain::value::time::{Timestamp, Ttl};
use crate::pb;
use crate::server::codec::decode_request;

/// Parses the bytes of a CreateConnectionInvitationRequest.
pub fn parse_create_connection(body: Bytes) -> Result<CreateInvitation, Status> {
    let (request, mut violations) = (decode_request(body)?, Violations::default());
    let create = connection::parse::to_create(&mut violations, &request);
    violations.finish(create)
}

/// Parses the bytes of a CreateInvitationRequest.
pub fn parse_create(body: Bytes, default_ttl: Ttl) -> Result<CreateInvitation, Status> {
    let (request, mut violations) = (decode_request(body)?, Violations::default());
    let create = general::parse::to_create(&mut violations, &request, default_ttl);
    violations.finish(create)
}

/// Parses the bytes of an AcceptInvitationRequest.
pub fn parse_accept(body: Bytes, ring: &KeyRing, account: &AccountId) -> Result<AcceptInvitation, Status> {
    let (request, mut violations) = (decode_request(body)?, Violations::default());
    let accept = redemption::parse::to_accept(&mut violations, &request, ring, (account, None));
    violations.finish(accept)
}

/// Returns the bytes of an answer of the service for connection invitations, without a link; `None` for another kind.
pub fn connection_answer(invitation: &Invitation, now: Timestamp) -> Option<Vec<u8>> {
    answer::<pb::ConnectionInvitation>(invitation, now)
}

/// Returns the bytes of an answer of the general service, without a link.
pub fn general_answer(invitation: &Invitation, now: Timestamp) -> Option<Vec<u8>> {
    answer::<pb::Invitation>(invitation, now)
}

fn answer<R: Resource + Message>(invitation: &Invitation, now: Timestamp) -> Option<Vec<u8>> {
    let identity = Identity { etag: invitation.etag(), ..Identity::of(invitation) };
    R::of(invitation, now, identity).map(|answer| answer.encode_to_vec())
}
