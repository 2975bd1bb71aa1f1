//! `UserInvitationService`: invitations to join the account with roles.

pub(super) mod convert;
pub(super) mod parse;

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::call::Call;
use super::execute::{Api, Resend};
use super::page;
use super::parse::filter::email_part;
use super::parse::{filter, labels, ttl};
use super::violations::Violations;
use crate::domain::command::{Action, DeleteInvitation, Expiry};
use crate::domain::invitation::recipient::Address;
use crate::domain::kind::Kind;
use crate::domain::value::email::Email;
use crate::domain::value::time::Ttl;
use crate::pb;
use crate::pb::user_invitation_service_server::UserInvitationService;
use crate::store::InvitationQuery;
use parse::to_create;

const KIND: Kind = Kind::User;

/// Serves `UserInvitationService`.
#[derive(Debug)]
pub struct UserInvitations(pub Arc<Api>);

#[tonic::async_trait]
impl UserInvitationService for UserInvitations {
    async fn create_user_invitation(
        &self,
        request: Request<pb::CreateUserInvitationRequest>,
    ) -> Result<Response<pb::UserInvitation>, Status> {
        let (call, message) = Call::of(request)?;
        let mut violations = Violations::default();
        let create = to_create(&mut violations, &call.caller, &message);
        self.0.create(&call, &message, violations, create).await
    }

    async fn get_user_invitation(
        &self,
        request: Request<pb::GetUserInvitationRequest>,
    ) -> Result<Response<pb::UserInvitation>, Status> {
        let (call, message) = Call::of(request)?;
        self.0.get_face(&call, &message.name, false).await
    }

    async fn list_user_invitations(
        &self,
        request: Request<pb::ListUserInvitationsRequest>,
    ) -> Result<Response<pb::ListUserInvitationsResponse>, Status> {
        let (call, message) = Call::of(request)?;
        let mut violations = Violations::default();
        let asked = page::asked(&self.0, &call, &message, "create_time", &mut violations);
        let query = InvitationQuery {
            kinds: vec![KIND],
            states: filter::states(&mut violations, &message.states),
            target: violations.optional("email", &message.email, Email::parse).map(Address::Email),
            email_prefix: violations.optional("email_prefix", &message.email_prefix, email_part),
            labels: labels(&mut violations, "labels", &message.labels),
            ..asked.query()
        };
        let query = violations.finish(Some(query))?;
        let (rows, next_page_token) = page::invitations(&self.0, &call, &message, query).await?;
        let user_invitations = self.0.faces(&call, &rows)?;
        Ok(Response::new(pb::ListUserInvitationsResponse { user_invitations, next_page_token }))
    }

    async fn delete_user_invitation(
        &self,
        request: Request<pb::DeleteUserInvitationRequest>,
    ) -> Result<Response<()>, Status> {
        let (call, message) = Call::of(request)?;
        let delete = |target| Action::Delete(DeleteInvitation { target });
        self.0.change(&call, &message, Some(KIND), Violations::default(), delete).await?;
        Ok(Response::new(()))
    }

    async fn resend_user_invitation(
        &self,
        request: Request<pb::ResendUserInvitationRequest>,
    ) -> Result<Response<pb::UserInvitation>, Status> {
        let (call, message) = Call::of(request)?;
        let mut violations = Violations::default();
        let ttl = ttl(&mut violations, "ttl", message.ttl, Ttl::within_a_year);
        let resend = Resend { rotate: message.rotate_token, expiry: ttl.map(Expiry::After) };
        self.0.resend(&call, &message, violations, resend).await
    }
}
