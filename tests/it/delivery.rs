//! What leaves the service. Messages to people: what they look like, and how mail servers of all tempers are dealt with.
//! Events for programs: that they get there whatever happens on the way.

mod authority;
pub(crate) mod http_sink;
mod make;
pub(crate) mod sink;
mod webhook_make;

mod compose;
mod directory;
mod hostile_names;
mod message;
mod nats;
mod relay;
mod smtp;
mod smtp_tls;
mod webhook_answers;
mod webhook_future;
mod webhooks;
