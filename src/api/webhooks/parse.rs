//! Parses the requests about webhook endpoints.

use uuid::Uuid;

use crate::api::parse::field_mask::FieldMask;
use crate::api::parse::filter::event_type;
use crate::api::parse::moment;
use crate::api::parse::violations::Violations;
use crate::domain::invitation::event::EventType;
use crate::domain::value::rule::{FieldRule, Invalid};
use crate::domain::value::text;
use crate::domain::value::time::Timestamp;
use crate::domain::value::word::Word;
use crate::domain::webhook::networks::Networks;
use crate::domain::webhook::{EndpointChange, uri};
use crate::pb;

const COLLECTION: &str = "webhookEndpoints";
const URI: &str = "webhook_endpoint.uri";
const EVENT_TYPES: &str = "webhook_endpoint.event_types";
const MAX_EVENT_TYPES: usize = 50;

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

/// Parses the caller-set fields of a new endpoint: its address, its types, and whether it is disabled.
pub(in crate::api) fn to_create(
    violations: &mut Violations,
    networks: &Networks,
    given: Option<&pb::WebhookEndpoint>,
) -> Option<(String, Vec<Word<EventType>>, bool)> {
    let empty = pb::WebhookEndpoint::default();
    let given = given.unwrap_or(&empty);
    let uri = violations.required(URI, &given.uri, |value| uri::parse(value, networks));
    let event_types = event_types(violations, &given.event_types);
    violations.optional("webhook_endpoint.etag", &given.etag, text::opaque_id);
    Some((uri?, event_types, given.disabled))
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
        [("uri", !given.uri.is_empty()), ("event_types", !given.event_types.is_empty()), ("disabled", given.disabled)],
    );
    let mut change = EndpointChange::default();
    if mask.has("uri") {
        change.uri = violations.required(URI, &given.uri, |value| uri::parse(value, networks));
    }
    if mask.has("event_types") {
        change.event_types = Some(event_types(violations, &given.event_types));
    }
    if mask.has("disabled") {
        change.disabled = Some(given.disabled);
    }
    Some((name?, etag, change))
}

/// Parses the endpoint and the span of the events to be redelivered.
pub(in crate::api) fn to_redeliver(
    violations: &mut Violations,
    request: &pb::RedeliverEventsRequest,
    now: Timestamp,
) -> Option<(EndpointName, (Timestamp, Timestamp))> {
    let name = violations.required("name", &request.name, EndpointName::parse);
    if request.since.is_none() {
        violations.add("since", FieldRule::Required, "is required");
    }
    let since = moment(violations, "since", request.since);
    let until = match request.until {
        // An event of this very moment belongs to the span.
        None => Some(Timestamp::from_micros(now.micros().saturating_add(1))),
        Some(_) => moment(violations, "until", request.until),
    };
    if let (Some(since), Some(until)) = (since, until)
        && until <= since
    {
        violations.add(
            if request.until.is_some() { "until" } else { "since" },
            FieldRule::Conflicts,
            "must be since < until",
        );
    }
    Some((name?, (since?, until?)))
}

/// Parses types of events; the same twice counts once.
fn event_types(violations: &mut Violations, names: &[String]) -> Vec<Word<EventType>> {
    let mut known = Vec::new();
    for found in violations.each(EVENT_TYPES, names, MAX_EVENT_TYPES, event_type) {
        let found = Word::from(found);
        if !known.contains(&found) {
            known.push(found);
        }
    }
    known
}
