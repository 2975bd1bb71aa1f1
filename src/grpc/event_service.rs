//! `EventService`: the audit trail.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::api::Api;
use super::call::{Call, note_invitation};
use super::name::InvitationName;
use super::parse::filter;
use super::violations::Violations;
use super::watch_events::{self, Watches};
use super::{page, resume_token, status};
use crate::pb;
use crate::pb::event_service_server::EventService;
use crate::store::{Cursor, EventQuery};

/// Serves `EventService`.
#[derive(Debug)]
pub struct Events(pub Arc<Api>, pub Watches);

#[tonic::async_trait]
impl EventService for Events {
    type WatchEventsStream = watch_events::Events;

    async fn watch_events(
        &self,
        request: Request<pb::WatchEventsRequest>,
    ) -> Result<Response<Self::WatchEventsStream>, Status> {
        Ok(Response::new(self.1.begin(&self.0, request).await?))
    }

    async fn list_events(
        &self,
        request: Request<pb::ListEventsRequest>,
    ) -> Result<Response<pb::ListEventsResponse>, Status> {
        let (call, message) = Call::of(request)?;
        let mut violations = Violations::default();
        let parent = violations.required("parent", &message.parent, InvitationName::parse);
        let types = filter::event_types(&mut violations, &message.types);
        let asked = page::asked(&self.0, &call, &message, "sequence", &mut violations);
        let (invitation, kind) = violations.finish(parent)?.within(None)?;
        if call.caller.organization_id.is_some() {
            self.0.get(&call, invitation, kind, false).await?;
        }
        let (size, limit) = (asked.size, asked.limit());
        let query = EventQuery { invitation, kind, types, ascending: asked.ascending, limit, after: asked.after };
        let found = self.0.read(self.0.store.list_events(&call.caller.account, &query)).await?;
        let mut rows = found.ok_or_else(status::not_found)?;
        note_invitation(invitation);
        let next_page_token = page::next(&self.0, &call, &message, &mut rows, size, Cursor::of_event)?;
        let events = rows.iter().map(|event| resume_token::event(&self.0, &call, event)).collect::<Result<_, _>>()?;
        Ok(Response::new(pb::ListEventsResponse { events, next_page_token }))
    }
}
