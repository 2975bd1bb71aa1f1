//! EventService.

mod get_event;
pub(crate) mod list_events;
pub(crate) mod watch_events;
mod watch_from;
