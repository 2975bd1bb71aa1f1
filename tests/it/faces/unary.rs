//! Calls of one message by Connect.

use invitation_service::pb;
use prost::Message as _;
use serde_json::{Value, json};
use tonic::{Code, Request};

use super::http::{Client, JSON, PROTO};
use crate::contract::raw;
use crate::rpc::redemption::keys;
use crate::support::build::messages;
use crate::support::database::TestDatabase;
use crate::support::service::Service;
use crate::support::{expect, on_both};

on_both!(migrated: invitation_goes_through_its_life_in_json);

async fn invitation_goes_through_its_life_in_json(database: TestDatabase) {
    let service = Service::start(&database).await;
    for client in Client::both(&service) {
        let create = json!({"invitation": {
            "scope": {"type": "team", "id": "red", "displayName": "Red"}, "max_uses": 2, "invitationType": "INVITATION_TYPE_MULTI_USE", "ttl": "3600s",
            "labels": {"a": "b"}, "metadata": {"seats": [1, null, "x"]},
        }});
        let made = client.json("InvitationService/CreateInvitation", &create).await;
        assert_eq!((&made["maxUses"], &made["metadata"]["seats"][2]), (&json!(2), &json!("x")));
        assert!(made["expireTime"].as_str().unwrap().ends_with('Z') && made["state"] == "INVITATION_STATE_ACTIVE");
        let token = made["invitationToken"].as_str().unwrap();
        let shown = client.json("RedemptionService/PreviewInvitation", &json!({"token": token})).await;
        assert_eq!(shown["scope"]["displayName"], "Red", "{shown}");
        let accept = json!({"token": token, "acceptor": {"subject": "ann"}});
        client.json("RedemptionService/AcceptInvitation", &accept).await;
        let request = pb::GetInvitationRequest { name: made["name"].as_str().unwrap().to_owned() };
        let binary = client.call("InvitationService/GetInvitation", &[PROTO], request.encode_to_vec()).await;
        assert_eq!((binary.status, binary.header("content-type")), (200, "application/proto"));
        assert_eq!(binary.header("content-length"), binary.body.len().to_string());
        assert_eq!(pb::Invitation::decode(binary.body).unwrap().use_count, 1);
    }
    service.stop().await;
}

/// The code and the reason that a call of gRPC with an empty message has.
async fn of_grpc(service: &Service, path: &str) -> Result<Vec<u8>, (String, String)> {
    let answer = raw::call_as_it_is(service, path, Request::new(bytes::Bytes::new())).await;
    answer.map(|message| message.to_vec()).map_err(|status| {
        let (code, reason) = expect::reason(&status);
        (name(code), reason)
    })
}

/// The name of a code as Connect writes it.
fn name(code: Code) -> String {
    let parts = format!("{code:?}");
    let mut name = String::new();
    for letter in parts.chars() {
        if letter.is_ascii_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(letter.to_ascii_lowercase());
    }
    name
}

#[tokio::test(crate = "crate::support::limit")]
async fn every_rpc_is_answered_as_by_grpc() {
    let database = TestDatabase::sqlite();
    let service = Service::start(&database).await;
    let client = Client::http_1(&service);
    messages::create(&service, messages::invitation()).await;
    let mut answered = 0;
    for rpc in raw::rpcs().iter().filter(|rpc| !rpc.streams) {
        let method = rpc.path.trim_start_matches("/invitation.v1.");
        let by_json = client.call(method, &[JSON], "{}").await;
        let by_proto = client.call(method, &[PROTO], "").await;
        match of_grpc(&service, &rpc.path).await {
            Ok(message) => {
                assert_eq!((by_json.status, by_proto.status), (200, 200), "{method}: {by_json:?}");
                assert!(by_json.json().is_object() && by_proto.body.is_empty() == message.is_empty(), "{method}");
                answered += 1;
            }
            Err(expected) => {
                for answer in [by_json, by_proto] {
                    let (_, code, reason) = answer.error();
                    assert_eq!((code, reason), expected, "{method}");
                }
            }
        }
    }
    assert!(answered > 5, "{answered} RPCs take an empty message");
    service.stop().await;
}

#[tokio::test(crate = "crate::support::limit")]
async fn credential_is_asked_for_before_the_request_is_read() {
    let database = TestDatabase::sqlite();
    let keys = [("acme", "invitations.read"), ("acme", "invitations.write")];
    let (service, keys) = keys::start(&database, &keys).await;
    for client in Client::both(&service) {
        let call = async |headers: &[(&str, &str)], body: &'static str| {
            client.call("InvitationService/ListInvitations", &[&[JSON], headers].concat(), body).await
        };
        for body in ["{}", "no JSON", r#"{"nothing": 1}"#] {
            let answer = call(&[], body).await;
            let expected = (401, "unauthenticated".to_owned(), "UNAUTHENTICATED".to_owned());
            assert_eq!((answer.error(), answer.header("www-authenticate")), (expected, "Bearer"));
        }
        let bearer = format!("Bearer {}", keys[0]);
        assert_eq!(call(&[("authorization", &bearer)], "{}").await.status, 200);
        assert_eq!(call(&[("x-api-key", &keys[0])], "{}").await.status, 200);
        let denied = call(&[("x-api-key", &keys[1])], "no JSON").await;
        assert_eq!(denied.error(), (403, "permission_denied".to_owned(), "PERMISSION_DENIED".to_owned()));
        assert_eq!(denied.json()["details"][0]["debug"]["metadata"]["permission"], "invitations.read");
        let wrong = call(&[("x-api-key", &keys[0])], "no JSON").await;
        assert_eq!(wrong.error(), (400, "invalid_argument".to_owned(), "MALFORMED_MESSAGE".to_owned()));
    }
    service.stop().await;
}

#[tokio::test(crate = "crate::support::limit")]
async fn answer_that_is_empty_is_an_object() {
    let database = TestDatabase::sqlite();
    let service = Service::start(&database).await;
    let listed = Client::http_2(&service).json("InvitationService/ListInvitations", &json!({"pageSize": 1})).await;
    assert_eq!(listed, Value::Object(serde_json::Map::new()));
    service.stop().await;
}
