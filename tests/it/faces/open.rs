//! The services that everybody may call, by Connect, and the probes.

use http::Method;
use serde_json::json;

use super::http::{Client, JSON};
use super::stream::{Messages, envelope};
use crate::rpc::redemption::keys;
use crate::support::database::TestDatabase;
use crate::support::service::Service;

const STREAM: (&str, &str) = ("content-type", "application/connect+json");
const SERVICE: &str = "invitation.v1.InvitationService";

#[tokio::test(crate = "crate::support::limit")]
async fn health_and_probes_are_answered_without_a_credential() {
    let database = TestDatabase::sqlite();
    let (service, _) = keys::start(&database, &[("acme", "*")]).await;
    for client in Client::both(&service) {
        let check =
            async |body: &'static str| client.send(Method::POST, "/grpc.health.v1.Health/Check", &[JSON], body).await;
        assert_eq!(
            check(r#"{"service": "invitation.v1.InvitationService"}"#).await.json(),
            json!({"status": "SERVING"})
        );
        let unknown = check(r#"{"service": "nothing"}"#).await;
        assert_eq!((unknown.status, unknown.json()["code"].as_str()), (404, Some("not_found")));
        assert_eq!(check("{").await.status, 400);
        let large = client.send(Method::POST, "/grpc.health.v1.Health/Check", &[JSON], " ".repeat(20_000)).await;
        assert_eq!(large.status, 429);
        let request = envelope(0, json!({"service": SERVICE}).to_string().as_bytes());
        let watch = client.begin(Method::POST, "/grpc.health.v1.Health/Watch", &[STREAM], request).await;
        assert_eq!(Messages::of(watch).next_json().await, (0, json!({"status": "SERVING"})));
        for path in ["/livez", "/readyz"] {
            let answer = client.get(path).await;
            assert_eq!((answer.status, &answer.body[..]), (200, &b"SERVING"[..]), "{path}");
            let head = client.send(Method::HEAD, path, &[], "").await;
            assert_eq!((head.status, head.header("content-length"), head.body.len()), (200, "7", 0));
            assert_eq!(client.send(Method::POST, path, &[], "").await.status, 405);
        }
    }
    service.stop().await;
}

#[tokio::test(crate = "crate::support::limit")]
async fn document_of_the_calls_is_served() {
    let database = TestDatabase::sqlite();
    let service = Service::start(&database).await;
    let written = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/openapi.json")).unwrap();
    for client in Client::both(&service) {
        let answer = client.get("/openapi.json").await;
        assert_eq!((answer.status, answer.header("content-type")), (200, "application/json"));
        assert!(answer.body == written, "it is docs/openapi.json");
        assert_eq!(client.send(Method::POST, "/openapi.json", &[], "").await.status, 405);
    }
    service.stop().await;
}

#[tokio::test(crate = "crate::support::limit")]
async fn reflection_is_a_dialogue_over_http_2_alone() {
    let database = TestDatabase::sqlite();
    let service = Service::start(&database).await;
    let path = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
    let questions =
        [envelope(0, br#"{"listServices": "*"}"#), envelope(0, br#"{"fileContainingSymbol": "none"}"#)].concat();
    let [old, new] = Client::both(&service);
    assert_eq!(old.send(Method::POST, path, &[STREAM], questions.clone()).await.status, 505);
    let mut answers = Messages::of(new.begin(Method::POST, path, &[STREAM], questions).await);
    let (_, first) = answers.next_json().await;
    let services = first["listServicesResponse"]["service"].as_array().unwrap();
    assert!(services.iter().any(|service| service["name"] == SERVICE), "{first}");
    let (_, second) = answers.next_json().await;
    assert_eq!(second["errorResponse"]["errorCode"], 5, "{second}");
    assert_eq!(answers.next_json().await, (2, json!({})));
    service.stop().await;
}
