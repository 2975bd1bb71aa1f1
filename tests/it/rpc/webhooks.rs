//! WebhookService.

pub(crate) mod endpoints;
pub(crate) mod request_ids;
