//! `UserInvitationService`: invitations to join the account with roles.

pub(super) mod convert;
pub(super) mod parse;

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::execute::{Api, Call};
use super::general::batch_create::batch_create;
use super::parse::filter::email_part;
use super::parse::page::{self, InvitationPage};
use super::parse::resend::Resend;
use super::parse::update::Update;
use super::parse::{filter, filter_labels};
use super::requests::Named;
use crate::domain::command::{Action, DeleteInvitation, RevokeInvitation};
use crate::domain::invitation::Invitation;
use crate::domain::invitation::recipient::Address;
use crate::domain::kind::Kind;
use crate::domain::value::email::Email;
use crate::domain::value::text;
use crate::pb;
use crate::pb::user_invitation_service_server::UserInvitationService;
use crate::store::{InvitationQuery, Read};
use parse::to_create;

const KIND: Kind = Kind::User;

/// Serves `UserInvitationService`.
#[derive(Debug)]
pub(crate) struct UserInvitations(pub(crate) Arc<Api>);

#[tonic::async_trait]
impl UserInvitationService for UserInvitations {
    async fn create_user_invitation(
        &self,
        request: Request<pb::CreateUserInvitationRequest>,
    ) -> Result<Response<pb::UserInvitation>, Status> {
        let (call, message, mut violations) = Call::of(request)?;
        let create = to_create(&mut violations, &call.caller, &message);
        let create = create.map(Box::new).map(Action::Create);
        let executed = self.0.execute(&call, &message, violations, create).await?;
        self.0.answer(&call, &executed)
    }

    async fn batch_create_user_invitations(
        &self,
        request: Request<pb::BatchCreateUserInvitationsRequest>,
    ) -> Result<Response<pb::BatchCreateUserInvitationsResponse>, Status> {
        let (call, message, violations) = Call::of(request)?;
        batch_create(&self.0, &call, &message, violations).await.map(Response::new)
    }

    async fn get_user_invitation(
        &self,
        request: Request<pb::GetUserInvitationRequest>,
    ) -> Result<Response<pb::UserInvitation>, Status> {
        let (call, message, violations) = Call::of(request)?;
        self.0.get(&call, &message, violations, true).await
    }

    async fn list_user_invitations(
        &self,
        request: Request<pb::ListUserInvitationsRequest>,
    ) -> Result<Response<pb::ListUserInvitationsResponse>, Status> {
        let (call, message, mut violations) = Call::of(request)?;
        let asked = page::asked(&self.0, &call, &message, "create_time", &mut violations);
        let query = InvitationQuery {
            kinds: vec![KIND],
            states: filter::states(&mut violations, "states", &message.states),
            target: violations.optional("invited_email", &message.invited_email, Email::parse).map(Address::Email),
            email_prefix: violations.optional("email_prefix", &message.email_prefix, email_part),
            email_query: violations.optional("email_query", &message.email_query, email_part),
            inviter_user_id: violations.optional("inviter_user_id", &message.inviter_user_id, text::opaque_id),
            creator: violations.optional("creator", &message.creator, text::opaque_id),
            role: violations.optional("role", &message.role, text::opaque_id),
            labels: filter_labels(&mut violations, "labels", &message.labels),
            ..asked.query()
        };
        let show = |read: &Read<Invitation>| self.0.resource(&call, &read.found, read.now);
        let InvitationPage { shown: user_invitations, next_page_token, .. } =
            page::invitations((&self.0, &call, &message), violations, query, false, show).await?;
        Ok(Response::new(pb::ListUserInvitationsResponse { user_invitations, next_page_token }))
    }

    async fn update_user_invitation(
        &self,
        request: Request<pb::UpdateUserInvitationRequest>,
    ) -> Result<Response<pb::UserInvitation>, Status> {
        let (call, message, mut violations) = Call::of(request)?;
        let update = message.to_update(&mut violations, Some(KIND), &call.caller);
        let executed = self.0.execute(&call, &message, violations, update).await?;
        self.0.answer(&call, &executed)
    }

    async fn revoke_user_invitation(
        &self,
        request: Request<pb::RevokeUserInvitationRequest>,
    ) -> Result<Response<pb::UserInvitation>, Status> {
        let (call, message, mut violations) = Call::of(request)?;
        let target = message.target(Some(KIND), &mut violations);
        let revoke = target.map(|target| Action::Revoke(RevokeInvitation { target }));
        let executed = self.0.execute(&call, &message, violations, revoke).await?;
        self.0.answer(&call, &executed)
    }

    async fn delete_user_invitation(
        &self,
        request: Request<pb::DeleteUserInvitationRequest>,
    ) -> Result<Response<()>, Status> {
        let (call, message, mut violations) = Call::of(request)?;
        let target = message.target(Some(KIND), &mut violations);
        let delete = target.map(|target| Action::Delete(DeleteInvitation { target }));
        self.0.execute(&call, &message, violations, delete).await?;
        Ok(Response::new(()))
    }

    async fn resend_user_invitation(
        &self,
        request: Request<pb::ResendUserInvitationRequest>,
    ) -> Result<Response<pb::UserInvitation>, Status> {
        let (call, message, mut violations) = Call::of(request)?;
        let resend = message.to_resend(&mut violations, Some(KIND));
        let executed = self.0.execute(&call, &message, violations, resend).await?;
        self.0.answer(&call, &executed)
    }
}
