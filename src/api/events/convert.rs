//! Events.

use crate::api::convert::json::json_object;
use crate::api::convert::{kind, timestamp};
use crate::api::resource::invitation_name;
use crate::domain::invitation::event::Event;
use crate::pb;

/// Converts an event.
pub(in crate::api) fn event(Event { event, sequence, position: _ }: &Event) -> pb::Event {
    let invitation = invitation_name(event.invitation);
    pb::Event {
        name: format!("{invitation}/events/{sequence}"),
        r#type: event.type_name().to_owned(),
        time: Some(timestamp(event.time)),
        invitation,
        kind: event.kind.known().map(kind).unwrap_or_default(),
        sequence: *sequence,
        actor: event.actor.clone(),
        request_id: event.request_id.clone().unwrap_or_default(),
        data: Some(json_object(&event.data)),
        resume_token: String::new(),
    }
}
