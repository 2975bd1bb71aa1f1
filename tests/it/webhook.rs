//! Webhooks: what is posted, to whom, and when again.

pub(crate) mod answers;
pub(crate) mod build;
pub(crate) mod future;
pub(crate) mod http_sink;
pub(crate) mod posts;
pub(crate) mod redelivery;
pub(crate) mod turns;
