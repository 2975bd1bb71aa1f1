//! One valid request for each RPC, about invitations of every kind. A new RPC has to be added here before the tests that go
//! over all of them pass.

use invitation_service::pb;
use prost::Message;
use tonic::Request;

use super::guests::{GUEST, HOST};
use super::raw::{self, Rpc};
use super::{guests, keys, make};
use crate::harness::service::Service;

/// Invitations as requests name them. Addresses, scopes and organizations are made of the first one's id.
#[derive(Clone, Debug)]
pub(super) struct Known {
    /// The UUID of a connection invitation that was accepted once.
    pub(super) id: String,
    /// Its token.
    pub(super) token: String,
    /// The name of its acceptance.
    pub(super) acceptance: String,
    /// Its company.
    pub(super) company_id: String,
    /// The name of a user invitation.
    pub(super) user: String,
    /// The name of a guest invitation.
    pub(super) guest: String,
    /// The name of a general invitation for one person, into a scope that has an auto-join too.
    pub(super) general: String,
    /// Its token.
    pub(super) general_token: String,
    /// The name of a connection between organizations.
    pub(super) organizations: String,
}

/// What an RPC is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum About {
    /// One thing, which has to be there.
    One,
    /// Those that match.
    Many,
    /// Several things, of which each is answered for itself.
    Each,
    /// None that is there yet.
    New,
}

/// The connection that the acceptor of a known invitation made.
const CREATED: &str = "01920000-0000-7000-8000-00000000cafe";

impl Known {
    /// The same, but for ids and a token that nobody has.
    pub(super) fn missing(&self) -> Self {
        let id = "01920000-0000-7000-8000-000000000000";
        let name = |collection: &str| format!("{collection}/{id}");
        Self {
            id: id.to_owned(),
            token: make::mailed_token(id, 0),
            acceptance: self.acceptance.replace(&self.id, id),
            company_id: "01920000-0000-7000-8000-00000000ffff".to_owned(),
            user: name("userInvitations"),
            guest: name("guestInvitations"),
            general: name("invitations"),
            general_token: make::mailed_token(id, 0),
            organizations: name("organizationConnections"),
        }
    }

    fn email(&self, who: &str) -> String {
        format!("{who}-{}@example.org", self.id)
    }

    fn scope(&self) -> pb::Scope {
        make::scope("team", &self.id)
    }

    fn target(&self) -> pb::TargetFilter {
        pb::TargetFilter { r#type: pb::TargetType::Internal.into(), value: self.id.clone() }
    }
}

/// Makes an invitation of each kind and accepts the first, of a company, once.
pub(super) async fn known(service: &Service, key: Option<&str>, company_id: &str) -> Known {
    let key = key.unwrap_or("none");
    let create = pb::ConnectionInvitation { company_id: company_id.to_owned(), ..Default::default() };
    let create = keys::with(key, make::creation(create));
    let made = service.connections().create_connection_invitation(create).await.unwrap().into_inner();
    let accept = pb::AcceptInvitationRequest {
        created_connection: Some(pb::CreatedConnection { id: CREATED.to_owned(), ..Default::default() }),
        ..make::accept(&made.invitation_token, "ann")
    };
    let accepted = service.redemptions().accept_invitation(keys::with(key, accept)).await.unwrap().into_inner();
    let mut known = Known {
        id: made.uid,
        token: made.invitation_token,
        acceptance: accepted.acceptance.unwrap().name,
        company_id: made.company_id,
        user: String::new(),
        guest: String::new(),
        general: String::new(),
        general_token: String::new(),
        organizations: String::new(),
    };
    let user = keys::with(key, new_user(&known, "user"));
    known.user = service.users().create_user_invitation(user).await.unwrap().into_inner().name;
    let mut guest = keys::with(key, guests::creation(guests::guest(&known.email("guest"))));
    guests::add(&mut guest, HOST, HOST);
    known.guest = service.guests().create_guest_invitation(guest).await.unwrap().into_inner().name;
    let general = keys::with(key, new_general(&known, &known.id));
    let general = service.invitations().create_invitation(general).await.unwrap().into_inner();
    (known.general, known.general_token) = (general.name, general.invitation_token);
    service.invitations().sync_autojoin(keys::with(key, sync_autojoin(&known))).await.unwrap();
    let organizations = keys::with(key, new_organizations(&known.id, HOST));
    let organizations = service.access().create_organization_connection(organizations).await.unwrap();
    Known { organizations: organizations.into_inner().name, ..known }
}

fn new_user(known: &Known, who: &str) -> pb::CreateUserInvitationRequest {
    let user_invitation =
        Some(pb::UserInvitation { invited_email: known.email(who), inviter: "Ann".to_owned(), ..Default::default() });
    pb::CreateUserInvitationRequest { user_invitation, ..Default::default() }
}

fn new_general(known: &Known, whom: &str) -> pb::CreateInvitationRequest {
    make::general(pb::Invitation {
        targets: vec![make::target(pb::TargetType::Internal, whom)],
        scope: Some(known.scope()),
        inviter: Some(pb::Inviter { user_id: known.id.clone(), ..Default::default() }),
        ..Default::default()
    })
}

fn sync_autojoin(known: &Known) -> pb::SyncAutojoinRequest {
    let domains = vec!["example.org".to_owned()];
    pb::SyncAutojoinRequest { scope: Some(known.scope()), domains, ..Default::default() }
}

fn new_organizations(requester: &str, target: &str) -> pb::CreateOrganizationConnectionRequest {
    let organization_connection = Some(pb::OrganizationConnection {
        requester_organization_id: requester.to_owned(),
        target_organization_id: target.to_owned(),
        permissions: vec!["guest_invitations.read".to_owned()],
        ..Default::default()
    });
    pb::CreateOrganizationConnectionRequest { organization_connection }
}

/// A valid request for the RPC of a path.
pub(super) fn valid(path: &str, known: &Known) -> (About, Vec<u8>) {
    let method = path.strip_prefix("/invitation.v1.").unwrap_or(path);
    let (service, method) = method.split_once('/').unwrap();
    match service {
        "ConnectionInvitationService" => of_connections(method, known),
        "UserInvitationService" => of_users(method, known),
        "GuestInvitationService" => of_guests(method, known),
        "RedemptionService" => of_redemptions(method, known),
        "InvitationService" => of_any(method, known),
        "AccessService" => of_access(method, known),
        "EventService" => {
            let parent = format!("connectionInvitations/{}", known.id);
            one(&pb::ListEventsRequest { parent, ..Default::default() })
        }
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
            new(&make::creation(pb::ConnectionInvitation { company_id, ..Default::default() }))
        }
        "CreateReconnectInvitation" => {
            let connection_id = make::CONNECTION.to_owned();
            new(&pb::CreateReconnectInvitationRequest { connection_id, company_id, ..Default::default() })
        }
        "GetConnectionInvitation" => one(&pb::GetConnectionInvitationRequest { name }),
        "ListConnectionInvitations" => many(&pb::ListConnectionInvitationsRequest { company_id, ..Default::default() }),
        "RevokeConnectionInvitation" => one(&pb::RevokeConnectionInvitationRequest { name, ..Default::default() }),
        "ResendConnectionInvitation" => one(&pb::ResendConnectionInvitationRequest { name, ..Default::default() }),
        "UpdateCreatedConnection" => {
            let created_connection = Some(pb::CreatedConnection { id: CREATED.to_owned(), ..Default::default() });
            one(&pb::UpdateCreatedConnectionRequest { name, created_connection, acceptance, ..Default::default() })
        }
        _ => panic!("{method} has no request here"),
    }
}

fn of_users(method: &str, known: &Known) -> (About, Vec<u8>) {
    let name = known.user.clone();
    match method {
        "CreateUserInvitation" => new(&new_user(known, "somebody")),
        "GetUserInvitation" => one(&pb::GetUserInvitationRequest { name }),
        "ListUserInvitations" => {
            many(&pb::ListUserInvitationsRequest { email: known.email("user"), ..Default::default() })
        }
        "DeleteUserInvitation" => one(&pb::DeleteUserInvitationRequest { name, ..Default::default() }),
        "ResendUserInvitation" => one(&pb::ResendUserInvitationRequest { name, ..Default::default() }),
        _ => panic!("{method} has no request here"),
    }
}

fn of_guests(method: &str, known: &Known) -> (About, Vec<u8>) {
    let name = known.guest.clone();
    match method {
        "CreateGuestInvitation" => new(&guests::creation(guests::guest(&known.email("somebody")))),
        "GetGuestInvitation" => one(&pb::GetGuestInvitationRequest { name }),
        "ListGuestInvitations" => {
            many(&pb::ListGuestInvitationsRequest { email_query: known.email("guest"), ..Default::default() })
        }
        "UpdateGuestInvitation" => {
            one(guests::update(pb::GuestInvitation { name, archived: true, ..Default::default() }, &[]).get_ref())
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
        "PreviewInvitation" => one(&make::preview(token)),
        "AcceptInvitation" => one(&make::accept(token, "ann")),
        "DeclineInvitation" => one(&make::decline(&known.general_token)),
        "RecordEngagement" => one(&make::view(token)),
        _ => panic!("{method} has no request here"),
    }
}

fn of_any(method: &str, known: &Known) -> (About, Vec<u8>) {
    let (name, scope) = (known.general.clone(), Some(known.scope()));
    match method {
        "CreateInvitation" => new(&new_general(known, "somebody")),
        "BatchCreateInvitations" => {
            let requests = vec![new_general(known, "somebody")];
            new(&pb::BatchCreateInvitationsRequest { requests, atomic: true, ..Default::default() })
        }
        "GetInvitation" => one(&pb::GetInvitationRequest { name }),
        "ListInvitations" => {
            let scope = pb::ScopeFilter { r#type: "company".to_owned(), id: known.company_id.clone() };
            many(&pb::ListInvitationsRequest { scope: Some(scope), ..Default::default() })
        }
        "ListAcceptances" => {
            let parent = format!("invitations/{}", known.id);
            one(&pb::ListAcceptancesRequest { parent, ..Default::default() })
        }
        "ListOpenInvitations" => {
            many(&pb::ListOpenInvitationsRequest { target: Some(known.target()), ..Default::default() })
        }
        "AcceptInvitations" => {
            let acceptor = Some(pb::Acceptor { subject: known.id.clone(), ..Default::default() });
            let request = pb::AcceptInvitationsRequest { names: vec![name], acceptor, ..Default::default() };
            (About::Each, request.encode_to_vec())
        }
        "DeclineInvitation" => {
            let request = pb::InvitationServiceDeclineInvitationRequest { name, ..Default::default() };
            let target = Some(make::target(pb::TargetType::Internal, &known.id));
            one(&pb::InvitationServiceDeclineInvitationRequest { target, ..request })
        }
        "RevokeInvitation" => one(&pb::RevokeInvitationRequest { name, ..Default::default() }),
        "RevokeScopeInvitations" => many(&pb::RevokeScopeInvitationsRequest { scope, ..Default::default() }),
        "ResendInvitation" => one(&pb::ResendInvitationRequest { name, ..Default::default() }),
        "SyncInternalInvitation" => one(&pb::SyncInternalInvitationRequest {
            creator_user_id: known.id.clone(),
            target_value: known.id.clone(),
            action: pb::InternalInvitationAction::Accepted.into(),
            ..Default::default()
        }),
        "GetAutojoin" => many(&pb::GetAutojoinRequest { scope }),
        "SyncAutojoin" => new(&sync_autojoin(known)),
        _ => panic!("{method} has no request here"),
    }
}

fn of_access(method: &str, known: &Known) -> (About, Vec<u8>) {
    match method {
        "CreateOrganizationConnection" => new(&new_organizations(&known.id, GUEST)),
        "ListOrganizationConnections" => many(&pb::ListOrganizationConnectionsRequest {
            requester_organization_id: known.id.clone(),
            ..Default::default()
        }),
        "DeleteOrganizationConnection" => {
            one(&pb::DeleteOrganizationConnectionRequest { name: known.organizations.clone() })
        }
        _ => panic!("{method} has no request here"),
    }
}

/// Calls an RPC without credentials.
pub(super) async fn call(service: &Service, rpc: &Rpc, message: Vec<u8>) -> Result<bytes::Bytes, tonic::Status> {
    raw::call(service, &rpc.path, Request::new(message.into())).await
}
