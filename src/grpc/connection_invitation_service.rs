//! `ConnectionInvitationService`: invitations to connect, or reconnect, a utility account.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::api::{Api, check_etag, check_request_id};
use super::call::Call;
use super::convert::connection_invitation::connection_invitation;
use super::name::{parse_acceptance, parse_name};
use super::parse::connection_invitation::{to_create, to_reconnect};
use super::parse::{filter, prefill, ttl};
use super::request_id::Retryable;
use super::violations::Violations;
use super::{page, status};
use crate::domain::command::{Action, ResendInvitation, RevokeInvitation, UpdateCreatedConnection};
use crate::domain::details::{Kind, company_scope};
use crate::domain::text;
use crate::pb;
use crate::pb::connection_invitation_service_server::ConnectionInvitationService;
use crate::store::{Cursor, InvitationQuery};

const KIND: Kind = Kind::Connection;

/// Serves `ConnectionInvitationService`.
#[derive(Debug)]
pub struct ConnectionInvitations(pub Arc<Api>);

impl ConnectionInvitations {
    /// Runs a command that leads to a connection invitation.
    async fn run<T: Retryable>(
        &self,
        call: &Call,
        message: &T,
        action: Action,
    ) -> Result<Response<pb::ConnectionInvitation>, Status> {
        let executed = self.0.execute(call, message, None, action).await?;
        let link = self.0.link(call, &executed.invitation);
        Ok(Response::new(connection_invitation(&executed.invitation, executed.now, link)))
    }
}

#[tonic::async_trait]
impl ConnectionInvitationService for ConnectionInvitations {
    async fn create_connection_invitation(
        &self,
        request: Request<pb::CreateConnectionInvitationRequest>,
    ) -> Result<Response<pb::ConnectionInvitation>, Status> {
        let (call, message) = Call::of(request)?;
        let mut violations = Violations::default();
        check_request_id(&mut violations, &message.request_id);
        let create = to_create(&mut violations, &message);
        let create = violations.finish(create)?;
        self.run(&call, &message, Action::Create(Box::new(create))).await
    }

    async fn create_reconnect_invitation(
        &self,
        request: Request<pb::CreateReconnectInvitationRequest>,
    ) -> Result<Response<pb::ConnectionInvitation>, Status> {
        let (call, message) = Call::of(request)?;
        let mut violations = Violations::default();
        check_request_id(&mut violations, &message.request_id);
        let create = to_reconnect(&mut violations, &message);
        let create = violations.finish(create)?;
        self.run(&call, &message, Action::Create(Box::new(create))).await
    }

    async fn get_connection_invitation(
        &self,
        request: Request<pb::GetConnectionInvitationRequest>,
    ) -> Result<Response<pb::ConnectionInvitation>, Status> {
        let (call, message) = Call::of(request)?;
        let mut violations = Violations::default();
        let name = parse_name(&mut violations, &message.name);
        let (id, kind) = violations.finish(name)?.within(Some(KIND))?;
        let read = self.0.get(&call, id, kind, true).await?;
        let link = self.0.link(&call, &read.found);
        Ok(Response::new(connection_invitation(&read.found, read.now, link)))
    }

    async fn list_connection_invitations(
        &self,
        request: Request<pb::ListConnectionInvitationsRequest>,
    ) -> Result<Response<pb::ListConnectionInvitationsResponse>, Status> {
        let (call, message) = Call::of(request)?;
        let mut violations = Violations::default();
        let size = page::size(&mut violations, message.page_size);
        let company_id = violations.optional("company_id", &message.company_id, text::uuid);
        let query = InvitationQuery {
            kinds: vec![KIND],
            states: filter::states(&mut violations, &message.states),
            scope: company_id.map(company_scope),
            resource_id: violations.optional("connection_id", &message.connection_id, text::uuid),
            ascending: page::ascending(&mut violations, &message.order_by, "create_time"),
            limit: size as u64 + 1,
            after: page::cursor(&self.0, &call, &message, &message.page_token, &mut violations),
            ..InvitationQuery::default()
        };
        let query = violations.finish(Some(query))?;
        let mut rows = self.0.read(self.0.store.list_invitations(&call.caller.account, &query)).await?;
        let next_page_token = page::next(&self.0, &call, &message, &mut rows, size, Cursor::of_invitation)?;
        let convert = |read: &crate::store::Read<_>| {
            connection_invitation(&read.found, read.now, self.0.link(&call, &read.found))
        };
        let connection_invitations = rows.iter().map(convert).collect();
        Ok(Response::new(pb::ListConnectionInvitationsResponse { connection_invitations, next_page_token }))
    }

    async fn revoke_connection_invitation(
        &self,
        request: Request<pb::RevokeConnectionInvitationRequest>,
    ) -> Result<Response<pb::ConnectionInvitation>, Status> {
        let (call, message) = Call::of(request)?;
        let mut violations = Violations::default();
        check_request_id(&mut violations, &message.request_id);
        check_etag(&mut violations, &message.etag);
        let name = parse_name(&mut violations, &message.name);
        let target = violations.finish(name)?.target(Some(KIND), &message.etag)?;
        self.run(&call, &message, Action::Revoke(RevokeInvitation { target })).await
    }

    async fn resend_connection_invitation(
        &self,
        request: Request<pb::ResendConnectionInvitationRequest>,
    ) -> Result<Response<pb::ConnectionInvitation>, Status> {
        let (call, message) = Call::of(request)?;
        let mut violations = Violations::default();
        check_request_id(&mut violations, &message.request_id);
        check_etag(&mut violations, &message.etag);
        let ttl = ttl(&mut violations, "ttl", message.ttl);
        let name = parse_name(&mut violations, &message.name);
        let target = violations.finish(name)?.target(Some(KIND), &message.etag)?;
        let resend = ResendInvitation { target, rotate: message.rotate_token, ttl };
        self.run(&call, &message, Action::Resend(resend)).await
    }

    async fn update_created_connection(
        &self,
        request: Request<pb::UpdateCreatedConnectionRequest>,
    ) -> Result<Response<pb::ConnectionInvitation>, Status> {
        let (call, message) = Call::of(request)?;
        let mut violations = Violations::default();
        check_request_id(&mut violations, &message.request_id);
        check_etag(&mut violations, &message.etag);
        let empty = pb::CreatedConnection::default();
        let given = message.created_connection.as_ref().unwrap_or(&empty);
        let connection = prefill::created_connection(&mut violations, given);
        let acceptance = violations.optional("acceptance", &message.acceptance, parse_acceptance);
        let name = parse_name(&mut violations, &message.name);
        let (name, connection) = violations.finish(name.zip(connection))?;
        let target = name.target(Some(KIND), &message.etag)?;
        if acceptance.is_some_and(|(invitation, _)| invitation != target.id) {
            return Err(status::not_found());
        }
        let acceptance = acceptance.map(|(_, id)| id);
        let update = UpdateCreatedConnection { target, connection, acceptance };
        self.run(&call, &message, Action::UpdateCreatedConnection(update)).await
    }
}
