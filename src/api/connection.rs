//! `ConnectionInvitationService`: invitations to connect, or reconnect, a utility account.

pub(super) mod convert;
pub(super) mod parse;
pub(super) mod prefill;

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::call::Call;
use super::execute::{Api, Resend};
use super::page;
use super::parse::{filter, ttl};
use super::requests::Named;
use super::resource_name::parse_acceptance;
use super::violations::Violations;
use crate::domain::command::{Action, Expiry, UpdateCreatedConnection};
use crate::domain::kind::{Kind, company_scope};
use crate::domain::value::text;
use crate::domain::value::time::Ttl;
use crate::pb;
use crate::pb::connection_invitation_service_server::ConnectionInvitationService;
use crate::server::status;
use crate::store::InvitationQuery;
use parse::{to_create, to_reconnect};

const KIND: Kind = Kind::Connection;

/// Serves `ConnectionInvitationService`.
#[derive(Debug)]
pub struct ConnectionInvitations(pub Arc<Api>);

#[tonic::async_trait]
impl ConnectionInvitationService for ConnectionInvitations {
    async fn create_connection_invitation(
        &self,
        request: Request<pb::CreateConnectionInvitationRequest>,
    ) -> Result<Response<pb::ConnectionInvitation>, Status> {
        let (call, message) = Call::of(request)?;
        let mut violations = Violations::default();
        let create = to_create(&mut violations, &message);
        self.0.create(&call, &message, violations, create).await
    }

    async fn create_reconnect_invitation(
        &self,
        request: Request<pb::CreateReconnectInvitationRequest>,
    ) -> Result<Response<pb::ConnectionInvitation>, Status> {
        let (call, message) = Call::of(request)?;
        let mut violations = Violations::default();
        let create = to_reconnect(&mut violations, &message);
        self.0.create(&call, &message, violations, create).await
    }

    async fn get_connection_invitation(
        &self,
        request: Request<pb::GetConnectionInvitationRequest>,
    ) -> Result<Response<pb::ConnectionInvitation>, Status> {
        let (call, message) = Call::of(request)?;
        self.0.get_face(&call, &message.name, true).await
    }

    async fn list_connection_invitations(
        &self,
        request: Request<pb::ListConnectionInvitationsRequest>,
    ) -> Result<Response<pb::ListConnectionInvitationsResponse>, Status> {
        let (call, message) = Call::of(request)?;
        let mut violations = Violations::default();
        let asked = page::asked(&self.0, &call, &message, "create_time", &mut violations);
        let company_id = violations.optional("company_id", &message.company_id, text::uuid);
        let query = InvitationQuery {
            kinds: vec![KIND],
            states: filter::states(&mut violations, &message.states),
            scope: company_id.map(company_scope),
            resource_id: violations.optional("connection_id", &message.connection_id, text::uuid),
            ..asked.query()
        };
        let query = violations.finish(Some(query))?;
        let (rows, next_page_token) = page::invitations(&self.0, &call, &message, query).await?;
        let connection_invitations = self.0.faces(&call, &rows)?;
        Ok(Response::new(pb::ListConnectionInvitationsResponse { connection_invitations, next_page_token }))
    }

    async fn revoke_connection_invitation(
        &self,
        request: Request<pb::RevokeConnectionInvitationRequest>,
    ) -> Result<Response<pb::ConnectionInvitation>, Status> {
        let (call, message) = Call::of(request)?;
        self.0.revoke(&call, &message).await
    }

    async fn resend_connection_invitation(
        &self,
        request: Request<pb::ResendConnectionInvitationRequest>,
    ) -> Result<Response<pb::ConnectionInvitation>, Status> {
        let (call, message) = Call::of(request)?;
        let mut violations = Violations::default();
        let ttl = ttl(&mut violations, "ttl", message.ttl, Ttl::parse);
        let resend = Resend { rotate: message.rotate_token, expiry: ttl.map(Expiry::After) };
        self.0.resend(&call, &message, violations, resend).await
    }

    async fn update_created_connection(
        &self,
        request: Request<pb::UpdateCreatedConnectionRequest>,
    ) -> Result<Response<pb::ConnectionInvitation>, Status> {
        let (call, message) = Call::of(request)?;
        let mut violations = Violations::default();
        let name = message.parse_name(&mut violations);
        let empty = pb::CreatedConnection::default();
        let given = message.created_connection.as_ref().unwrap_or(&empty);
        let connection = prefill::created_connection(&mut violations, given);
        let acceptance = violations.optional("acceptance", &message.acceptance, parse_acceptance);
        let (name, connection) = violations.finish(name.zip(connection))?;
        let target = name.target(Some(KIND), &message.etag)?;
        if acceptance.is_some_and(|(invitation, _)| invitation != target.id) {
            return Err(status::not_found());
        }
        let acceptance = acceptance.map(|(_, id)| id);
        let update = UpdateCreatedConnection { target, connection, acceptance };
        let update = Action::UpdateCreatedConnection(update);
        self.0.answer(&call, &self.0.execute(&call, &message, None, update).await?)
    }
}
