//! Webhook endpoints, and the attempts at them.

use std::time::Duration;

use uuid::Uuid;

use super::parse::EndpointName;
use crate::api::convert::timestamp;
use crate::api::resource::invitation_name;
use crate::domain::invitation::event::{EventFormat, EventTypeFilter};
use crate::domain::value::time::Timestamp;
use crate::domain::value::word::Word;
use crate::domain::webhook::signature::Secret;
use crate::domain::webhook::{DisabledReason, Endpoint};
use crate::pb;
use crate::store::{Attempt, WebhookAttempt};

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
            .map(|event_type| event_type.text(EventTypeFilter::name).to_owned())
            .collect(),
        event_format: event_format(endpoint).into(),
        disabled: Some(endpoint.disabled_at.is_some()),
        disabled_reason: disabled_reason(endpoint).into(),
        disable_time: endpoint.disabled_at.map(timestamp),
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
        webhook_id: attempt.webhook_id.to_string(),
        event: format!("{}/events/{}", invitation_name(attempt.invitation), attempt.sequence),
        attempt_time: Some(timestamp(attempt.at)),
        http_status: attempt.http_status.unwrap_or_default(),
        error: attempt.error.clone().unwrap_or_default(),
        duration: Some(duration(Duration::from_millis(u64::try_from(attempt.duration_millis).unwrap_or_default()))),
        state: attempt_state(attempt.error.is_none()).into(),
    }
}

/// Converts a test, which has no name and no event.
pub(in crate::api) fn test(attempt: Attempt, at: Timestamp) -> pb::WebhookAttempt {
    pb::WebhookAttempt {
        name: String::new(),
        webhook_id: attempt.id.to_string(),
        event: String::new(),
        attempt_time: Some(timestamp(at)),
        http_status: attempt.http_status.map(i32::from).unwrap_or_default(),
        state: attempt_state(attempt.error.is_none()).into(),
        error: attempt.error.unwrap_or_default(),
        duration: Some(duration(attempt.duration)),
    }
}

fn attempt_state(succeeded: bool) -> pb::WebhookAttemptState {
    if succeeded { pb::WebhookAttemptState::Succeeded } else { pb::WebhookAttemptState::Failed }
}

/// Converts a duration, cut to milliseconds.
fn duration(duration: Duration) -> prost_types::Duration {
    let seconds = i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
    let nanos = i32::try_from(duration.subsec_millis() * 1_000_000).unwrap_or_default();
    prost_types::Duration { seconds, nanos }
}

fn event_format(endpoint: &Endpoint) -> pb::EventFormat {
    match endpoint.format.known() {
        None => pb::EventFormat::Unspecified,
        Some(EventFormat::ProtoJson) => pb::EventFormat::ProtoJson,
        Some(EventFormat::CloudEventsStructured) => pb::EventFormat::CloudEventsStructured,
        Some(EventFormat::CloudEventsBinary) => pb::EventFormat::CloudEventsBinary,
    }
}

fn disabled_reason(endpoint: &Endpoint) -> pb::WebhookDisabledReason {
    match endpoint.disabled_reason.as_ref().and_then(Word::known) {
        None => pb::WebhookDisabledReason::Unspecified,
        Some(DisabledReason::Gone) => pb::WebhookDisabledReason::Gone,
        Some(DisabledReason::Failing) => pb::WebhookDisabledReason::Failing,
    }
}

/// Converts an endpoint as it would be: without a secret, and without the etag that nothing has.
pub(in crate::api) fn dry_run(endpoint: &Endpoint, now: Timestamp) -> pb::WebhookEndpoint {
    pb::WebhookEndpoint { etag: String::new(), ..self::endpoint(endpoint, None, now) }
}
