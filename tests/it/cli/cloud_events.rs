//! CloudEvents of every type, as the library of the CNCF reads them from webhooks and from NATS, in both modes.

use std::collections::{BTreeMap, BTreeSet};

use invitation_service::domain::invitation::event::{EventFormat, EventType};
use invitation_service::pb;
use serde_json::{Value, json};

use super::{followers, tools};
use crate::support::database::TestDatabase;
use crate::support::on_both;
use crate::webhook::http_sink::{Received, Sink};

on_both!(migrated: cloud_events_of_every_type_are_read_in_both_modes);

/// The document with which the data of the events is compared.
const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/asyncapi.json");
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/cloud_events.py");

fn message(received: &Received) -> Value {
    let headers = received.headers.iter().map(|(name, value)| (name.to_string(), json!(value.to_str().unwrap())));
    json!({"headers": headers.collect::<serde_json::Map<_, _>>(), "body": received.body})
}

/// Returns the CloudEvent that a body in the protobuf JSON mapping belongs into.
fn expected(event: &Value, mode: &str) -> Value {
    let event_type = event["type"].as_str().unwrap();
    let mut attributes = json!({
        "specversion": "1.0",
        "id": event["uid"],
        "source": "//invitation-service/accounts/default",
        "type": format!("invitation-service.{event_type}"),
        "time": "that of the data",
        "datacontenttype": "application/json",
    });
    if let Some(invitation) = event["invitation"].as_str() {
        attributes["subject"] = json!(invitation);
        attributes["partitionkey"] = json!(invitation.strip_prefix("invitations/").unwrap());
    }
    json!({"mode": mode, "attributes": attributes, "data": event})
}

fn by_uid(events: &[Value]) -> BTreeMap<&str, &Value> {
    events.iter().map(|event| (event["data"]["uid"].as_str().unwrap(), event)).collect()
}

async fn cloud_events_of_every_type_are_read_in_both_modes(database: TestDatabase) {
    if !tools::cloud_events() {
        return;
    }
    let sinks = [Sink::start([]).await, Sink::start([]).await, Sink::start([]).await];
    let formats =
        [pb::EventFormat::ProtoJson, pb::EventFormat::CloudEventsStructured, pb::EventFormat::CloudEventsBinary];
    let endpoints: Vec<_> = sinks.iter().zip(formats).collect();
    let (service, secrets) = followers::with_every_type(&database, &[], &endpoints).await;
    let suppression = Some(pb::Suppression { email: "eve@example.org".to_owned(), ..Default::default() });
    let suppress = pb::CreateSuppressionRequest { suppression, ..Default::default() };
    service.suppressions().create_suppression(suppress).await.unwrap();

    let wanted: BTreeSet<&str> = EventType::ALL.into_iter().map(EventType::name).collect();
    let plain = followers::posted(&service, &sinks[0], &wanted).await;
    let [_, structured, binary] = [&sinks[0], &sinks[1], &sinks[2]];
    let mut messages = serde_json::Map::new();
    for (mode, sink) in [("structured", structured), ("binary", binary)] {
        let received = sink.wait_for(plain.len()).await;
        messages.insert(format!("webhook {mode}"), received.iter().map(message).collect());
    }
    service.stop().await;
    for (secret, sink) in secrets.iter().zip(&sinks) {
        let verifier = standardwebhooks::Webhook::new(secret).unwrap();
        for received in sink.received() {
            let at = received.header("webhook-timestamp").parse().unwrap();
            let signature = verifier.sign(received.header("webhook-id"), at, received.body.as_bytes()).unwrap();
            assert_eq!(received.header("webhook-signature"), signature, "the body is signed as it is posted");
        }
    }
    for (mode, format) in
        [("structured", EventFormat::CloudEventsStructured), ("binary", EventFormat::CloudEventsBinary)]
    {
        let published = crate::nats::published_again(&database, format, plain.len()).await;
        messages.insert(format!("nats {mode}"), published);
    }

    let read = tools::script(SCRIPT, &[DOCUMENT], &Value::Object(messages.clone())).await.unwrap();
    for (way, events) in read.as_object().unwrap() {
        let mode = way.rsplit(' ').next().unwrap();
        let wanted: Vec<Value> =
            plain.iter().map(|body| expected(&serde_json::from_str(body).unwrap(), mode)).collect();
        assert_eq!(by_uid(events.as_array().unwrap()), by_uid(&wanted), "{way}");
    }
    assert_eq!(read.as_object().unwrap().len(), 4);

    // An attribute that lacks is noticed, which the library would put in, and data that the document does not describe.
    let first = &messages["webhook binary"][0];
    let mut without = first.clone();
    without["headers"].as_object_mut().unwrap().remove("ce-specversion").unwrap();
    let body = first["body"].as_str().unwrap();
    let planted = |from: &str, to: &str| json!({"headers": first["headers"], "body": body.replacen(from, to, 1)});
    for (message, noticed) in [
        (without, "specversion"),
        (planted("{", "{\"data\":{},"), "has no {'data'}"),
        (planted("\"account\":\"default\"", "\"account\":7"), "7 is not of type 'string'"),
    ] {
        let told = tools::script(SCRIPT, &[DOCUMENT], &json!({"webhook binary": [message]})).await.unwrap_err();
        assert!(told.contains(noticed), "{told}");
    }
}
