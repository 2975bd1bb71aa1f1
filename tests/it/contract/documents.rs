//! The documents for programs that read descriptions of interfaces: `docs/openapi.json` for calls and `docs/asyncapi.json` for
//! events. `UPDATE_DOCS=1` writes them anew; `.ci/documents` checks them with the parsers of both specifications.

mod async_api;

use std::collections::BTreeSet;

use invitation_service::domain::invitation::event::EventType;
use invitation_service::openapi::OPENAPI;
use serde_json::Value;

use super::raw;

/// Compares a document with the text that it is to have, and writes it if that is asked for.
#[track_caller]
fn compare(path: &str, wanted: &str) {
    let file = format!("{}/{path}", env!("CARGO_MANIFEST_DIR"));
    if std::env::var("UPDATE_DOCS").is_ok_and(|value| value == "1") {
        std::fs::write(&file, wanted).unwrap();
    }
    let found = std::fs::read_to_string(&file).unwrap_or_default();
    let line = wanted.lines().zip(found.lines()).position(|(wanted, found)| wanted != found);
    let line = line.map(|at| at + 1);
    assert!(wanted == found, "{path} differs from line {line:?} on: write it with UPDATE_DOCS=1");
}

fn open_api() -> Value {
    serde_json::from_str(&OPENAPI).unwrap()
}

fn keys(value: &Value) -> BTreeSet<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn open_api_document_is_what_the_protos_say() {
    compare("docs/openapi.json", &OPENAPI);
}

#[test]
fn async_api_document_is_what_the_protos_say() {
    compare("docs/asyncapi.json", &format!("{:#}\n", async_api::document()));
}

#[test]
fn open_api_has_every_unary_rpc_and_what_it_may_answer() {
    let document = open_api();
    let unary: BTreeSet<&str> = raw::rpcs().iter().filter(|rpc| !rpc.streams).map(|rpc| rpc.path.as_str()).collect();
    assert_eq!(keys(&document["paths"]), unary);
    for rpc in raw::rpcs().iter().filter(|rpc| !rpc.streams) {
        let call = &document["paths"][&rpc.path]["post"];
        assert_eq!(call["description"].as_str().unwrap().replace("\n\n", " "), rpc.comment, "{}", rpc.path);
        let content = &call["requestBody"]["content"]["application/json"];
        assert!(content["example"].is_object(), "{} has no example", rpc.path);
        let input = rpc.input.trim_start_matches('.');
        assert_eq!(content["schema"]["$ref"], format!("#/components/schemas/{input}"));
        let mut statuses = BTreeSet::from(["200", "400", "401", "403", "415", "429", "500", "501", "503", "504"]);
        let is_write = document["components"]["schemas"][input]["properties"]["requestId"].is_object();
        statuses.extend(is_write.then_some("409"));
        assert!(keys(&call["responses"]).is_superset(&statuses), "{}: {:?}", rpc.path, call["responses"]);
        let not_found = rpc.comment.contains("_NOT_FOUND`");
        assert_eq!(call["responses"]["404"].is_object(), not_found, "{}", rpc.path);
    }
}

#[test]
fn open_api_has_the_names_and_types_of_the_json_mapping() {
    let document = open_api();
    let schemas = &document["components"]["schemas"];
    let event = &schemas["invitation.v1.Event"]["properties"];
    assert_eq!((&event["sequence"]["type"], &event["time"]["format"]), (&"string".into(), &"date-time".into()));
    assert_eq!(event["requestId"]["type"], "string");
    assert_eq!(event["accepted"]["allOf"][0]["$ref"], "#/components/schemas/invitation.v1.InvitationAcceptedEvent");
    let endpoint = &schemas["invitation.v1.WebhookEndpoint"]["properties"];
    assert_eq!((&endpoint["secret"]["format"], &endpoint["secret"]["readOnly"]), (&"password".into(), &true.into()));
    assert!(endpoint["name"].get("readOnly").is_none(), "an update is sent with the name");
    assert_eq!(endpoint["eventTypes"]["items"]["type"], "string");
    let check = &schemas["invitation.v1.CheckAcceptanceRequest"];
    assert_eq!(check["required"], serde_json::json!(["acceptor"]), "the token or the name");
    assert!(check["description"].as_str().unwrap().contains("Exactly one of `token`, `name` is set."));
    let create = &schemas["invitation.v1.CreateWebhookEndpointRequest"];
    assert_eq!(create["required"], serde_json::json!(["webhookEndpoint"]));
    assert!(schemas["invitation.v1.WebhookEndpoint"].get("required").is_none(), "an update has a part of it");
    for (name, schema) in schemas.as_object().unwrap() {
        assert!(schema["description"].as_str().is_some_and(|text| !text.is_empty()), "{name}");
    }
}

#[test]
fn async_api_has_a_message_of_every_type() {
    let document = async_api::document();
    let types: BTreeSet<&str> = EventType::ALL.into_iter().map(EventType::name).collect();
    let messages = keys(&document["components"]["messages"]);
    assert_eq!(messages.difference(&types).copied().collect::<Vec<_>>(), ["cloudevent", "webhook.test"]);
    assert!(messages.is_superset(&types));
    let subject = &document["channels"]["nats"]["parameters"]["type"]["enum"];
    assert_eq!(subject.as_array().unwrap().len(), types.len());
}
