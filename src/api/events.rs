//! `EventService`: the audit trail.

pub(super) mod convert;
pub(super) mod resume_token;
pub(super) mod watch;
pub(super) mod watch_limits;

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::execute::{Api, Call, note_invitation};
use super::parse::filter;
use super::parse::invitation_filter::time_range;
use super::parse::page;
use super::resource::{Parent, parse_event};
use crate::domain::invitation::event::{Event, EventFilter};
use crate::pb;
use crate::pb::event_service_server::EventService;
use crate::server::status;
use crate::store::{AccountEvents, Cursor, EventQuery};
use resume_token::ResumeTokens;
use watch::Watches;

/// The most events of a page.
const MAX_EVENTS: usize = 250;

/// Serves `EventService`.
#[derive(Debug)]
pub(crate) struct Events(pub(crate) Arc<Api>, pub(crate) Watches);

#[tonic::async_trait]
impl EventService for Events {
    type WatchEventsStream = watch::Events;

    async fn watch_events(
        &self,
        request: Request<pb::WatchEventsRequest>,
    ) -> Result<Response<Self::WatchEventsStream>, Status> {
        Ok(Response::new(self.1.begin(&self.0, request).await?))
    }

    async fn get_event(&self, request: Request<pb::GetEventRequest>) -> Result<Response<pb::Event>, Status> {
        let (call, message, mut violations) = Call::of(request)?;
        let name = violations.required("name", &message.name, parse_event);
        let (invitation, sequence) = violations.finish(name)?;
        let reach = self.0.reach(&call).await?;
        // The list that begins with it also tells whether there is such an invitation.
        let after = Some(Cursor::behind_event(sequence - 1));
        let query = EventQuery { ascending: true, after, ..EventQuery::of(invitation, 1) };
        let is_it = |event: &Event| event.sequence == sequence;
        let is_found = |found: &Option<Vec<_>>| found.as_ref().is_some_and(|events| events.iter().any(is_it));
        let found = self.0.find_lagging(is_found, |reads| reads.list_events(&reach, &query)).await?;
        let found = found.ok_or_else(status::not_found)?;
        let event = found.first().filter(|event| is_it(event)).ok_or_else(|| status::event_not_found(&message.name))?;
        note_invitation(invitation);
        let tokens = ResumeTokens::of(&self.0, &call).await?;
        Ok(Response::new(tokens.event(&self.0, event)?))
    }

    async fn list_events(
        &self,
        request: Request<pb::ListEventsRequest>,
    ) -> Result<Response<pb::ListEventsResponse>, Status> {
        let (call, message, mut violations) = Call::of(request)?;
        let parent = violations.required("parent", &message.parent, Parent::parse);
        let types = filter::event_types(&mut violations, "types", &message.types);
        let time = time_range(&mut violations, "time", message.time.as_ref());
        // The events of several invitations have no sequence in common.
        let order = if parent.is_some_and(Parent::is_all) { "time" } else { "sequence" };
        let asked = page::asked(&self.0, &call, &message, order, &mut violations);
        let parent = violations.finish(parent)?;
        let reach = self.0.reach(&call).await?;
        // An event may have some ten kilobytes of its caller's.
        let asked = page::Asked { size: asked.size.min(MAX_EVENTS), ..asked };
        let (size, context) = (asked.size, (self.0.as_ref(), &call, &message));
        let tokens = ResumeTokens::of(&self.0, &call).await?;
        let show = |event: &_| tokens.event(&self.0, event);
        let (events, next_page_token) = match parent {
            Parent::All => {
                let positions = self.0.read(self.0.store.positions_of(reach.account(), time)).await?;
                let filter = EventFilter { types, ..EventFilter::default() };
                let query = AccountEvents { filter, time, positions, page: asked.account_page() };
                let found = self.0.read_lagging(|reads| reads.list_account_events(&reach, &query)).await?;
                page::show_account(context, &found, size, show)?
            }
            Parent::One(name) => {
                let (invitation, kind) = name.id_and_kind();
                let (ascending, limit) = (asked.ascending, asked.limit());
                let of_invitation = EventQuery { kind, types, time, ..EventQuery::of(invitation, limit) };
                let query = EventQuery { ascending, after: asked.after, ..of_invitation };
                let found = self.0.find_lagging(Option::is_some, |reads| reads.list_events(&reach, &query)).await?;
                let rows = found.ok_or_else(status::not_found)?;
                note_invitation(invitation);
                page::show(context, (&rows, None), size, Cursor::of_event, show)?
            }
        };
        Ok(Response::new(pb::ListEventsResponse { events, next_page_token }))
    }
}
