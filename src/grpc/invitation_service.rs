//! `InvitationService`: invitations of every kind through one face.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::api::Api;
use super::call::Call;
use super::convert::invitation::invitation;
use super::name::parse_name;
use super::page;
use super::parse::{filter, labels};
use super::violations::Violations;
use crate::domain::text;
use crate::pb;
use crate::pb::invitation_service_server::InvitationService;
use crate::store::{Cursor, InvitationQuery};

/// Serves `InvitationService`.
#[derive(Debug)]
pub struct Invitations(pub Arc<Api>);

#[tonic::async_trait]
impl InvitationService for Invitations {
    async fn get_invitation(
        &self,
        request: Request<pb::GetInvitationRequest>,
    ) -> Result<Response<pb::Invitation>, Status> {
        let (call, message) = Call::of(request)?;
        let mut violations = Violations::default();
        let name = parse_name(&mut violations, &message.name);
        let (id, kind) = violations.finish(name)?.within(None)?;
        let read = self.0.get(&call, id, kind, true).await?;
        let link = self.0.link(&call, &read.found);
        Ok(Response::new(invitation(&read.found, &read.found.acceptances, read.now, link)))
    }

    async fn list_invitations(
        &self,
        request: Request<pb::ListInvitationsRequest>,
    ) -> Result<Response<pb::ListInvitationsResponse>, Status> {
        let (call, message) = Call::of(request)?;
        let mut violations = Violations::default();
        let size = page::size(&mut violations, message.page_size);
        let query = InvitationQuery {
            kinds: filter::kinds(&mut violations, &message.kinds),
            states: filter::states(&mut violations, &message.states),
            scope: filter::scope(&mut violations, message.scope.as_ref()),
            creator: violations.optional("creator", &message.creator, text::opaque_id),
            target: filter::target(&mut violations, message.target.as_ref()),
            labels: labels(&mut violations, "labels", &message.labels),
            ascending: page::ascending(&mut violations, &message.order_by, "create_time"),
            limit: size as u64 + 1,
            after: page::cursor(&self.0, &call, &message, &message.page_token, &mut violations),
            ..InvitationQuery::default()
        };
        let query = violations.finish(Some(query))?;
        let mut rows = self.0.read(self.0.store.list_invitations(&call.caller.account, &query)).await?;
        let next_page_token = page::next(&self.0, &call, &message, &mut rows, size, Cursor::of_invitation)?;
        let convert =
            |read: &crate::store::Read<_>| invitation(&read.found, &[], read.now, self.0.link(&call, &read.found));
        Ok(Response::new(pb::ListInvitationsResponse {
            invitations: rows.iter().map(convert).collect(),
            next_page_token,
        }))
    }
}
