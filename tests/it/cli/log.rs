//! The log: its contract, and that it is not the caller's to fill.

use std::collections::BTreeSet;
use std::time::Duration;

use invitation_service::auth::api_key::{format_hash, hash_api_key};
use invitation_service::pb;
use invitation_service::pb::access_service_client::AccessServiceClient;
use invitation_service::pb::connection_invitation_service_client::ConnectionInvitationServiceClient;
use invitation_service::pb::invitation_service_client::InvitationServiceClient;
use invitation_service::telemetry::events::{CALL_FIELDS, EVENTS, TARGETS};
use invitation_service::telemetry::fields::{FIELDS, LINE_FIELDS};
use serde_json::Value;
use tokio::time::{Instant, sleep};
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::{Code, Request};
use tonic_prost::ProstCodec;

use super::keys::{WITH_KEYS, api_key};
use super::load::COMPANY;
use super::server::{PATIENCE, Server};
use crate::support::folder::folder;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

/// Asserts that each line of a log has the form that the documents promise.
#[track_caller]
pub(super) fn follows_the_contract(log: &str) {
    // The command line prints the other lines.
    for line in log.lines().filter(|line| line.starts_with('{')) {
        let line: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let names: BTreeSet<&str> = line.as_object().unwrap().keys().map(String::as_str).collect();
        let target = line["target"].as_str().unwrap();
        if !TARGETS.iter().any(|(own, _)| *own == target) {
            assert!(line["event"].is_null(), "{line}");
            continue;
        }
        assert!(
            line.as_object().unwrap().values().all(|value| !value.is_object() && !value.is_array()),
            "not flat: {line}"
        );
        let event = EVENTS.iter().map(|(_, event)| event).find(|event| line["event"] == event.id);
        let event = event.unwrap_or_else(|| panic!("the event is in no table: {line}"));
        let level = line["level"].as_str().unwrap().to_lowercase();
        assert!(event.target == target && event.levels.contains(&level.as_str()), "{line}");
        let known: BTreeSet<&str> =
            LINE_FIELDS.iter().map(|(name, ..)| *name).chain(CALL_FIELDS).chain(event.fields.iter().copied()).collect();
        assert!(names.is_subset(&known), "{line}");
        for (name, r#type, _) in LINE_FIELDS.iter().chain(FIELDS) {
            let (value, r#type) = (&line[*name], *r#type);
            let is_of_type = (r#type == "text" && value.is_string())
                || (r#type == "number" && value.is_number())
                || (r#type == "bool" && value.is_boolean());
            assert!(value.is_null() || is_of_type, "{name} is no {type}: {line}");
        }
    }
}

/// The lines of an event in a log.
fn lines_of(log: &str, event: &str) -> Vec<Value> {
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.filter(|line| line["event"] == event).collect()
}

fn with_ids<T>(key: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    let metadata =
        [("x-api-key", key), ("traceparent", &format!("00-{TRACE}-b7ad6b7169203331-01")), ("x-request-id", "order-17")];
    for (name, value) in metadata {
        request.metadata_mut().insert(name, value.parse().unwrap());
    }
    request
}

#[tokio::test(crate = "crate::support::limit")]
async fn line_of_a_call_has_its_documented_fields() {
    let folder = folder();
    let key = api_key(folder.path(), "acme", "*").await;
    let server = Server::ready(folder.path(), &WITH_KEYS, &[]).await;
    let mut connections = ConnectionInvitationServiceClient::new(server.channel().await);
    let invitation = pb::ConnectionInvitation { company_id: COMPANY.to_owned(), ..Default::default() };
    let create = pb::CreateConnectionInvitationRequest {
        connection_invitation: Some(invitation),
        request_id: "once".to_owned(),
        ..Default::default()
    };
    let made = connections.create_connection_invitation(with_ids(&key, create)).await.unwrap().into_inner();
    let mut invitations = InvitationServiceClient::new(server.channel().await);
    let unknown = made.name.replace(&made.name[made.name.len() - 12..], "000000000000");
    let get = pb::GetInvitationRequest { name: unknown.replace("connectionInvitations", "invitations") };
    let refused = invitations.get_invitation(with_ids(&key, get)).await.unwrap_err();
    assert_eq!(refused.code(), Code::NotFound);
    server.logged("NOT_FOUND").await;
    let log = server.log();
    let lines = lines_of(&log, "call.answered");
    let [created, missing] = lines.as_slice() else { panic!("{log}") };
    let names = |line: &Value| line.as_object().unwrap().keys().cloned().collect::<Vec<_>>().join(" ");
    let of_both = "account caller code correlation_id duration_ms event";
    let created_names = format!(
        "{of_both} invitation level message method peer request_bytes request_id response_bytes service target timestamp trace_id"
    );
    assert_eq!(names(created), created_names);
    let missing_names =
        format!("{of_both} level message method peer reason request_bytes service target timestamp trace_id");
    assert_eq!(names(missing), missing_names);
    for (name, value) in [
        ("code", "OK"),
        ("service", "ConnectionInvitationService"),
        ("method", "CreateConnectionInvitation"),
        ("account", "acme"),
        ("caller", "apiKeys/acme"),
        ("peer", "127.0.0.1"),
        ("trace_id", TRACE),
        ("correlation_id", "order-17"),
        ("request_id", "once"),
    ] {
        assert_eq!(created[name], value, "{created}");
    }
    assert_eq!((&missing["code"], &missing["reason"]), (&"NOT_FOUND".into(), &"INVITATION_NOT_FOUND".into()));
    let (_, decimals) = created["duration_ms"]
        .to_string()
        .split_once('.')
        .map(|(a, b)| (a.to_owned(), b.to_owned()))
        .unwrap_or_default();
    assert!(decimals.len() <= 3, "{created}");
    assert!(created["request_bytes"].as_u64().unwrap() > 20 && created["response_bytes"].as_u64().unwrap() > 100);
    assert!(made.name.ends_with(created["invitation"].as_str().unwrap()), "{created}");
    server.stop().await;
}

#[tokio::test(crate = "crate::support::limit")]
async fn log_of_calls_can_be_thinned_out_but_for_problems() {
    for (environment, arguments, expected) in [
        (Some("problems"), &[][..], (0, 1)),
        (Some("1/4"), &[], (2, 1)),
        (None, &["--log-level", "info,calls=warn"], (0, 1)),
    ] {
        let folder = folder();
        let environment: Vec<_> = environment.map(|calls| ("INVITATION__LOG__CALLS", calls)).into_iter().collect();
        let server = Server::ready(folder.path(), arguments, &environment).await;
        let mut access = AccessServiceClient::new(server.channel().await);
        for _ in 0..8 {
            access.get_caller(pb::GetCallerRequest {}).await.unwrap();
        }
        let mut late = Request::new(pb::GetCallerRequest {});
        late.metadata_mut().insert("grpc-timeout", "1n".parse().unwrap());
        access.get_caller(late).await.unwrap_err();
        let late = server.logged("DEADLINE_EXCEEDED").await;
        let late: Value = serde_json::from_str(&late).unwrap();
        assert_eq!(
            (&late["method"], &late["account"], &late["sample"]),
            (&"GetCaller".into(), &"default".into(), &Value::Null)
        );
        let lines = lines_of(&server.log(), "call.answered");
        let is_ok = |line: &&Value| line["code"] == "OK";
        assert!(lines.iter().filter(is_ok).all(|line| line["sample"] == 4), "{lines:?}");
        let ordinary = lines.iter().filter(is_ok).count();
        assert_eq!((ordinary, lines.len() - ordinary), expected, "{arguments:?} {environment:?}");
        server.stop().await;
    }
}

#[tokio::test(crate = "crate::support::limit")]
async fn refused_callers_are_logged_by_reason_and_owner() {
    let folder = folder();
    let key = api_key(folder.path(), "acme", "*").await;
    let keys = folder.path().join("keys.toml");
    let expired = format!(
        "\n[[api_key]]\nname = \"old\"\nhash = \"{}\"\naccount = \"acme\"\npermissions = [\"*\"]\nexpires_at = \"2026-01-01T00:00:00Z\"\n",
        format_hash(&hash_api_key("ivk_an_old_one"))
    );
    std::fs::write(&keys, std::fs::read_to_string(&keys).unwrap() + &expired).unwrap();
    let server = Server::ready(folder.path(), &WITH_KEYS, &[]).await;
    let mistyped = format!("{}{}", &key[..52], if key.ends_with('A') { 'B' } else { 'A' });
    let mut access = AccessServiceClient::new(server.channel().await);
    for metadata in [
        &[][..],
        &[("authorization", "Basic hunter2")],
        &[("x-api-key", &key), ("authorization", "Bearer hunter2")],
        &[("x-api-key", "hunter2hunter2hunter2")],
        &[("x-api-key", &mistyped)],
        &[("x-api-key", "ivk_an_old_one")],
        &[("authorization", "Bearer eyJ.eyJ.sig")],
        &[],
    ] {
        let mut request = Request::new(pb::GetCallerRequest {});
        for (name, value) in metadata {
            request.metadata_mut().append(*name, value.parse().unwrap());
        }
        assert_eq!(access.get_caller(request).await.unwrap_err().code(), Code::Unauthenticated);
    }
    server.logged("NO_ISSUER").await;
    let log = server.log();
    let lines = lines_of(&log, "callers.refused");
    let told = |line: &Value| {
        assert_eq!(
            (&line["code"], &line["peer"], &line["calls"]),
            (&"UNAUTHENTICATED".into(), &"127.0.0.1".into(), &1.into())
        );
        let [reason, caller, prefix] =
            ["reason", "caller", "key_prefix"].map(|name| line[name].as_str().unwrap_or("-").to_owned());
        format!("{reason} {caller} {prefix}")
    };
    let expected = [
        "NO_CREDENTIAL - -".to_owned(),
        "MALFORMED_CREDENTIAL - -".to_owned(),
        "SEVERAL_CREDENTIALS - -".to_owned(),
        "NO_API_KEY - -".to_owned(),
        format!("MISTYPED_KEY - {}", &key[..10]),
        "EXPIRED_KEY apiKeys/old -".to_owned(),
        "NO_ISSUER - -".to_owned(),
    ];
    assert_eq!(lines.iter().map(told).collect::<Vec<_>>(), expected);
    assert!(!log.contains("hunter2") && !log.contains(&key[4..20]), "{log}");
    server.stop().await;
}

/// Calls a path, with a key or without, and returns the code of the refusal.
async fn refused(client: &mut Grpc<tonic::transport::Channel>, path: &str, key: Option<&str>) -> Code {
    let mut request = Request::new(());
    if let Some(key) = key {
        request.metadata_mut().insert("x-api-key", key.parse().unwrap());
    }
    client.ready().await.unwrap();
    let path = PathAndQuery::try_from(path).unwrap();
    client.unary::<(), (), _>(request, path, ProstCodec::default()).await.unwrap_err().code()
}

#[tokio::test(crate = "crate::support::limit")]
async fn unknown_paths_and_refused_callers_do_not_fill_the_log() {
    let folder = folder();
    let key = api_key(folder.path(), "acme", "*").await;
    let server = Server::ready(folder.path(), &WITH_KEYS, &[]).await;
    let mut client = Grpc::new(server.channel().await);
    let before = server.log().len();
    let invented = "An".repeat(1_900);
    let paths = [
        format!("/invitation.v1.{invented}/{invented}"),
        format!("/invitation.v1.InvitationService/{invented}"),
        format!("/{invented}/GetInvitation"),
    ];
    for path in paths.iter().cycle().take(150) {
        let code = refused(&mut client, path, None).await;
        assert!([Code::Unauthenticated, Code::Unimplemented].contains(&code), "{code:?}");
    }
    let without = server.log().len() - before;
    assert!(without < 4_096, "150 calls without a credential wrote {without} bytes:\n{}", &server.log()[before..]);
    for path in &paths {
        assert_eq!(refused(&mut client, path, Some(&key)).await, Code::Unimplemented);
    }
    let is_unknown = |line: &&str| line.contains("call.answered") && line.contains("\"service\":\"unknown\"");
    let until = Instant::now() + PATIENCE;
    while server.log().lines().filter(is_unknown).count() < paths.len() {
        assert!(Instant::now() < until, "each path has a line:\n{}", server.log());
        sleep(Duration::from_millis(20)).await;
    }
    let log = server.log();
    assert!(!log.contains("AnAnAn"), "{log}");
    assert!(log.contains("refused calls without a valid credential"), "{log}");
    server.stop().await;
}
