//! `InvitationService`: invitations of every kind in one message.

pub(super) mod accept_invitations;
pub(super) mod acceptances;
pub(super) mod batch_create;
pub(super) mod batch_get_invitations;
pub(super) mod check_acceptance;
pub(super) mod convert;
pub(super) mod convert_invitation;
pub(super) mod decline_invitations;
pub(super) mod each;
pub(super) mod entry_error;
pub(super) mod fit;
pub(super) mod parse;
pub(super) mod recipients;
pub(super) mod redeemable;
pub(super) mod seen_by_person;
pub(super) mod settle_invitations;
mod sweep;
pub(super) mod sync_internal_invitation;
pub(super) mod view;

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::execute::{Api, Call};
use super::parse::filter;
use super::parse::invitation_filter::{invitation_filter, targets_in, view};
use super::parse::page;
use super::parse::resend::Resend;
use super::parse::update::Update;
use super::requests::Named;
use crate::domain::command::{Action, RevokeInvitation};
use crate::domain::invitation::Invitation;
use crate::domain::value::rule::FieldRule;
use crate::pb;
use crate::pb::invitation_service_server::InvitationService;
use crate::store::{Cursor, InvitationQuery, Page, Read};
use accept_invitations::accept_invitations;
use acceptances::{get_acceptance, list_acceptances, release_acceptance, update_acceptance};
use batch_create::batch_create;
use batch_get_invitations::batch_get_invitations;
use check_acceptance::check_acceptance;
use decline_invitations::decline_invitations;
use parse::to_create;
use recipients::{get_recipient, list_recipients};
use redeemable::redeemable;
use seen_by_person::sent;
use settle_invitations::settle_invitations;
use sweep::reassign_invitations::reassign_invitations;
use sweep::revoke_invitations::revoke_invitations;
use sync_internal_invitation::sync_internal_invitation;

/// Serves `InvitationService`.
#[derive(Debug)]
pub(crate) struct Invitations(pub(crate) Arc<Api>);

#[tonic::async_trait]
impl InvitationService for Invitations {
    async fn get_invitation(
        &self,
        request: Request<pb::GetInvitationRequest>,
    ) -> Result<Response<pb::Invitation>, Status> {
        let (call, message, violations) = Call::of(request)?;
        self.0.get(&call, &message, violations, true).await
    }

    async fn create_invitation(
        &self,
        request: Request<pb::CreateInvitationRequest>,
    ) -> Result<Response<pb::Invitation>, Status> {
        let (call, message, mut violations) = Call::of(request)?;
        let create = to_create(&mut violations, &message, self.0.general_ttl);
        let create = create.map(Box::new).map(Action::Create);
        let executed = self.0.execute(&call, &message, violations, create).await?;
        self.0.answer(&call, &executed)
    }

    async fn batch_create_invitations(
        &self,
        request: Request<pb::BatchCreateInvitationsRequest>,
    ) -> Result<Response<pb::BatchCreateInvitationsResponse>, Status> {
        let (call, message, violations) = Call::of(request)?;
        batch_create(&self.0, &call, &message, violations).await.map(Response::new)
    }

    async fn batch_get_invitations(
        &self,
        request: Request<pb::BatchGetInvitationsRequest>,
    ) -> Result<Response<pb::BatchGetInvitationsResponse>, Status> {
        let (call, message, violations) = Call::of(request)?;
        batch_get_invitations(&self.0, &call, &message, violations).await.map(Response::new)
    }

    async fn get_acceptance(
        &self,
        request: Request<pb::GetAcceptanceRequest>,
    ) -> Result<Response<pb::Acceptance>, Status> {
        let (call, message, violations) = Call::of(request)?;
        get_acceptance(&self.0, &call, &message, violations).await.map(Response::new)
    }

    async fn list_acceptances(
        &self,
        request: Request<pb::ListAcceptancesRequest>,
    ) -> Result<Response<pb::ListAcceptancesResponse>, Status> {
        let (call, message, violations) = Call::of(request)?;
        list_acceptances(&self.0, &call, &message, violations).await.map(Response::new)
    }

    async fn release_acceptance(
        &self,
        request: Request<pb::ReleaseAcceptanceRequest>,
    ) -> Result<Response<pb::Acceptance>, Status> {
        let (call, message, violations) = Call::of(request)?;
        release_acceptance(&self.0, &call, &message, violations).await.map(Response::new)
    }

    async fn update_acceptance(
        &self,
        request: Request<pb::UpdateAcceptanceRequest>,
    ) -> Result<Response<pb::Acceptance>, Status> {
        let (call, message, violations) = Call::of(request)?;
        update_acceptance(&self.0, &call, &message, violations).await.map(Response::new)
    }

    async fn check_acceptance(
        &self,
        request: Request<pb::CheckAcceptanceRequest>,
    ) -> Result<Response<pb::CheckAcceptanceResponse>, Status> {
        let (call, message, violations) = Call::of(request)?;
        check_acceptance(&self.0, &call, &message, violations).await.map(Response::new)
    }

    async fn get_recipient(
        &self,
        request: Request<pb::GetRecipientRequest>,
    ) -> Result<Response<pb::Recipient>, Status> {
        let (call, message, violations) = Call::of(request)?;
        get_recipient(&self.0, &call, &message, violations).await.map(Response::new)
    }

    async fn list_recipients(
        &self,
        request: Request<pb::ListRecipientsRequest>,
    ) -> Result<Response<pb::ListRecipientsResponse>, Status> {
        let (call, message, violations) = Call::of(request)?;
        list_recipients(&self.0, &call, &message, violations).await.map(Response::new)
    }

    async fn list_open_invitations(
        &self,
        request: Request<pb::ListOpenInvitationsRequest>,
    ) -> Result<Response<pb::ListOpenInvitationsResponse>, Status> {
        let (call, message, mut violations) = Call::of(request)?;
        let asked = page::asked(&self.0, &call, &message, "create_time", &mut violations);
        let view = view(&mut violations, message.view);
        let size = asked.size;
        let page = Page {
            kinds: filter::kinds(&mut violations, "kinds", &message.kinds),
            scope: filter::scope(&mut violations, "scope", message.scope.as_ref()),
            first_recipients: targets_in(view),
            ascending: asked.ascending,
            limit: asked.limit(),
            scan: Some(page::SCAN),
            after: asked.after,
        };
        let empty = pb::TargetRef::default();
        // A person is the target, unless they name one of their addresses.
        let target = message.target.as_ref().or(call.person().is_none().then_some(&empty));
        let address = filter::target(&mut violations, "target", target);
        if address.as_ref().is_some_and(|address| !address.names_a_person()) {
            violations.add("target.type", FieldRule::NotAllowed, "must be EMAIL, PHONE or INTERNAL");
        }
        let invitee = call.invitee(&mut violations, address);
        violations.finish(Some(()))?;
        let reach = self.0.reach_to_read(&call).await?;
        let found = self.0.read_lagging(|reads| reads.list_open_invitations(&reach, &invitee, &page)).await?;
        let context = (self.0.as_ref(), &call, &message);
        let show =
            |read: &Read<Invitation>| Ok(redeemable(&call, &read.found, read.now, self.0.viewed(&call, read, view)?));
        let listed = (found.rows.as_slice(), found.goes_on);
        let (invitations, next_page_token) = page::show(context, listed, size, Cursor::of_invitation, show)?;
        Ok(Response::new(pb::ListOpenInvitationsResponse { invitations, next_page_token }))
    }

    async fn accept_invitations(
        &self,
        request: Request<pb::AcceptInvitationsRequest>,
    ) -> Result<Response<pb::AcceptInvitationsResponse>, Status> {
        let (call, message, violations) = Call::of(request)?;
        accept_invitations(&self.0, &call, &message, violations).await.map(Response::new)
    }

    async fn decline_invitations(
        &self,
        request: Request<pb::DeclineInvitationsRequest>,
    ) -> Result<Response<pb::DeclineInvitationsResponse>, Status> {
        let (call, message, violations) = Call::of(request)?;
        decline_invitations(&self.0, &call, &message, violations).await.map(Response::new)
    }

    async fn settle_invitations(
        &self,
        request: Request<pb::SettleInvitationsRequest>,
    ) -> Result<Response<pb::SettleInvitationsResponse>, Status> {
        let (call, message, violations) = Call::of(request)?;
        settle_invitations(&self.0, &call, &message, violations).await.map(Response::new)
    }

    async fn update_invitation(
        &self,
        request: Request<pb::UpdateInvitationRequest>,
    ) -> Result<Response<pb::Invitation>, Status> {
        let (call, message, mut violations) = Call::of(request)?;
        let update = message.to_update(&mut violations, None, &call.caller);
        let executed = self.0.execute(&call, &message, violations, update).await?;
        self.0.answer(&call, &executed)
    }

    async fn revoke_invitation(
        &self,
        request: Request<pb::RevokeInvitationRequest>,
    ) -> Result<Response<pb::Invitation>, Status> {
        let (call, message, mut violations) = Call::of(request)?;
        let target = message.target(None, &mut violations);
        let revoke = target.map(|target| Action::Revoke(RevokeInvitation { target }));
        let executed = self.0.execute(&call, &message, violations, revoke).await?;
        self.0.answer(&call, &executed)
    }

    async fn revoke_invitations(
        &self,
        request: Request<pb::RevokeInvitationsRequest>,
    ) -> Result<Response<pb::RevokeInvitationsResponse>, Status> {
        let (call, message, violations) = Call::of(request)?;
        revoke_invitations(&self.0, &call, &message, violations).await.map(Response::new)
    }

    async fn reassign_invitations(
        &self,
        request: Request<pb::ReassignInvitationsRequest>,
    ) -> Result<Response<pb::ReassignInvitationsResponse>, Status> {
        let (call, message, violations) = Call::of(request)?;
        reassign_invitations(&self.0, &call, &message, violations).await.map(Response::new)
    }

    async fn resend_invitation(
        &self,
        request: Request<pb::ResendInvitationRequest>,
    ) -> Result<Response<pb::Invitation>, Status> {
        let (call, message, mut violations) = Call::of(request)?;
        let resend = message.to_resend(&mut violations, None);
        let executed = self.0.execute(&call, &message, violations, resend).await?;
        self.0.answer(&call, &executed)
    }

    async fn sync_internal_invitation(
        &self,
        request: Request<pb::SyncInternalInvitationRequest>,
    ) -> Result<Response<pb::SyncInternalInvitationResponse>, Status> {
        let (call, message, violations) = Call::of(request)?;
        sync_internal_invitation(&self.0, &call, &message, violations).await.map(Response::new)
    }

    async fn list_invitations(
        &self,
        request: Request<pb::ListInvitationsRequest>,
    ) -> Result<Response<pb::ListInvitationsResponse>, Status> {
        let (call, message, mut violations) = Call::of(request)?;
        let asked = page::asked(&self.0, &call, &message, "create_time", &mut violations);
        let view = view(&mut violations, message.view);
        let filter = invitation_filter(&mut violations, message.filter.as_ref());
        let filter = call.sent(&mut violations, filter, message.filter.as_ref());
        let query = InvitationQuery { first_recipients: targets_in(view), ..asked.of(filter) };
        let (context, total) = ((self.0.as_ref(), &call, &message), message.show_total);
        let show = |read: &Read<Invitation>| Ok(sent(&call, self.0.viewed(&call, read, view)?));
        let page = page::invitations(context, violations, query, total, show).await?;
        Ok(Response::new(pb::ListInvitationsResponse {
            invitations: page.shown,
            next_page_token: page.next_page_token,
            total_size: page.total_size,
            total_size_is_lower_bound: page.total_size_is_lower_bound,
        }))
    }
}
