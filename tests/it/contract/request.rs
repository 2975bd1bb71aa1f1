//! One valid request for each RPC, about one of everything there is. A new RPC has to be added here before the tests that go
//! over all of them pass.

use invitation_service::pb;
use prost::Message;
use tonic::Request;

use super::raw::Rpc;
use super::{codes, raw};
use crate::rpc::update;
use crate::support::build::guests::GUEST;
use crate::support::build::{generals, guests, messages};
use crate::support::service::Service;

mod acceptances;
mod each;
mod known;
mod scopes;

pub(crate) use each::each;
pub(crate) use known::{Known, known};
use scopes::{occupy_seats, of_scopes, sync_autojoin};

/// The number of resources that an RPC is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum About {
    /// One thing, which has to be there.
    One,
    /// Those that match.
    Many,
    /// All that the account has.
    All,
    /// Several things, of which each is answered for itself.
    Each,
    /// A resource that does not exist yet: it will be created, or will happen.
    New,
}

/// The connection that the acceptor of a known invitation made.
const CREATED: &str = "01920000-0000-7000-8000-00000000cafe";

pub(crate) fn new_user(known: &Known, who: &str) -> pb::CreateUserInvitationRequest {
    let user_invitation = Some(pb::UserInvitation {
        invited_email: known.email(who),
        inviter: Some(pb::Inviter { display_name: "Ann".to_owned(), ..Default::default() }),
        ..Default::default()
    });
    pb::CreateUserInvitationRequest { user_invitation, ..Default::default() }
}

pub(crate) fn new_general(known: &Known, whom: &str) -> pb::CreateInvitationRequest {
    messages::general(pb::Invitation {
        targets: vec![messages::target(pb::TargetType::Internal, whom)],
        scope: Some(known.scope()),
        inviter: Some(pb::Inviter { user_id: known.id.clone(), ..Default::default() }),
        ..Default::default()
    })
}

fn new_organizations(requester: &str, target: &str) -> pb::CreateOrganizationGrantRequest {
    let organization_grant = Some(pb::OrganizationGrant {
        requester_organization_id: requester.to_owned(),
        target_organization_id: target.to_owned(),
        permissions: vec!["guest_invitations.read".to_owned()],
        ..Default::default()
    });
    pb::CreateOrganizationGrantRequest { organization_grant, ..Default::default() }
}

/// A key of an organization that only one known has.
fn new_api_key(known: &Known, who: &str) -> pb::CreateApiKeyRequest {
    let api_key = Some(pb::ApiKey {
        permissions: vec!["invitations.read".to_owned()],
        organization_id: known.id.clone(),
        ..Default::default()
    });
    pb::CreateApiKeyRequest { api_key_id: format!("{who}-{}", known.id), api_key, ..Default::default() }
}

/// An endpoint that nothing is posted to: nothing of this type happens here, and there is no such host.
fn new_endpoint(request_id: &str) -> pb::CreateWebhookEndpointRequest {
    let uri = "https://hook.invalid/".to_owned();
    let webhook_endpoint =
        Some(pb::WebhookEndpoint { uri, event_types: vec!["delivery.bounced".to_owned()], ..Default::default() });
    pb::CreateWebhookEndpointRequest { webhook_endpoint, request_id: request_id.to_owned(), ..Default::default() }
}

/// A valid request for the RPC of a path.
pub(crate) fn valid(path: &str, known: &Known) -> (About, Vec<u8>) {
    let method = path.strip_prefix("/invitation.v1.").unwrap_or(path);
    let (service, method) = method.split_once('/').unwrap();
    match service {
        "ConnectionInvitationService" => of_connections(method, known),
        "UserInvitationService" => of_users(method, known),
        "GuestInvitationService" => of_guests(method, known),
        "RedemptionService" => of_redemptions(method, known),
        "InvitationService" => of_any(method, known),
        "ScopeService" => of_scopes(method, known),
        "AccessService" => of_access(method, known),
        "DeliveryService" => of_deliveries(method, known),
        "WebhookService" => of_webhooks(method, known),
        "PrivacyService" => of_privacy(method, known),
        "SuppressionService" => of_suppressions(method, known),
        "EventService" => of_events(method, known),
        _ => panic!("{path} has no request here"),
    }
}

fn one(message: &impl Message) -> (About, Vec<u8>) {
    (About::One, message.encode_to_vec())
}

fn many(message: &impl Message) -> (About, Vec<u8>) {
    (About::Many, message.encode_to_vec())
}

fn new(message: &impl Message) -> (About, Vec<u8>) {
    (About::New, message.encode_to_vec())
}

fn of_connections(method: &str, known: &Known) -> (About, Vec<u8>) {
    let Known { id, company_id, acceptance, .. } = known.clone();
    let name = format!("connectionInvitations/{id}");
    match method {
        "CreateConnectionInvitation" => {
            new(&messages::creation(pb::ConnectionInvitation { company_id, ..Default::default() }))
        }
        "CreateReconnectInvitation" => {
            let connection_id = messages::CONNECTION.to_owned();
            new(&pb::CreateReconnectInvitationRequest { connection_id, company_id, ..Default::default() })
        }
        "GetConnectionInvitation" => one(&pb::GetConnectionInvitationRequest { name }),
        "ListConnectionInvitations" => many(&pb::ListConnectionInvitationsRequest { company_id, ..Default::default() }),
        "UpdateConnectionInvitation" => {
            let message = "Hello".to_owned();
            one(&update::of_connection(pb::ConnectionInvitation { name, message, ..Default::default() }, &[]))
        }
        "RevokeConnectionInvitation" => one(&pb::RevokeConnectionInvitationRequest { name, ..Default::default() }),
        "ResendConnectionInvitation" => one(&pb::ResendConnectionInvitationRequest { name, ..Default::default() }),
        "RecordCreatedConnection" => {
            let connection_id = CREATED.to_owned();
            one(&pb::RecordCreatedConnectionRequest { name, connection_id, acceptance, ..Default::default() })
        }
        _ => panic!("{method} has no request here"),
    }
}

fn of_users(method: &str, known: &Known) -> (About, Vec<u8>) {
    let name = known.user.clone();
    match method {
        "CreateUserInvitation" => new(&new_user(known, "somebody")),
        "BatchCreateUserInvitations" => {
            let requests = vec![new_user(known, "somebody")];
            new(&pb::BatchCreateUserInvitationsRequest { requests, atomic: true, ..Default::default() })
        }
        "GetUserInvitation" => one(&pb::GetUserInvitationRequest { name }),
        "ListUserInvitations" => {
            many(&pb::ListUserInvitationsRequest { invited_email: known.email("user"), ..Default::default() })
        }
        "UpdateUserInvitation" => {
            let message = "Hello".to_owned();
            one(&update::of_user(pb::UserInvitation { name, message, ..Default::default() }, &[]))
        }
        "RevokeUserInvitation" => one(&pb::RevokeUserInvitationRequest { name, ..Default::default() }),
        "DeleteUserInvitation" => one(&pb::DeleteUserInvitationRequest { name, ..Default::default() }),
        "ResendUserInvitation" => one(&pb::ResendUserInvitationRequest { name, ..Default::default() }),
        _ => panic!("{method} has no request here"),
    }
}

fn of_guests(method: &str, known: &Known) -> (About, Vec<u8>) {
    let name = known.guest.clone();
    match method {
        "CreateGuestInvitation" => new(&guests::creation(guests::guest(&known.email("somebody")))),
        "GetGuestInvitation" => one(&pb::GetGuestInvitationRequest { name, ..Default::default() }),
        "ListGuestInvitations" => {
            many(&pb::ListGuestInvitationsRequest { email_query: known.email("guest"), ..Default::default() })
        }
        "UpdateGuestInvitation" => {
            one(guests::update(pb::GuestInvitation { name, archived: Some(true), ..Default::default() }, &[]).get_ref())
        }
        "ResendGuestInvitation" => one(&pb::ResendGuestInvitationRequest { name, ..Default::default() }),
        "RevokeGuestInvitation" => one(guests::revocation(&name).get_ref()),
        "AcceptGuestInvitation" => one(guests::by_system(&name, GUEST).get_ref()),
        _ => panic!("{method} has no request here"),
    }
}

fn of_redemptions(method: &str, known: &Known) -> (About, Vec<u8>) {
    let token = known.token.as_str();
    match method {
        "PreviewInvitation" => one(&messages::preview(token)),
        "AcceptInvitation" => one(&messages::accept(token, "ann")),
        "DeclineInvitation" => one(&messages::decline(&known.general_token)),
        "RecordEngagement" => one(&messages::view(token)),
        // Another has just been sent to the address that is invited; the answer is the same for one that is not.
        "SendVerificationCode" => one(&codes::asking(&known.user_token(), &known.email("somebody"))),
        "VerifyEmail" => one(&codes::trying(&known.user_token(), &known.email("user"), &known.code)),
        "VerifyReceipt" => new(&pb::VerifyReceiptRequest { receipt: known.receipt.clone() }),
        _ => panic!("{method} has no request here"),
    }
}

fn of_any(method: &str, known: &Known) -> (About, Vec<u8>) {
    let name = known.general.clone();
    match method {
        "CreateInvitation" => new(&new_general(known, "somebody")),
        "BatchCreateInvitations" => {
            let requests = vec![new_general(known, "somebody")];
            new(&pb::BatchCreateInvitationsRequest { requests, atomic: true, ..Default::default() })
        }
        "GetInvitation" => one(&pb::GetInvitationRequest { name }),
        "ListInvitations" => {
            let scope = pb::ScopeRef { r#type: "company".to_owned(), id: known.company_id.clone() };
            let filter = Some(pb::InvitationFilter { scope: Some(scope), ..Default::default() });
            many(&pb::ListInvitationsRequest { filter, ..Default::default() })
        }
        "UpdateInvitation" => {
            let message = "Hello".to_owned();
            one(&update::of_general(pb::Invitation { name, message, ..Default::default() }, &[]))
        }
        "BatchGetInvitations" => one(&pb::BatchGetInvitationsRequest { names: vec![name, known.guest.clone()] }),
        "GetRecipient" => one(&pb::GetRecipientRequest { name: format!("{name}/recipients/1") }),
        "ListRecipients" => one(&pb::ListRecipientsRequest { parent: name, ..Default::default() }),
        "ListOpenInvitations" => {
            many(&pb::ListOpenInvitationsRequest { target: Some(known.target()), ..Default::default() })
        }
        "AcceptInvitations" => {
            let acceptor = Some(pb::Acceptor { subject: known.id.clone(), ..Default::default() });
            let request =
                pb::AcceptInvitationsRequest { entries: generals::entries(&[name]), acceptor, ..Default::default() };
            (About::Each, request.encode_to_vec())
        }
        "DeclineInvitations" => {
            let (names, target) = (vec![name], Some(known.target()));
            let request = pb::DeclineInvitationsRequest { names, target, ..Default::default() };
            (About::Each, request.encode_to_vec())
        }
        "SettleInvitations" => {
            let acceptor = Some(pb::Acceptor { subject: known.id.clone(), ..Default::default() });
            let outcome = pb::SettleOutcome::Declined.into();
            many(&pb::SettleInvitationsRequest { acceptor, outcome, ..Default::default() })
        }
        "RevokeInvitation" => one(&pb::RevokeInvitationRequest { name, ..Default::default() }),
        "RevokeInvitations" => {
            let scope = Some(pb::ScopeRef { r#type: "team".to_owned(), id: known.scope().id });
            let filter = Some(pb::InvitationFilter { scope, ..Default::default() });
            many(&pb::RevokeInvitationsRequest { filter, ..Default::default() })
        }
        "ReassignInvitations" => {
            let to = pb::Inviter { user_id: "u-2".to_owned(), display_name: "Ann".to_owned(), ..Default::default() };
            let (from_user_id, to) = (known.id.clone(), Some(to));
            many(&pb::ReassignInvitationsRequest { from_user_id, to, ..Default::default() })
        }
        "ResendInvitation" => one(&pb::ResendInvitationRequest { name, ..Default::default() }),
        "SyncInternalInvitation" => one(&pb::SyncInternalInvitationRequest {
            inviter_user_id: known.id.clone(),
            target_value: known.id.clone(),
            action: pb::InternalInvitationAction::Accepted.into(),
            ..Default::default()
        }),
        _ => acceptances::of_acceptances(method, known),
    }
}

fn of_access(method: &str, known: &Known) -> (About, Vec<u8>) {
    match method {
        "CreateOrganizationGrant" => new(&new_organizations(&known.id, GUEST)),
        "ListOrganizationGrants" => many(&pb::ListOrganizationGrantsRequest {
            requester_organization_id: known.id.clone(),
            ..Default::default()
        }),
        "CreateApiKey" => new(&new_api_key(known, "new")),
        "GetApiKey" => one(&pb::GetApiKeyRequest { name: known.api_key.clone() }),
        "ListApiKeys" => many(&pb::ListApiKeysRequest { organization_id: known.id.clone(), ..Default::default() }),
        "UpdateApiKey" => {
            let (name, permissions) = (known.api_key.clone(), vec!["events.read".to_owned()]);
            let api_key = Some(pb::ApiKey { name, permissions, ..Default::default() });
            one(&pb::UpdateApiKeyRequest { api_key, ..Default::default() })
        }
        "RevokeApiKey" => one(&pb::RevokeApiKeyRequest { name: known.api_key.clone(), ..Default::default() }),
        "GetCaller" => (About::New, pb::GetCallerRequest {}.encode_to_vec()),
        "GetQuota" => (About::New, pb::GetQuotaRequest { inviter_user_id: "user-7".to_owned() }.encode_to_vec()),
        "GetOrganizationGrant" => one(&pb::GetOrganizationGrantRequest { name: known.organizations.clone() }),
        "UpdateOrganizationGrant" => {
            let (name, permissions) = (known.organizations.clone(), vec!["guest_invitations.write".to_owned()]);
            let organization_grant = Some(pb::OrganizationGrant { name, permissions, ..Default::default() });
            one(&pb::UpdateOrganizationGrantRequest { organization_grant, ..Default::default() })
        }
        "DeleteOrganizationGrant" => {
            one(&pb::DeleteOrganizationGrantRequest { name: known.organizations.clone(), ..Default::default() })
        }
        _ => panic!("{method} has no request here"),
    }
}

fn of_deliveries(method: &str, known: &Known) -> (About, Vec<u8>) {
    let parent = known.user.clone();
    match method {
        "GetDelivery" => one(&pb::GetDeliveryRequest { name: known.delivery.clone() }),
        "ListDeliveries" => one(&pb::ListDeliveriesRequest { parent, ..Default::default() }),
        "ReportDeliveryStatus" => one(&pb::ReportDeliveryStatusRequest {
            message_id: known.message_id.clone(),
            report: pb::DeliveryReport::Delivered.into(),
            ..Default::default()
        }),
        "RedeliverDeliveries" => one(&pb::RedeliverDeliveriesRequest { parent, ..Default::default() }),
        _ => panic!("{method} has no request here"),
    }
}

fn of_webhooks(method: &str, known: &Known) -> (About, Vec<u8>) {
    let name = known.endpoint.clone();
    match method {
        "CreateWebhookEndpoint" => new(&new_endpoint("")),
        "GetWebhookEndpoint" => one(&pb::GetWebhookEndpointRequest { name }),
        "ListWebhookEndpoints" => (About::All, pb::ListWebhookEndpointsRequest::default().encode_to_vec()),
        "UpdateWebhookEndpoint" => {
            let event_types = vec!["delivery.complained".to_owned()];
            let webhook_endpoint = Some(pb::WebhookEndpoint { name, event_types, ..Default::default() });
            one(&pb::UpdateWebhookEndpointRequest { webhook_endpoint, ..Default::default() })
        }
        "DeleteWebhookEndpoint" => one(&pb::DeleteWebhookEndpointRequest { name, ..Default::default() }),
        "RotateWebhookSecret" => one(&pb::RotateWebhookSecretRequest { name, ..Default::default() }),
        "ListWebhookAttempts" => one(&pb::ListWebhookAttemptsRequest { parent: name, ..Default::default() }),
        "TestWebhookEndpoint" => one(&pb::TestWebhookEndpointRequest { name }),
        "GetWebhookAttempt" => one(&pb::GetWebhookAttemptRequest { name: known.attempt.clone() }),
        "RedeliverWebhookEvents" => {
            let time = Some(pb::TimeRange { start_time: messages::at(-3_600), end_time: None });
            one(&pb::RedeliverWebhookEventsRequest { name, time, ..Default::default() })
        }
        _ => panic!("{method} has no request here"),
    }
}

fn of_privacy(method: &str, known: &Known) -> (About, Vec<u8>) {
    let email = known.email("user");
    match method {
        "EraseRecipient" => many(&pb::EraseRecipientRequest { email, ..Default::default() }),
        "ExportRecipient" => many(&pb::ExportRecipientRequest { email, ..Default::default() }),
        _ => panic!("{method} has no request here"),
    }
}

/// Suppresses an address.
fn new_suppression(email: String) -> pb::CreateSuppressionRequest {
    let suppression = Some(pb::Suppression { email, ..Default::default() });
    pb::CreateSuppressionRequest { suppression, ..Default::default() }
}

fn of_suppressions(method: &str, known: &Known) -> (About, Vec<u8>) {
    let name = known.suppression.clone();
    match method {
        "CreateSuppression" => new(&new_suppression(known.email("somebody"))),
        "GetSuppression" => one(&pb::GetSuppressionRequest { name }),
        "LookupSuppression" => one(&pb::LookupSuppressionRequest { email: known.email("suppressed") }),
        "ListSuppressions" => (About::All, pb::ListSuppressionsRequest::default().encode_to_vec()),
        "DeleteSuppression" => one(&pb::DeleteSuppressionRequest { name, ..Default::default() }),
        _ => panic!("{method} has no request here"),
    }
}

fn of_events(method: &str, known: &Known) -> (About, Vec<u8>) {
    match method {
        "ListEvents" => {
            let parent = format!("connectionInvitations/{}", known.id);
            one(&pb::ListEventsRequest { parent, ..Default::default() })
        }
        "GetEvent" => one(&pb::GetEventRequest { name: format!("invitations/{}/events/1", known.id) }),
        // With what happens from now on.
        "WatchEvents" => new(&pb::WatchEventsRequest::default()),
        _ => panic!("{method} has no request here"),
    }
}

/// Calls an RPC without credentials.
pub(crate) async fn call(service: &Service, rpc: &Rpc, message: Vec<u8>) -> Result<bytes::Bytes, tonic::Status> {
    raw::call(service, &rpc.path, Request::new(message.into())).await
}
