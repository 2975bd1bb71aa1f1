//! Parses the requests about webhook endpoints.

use uuid::Uuid;

use crate::api::parse::field_mask::FieldMask;
use crate::api::parse::filter;
use crate::api::parse::span;
use crate::api::parse::violations::Violations;
use crate::api::resource::InvitationName;
use crate::domain::invitation::event::{EventFormat, EventTypeFilter};
use crate::domain::value::rule::{FieldRule, Invalid};
use crate::domain::value::text;
use crate::domain::value::time::Timestamp;
use crate::domain::value::word::Word;
use crate::domain::webhook::networks::Networks;
use crate::domain::webhook::{EndpointChange, uri};
use crate::pb;
use crate::store::{TimeRange, WantedEvents};

const COLLECTION: &str = "webhookEndpoints";
const URI: &str = "webhook_endpoint.uri";
const EVENT_TYPES: &str = "webhook_endpoint.event_types";
const FORMAT: &str = "webhook_endpoint.event_format";
const MAX_INVITATIONS: usize = 100;

/// The name of an endpoint, parsed.
#[derive(Clone, Copy, Debug)]
pub(in crate::api) struct EndpointName(pub(in crate::api) Uuid);

impl EndpointName {
    /// Parses `webhookEndpoints/{uuid}`.
    pub(in crate::api) fn parse(name: &str) -> Result<Self, Invalid> {
        const INVALID: Invalid = Invalid::format("must be webhookEndpoints/{uuid}");
        let id = name.strip_prefix(COLLECTION).and_then(|rest| rest.strip_prefix('/')).ok_or(INVALID)?;
        text::uuid(id).map(Self).map_err(|_| INVALID)
    }

    /// Returns the name.
    pub(in crate::api) fn format(self) -> String {
        format!("{COLLECTION}/{}", self.0)
    }
}

/// The caller-set fields of a new endpoint.
pub(in crate::api) struct NewEndpoint {
    pub(in crate::api) uri: String,
    pub(in crate::api) event_types: Vec<Word<EventTypeFilter>>,
    pub(in crate::api) format: EventFormat,
    pub(in crate::api) disabled: bool,
}

/// Parses the caller-set fields of a new endpoint.
pub(in crate::api) fn to_create(
    violations: &mut Violations,
    networks: &Networks,
    given: Option<&pb::WebhookEndpoint>,
) -> Option<NewEndpoint> {
    let empty = pb::WebhookEndpoint::default();
    let given = given.unwrap_or(&empty);
    let uri = violations.required(URI, &given.uri, |value| uri::parse(value, networks));
    let event_types = event_types(violations, &given.event_types);
    let format = event_format(violations, given);
    violations.optional("webhook_endpoint.etag", &given.etag, text::opaque_id);
    Some(NewEndpoint { uri: uri?, event_types, format, disabled: given.disabled.unwrap_or_default() })
}

/// Parses the endpoint to be updated, the etag it must have, and its new fields.
pub(in crate::api) fn to_update(
    violations: &mut Violations,
    networks: &Networks,
    request: &pb::UpdateWebhookEndpointRequest,
) -> Option<(EndpointName, Option<String>, EndpointChange)> {
    let empty = pb::WebhookEndpoint::default();
    let given = request.webhook_endpoint.as_ref().unwrap_or(&empty);
    let name = violations.required("webhook_endpoint.name", &given.name, EndpointName::parse);
    let etag = violations.optional("webhook_endpoint.etag", &given.etag, text::opaque_id);
    let mask = FieldMask::parse(
        violations,
        request.update_mask.as_ref(),
        [
            ("uri", !given.uri.is_empty()),
            ("event_types", !given.event_types.is_empty()),
            ("event_format", given.event_format != 0),
            ("disabled", given.disabled.is_some()),
        ],
    );
    let mut change = EndpointChange::default();
    if mask.has("uri") {
        change.uri = violations.required(URI, &given.uri, |value| uri::parse(value, networks));
    }
    if mask.has("event_types") {
        change.event_types = Some(event_types(violations, &given.event_types));
    }
    if mask.has("event_format") {
        change.format = Some(event_format(violations, given));
    }
    if mask.has("disabled") {
        change.disabled = Some(given.disabled.unwrap_or_default());
    }
    Some((name?, etag, change))
}

/// Parses `webhookEndpoints/{uuid}/attempts/{uuid}`.
pub(in crate::api) fn attempt_name(name: &str) -> Result<(Uuid, Uuid), Invalid> {
    const INVALID: Invalid = Invalid::format("must be webhookEndpoints/{uuid}/attempts/{uuid}");
    let (endpoint, id) = name.split_once("/attempts/").ok_or(INVALID)?;
    let EndpointName(endpoint) = EndpointName::parse(endpoint).map_err(|_| INVALID)?;
    Ok((endpoint, text::uuid(id).map_err(|_| INVALID)?))
}

/// Parses `states` of attempts: whether they succeeded; `None` for both.
pub(in crate::api) fn attempt_states(violations: &mut Violations, states: &[i32]) -> Option<bool> {
    use pb::WebhookAttemptState as Given;
    let states = filter::values(violations, "states", states, |value| match Given::try_from(value).ok()? {
        Given::Unspecified => None,
        Given::Succeeded => Some(true),
        Given::Failed => Some(false),
    });
    match (states.contains(&true), states.contains(&false)) {
        (true, false) => Some(true),
        (false, true) => Some(false),
        (true, true) | (false, false) => None,
    }
}

/// Parses the endpoint and the events to be redelivered, at most so many.
pub(in crate::api) fn to_redeliver(
    violations: &mut Violations,
    request: &pb::RedeliverWebhookEventsRequest,
    (now, most): (Timestamp, usize),
) -> Option<(EndpointName, WantedEvents)> {
    let name = violations.required("name", &request.name, EndpointName::parse);
    let given = request.time.unwrap_or_default();
    if request.time.is_none() {
        violations.add("time", FieldRule::Required, "is required");
    } else if given.start_time.is_none() {
        violations.add("time.start_time", FieldRule::Required, "is required");
    }
    let TimeRange { start, end } = span(violations, "time.", given.start_time, given.end_time);
    // An event of this very moment belongs to the span.
    let end = end.unwrap_or(Timestamp::from_micros(now.micros().saturating_add(1)));
    if given.end_time.is_none() && start.is_some_and(|start| end <= start) {
        violations.add("time.start_time", FieldRule::Conflicts, "must not be in the future");
    }
    let types = filter::event_types(violations, "types", &request.types);
    let invitations = violations.each("invitations", &request.invitations, MAX_INVITATIONS, InvitationName::parse);
    let invitations = invitations.into_iter().map(InvitationName::id_and_kind).collect();
    Some((name?, WantedEvents { start: start?, end, types, invitations, most }))
}

/// Parses types and families of events.
fn event_types(violations: &mut Violations, names: &[String]) -> Vec<Word<EventTypeFilter>> {
    filter::event_types(violations, EVENT_TYPES, names).into_iter().map(Into::into).collect()
}

/// Parses the form in which an endpoint gets events.
fn event_format(violations: &mut Violations, given: &pb::WebhookEndpoint) -> EventFormat {
    match pb::EventFormat::try_from(given.event_format) {
        Ok(pb::EventFormat::Unspecified | pb::EventFormat::ProtoJson) => EventFormat::ProtoJson,
        Ok(pb::EventFormat::CloudEventsStructured) => EventFormat::CloudEventsStructured,
        Ok(pb::EventFormat::CloudEventsBinary) => EventFormat::CloudEventsBinary,
        Err(_) => {
            violations.add(FORMAT, FieldRule::UnknownValue, "must be a known value");
            EventFormat::default()
        }
    }
}
