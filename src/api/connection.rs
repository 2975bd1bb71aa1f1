//! `ConnectionInvitationService`: invitations to connect, or reconnect, a utility account.

pub(super) mod convert;
pub(super) mod parse;
pub(super) mod prefill;

use std::sync::Arc;

use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::execute::{Api, Call};
use super::parse::page::{self, InvitationPage};
use super::parse::resend::Resend;
use super::parse::update::Update;
use super::parse::{filter, filter_labels};
use super::requests::Named;
use super::resource::parse_acceptance;
use crate::domain::command::{Action, RecordCreatedConnection, RevokeInvitation};
use crate::domain::invitation::Invitation;
use crate::domain::kind::{Details, Kind, company_scope};
use crate::domain::value::rule::FieldRule;
use crate::domain::value::text;
use crate::pb;
use crate::pb::connection_invitation_service_server::ConnectionInvitationService;
use crate::store::{InvitationQuery, Read};
use parse::{to_create, to_reconnect};

const KIND: Kind = Kind::Connection;

/// Serves `ConnectionInvitationService`.
#[derive(Debug)]
pub(crate) struct ConnectionInvitations(pub(crate) Arc<Api>);

impl ConnectionInvitations {
    /// Returns the company of a connection that some invitation knows, if the request does not name it. A credential that
    /// is bound to an organization may create no such invitation, so it must not learn which connections are known.
    async fn known_company(
        &self,
        call: &Call,
        message: &pb::CreateReconnectInvitationRequest,
    ) -> Result<Option<Uuid>, Status> {
        let looks_up = message.company_id.is_empty() && call.caller.organization_id.is_none();
        let unnamed = Some(message).filter(|_| looks_up);
        let Some(connection) = unnamed.and_then(|message| text::uuid(&message.connection_id).ok()) else {
            return Ok(None);
        };
        let reach = self.0.reach(call).await?;
        let known = self.0.read(self.0.store.find_by_connection(&reach, connection)).await?;
        Ok(known.and_then(|known| match &known.found.details {
            Details::Connection(details) => Some(details.company_id),
            Details::User(_) | Details::Guest(_) | Details::General(_) => None,
        }))
    }
}

#[tonic::async_trait]
impl ConnectionInvitationService for ConnectionInvitations {
    async fn create_connection_invitation(
        &self,
        request: Request<pb::CreateConnectionInvitationRequest>,
    ) -> Result<Response<pb::ConnectionInvitation>, Status> {
        let (call, message, mut violations) = Call::of(request)?;
        let create = to_create(&mut violations, &message);
        let create = create.map(Box::new).map(Action::Create);
        let executed = self.0.execute(&call, &message, violations, create).await?;
        self.0.answer(&call, &executed)
    }

    async fn create_reconnect_invitation(
        &self,
        request: Request<pb::CreateReconnectInvitationRequest>,
    ) -> Result<Response<pb::ConnectionInvitation>, Status> {
        let (call, message, mut violations) = Call::of(request)?;
        let known_company = self.known_company(&call, &message).await?;
        let create = to_reconnect(&mut violations, &message, known_company);
        let create = create.map(Box::new).map(Action::Create);
        let executed = self.0.execute(&call, &message, violations, create).await?;
        self.0.answer(&call, &executed)
    }

    async fn get_connection_invitation(
        &self,
        request: Request<pb::GetConnectionInvitationRequest>,
    ) -> Result<Response<pb::ConnectionInvitation>, Status> {
        let (call, message, violations) = Call::of(request)?;
        self.0.get(&call, &message, violations, true).await
    }

    async fn list_connection_invitations(
        &self,
        request: Request<pb::ListConnectionInvitationsRequest>,
    ) -> Result<Response<pb::ListConnectionInvitationsResponse>, Status> {
        let (call, message, mut violations) = Call::of(request)?;
        let asked = page::asked(&self.0, &call, &message, "create_time", &mut violations);
        let company_id = violations.optional("company_id", &message.company_id, text::uuid);
        let query = InvitationQuery {
            kinds: vec![KIND],
            states: filter::states(&mut violations, "states", &message.states),
            scope: company_id.map(company_scope),
            resource_id: violations.optional("connection_id", &message.connection_id, text::uuid),
            target: filter::target(&mut violations, "target", message.target.as_ref()),
            creator: violations.optional("creator", &message.creator, text::opaque_id),
            labels: filter_labels(&mut violations, "labels", &message.labels),
            ..asked.query()
        };
        let show = |read: &Read<Invitation>| self.0.resource(&call, &read.found, read.now);
        let InvitationPage { shown: connection_invitations, next_page_token, .. } =
            page::invitations((&self.0, &call, &message), violations, query, false, show).await?;
        Ok(Response::new(pb::ListConnectionInvitationsResponse { connection_invitations, next_page_token }))
    }

    async fn update_connection_invitation(
        &self,
        request: Request<pb::UpdateConnectionInvitationRequest>,
    ) -> Result<Response<pb::ConnectionInvitation>, Status> {
        let (call, message, mut violations) = Call::of(request)?;
        let update = message.to_update(&mut violations, Some(KIND), &call.caller);
        let executed = self.0.execute(&call, &message, violations, update).await?;
        self.0.answer(&call, &executed)
    }

    async fn revoke_connection_invitation(
        &self,
        request: Request<pb::RevokeConnectionInvitationRequest>,
    ) -> Result<Response<pb::ConnectionInvitation>, Status> {
        let (call, message, mut violations) = Call::of(request)?;
        let target = message.target(Some(KIND), &mut violations);
        let revoke = target.map(|target| Action::Revoke(RevokeInvitation { target }));
        let executed = self.0.execute(&call, &message, violations, revoke).await?;
        self.0.answer(&call, &executed)
    }

    async fn resend_connection_invitation(
        &self,
        request: Request<pb::ResendConnectionInvitationRequest>,
    ) -> Result<Response<pb::ConnectionInvitation>, Status> {
        let (call, message, mut violations) = Call::of(request)?;
        let resend = message.to_resend(&mut violations, Some(KIND));
        let executed = self.0.execute(&call, &message, violations, resend).await?;
        self.0.answer(&call, &executed)
    }

    async fn record_created_connection(
        &self,
        request: Request<pb::RecordCreatedConnectionRequest>,
    ) -> Result<Response<pb::ConnectionInvitation>, Status> {
        let (call, message, mut violations) = Call::of(request)?;
        let target = message.target(Some(KIND), &mut violations);
        let connection_id = violations.required("connection_id", &message.connection_id, text::uuid);
        let mut free_text = |field: &str, given: Option<&String>| {
            // An empty text is a value of its own here: it takes the place of the present one.
            let given = given?;
            Some(violations.optional(field, given, text::free_text).unwrap_or_default())
        };
        let datasource_name = free_text("datasource_name", message.datasource_name.as_ref());
        let status = free_text("status", message.status.as_ref());
        let acceptance = violations.optional("acceptance", &message.acceptance, parse_acceptance);
        if let (Some(target), Some((invitation, _))) = (&target, acceptance)
            && invitation != target.id
        {
            violations.add("acceptance", FieldRule::Conflicts, "must be an acceptance of the invitation in name");
        }
        let acceptance = acceptance.map(|(_, id)| id);
        let record = target.zip(connection_id).map(|(target, connection_id)| {
            let record = RecordCreatedConnection { target, connection_id, datasource_name, status, acceptance };
            Action::RecordCreatedConnection(record)
        });
        let executed = self.0.execute(&call, &message, violations, record).await?;
        self.0.answer(&call, &executed)
    }
}
