//! WebhookService.

pub(crate) mod endpoints;
pub(crate) mod format;
pub(crate) mod request_ids;
pub(crate) mod test_endpoint;
