//! The AsyncAPI 3.0 document: the channels on which events leave, and a message for each type.

use std::collections::BTreeMap;

use invitation_service::domain::invitation::event::EventType;
use invitation_service::openapi::{Schemas, cloud_event, descriptors};
use serde_json::{Map, Value, json};

use crate::contract::raw;

const DESCRIPTION: &str = "Events of invitations, as webhooks post them and NATS JetStream carries them. Each has one message, in the JSON mapping of \
    protobuf, by itself or as the data of a CloudEvent 1.0: the endpoint's `event_format` says which for webhooks, \
    `events.nats_format` for NATS. Every event comes at least once, under an id by which one that comes twice is recognised. \
    Fields, payloads and types are added over time: ignore those that you do not know.";

pub(super) fn document() -> Value {
    let pool = descriptors();
    let mut schemas = Schemas::new(&pool, "#/components/schemas/");
    let event = schemas.reference(&pool.get_message_by_name("invitation.v1.Event").unwrap());
    let mut schemas = schemas.into_components();
    schemas.insert("CloudEvent".to_owned(), cloud_event(&event));
    let messages = messages(&event);
    let of_channel = |names: &mut dyn Iterator<Item = &String>| -> Map<String, Value> {
        names.map(|name| (name.clone(), json!({"$ref": format!("#/components/messages/{name}")}))).collect()
    };
    let types: Vec<_> = EventType::ALL.into_iter().map(EventType::name).collect();
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "invitation-service",
            "version": env!("CARGO_PKG_VERSION"),
            "description": DESCRIPTION,
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": {
            "webhook": {
                "address": null,
                "title": "Webhook endpoint",
                "description": "The `uri` of a `WebhookEndpoint`, to which its events are posted, signed as Standard Webhooks 1.0 says (https://www.standardwebhooks.com). Any 2xx answer is success.",
                "messages": of_channel(&mut messages.keys()),
            },
            "nats": {
                "address": "invitations.{type}",
                "title": "NATS JetStream",
                "description": "The subjects of the stream `events.nats_stream`; `events.nats_subject` sets their beginning. Those of one invitation come in their order.",
                "parameters": {"type": {"enum": types, "description": "The type of the event."}},
                "messages": of_channel(&mut messages.keys().filter(|name| *name != "webhook.test")),
            },
        },
        "operations": {
            "postEvent": {
                "action": "send",
                "channel": {"$ref": "#/channels/webhook"},
                "summary": "Posts an event to an endpoint.",
                "bindings": {"http": {"method": "POST", "bindingVersion": "0.3.0"}},
            },
            "publishEvent": {
                "action": "send",
                "channel": {"$ref": "#/channels/nats"},
                "summary": "Publishes an event to NATS.",
            },
        },
        "components": {"schemas": schemas, "messages": messages},
    })
}

fn messages(event: &Value) -> BTreeMap<String, Value> {
    let mut messages: BTreeMap<_, _> = payloads()
        .into_iter()
        .map(|(name, field)| {
            let payload = json!({"allOf": [event, {
                "type": "object",
                "required": ["uid", "type", "time", "account", field],
                "properties": {"type": {"const": name}},
            }]});
            let message = json!({
                "name": name,
                "title": name,
                "description": format!("The event `{name}`, whose payload is `{field}`."),
                "contentType": "application/json",
                "headers": headers(),
                "payload": payload,
            });
            (name, message)
        })
        .collect();
    let test = json!({"allOf": [event, {"required": ["uid", "type", "time", "account"], "properties": {"type": {"const": "webhook.test"}}}]});
    let test = json!({
        "name": "webhook.test",
        "title": "webhook.test",
        "description": "The test of an endpoint, by `TestWebhookEndpoint`.",
        "contentType": "application/json",
        "headers": headers(),
        "payload": test,
    });
    messages.insert("webhook.test".to_owned(), test);
    let structured = json!({
        "name": "cloudevent",
        "title": "CloudEvent",
        "description": "An event of any type as a CloudEvent in its JSON format, where that is asked for.",
        "contentType": "application/cloudevents+json",
        "headers": headers(),
        "payload": {"$ref": "#/components/schemas/CloudEvent"},
    });
    messages.insert("cloudevent".to_owned(), structured);
    messages
}

/// Returns the field of the payload of each type, as the comments of `Event` name them.
fn payloads() -> BTreeMap<String, String> {
    let files = raw::files().iter();
    let found =
        files.flat_map(|file| file.message_type.iter().enumerate().map(move |(at, message)| (file, at, message)));
    let (file, at, event) = found.into_iter().find(|(_, _, message)| message.name() == "Event").unwrap();
    let mut payloads = BTreeMap::new();
    for (index, field) in event.field.iter().enumerate().filter(|(_, field)| field.oneof_index.is_some()) {
        let comment = raw::comment(file, &[4, at, 2, index]);
        for name in comment.split('`').skip(1).step_by(2) {
            assert!(EventType::from_name(name).is_some(), "{name} is no type");
            let before = payloads.insert(name.to_owned(), field.json_name().to_owned());
            assert_eq!(before, None, "{name} has two payloads");
        }
    }
    payloads
}

/// Returns the schema of the headers: none is there in every mode and on both ways.
fn headers() -> Value {
    let text = |description: &str| json!({"type": "string", "description": description});
    json!({"type": "object", "properties": {
        "webhook-id": text("In webhooks: the `uid` of the event, the same at every attempt."),
        "webhook-timestamp": text("In webhooks: the moment of the attempt, in seconds since 1970."),
        "webhook-signature": text("In webhooks: the signatures of id, timestamp and body, each `v1,` and base64, with spaces between."),
        "Nats-Msg-Id": text("In NATS: the `uid` of the event."),
        "traceparent": text("The span of the attempt (W3C Trace Context), if it is recorded."),
        "ce-specversion": text("In the binary mode of CloudEvents: `1.0`."),
        "ce-id": text("In the binary mode of CloudEvents: the `uid` of the event."),
        "ce-source": text("In the binary mode of CloudEvents: `//invitation-service/accounts/{account}`."),
        "ce-type": text("In the binary mode of CloudEvents: the event's type after `invitation-service.`."),
        "ce-time": text("In the binary mode of CloudEvents: the event's time."),
        "ce-subject": text("In the binary mode of CloudEvents: the name of the invitation, if the event is of one."),
        "ce-partitionkey": text("In the binary mode of CloudEvents: the UUID of the invitation, if the event is of one."),
        "ce-traceparent": text("In the binary mode of CloudEvents: the span that caused the event, if it was recorded."),
        "ce-datacontenttype": text("In the binary mode of CloudEvents in NATS: `application/json`."),
    }})
}
