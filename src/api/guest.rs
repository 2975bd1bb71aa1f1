//! `GuestInvitationService`: an organization invites guest organizations.

pub(super) mod convert;
pub(super) mod parse;

use std::sync::Arc;

use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::execute::{Api, Call};
use super::parse::filter::email_part;
use super::parse::page;
use super::parse::resend::Resend;
use super::parse::update::Update;
use super::parse::{filter, filter_labels};
use super::requests::Named;
use crate::domain::command::{AcceptInvitation, Access, Action, RevokeInvitation, Target};
use crate::domain::invitation::Invitation;
use crate::domain::invitation::acceptance::Acceptor;
use crate::domain::invitation::recipient::Address;
use crate::domain::kind::guest::system_subject;
use crate::domain::kind::{Kind, organization_scope};
use crate::domain::value::email::Email;
use crate::domain::value::rule::{FieldRule, Invalid};
use crate::domain::value::text;
use crate::pb;
use crate::pb::guest_invitation_service_server::GuestInvitationService;
use crate::store::{InvitationQuery, Order, Read};

const KIND: Kind = Kind::Guest;

/// The orders of a list; the first is the default.
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
pub(crate) struct GuestInvitations(pub(crate) Arc<Api>);

#[tonic::async_trait]
impl GuestInvitationService for GuestInvitations {
    async fn create_guest_invitation(
        &self,
        request: Request<pb::CreateGuestInvitationRequest>,
    ) -> Result<Response<pb::GuestInvitation>, Status> {
        let (call, message, mut violations) = Call::of(request)?;
        let host = call.organizations.map(|organizations| organizations.target);
        let create = parse::to_create(&mut violations, host, &message).map(Box::new).map(Action::Create);
        let executed = self.0.execute(&call, &message, violations, create).await?;
        self.0.answer(&call, &executed)
    }

    async fn get_guest_invitation(
        &self,
        request: Request<pb::GetGuestInvitationRequest>,
    ) -> Result<Response<pb::GuestInvitation>, Status> {
        let (call, message, violations) = Call::of(request)?;
        self.0.get(&call, &message, violations, true).await
    }

    async fn list_guest_invitations(
        &self,
        request: Request<pb::ListGuestInvitationsRequest>,
    ) -> Result<Response<pb::ListGuestInvitationsResponse>, Status> {
        let (call, message, mut violations) = Call::of(request)?;
        let skip = violations.take(
            "skip",
            u64::try_from(message.skip).map_err(|_| Invalid::new(FieldRule::OutOfRange, "must not be negative")),
        );
        let (order, asked) = page::asked_in(&self.0, &call, &message, &ORDERS, &mut violations);
        let parent = &message.parent_organization_id;
        let query = InvitationQuery {
            kinds: vec![KIND],
            states: filter::states(&mut violations, "states", &message.states),
            guest_statuses: filter::guest_statuses(&mut violations, &message.statuses),
            scope: call.organizations.map(|organizations| organization_scope(organizations.target)),
            target: violations.optional("email", &message.email, Email::parse).map(Address::Email),
            email_prefix: violations.optional("email_prefix", &message.email_prefix, email_part),
            email_query: violations.optional("email_query", &message.email_query, email_part),
            expired: message.expired,
            archived: message.archived,
            parent_organization_id: violations.optional("parent_organization_id", parent, text::uuid),
            creator: violations.optional("creator", &message.creator, text::opaque_id),
            labels: filter_labels(&mut violations, "labels", &message.labels),
            order,
            // The list of one host is short enough to look at all of it.
            scan: None,
            skip: skip.unwrap_or_default(),
            ..asked.query()
        };
        let (context, total) = ((self.0.as_ref(), &call, &message), message.show_total);
        let show = |read: &Read<Invitation>| self.0.resource(&call, &read.found, read.now);
        let page = page::invitations(context, violations, query, total, show).await?;
        Ok(Response::new(pb::ListGuestInvitationsResponse {
            guest_invitations: page.shown,
            next_page_token: page.next_page_token,
            total_size: page.total_size,
            total_size_is_lower_bound: page.total_size_is_lower_bound,
        }))
    }

    async fn update_guest_invitation(
        &self,
        request: Request<pb::UpdateGuestInvitationRequest>,
    ) -> Result<Response<pb::GuestInvitation>, Status> {
        let (call, message, mut violations) = Call::of(request)?;
        let update = message.to_update(&mut violations, Some(KIND), &call.caller);
        let executed = self.0.execute(&call, &message, violations, update).await?;
        self.0.answer(&call, &executed)
    }

    async fn resend_guest_invitation(
        &self,
        request: Request<pb::ResendGuestInvitationRequest>,
    ) -> Result<Response<pb::GuestInvitation>, Status> {
        let (call, message, mut violations) = Call::of(request)?;
        let resend = message.to_resend(&mut violations, Some(KIND));
        let executed = self.0.execute(&call, &message, violations, resend).await?;
        self.0.answer(&call, &executed)
    }

    async fn revoke_guest_invitation(
        &self,
        request: Request<pb::RevokeGuestInvitationRequest>,
    ) -> Result<Response<pb::GuestInvitation>, Status> {
        let (call, message, mut violations) = Call::of(request)?;
        let target = message.target(Some(KIND), &mut violations);
        let revoke = target.map(|target| Action::Revoke(RevokeInvitation { target }));
        let executed = self.0.execute(&call, &message, violations, revoke).await?;
        self.0.answer(&call, &executed)
    }

    async fn accept_guest_invitation(
        &self,
        request: Request<pb::AcceptGuestInvitationRequest>,
    ) -> Result<Response<pb::GuestInvitation>, Status> {
        let (call, message, mut violations) = Call::of(request)?;
        let guest = violations.required("guest_organization_id", &message.guest_organization_id, text::uuid);
        let target = message.target(Some(KIND), &mut violations);
        let accept = target.zip(guest).map(|(target, guest)| Action::Accept(Box::new(by_system(target, guest))));
        let executed = self.0.execute(&call, &message, violations, accept).await?;
        self.0.answer(&call, &executed)
    }
}

/// Returns an acceptance by the system, which has no address: the host vouches for the guest organization.
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
