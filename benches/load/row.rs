//! The rows of the table: what is called, with which message, and what has to come of it.

use std::str::FromStr;

use bytes::Bytes;
use invitation_service::pb;
use invitation_service::pb::connection_invitation::Expiration;
use prost::Message as _;

use crate::Outcome;
use crate::client::{Answer, framed};
use crate::known::{Known, Seated};
use crate::pgbench::Script;

/// The status code of a call that succeeds, and of one whose token or name leads nowhere.
const OK: u32 = 0;
const NOT_FOUND: u32 = 5;
/// The number of invitations that one batch creates.
pub(crate) const BATCH: usize = 100;
/// The number of seats of a scope: nobody is refused.
const SEATS: i32 = 1_000_000;
const ORGANIZATION: &str = "0190a000-0000-7000-8000-00000000c0de";

/// The call of a row.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Row {
    /// A health check of the process, without the database: what a call costs that does nothing.
    Empty,
    /// A connection invitation for one address.
    Create,
    CreateUser,
    CreateGuest,
    /// A general invitation for one address.
    CreateGeneral,
    /// General invitations for one address each, in one call.
    Batch,
    /// One by its name.
    Get,
    /// One by its token.
    Preview,
    /// A token that nobody made.
    Forged,
    /// Accepts of many invitations in turn, each by somebody new.
    Accept,
    /// Accepts of one invitation.
    AcceptHot,
    /// Accepts of many invitations into one scope that counts seats, each by somebody new.
    AcceptOneScope,
    /// The same, each invitation into a scope of its own.
    AcceptManyScopes,
    /// A page of the newest invitations.
    List,
    /// The invitations for one address.
    ListTarget,
    /// The open invitations of one address.
    Open,
}

impl Row {
    pub(crate) const ALL: [Self; 16] = [
        Self::Empty,
        Self::Create,
        Self::CreateUser,
        Self::CreateGuest,
        Self::CreateGeneral,
        Self::Batch,
        Self::Get,
        Self::Preview,
        Self::Forged,
        Self::Accept,
        Self::AcceptHot,
        Self::AcceptOneScope,
        Self::AcceptManyScopes,
        Self::List,
        Self::ListTarget,
        Self::Open,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Create => "create",
            Self::CreateUser => "create-user",
            Self::CreateGuest => "create-guest",
            Self::CreateGeneral => "create-general",
            Self::Batch => "batch-100",
            Self::Get => "get",
            Self::Preview => "preview",
            Self::Forged => "forged",
            Self::Accept => "accept",
            Self::AcceptHot => "accept-hot",
            Self::AcceptOneScope => "accept-one-scope",
            Self::AcceptManyScopes => "accept-many-scopes",
            Self::List => "list",
            Self::ListTarget => "list-target",
            Self::Open => "open",
        }
    }

    /// Returns the statement that does the same in PostgreSQL alone, which the row is compared with.
    pub(crate) fn yardstick(self) -> Option<Script> {
        match self {
            Self::Create | Self::CreateUser | Self::CreateGuest | Self::CreateGeneral => Some(Script::Create),
            Self::Get | Self::Preview => Some(Script::Select),
            Self::Accept | Self::AcceptOneScope | Self::AcceptManyScopes => Some(Script::Accept),
            Self::AcceptHot => Some(Script::AcceptHot),
            Self::Empty | Self::Batch | Self::Forged | Self::List | Self::ListTarget | Self::Open => None,
        }
    }

    /// Returns the statement that is measured behind the row: that of the first row which is compared with it.
    pub(crate) fn script(self) -> Option<Script> {
        self.yardstick().filter(|_| matches!(self, Self::Create | Self::Get | Self::Accept | Self::AcceptHot))
    }

    /// Returns the method's path.
    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::Empty => "/grpc.health.v1.Health/Check",
            Self::Create => "/invitation.v1.ConnectionInvitationService/CreateConnectionInvitation",
            Self::CreateUser => "/invitation.v1.UserInvitationService/CreateUserInvitation",
            Self::CreateGuest => "/invitation.v1.GuestInvitationService/CreateGuestInvitation",
            Self::CreateGeneral => "/invitation.v1.InvitationService/CreateInvitation",
            Self::Batch => "/invitation.v1.InvitationService/BatchCreateInvitations",
            Self::Get => "/invitation.v1.ConnectionInvitationService/GetConnectionInvitation",
            Self::Preview | Self::Forged => "/invitation.v1.RedemptionService/PreviewInvitation",
            Self::Accept | Self::AcceptHot | Self::AcceptOneScope | Self::AcceptManyScopes => {
                "/invitation.v1.RedemptionService/AcceptInvitation"
            }
            Self::List | Self::ListTarget => "/invitation.v1.InvitationService/ListInvitations",
            Self::Open => "/invitation.v1.InvitationService/ListOpenInvitations",
        }
    }

    /// Returns the message of the call with a number that no other has.
    pub(crate) fn message(self, turn: usize, known: &Known) -> Bytes {
        match self {
            Self::Empty => framed(&pb::health::HealthCheckRequest::default()),
            Self::Create => framed(&connection(vec![address("connection", turn)], false)),
            Self::CreateUser => framed(&user(turn)),
            Self::CreateGuest => framed(&guest(turn)),
            Self::CreateGeneral => framed(&general(&address("general", turn))),
            Self::Batch => framed(&batch((0..BATCH).map(|number| format!("batch-{turn}-{number}@example.org")))),
            Self::Get => known.get(turn),
            Self::Preview => known.preview(turn),
            Self::Forged => known.forged(turn),
            Self::Accept => accept(known.token(turn), turn),
            Self::AcceptHot => accept(known.token(0), turn),
            Self::AcceptOneScope => accept(known.seated(Seated::OneScope, turn), turn),
            Self::AcceptManyScopes => accept(known.seated(Seated::ManyScopes, turn), turn),
            Self::List => framed(&pb::ListInvitationsRequest { page_size: 50, ..Default::default() }),
            Self::ListTarget => framed(&by_target(turn)),
            Self::Open => framed(&open(turn)),
        }
    }

    /// Returns an error unless an answer is the one that the row has to get.
    pub(crate) fn check(self, answer: &Answer) -> Outcome {
        let wanted = if self == Self::Forged { NOT_FOUND } else { OK };
        if answer.code != wanted {
            return Err(format!("status {} instead of {wanted}: {}", answer.code, answer.sentence).into());
        }
        let empty = match self {
            Self::Accept | Self::AcceptHot | Self::AcceptOneScope | Self::AcceptManyScopes => {
                pb::AcceptInvitationResponse::decode(answer.message.clone())?.already_accepted
            }
            Self::ListTarget | Self::Open | Self::List => answer.message.len() < 100,
            _ => wanted == OK && answer.message.is_empty(),
        };
        if empty { Err("the answer shows that nothing was done".into()) } else { Ok(()) }
    }
}

impl FromStr for Row {
    type Err = &'static str;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|row| row.name() == name).ok_or("is no name of a row here")
    }
}

fn address(row: &str, turn: usize) -> String {
    format!("{row}-{turn}@example.org")
}

/// The address that each of the known general invitations is for.
pub(crate) fn known_address(turn: usize) -> String {
    address("known", turn % crate::known::INVITATIONS)
}

fn month() -> prost_types::Duration {
    prost_types::Duration { seconds: 30 * 24 * 3600, nanos: 0 }
}

/// Returns the request for a connection invitation of a company, whose scope counts seats.
pub(crate) fn connection_of(company: &str) -> pb::CreateConnectionInvitationRequest {
    let mut request = connection(Vec::new(), false);
    request.connection_invitation.get_or_insert_default().company_id = company.to_owned();
    request
}

/// Returns the request that has the scope of a company count more seats than are ever taken.
pub(crate) fn seats_of(company: &str) -> pb::UpdateScopeSettingsRequest {
    let scope = Some(pb::ScopeRef { r#type: "company".to_owned(), id: company.to_owned() });
    let scope_settings = Some(pb::ScopeSettings { scope, seats: Some(SEATS), ..Default::default() });
    pb::UpdateScopeSettingsRequest { scope_settings, ..Default::default() }
}

/// Returns the request for a connection invitation without a limit of uses.
pub(crate) fn connection(allowed_emails: Vec<String>, send_email: bool) -> pb::CreateConnectionInvitationRequest {
    let connection_invitation = Some(pb::ConnectionInvitation {
        company_id: ORGANIZATION.to_owned(),
        allowed_emails,
        expiration: Some(Expiration::Ttl(month())),
        ..Default::default()
    });
    let send_email = Some(send_email);
    pb::CreateConnectionInvitationRequest { connection_invitation, send_email, ..Default::default() }
}

fn user(turn: usize) -> pb::CreateUserInvitationRequest {
    let user_invitation = Some(pb::UserInvitation {
        invited_email: address("user", turn),
        roles: vec!["member".to_owned()],
        ..Default::default()
    });
    pb::CreateUserInvitationRequest { user_invitation, send_email: Some(false), ..Default::default() }
}

fn guest(turn: usize) -> pb::CreateGuestInvitationRequest {
    let guest_invitation = Some(pb::GuestInvitation {
        host_organization_id: ORGANIZATION.to_owned(),
        email: address("guest", turn),
        parent_organization_name: "City Power".to_owned(),
        expiration: Some(pb::guest_invitation::Expiration::Ttl(month())),
        ..Default::default()
    });
    pb::CreateGuestInvitationRequest {
        guest_invitation,
        requester_organization_id: ORGANIZATION.to_owned(),
        target_organization_id: ORGANIZATION.to_owned(),
        send_email: Some(false),
        ..Default::default()
    }
}

/// Returns the request for a general invitation of one address into a scope of the address's own.
pub(crate) fn general(address: &str) -> pb::CreateInvitationRequest {
    let invitation = Some(pb::Invitation {
        invitation_type: pb::InvitationType::SingleUse.into(),
        targets: vec![pb::Target {
            r#type: pb::TargetType::Email.into(),
            value: address.to_owned(),
            ..Default::default()
        }],
        scope: Some(pb::Scope { r#type: "team".to_owned(), id: address.to_owned(), ..Default::default() }),
        ..Default::default()
    });
    pb::CreateInvitationRequest { invitation, send_email: Some(false), ..Default::default() }
}

/// Returns the request for general invitations of one address each.
pub(crate) fn batch(addresses: impl Iterator<Item = String>) -> pb::BatchCreateInvitationsRequest {
    let requests = addresses.map(|address| general(&address)).collect();
    pb::BatchCreateInvitationsRequest { requests, ..Default::default() }
}

fn accept(token: &str, turn: usize) -> Bytes {
    let acceptor = Some(pb::Acceptor { subject: format!("subject-{turn}"), ..Default::default() });
    framed(&pb::AcceptInvitationRequest { token: token.to_owned(), acceptor, ..Default::default() })
}

fn target(turn: usize) -> Option<pb::TargetRef> {
    Some(pb::TargetRef { r#type: pb::TargetType::Email.into(), value: known_address(turn) })
}

fn by_target(turn: usize) -> pb::ListInvitationsRequest {
    let filter = Some(pb::InvitationFilter { target: target(turn), ..Default::default() });
    pb::ListInvitationsRequest { filter, page_size: 50, ..Default::default() }
}

fn open(turn: usize) -> pb::ListOpenInvitationsRequest {
    pb::ListOpenInvitationsRequest { target: target(turn), page_size: 50, ..Default::default() }
}
