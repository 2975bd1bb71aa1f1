//! One valid request for each RPC, about an invitation that has been accepted once. A new RPC has to be added here before
//! the tests that go over all of them pass.

use invitation_service::pb;
use prost::Message as _;

use super::make;
use crate::harness::service::Service;

/// An invitation as requests name it.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) id: String,
    pub(super) token: String,
    pub(super) acceptance: String,
    pub(super) company_id: String,
}

/// What an RPC is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum About {
    /// One invitation, which has to be there.
    One,
    /// Those that match.
    Many,
    /// None that is there yet.
    New,
}

/// The connection that the acceptor of a known invitation made.
const CREATED: &str = "01920000-0000-7000-8000-00000000cafe";

/// Makes an invitation of a company and accepts it once.
pub(super) async fn known(service: &Service, key: Option<&str>, company_id: &str) -> Known {
    let create = pb::CreateConnectionInvitationRequest {
        connection_invitation: Some(pb::ConnectionInvitation {
            company_id: company_id.to_owned(),
            ..Default::default()
        }),
        ..Default::default()
    };
    let key = key.unwrap_or("none");
    let made = service.connections().create_connection_invitation(super::keys::with(key, create)).await.unwrap();
    let made = made.into_inner();
    let accept = pb::AcceptInvitationRequest {
        created_connection: Some(pb::CreatedConnection { id: CREATED.to_owned(), ..Default::default() }),
        ..make::accept(&made.invitation_token, "ann")
    };
    let accepted = service.redemptions().accept_invitation(super::keys::with(key, accept)).await.unwrap().into_inner();
    Known {
        id: made.uid,
        token: made.invitation_token,
        acceptance: accepted.acceptance.unwrap().name,
        company_id: made.company_id,
    }
}

/// A valid request for the RPC of a path.
pub(super) fn valid(path: &str, known: &Known) -> (About, Vec<u8>) {
    let Known { id, token, acceptance, company_id } = known.clone();
    let name = format!("connectionInvitations/{id}");
    let method = path.strip_prefix("/invitation.v1.").unwrap_or(path);
    let one = |bytes| (About::One, bytes);
    match method {
        "ConnectionInvitationService/CreateConnectionInvitation" => {
            let invitation = pb::ConnectionInvitation { company_id, ..Default::default() };
            let request =
                pb::CreateConnectionInvitationRequest { connection_invitation: Some(invitation), ..Default::default() };
            (About::New, request.encode_to_vec())
        }
        "ConnectionInvitationService/CreateReconnectInvitation" => {
            let connection_id = make::CONNECTION.to_owned();
            let request = pb::CreateReconnectInvitationRequest { connection_id, company_id, ..Default::default() };
            (About::New, request.encode_to_vec())
        }
        "ConnectionInvitationService/GetConnectionInvitation" => {
            one(pb::GetConnectionInvitationRequest { name }.encode_to_vec())
        }
        "ConnectionInvitationService/ListConnectionInvitations" => {
            let request = pb::ListConnectionInvitationsRequest { company_id, ..Default::default() };
            (About::Many, request.encode_to_vec())
        }
        "ConnectionInvitationService/RevokeConnectionInvitation" => {
            one(pb::RevokeConnectionInvitationRequest { name, ..Default::default() }.encode_to_vec())
        }
        "ConnectionInvitationService/ResendConnectionInvitation" => {
            one(pb::ResendConnectionInvitationRequest { name, ..Default::default() }.encode_to_vec())
        }
        "ConnectionInvitationService/UpdateCreatedConnection" => {
            let created_connection = Some(pb::CreatedConnection { id: CREATED.to_owned(), ..Default::default() });
            let request =
                pb::UpdateCreatedConnectionRequest { name, created_connection, acceptance, ..Default::default() };
            one(request.encode_to_vec())
        }
        "RedemptionService/PreviewInvitation" => one(pb::PreviewInvitationRequest { token }.encode_to_vec()),
        "RedemptionService/AcceptInvitation" => one(make::accept(&token, "ann").encode_to_vec()),
        "RedemptionService/DeclineInvitation" => {
            one(pb::DeclineInvitationRequest { token, ..Default::default() }.encode_to_vec())
        }
        "RedemptionService/RecordEngagement" => one(make::view(&token).encode_to_vec()),
        "InvitationService/GetInvitation" => one(pb::GetInvitationRequest { name }.encode_to_vec()),
        "InvitationService/ListInvitations" => {
            let scope = Some(pb::ScopeFilter { r#type: "company".to_owned(), id: company_id });
            (About::Many, pb::ListInvitationsRequest { scope, ..Default::default() }.encode_to_vec())
        }
        "EventService/ListEvents" => one(pb::ListEventsRequest { parent: name, ..Default::default() }.encode_to_vec()),
        _ => panic!("{path} has no request here"),
    }
}
