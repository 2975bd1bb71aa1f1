//! `ScopeService`: the settings that belong to a scope rather than to one of its invitations.

mod parse;
mod seats;

use std::sync::Arc;

use tonic::{Code, Request, Response, Status};

use super::execute::{Api, Call};
use crate::domain::command::Action;
use crate::domain::invitation::Invitation;
use crate::pb;
use crate::pb::scope_service_server::ScopeService;
use crate::store::Read;
use parse::{required_scope, to_sync};

/// Serves `ScopeService`.
#[derive(Debug)]
pub(crate) struct Scopes(pub(crate) Arc<Api>);

#[tonic::async_trait]
impl ScopeService for Scopes {
    async fn get_autojoin(&self, request: Request<pb::GetAutojoinRequest>) -> Result<Response<pb::Autojoin>, Status> {
        let (call, message, mut violations) = Call::of(request)?;
        let scope = required_scope(&mut violations, message.scope.as_ref());
        let scope = violations.finish(scope)?;
        let reach = self.0.reach(&call).await?;
        let found = self.0.find_lagging(Option::is_some, |reads| reads.find_autojoin(&reach, &scope)).await?;
        let Some(Read { found, now }) = found else { return Ok(Response::new(pb::Autojoin::default())) };
        Ok(Response::new(autojoin(&found, self.0.resource(&call, &found, now)?)))
    }

    async fn sync_autojoin(&self, request: Request<pb::SyncAutojoinRequest>) -> Result<Response<pb::Autojoin>, Status> {
        let (call, message, mut violations) = Call::of(request)?;
        let sync = to_sync(&mut violations, &message);
        let nothing_to_empty = sync.as_ref().is_some_and(|sync| sync.domains.is_empty());
        let sync = sync.map(Box::new).map(Action::SyncAutojoin);
        match self.0.execute(&call, &message, violations, sync).await {
            Ok(executed) => {
                let shown = self.0.executed(&call, &executed)?;
                Ok(Response::new(autojoin(&executed.invitation, shown)))
            }
            // A scope that never had a domain has none afterwards either.
            Err(refused) if nothing_to_empty && refused.code() == Code::NotFound => {
                Ok(Response::new(pb::Autojoin::default()))
            }
            Err(refused) => Err(refused),
        }
    }

    async fn get_scope_settings(
        &self,
        request: Request<pb::GetScopeSettingsRequest>,
    ) -> Result<Response<pb::ScopeSettings>, Status> {
        seats::get(&self.0, request).await.map(Response::new)
    }

    async fn update_scope_settings(
        &self,
        request: Request<pb::UpdateScopeSettingsRequest>,
    ) -> Result<Response<pb::ScopeSettings>, Status> {
        seats::update(&self.0, request).await.map(Response::new)
    }

    async fn occupy_seats(
        &self,
        request: Request<pb::OccupySeatsRequest>,
    ) -> Result<Response<pb::OccupySeatsResponse>, Status> {
        seats::occupy(&self.0, request).await.map(Response::new)
    }

    async fn vacate_seats(
        &self,
        request: Request<pb::VacateSeatsRequest>,
    ) -> Result<Response<pb::VacateSeatsResponse>, Status> {
        seats::vacate(&self.0, request).await.map(Response::new)
    }

    async fn list_seats(
        &self,
        request: Request<pb::ListSeatsRequest>,
    ) -> Result<Response<pb::ListSeatsResponse>, Status> {
        seats::list(&self.0, request).await.map(Response::new)
    }
}

fn autojoin(found: &Invitation, shown: pb::Invitation) -> pb::Autojoin {
    let domains = found.details.general().map(|details| details.domains.clone()).unwrap_or_default();
    pb::Autojoin { scope: shown.scope.clone(), domains, etag: shown.etag.clone(), invitation: Some(shown) }
}
