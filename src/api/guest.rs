//! `GuestInvitationService`: an organization invites guest organizations.

pub(super) mod convert;
pub(super) mod parse;

use std::sync::Arc;

use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::call::Call;
use super::convert::count;
use super::execute::{Api, check_request_id};
use super::organization_headers::Organizations;
use super::page;
use super::page::GuestsOf;
use super::parse::filter::email_part;
use super::parse::{filter, moment};
use super::requests::Named;
use super::resource_name::parse_name;
use super::violations::Violations;
use crate::auth::permission::Permission;
use crate::domain::command::{AcceptInvitation, Access, Action, Expiry, ResendInvitation, RevokeInvitation, Target};
use crate::domain::invitation::acceptance::Acceptor;
use crate::domain::kind::guest::system_subject;
use crate::domain::kind::{Kind, organization_scope};
use crate::domain::value::text;
use crate::domain::value::text::Invalid;
use crate::pb;
use crate::pb::guest_invitation_service_server::GuestInvitationService;
use crate::store::{Cursor, InvitationQuery, Order, Read};

const KIND: Kind = Kind::Guest;
const READ: Permission = Permission::GuestInvitationsRead;
const WRITE: Permission = Permission::GuestInvitationsWrite;

/// What a list can be sorted by; the first is the default.
const ORDERS: [(&str, Order); 8] = [
    ("create_time", Order::CreateTime),
    ("email", Order::Email),
    ("first_sent_time", Order::FirstSent),
    ("last_sent_time", Order::LastSent),
    ("expire_time", Order::Expire),
    ("accept_time", Order::Accept),
    ("archive_time", Order::Archive),
    ("update_time", Order::Update),
];

/// Serves `GuestInvitationService`.
#[derive(Debug)]
pub struct GuestInvitations(pub Arc<Api>);

impl GuestInvitations {
    /// Returns how many invitations a list has: counted for its first page, at the moment that the page is then judged at, and
    /// carried along.
    async fn total(&self, call: &Call, query: &mut InvitationQuery) -> Result<u64, Status> {
        if let Some(total) = query.after.as_ref().and_then(|cursor| cursor.total) {
            return Ok(total);
        }
        let counted = self.0.read(self.0.store.count_invitations(&call.caller.account, query)).await?;
        query.at = Some(counted.now);
        Ok(counted.found)
    }

    /// Parses what every call has, and checks that its organizations allow it.
    async fn authorized<T>(
        &self,
        call: &Call,
        organizations: Option<Organizations>,
        violations: Violations,
        parsed: Option<T>,
        permission: Permission,
    ) -> Result<(Organizations, T), Status> {
        // What may not be done is not looked at.
        if let Some(organizations) = organizations {
            organizations.authorize(&self.0, call, permission).await?;
        }
        violations.finish(organizations.zip(parsed))
    }

    /// Runs a command on an invitation of the target organization that the message names.
    async fn change<T: Named>(
        &self,
        call: &Call,
        message: &T,
        organizations: Option<Organizations>,
        mut violations: Violations,
        action: impl FnOnce(Target) -> Action,
    ) -> Result<Response<pb::GuestInvitation>, Status> {
        let name = message.parse_name(&mut violations);
        let (organizations, name) = self.authorized(call, organizations, violations, name, WRITE).await?;
        let target = Target { hosts: Some(vec![organizations.target]), ..name.target(Some(KIND), message.etag())? };
        let executed = self.0.execute(call, message, None, action(target)).await?;
        self.0.answer(call, &executed)
    }
}

#[tonic::async_trait]
impl GuestInvitationService for GuestInvitations {
    async fn create_guest_invitation(
        &self,
        request: Request<pb::CreateGuestInvitationRequest>,
    ) -> Result<Response<pb::GuestInvitation>, Status> {
        let mut violations = Violations::default();
        let organizations = Organizations::parse(&mut violations, request.metadata());
        let (call, message) = Call::of(request)?;
        check_request_id(&mut violations, &message.request_id);
        let host = organizations.map(|organizations| organizations.target);
        let create = parse::to_create(&mut violations, host, &message);
        let (_, create) = self.authorized(&call, organizations, violations, create, WRITE).await?;
        let executed = self.0.execute(&call, &message, None, Action::Create(Box::new(create))).await?;
        self.0.answer(&call, &executed)
    }

    async fn get_guest_invitation(
        &self,
        request: Request<pb::GetGuestInvitationRequest>,
    ) -> Result<Response<pb::GuestInvitation>, Status> {
        let mut violations = Violations::default();
        let organizations = Organizations::parse(&mut violations, request.metadata());
        let (call, message) = Call::of(request)?;
        let name = parse_name(&mut violations, &message.name);
        let (organizations, name) = self.authorized(&call, organizations, violations, name, READ).await?;
        let (id, kind) = name.within(Some(KIND))?;
        let read = self.0.find(&call, id, kind, false, Some(vec![organizations.target])).await?;
        self.0.face(&call, &read.found, read.now).map(Response::new)
    }

    async fn list_guest_invitations(
        &self,
        request: Request<pb::ListGuestInvitationsRequest>,
    ) -> Result<Response<pb::ListGuestInvitationsResponse>, Status> {
        let mut violations = Violations::default();
        let organizations = Organizations::parse(&mut violations, request.metadata());
        let (call, message) = Call::of(request)?;
        let skip = violations.take("skip", u64::try_from(message.skip).map_err(|_| Invalid("must not be negative")));
        let paged = GuestsOf(organizations.map(|organizations| organizations.target), &message);
        let (order, asked) = page::asked_in(&self.0, &call, &paged, &ORDERS, &mut violations);
        let size = asked.size;
        let query = InvitationQuery {
            kinds: vec![KIND],
            states: filter::states(&mut violations, &message.states),
            guest_statuses: filter::guest_statuses(&mut violations, &message.statuses),
            scope: organizations.map(|organizations| organization_scope(organizations.target)),
            email_query: violations.optional("email_query", &message.email_query, email_part),
            expired: message.expired,
            archived: message.archived,
            order,
            skip: skip.unwrap_or_default(),
            ..asked.query()
        };
        let (_, mut query) = self.authorized(&call, organizations, violations, Some(query), READ).await?;
        let total = self.total(&call, &mut query).await?;
        // The target organization is all that is listed, and was authorized.
        let listed = self.0.read(self.0.store.list_invitations(&call.caller.account, &query)).await?;
        let mut rows = listed.rows;
        let cursor_of = |read: &Read<_>| Cursor { total: Some(total), ..Cursor::of_invitation_by(order, read) };
        let next_page_token = page::next(&self.0, &call, &paged, &mut rows, size, cursor_of)?;
        Ok(Response::new(pb::ListGuestInvitationsResponse {
            guest_invitations: self.0.faces(&call, &rows)?,
            next_page_token,
            total_size: count(total),
        }))
    }

    async fn update_guest_invitation(
        &self,
        request: Request<pb::UpdateGuestInvitationRequest>,
    ) -> Result<Response<pb::GuestInvitation>, Status> {
        let mut violations = Violations::default();
        let organizations = Organizations::parse(&mut violations, request.metadata());
        let (call, message) = Call::of(request)?;
        let update = parse::update(&mut violations, &message);
        self.change(&call, &message, organizations, violations, |target| Action::UpdateGuest(update.of(target))).await
    }

    async fn resend_guest_invitation(
        &self,
        request: Request<pb::ResendGuestInvitationRequest>,
    ) -> Result<Response<pb::GuestInvitation>, Status> {
        let mut violations = Violations::default();
        let organizations = Organizations::parse(&mut violations, request.metadata());
        let (call, message) = Call::of(request)?;
        let expire_at = moment(&mut violations, "expire_time", message.expire_time);
        let expiry = expire_at.map(|at| Expiry::At { at, field: "expire_time" });
        let rotate = message.rotate_token;
        let resend = |target| Action::Resend(ResendInvitation { target, rotate, expiry });
        self.change(&call, &message, organizations, violations, resend).await
    }

    async fn revoke_guest_invitation(
        &self,
        request: Request<pb::RevokeGuestInvitationRequest>,
    ) -> Result<Response<pb::GuestInvitation>, Status> {
        let mut violations = Violations::default();
        let organizations = Organizations::parse(&mut violations, request.metadata());
        let (call, message) = Call::of(request)?;
        let revoke = |target| Action::Revoke(RevokeInvitation { target });
        self.change(&call, &message, organizations, violations, revoke).await
    }

    async fn accept_guest_invitation(
        &self,
        request: Request<pb::AcceptGuestInvitationRequest>,
    ) -> Result<Response<pb::GuestInvitation>, Status> {
        let mut violations = Violations::default();
        let organizations = Organizations::parse(&mut violations, request.metadata());
        let (call, message) = Call::of(request)?;
        let guest = violations.required("guest_organization_id", &message.guest_organization_id, text::uuid);
        let accept = |target| Action::Accept(Box::new(by_system(target, guest.unwrap_or_default())));
        self.change(&call, &message, organizations, violations, accept).await
    }
}

/// An acceptance by the system, which shows no address: the host's side vouches for the guest organization.
fn by_system(target: Target, guest_organization_id: Uuid) -> AcceptInvitation {
    AcceptInvitation {
        access: Access::Name(target),
        acceptor: Acceptor::known_as(system_subject(guest_organization_id)),
        created_connection: None,
        guest_organization_id: Some(guest_organization_id),
        by_system: true,
        proof: None,
    }
}
