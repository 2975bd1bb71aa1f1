//! Requests that are refused: by their form, their path, their method, their headers or their content.

use http::Method;
use serde_json::json;

use super::http::{Client, JSON, PROTO};
use crate::support::database::TestDatabase;
use crate::support::service::Service;

const LIST: &str = "InvitationService/ListInvitations";

#[tokio::test(crate = "crate::support::limit")]
async fn request_that_breaks_a_rule_is_refused_in_words() {
    let database = TestDatabase::sqlite();
    let service = Service::start(&database).await;
    for client in Client::both(&service) {
        for (headers, body, code, reason) in [
            (&[JSON][..], "", 400, "MALFORMED_MESSAGE"),
            (&[JSON], "{", 400, "MALFORMED_MESSAGE"),
            (&[JSON], r#"{"nothing": 1}"#, 400, "UNKNOWN_FIELD"),
            (&[JSON], r#"{"pageSize": "x"}"#, 400, "INVALID_FIELD"),
            (&[JSON], r#"{"pageSize": -1}"#, 400, "INVALID_FIELD"),
            (&[PROTO], "\u{1}", 400, "UNKNOWN_FIELD"),
            (&[PROTO], "\u{a}\u{9}", 400, "MALFORMED_MESSAGE"),
            (&[JSON, ("connect-protocol-version", "2")], "{}", 400, "MALFORMED_MESSAGE"),
            (&[JSON, ("connect-timeout-ms", "soon")], "{}", 400, "MALFORMED_MESSAGE"),
            (&[JSON, ("connect-timeout-ms", "0")], "{}", 504, "DEADLINE_EXCEEDED"),
            (&[PROTO, ("connect-timeout-ms", "0")], "", 504, "DEADLINE_EXCEEDED"),
            (&[JSON, ("content-encoding", "br")], "{}", 501, "UNIMPLEMENTED"),
            (&[PROTO, ("content-encoding", "br")], "", 501, "UNIMPLEMENTED"),
            (&[JSON, ("content-encoding", "gzip")], "{}", 400, "MALFORMED_MESSAGE"),
        ] {
            let answer = client.call(LIST, headers, body).await;
            let (status, _, shown) = answer.error();
            assert_eq!((status, shown.as_str()), (code, reason), "{headers:?} {body:?}: {answer:?}");
            if code == 501 {
                assert_eq!(answer.header("accept-encoding"), "gzip");
            }
        }
        let version = [JSON, ("connect-protocol-version", "1"), ("connect-timeout-ms", "9999999999")];
        assert_eq!(client.call(LIST, &version, "{}").await.status, 200);
        let large = [JSON, ("x-trace", &"t".repeat(17_000))];
        assert_eq!(client.call(LIST, &large, "{}").await.error().2, "MESSAGE_TOO_LARGE");
    }
    service.stop().await;
}

#[tokio::test(crate = "crate::support::limit")]
async fn path_method_and_content_type_are_answered_by_http() {
    let database = TestDatabase::sqlite();
    let service = Service::start(&database).await;
    let (list, watch) = (format!("/invitation.v1.{LIST}"), "/invitation.v1.EventService/WatchEvents");
    let json_stream = ("content-type", "application/connect+json");
    for client in Client::both(&service) {
        for (method, path, headers, status) in [
            (Method::POST, list.as_str(), &[("content-type", "text/plain")][..], 415),
            (Method::POST, &list, &[], 415),
            (Method::POST, &list, &[("content-type", "application/json; charset=utf-8")], 200),
            (Method::POST, &list, &[json_stream], 415),
            (Method::POST, watch, &[JSON], 415),
            (Method::GET, &list, &[], 415),
            (Method::GET, watch, &[], 405),
            (Method::PUT, &list, &[JSON], 405),
            (Method::DELETE, "/invitation.v1.InvitationService/CreateInvitation", &[], 405),
            (
                Method::OPTIONS,
                &list,
                &[("origin", "https://app.example"), ("access-control-request-method", "POST")],
                405,
            ),
            (Method::GET, "/", &[], 404),
            (Method::GET, "/invitation.v1.InvitationService/Nothing", &[], 404),
            (Method::POST, "/invitation.v1.InvitationService/Nothing", &[JSON], 404),
            (Method::POST, "/invitation.v1.InvitationService/Nothing", &[json_stream], 404),
            (Method::POST, "/", &[PROTO], 404),
        ] {
            let shown = format!("{method} {path} {headers:?}");
            let answer = client.send(method, path, headers, if headers.is_empty() { "" } else { "{}" }).await;
            assert_eq!(answer.status, status, "{shown}: {answer:?}");
            match status {
                415 => assert!(answer.header("accept-post").contains("application/"), "{shown}"),
                405 => assert!(answer.header("allow").contains("POST"), "{shown}"),
                404 if answer.header("content-type") == "application/json" => {
                    assert_eq!(answer.error(), (404, "unimplemented".to_owned(), "UNIMPLEMENTED".to_owned()));
                }
                _ => {}
            }
            assert!(!answer.headers.contains_key("access-control-allow-origin"), "{shown}");
        }
        let shown = client.send(Method::POST, watch, &[JSON], "{}").await;
        assert!(shown.header("accept-post").contains("application/connect+json"), "{shown:?}");
    }
    service.stop().await;
}

#[tokio::test(crate = "crate::support::limit")]
async fn details_of_an_error_are_those_of_grpc() {
    let database = TestDatabase::sqlite();
    let service = Service::start(&database).await;
    let request = json!({"invitation": {"max_uses": 0, "targets": [{"type": "TARGET_TYPE_EMAIL", "value": "no"}]}});
    let answer =
        Client::http_1(&service).call("InvitationService/CreateInvitation", &[JSON], request.to_string()).await;
    assert_eq!(answer.error(), (400, "invalid_argument".to_owned(), "INVALID_FIELD".to_owned()));
    let shown = answer.json();
    let fields = shown["details"][1]["debug"]["fieldViolations"].as_array().unwrap();
    let fields: Vec<_> = fields.iter().map(|violation| violation["field"].as_str().unwrap()).collect();
    assert!(fields.contains(&"invitation.targets[0].value") && fields.contains(&"invitation.max_uses"), "{shown}");
    assert!(shown["message"].as_str().unwrap().contains("(and "), "{shown}");
    service.stop().await;
}

#[tokio::test(crate = "crate::support::limit")]
async fn page_that_took_another_name_for_loopback_is_refused() {
    let database = TestDatabase::sqlite();
    let service = Service::start(&database).await;
    let client = Client::http_1(&service);
    for (host, status) in [("evil.example", 421), ("localhost:50051", 200), ("127.0.0.1", 200)] {
        let answer = client.call(LIST, &[JSON, ("host", host)], "{}").await;
        assert_eq!(answer.status, status, "{host}: {answer:?}");
    }
    service.stop().await;
}
