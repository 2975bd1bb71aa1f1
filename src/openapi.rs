//! The OpenAPI 3.1 document of the JSON face, made of the compiled protos: each unary RPC as the Connect protocol has it.
//!
//! Nothing is written out here that the protos say, so a new RPC or field needs no line. `docs/openapi.json` is the same document.

mod comments;
mod errors;
mod schema;

use std::sync::LazyLock;

use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor, MethodDescriptor, ServiceDescriptor};
use serde_json::{Map, Value, json};

use crate::pb;
use comments::Comments;
use errors::Errors;
pub use schema::{Schemas, cloud_event};

/// The document as JSON, as it is served and as `docs/openapi.json` has it.
pub static OPENAPI: LazyLock<String> = LazyLock::new(|| format!("{:#}\n", document()));

const SCHEMAS: &str = "#/components/schemas/";

const DESCRIPTION: &str = "Invitations by HTTP and JSON: every RPC that answers once, in the form of the \
    [Connect protocol](https://connectrpc.com/docs/protocol). A call is a POST of the request as JSON, and its answer is the \
    response as JSON, with status 200. Any other status has an `Error`.\n\nMessages are in the JSON mapping of protobuf. Names \
    are in lowerCamelCase, and those of the proto files are understood, too; 64-bit integers are strings; a field that has its \
    default value is left out of answers. Fields and values of enums are added over time: ignore those that you do not know. A \
    request with a field that the server does not know is refused.\n\nThe descriptions name fields, and give examples, as the \
    proto files do. Streams of events (`EventService.WatchEvents`) are no part of this document.";

/// Decodes the compiled protos; they are part of the program, so a failure is a defect that the tests would show.
pub fn descriptors() -> DescriptorPool {
    DescriptorPool::decode(pb::DESCRIPTORS).unwrap_or_default()
}

/// Makes the document.
fn document() -> Value {
    let pool = descriptors();
    let comments = Comments::of(&pool);
    let services: Vec<_> = pool.services().filter(|service| service.package_name() == pb::PACKAGE).collect();
    let unary: Vec<_> = services.iter().flat_map(ServiceDescriptor::methods).filter(is_unary).collect();
    let mut schemas = Schemas::new(&pool, SCHEMAS);
    let errors = Errors::of(&pool, &comments);
    let paths: Map<_, _> = unary.iter().map(|method| path(method, &comments, &errors, &mut schemas)).collect();
    let tag = |service: &ServiceDescriptor| json!({"name": service.name(), "description": comments.at(service)});
    let event = pool.get_message_by_name("invitation.v1.Event").map(|event| schemas.reference(&event));
    let event = event.unwrap_or_default();
    let mut components = schemas.into_components();
    components.insert("CloudEvent".to_owned(), cloud_event(&event));
    components.insert("Error".to_owned(), errors::schema());
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "invitation-service",
            "version": env!("CARGO_PKG_VERSION"),
            "description": DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/", "description": "The server that this document comes from."}],
        "security": [{"bearer": []}, {"certificate": []}],
        "tags": services.iter().map(tag).collect::<Vec<_>>(),
        "paths": paths,
        "webhooks": {"event": webhook(&event)},
        "components": {
            "schemas": components,
            "responses": errors::responses(),
            "parameters": parameters(),
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "An API key, or a JWT of an issuer that the server trusts."},
                "certificate": {"type": "mutualTLS", "description": "A certificate of a client that the server knows."},
            },
        },
    })
}

fn is_unary(method: &MethodDescriptor) -> bool {
    !method.is_client_streaming() && !method.is_server_streaming()
}

/// Returns the path of an RPC and its one operation.
fn path(method: &MethodDescriptor, comments: &Comments, errors: &Errors, schemas: &mut Schemas) -> (String, Value) {
    let service = method.parent_service().clone();
    let comment = comments.at(method);
    let input = method.input();
    let mut content = json!({"schema": schemas.reference(&input)});
    if let Some(example) = example(&comment, input.clone()) {
        content["example"] = example;
    }
    let mut responses = errors.of_call(&comment, &input);
    let answer = schemas.reference(&method.output());
    responses.insert(
        "200".to_owned(),
        json!({"description": "The response.", "content": {"application/json": {"schema": answer}}}),
    );
    let operation = json!({
        "operationId": format!("{}_{}", service.name(), method.name()),
        "tags": [service.name()],
        "summary": comment.split(". ").next().unwrap_or_default(),
        "description": comment,
        "parameters": [{"$ref": "#/components/parameters/ProtocolVersion"}, {"$ref": "#/components/parameters/Timeout"}],
        "requestBody": {"required": true, "content": {"application/json": content}},
        "responses": responses,
    });
    (format!("/{}/{}", service.full_name(), method.name()), json!({"post": operation}))
}

/// Returns the example that the comment of an RPC has, in the names of the JSON mapping.
fn example(comment: &str, input: MessageDescriptor) -> Option<Value> {
    let (_, rest) = comment.split_once("Example: `")?;
    let (text, _) = rest.split_once('`')?;
    let given: Value = serde_json::from_str(text).ok()?;
    let message = DynamicMessage::deserialize(input, given).ok()?;
    serde_json::to_value(message).ok()
}

fn parameters() -> Value {
    json!({
        "ProtocolVersion": {
            "name": "Connect-Protocol-Version",
            "in": "header",
            "description": "The version of the protocol.",
            "schema": {"type": "string", "enum": ["1"]},
        },
        "Timeout": {
            "name": "Connect-Timeout-Ms",
            "in": "header",
            "description": "The time limit of the call, in milliseconds.",
            "schema": {"type": "integer", "minimum": 0, "maximum": 9_999_999_999_u64},
        },
    })
}

/// Returns the request that brings an event to an endpoint.
fn webhook(event: &Value) -> Value {
    let header = |name: &str, description: &str| json!({"name": name, "in": "header", "required": true, "description": description, "schema": {"type": "string"}});
    json!({"post": {
        "operationId": "event",
        "summary": "An event, posted to a webhook endpoint",
        "description": "See `WebhookService`. The body has the endpoint's `event_format`; the headers are those of [Standard Webhooks](https://www.standardwebhooks.com).",
        "security": [],
        "parameters": [
            header("webhook-id", "The `uid` of the event, the same at every attempt."),
            header("webhook-timestamp", "The moment of the attempt, in seconds since 1970."),
            header("webhook-signature", "The signatures of id, timestamp and body, each `v1,` and base64, with spaces between."),
        ],
        "requestBody": {"required": true, "content": {
            "application/json": {"schema": event},
            "application/cloudevents+json": {"schema": {"$ref": format!("{SCHEMAS}CloudEvent")}},
        }},
        "responses": {
            "2XX": {"description": "The event was taken."},
            "410": {"description": "The endpoint is gone: it is disabled."},
            "default": {"description": "The event is posted again later."},
        },
    }})
}
