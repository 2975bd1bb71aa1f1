//! Webhook endpoints, and the attempts at them.

use uuid::Uuid;

use super::parse::EndpointName;
use crate::api::convert::timestamp;
use crate::api::resource::invitation_name;
use crate::domain::invitation::event::EventType;
use crate::domain::value::time::Timestamp;
use crate::domain::webhook::Endpoint;
use crate::domain::webhook::signature::Secret;
use crate::pb;
use crate::store::WebhookAttempt;

/// Converts an endpoint; its secret is filled in only for the caller who has just created it.
pub(in crate::api) fn endpoint(endpoint: &Endpoint, secret: Option<&Secret>, now: Timestamp) -> pb::WebhookEndpoint {
    let previous = endpoint.secrets.previous.as_ref().map(|(_, until)| *until).filter(|until| now < *until);
    pb::WebhookEndpoint {
        name: EndpointName(endpoint.id).format(),
        uid: endpoint.id.to_string(),
        uri: endpoint.uri.clone(),
        event_types: endpoint
            .event_types
            .iter()
            .map(|event_type| event_type.text(EventType::name).to_owned())
            .collect(),
        disabled: endpoint.disabled_at.is_some(),
        disabled_reason: endpoint.disabled_reason.clone().unwrap_or_default(),
        secret: secret.map(Secret::reveal).unwrap_or_default(),
        previous_secret_expire_time: previous.map(timestamp),
        failing_since_time: endpoint.failing_since.map(timestamp),
        creator: endpoint.creator.clone(),
        create_time: Some(timestamp(endpoint.created_at)),
        update_time: Some(timestamp(endpoint.updated_at)),
        etag: endpoint.etag(),
    }
}

/// Converts an attempt.
pub(in crate::api) fn attempt(endpoint: Uuid, attempt: &WebhookAttempt) -> pb::WebhookAttempt {
    pb::WebhookAttempt {
        name: format!("{}/attempts/{}", EndpointName(endpoint).format(), attempt.id),
        webhook_id: attempt.message.to_string(),
        event: format!("{}/events/{}", invitation_name(attempt.invitation), attempt.sequence),
        attempt_time: Some(timestamp(attempt.at)),
        http_status: attempt.http_status.unwrap_or_default(),
        error: attempt.error.clone().unwrap_or_default(),
        duration_millis: attempt.duration_millis,
    }
}

/// Converts an endpoint as it would be: without a secret, and without the etag that nothing has.
pub(in crate::api) fn dry_run(endpoint: &Endpoint, now: Timestamp) -> pb::WebhookEndpoint {
    pb::WebhookEndpoint { etag: String::new(), ..self::endpoint(endpoint, None, now) }
}
