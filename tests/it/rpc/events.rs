//! EventService.

pub(crate) mod list_events;
pub(crate) mod watch_events;
