//! Services that call with a JWT of a configured issuer.

use std::path::Path;
use std::time::{Duration, Instant};

use invitation_service::pb;
use serde_json::json;
use tokio::time::timeout;
use tonic::metadata::MetadataValue;
use tonic::{Code, Request, Status};
use tonic_types::StatusExt as _;

use crate::support::database::{NEW_YEAR, TestDatabase};
use crate::support::expect::refused;
use crate::support::jwt::{self, JwksServer, Signer};
use crate::support::on_both;
use crate::support::service::Service;

/// New Year, in seconds.
const NOW: i64 = NEW_YEAR.micros() / 1_000_000;
const COMPANY: &str = "01920000-0000-7000-8000-000000000001";

on_both!(migrated: token_of_a_service_calls_as_its_subject, removed_key_ends_calls_and_streams_under_load);

fn create() -> pb::CreateConnectionInvitationRequest {
    let invitation = pb::ConnectionInvitation { company_id: COMPANY.to_owned(), ..Default::default() };
    pb::CreateConnectionInvitationRequest { connection_invitation: Some(invitation), ..Default::default() }
}

async fn caller(service: &Service, token: &str) -> Result<pb::Caller, Status> {
    service.access().get_caller(jwt::with(token, pb::GetCallerRequest {})).await.map(tonic::Response::into_inner)
}

/// The file of issuers with a file of keys beside it.
fn with_file(folder: &Path, keys: &str) -> std::path::PathBuf {
    std::fs::write(folder.join("keys.json"), keys).unwrap();
    jwt::issuers_file(folder, &format!("jwks_file = {:?}", folder.join("keys.json").display().to_string()))
}

async fn token_of_a_service_calls_as_its_subject(database: TestDatabase) {
    let (folder, signer) = (tempfile::tempdir().unwrap(), Signer::new("one"));
    let service = jwt::start(&database, &with_file(folder.path(), &jwt::jwks(&[&signer]))).await;
    let token = signer.token(NOW, "billing", json!({}));
    let found = caller(&service, &token).await.unwrap();
    assert_eq!((found.account.as_str(), found.name.as_str()), ("acme", "issuers/main/subjects/billing"));
    assert_eq!((found.auth_mode(), found.permissions.len()), (pb::AuthMode::Jwt, 3));
    let made = service.connections().create_connection_invitation(jwt::with(&token, create())).await.unwrap();
    assert_eq!(made.into_inner().creator, "issuers/main/subjects/billing");
    let reader = signer.token(NOW, "reader", json!({"scope": "events.read"}));
    let denied = service.connections().create_connection_invitation(jwt::with(&reader, create())).await;
    refused(denied, Code::PermissionDenied, "PERMISSION_DENIED");
    let foreign = signer.token(NOW, "billing", json!({"account": "other"}));
    let list = pb::ListConnectionInvitationsRequest::default();
    let seen = async |token: &str| {
        let listed = service.connections().list_connection_invitations(jwt::with(token, list.clone())).await.unwrap();
        listed.into_inner().connection_invitations.len()
    };
    assert_eq!((seen(&token).await, seen(&foreign).await), (1, 0));

    let bearer = |text: String| MetadataValue::try_from(text).unwrap();
    let mut wrong: Vec<Request<pb::GetCallerRequest>> = Vec::new();
    for (name, value) in [
        ("x-api-key", token.clone()),
        ("authorization", token.clone()),
        ("authorization", format!("Basic {token}")),
        ("authorization", format!("Bearer  {token}")),
        ("authorization", format!("Bearer {token}x")),
        ("authorization", format!("Bearer {}", Signer::new("one").token(NOW, "billing", json!({})))),
        ("authorization", format!("Bearer {}", signer.token(NOW, "billing", json!({"aud": "other"})))),
        ("authorization", format!("Bearer {}", signer.token(NOW - 700, "billing", json!({})))),
    ] {
        let mut request = Request::new(pb::GetCallerRequest {});
        request.metadata_mut().insert(name, bearer(value));
        wrong.push(request);
    }
    for more in ["authorization", "x-api-key"] {
        let mut request = jwt::with(&token, pb::GetCallerRequest {});
        request.metadata_mut().append(more, bearer(format!("Bearer {token}")));
        wrong.push(request);
    }
    for request in wrong {
        refused(service.access().get_caller(request).await, Code::Unauthenticated, "UNAUTHENTICATED");
    }
    service.stop().await;
}

async fn watch(service: &Service, token: &str) -> tonic::Streaming<pb::WatchEventsResponse> {
    let watched = service.events().watch_events(jwt::with(token, pb::WatchEventsRequest::default())).await;
    watched.unwrap().into_inner()
}

/// Waits until a stream is refused, and returns the code and the time it took.
async fn end_of(stream: &mut tonic::Streaming<pb::WatchEventsResponse>) -> (Code, Duration) {
    let began = Instant::now();
    loop {
        match timeout(Duration::from_secs(15), stream.message()).await.unwrap() {
            Ok(Some(_)) => {}
            Ok(None) => return (Code::Ok, began.elapsed()),
            Err(status) => return (status.code(), began.elapsed()),
        }
    }
}

async fn removed_key_ends_calls_and_streams_under_load(database: TestDatabase) {
    let (folder, old, new) = (tempfile::tempdir().unwrap(), Signer::new("old"), Signer::new("new"));
    let service = jwt::start(&database, &with_file(folder.path(), &jwt::jwks(&[&old]))).await;
    let tokens = [old.token(NOW, "billing", json!({})), new.token(NOW, "billing", json!({}))];
    let mut stream = watch(&service, &tokens[0]).await;
    let put = |signers: &[&Signer]| std::fs::write(folder.path().join("keys.json"), jwt::jwks(signers)).unwrap();
    let until = async |token: &str, code: Code| {
        let began = Instant::now();
        loop {
            match caller(&service, token).await {
                Ok(_) if code == Code::Ok => return,
                Err(status) if status.code() == code => return,
                answer => assert!(began.elapsed() < Duration::from_secs(10), "{answer:?}"),
            }
        }
    };
    assert_eq!(caller(&service, &tokens[1]).await.unwrap_err().code(), Code::Unauthenticated);
    put(&[&old, &new]);
    until(&tokens[1], Code::Ok).await;
    // Calls by both keys, each with a token of its own, while the file is written again and again.
    let load = async {
        for number in 0..200 {
            for signer in [&old, &new] {
                caller(&service, &signer.token(NOW, &format!("load-{number}"), json!({}))).await.unwrap();
            }
            let signers = if number % 2 == 0 { [&new, &old] } else { [&old, &new] };
            put(&signers);
        }
    };
    load.await;
    put(&[&new]);
    until(&tokens[0], Code::Unauthenticated).await;
    let (code, _) = end_of(&mut stream).await;
    assert_eq!(code, Code::Unauthenticated);
    // A file that cannot be used changes nothing.
    std::fs::write(folder.path().join("keys.json"), "{\"keys\":[]}").unwrap();
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    caller(&service, &tokens[1]).await.unwrap();
    refused(caller(&service, &tokens[0]).await, Code::Unauthenticated, "UNAUTHENTICATED");
    service.stop().await;
}

#[tokio::test(crate = "crate::support::limit")]
async fn stream_ends_when_its_token_does() {
    let (database, folder, signer) = (TestDatabase::sqlite(), tempfile::tempdir().unwrap(), Signer::new("one"));
    let service = jwt::start(&database, &with_file(folder.path(), &jwt::jwks(&[&signer]))).await;
    let mut stream = watch(&service, &signer.token(NOW, "billing", json!({}))).await;
    service.clock.advance(Duration::from_secs(629));
    timeout(Duration::from_secs(3), stream.message()).await.ok().map(Result::unwrap);
    service.clock.advance(Duration::from_secs(1));
    let (code, took) = end_of(&mut stream).await;
    assert_eq!(code, Code::Unauthenticated);
    assert!(took < Duration::from_secs(5), "{took:?}");
    service.stop().await;
}

#[tokio::test(crate = "crate::support::limit")]
async fn tokens_are_unavailable_until_their_issuer_answers() {
    let (database, folder, signer) = (TestDatabase::sqlite(), tempfile::tempdir().unwrap(), Signer::new("one"));
    let server = JwksServer::start().await;
    let issuers = jwt::issuers_file(folder.path(), &format!("jwks_url = {:?}", server.url));
    let service = jwt::start(&database, &issuers).await;
    let token = signer.token(NOW, "billing", json!({}));
    let status = refused(caller(&service, &token).await, Code::Unavailable, "UNAVAILABLE");
    assert!(status.get_details_retry_info().is_some());
    // A token that can be told to be wrong is not worth another try.
    refused(caller(&service, "a.b.c").await, Code::Unauthenticated, "UNAUTHENTICATED");
    let other = signer.token(NOW, "billing", json!({"iss": "https://other.example"}));
    refused(caller(&service, &other).await, Code::Unauthenticated, "UNAUTHENTICATED");
    server.set(&jwt::jwks(&[&signer]));
    let began = Instant::now();
    while caller(&service, &token).await.is_err() {
        assert!(began.elapsed() < Duration::from_secs(20), "the keys are not fetched");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // Tokens that name unknown keys make no request each.
    let requests = server.requests();
    for number in 0..100 {
        let kid: &'static str = Box::leak(format!("key-{number}").into_boxed_str());
        let unknown = Signer::new(kid).token(NOW, "billing", json!({}));
        assert_ne!(caller(&service, &unknown).await.unwrap_err().code(), Code::Ok);
    }
    caller(&service, &token).await.unwrap();
    assert!(server.requests() <= requests + 1, "{} after {requests}", server.requests());
    service.stop().await;
}

#[tokio::test(crate = "crate::support::limit")]
async fn changed_file_of_issuers_is_put_to_work() {
    let (database, folder, signer) = (TestDatabase::sqlite(), tempfile::tempdir().unwrap(), Signer::new("one"));
    let issuers = with_file(folder.path(), &jwt::jwks(&[&signer]));
    let service = jwt::start(&database, &issuers).await;
    let token = signer.token(NOW, "billing", json!({}));
    caller(&service, &token).await.unwrap();
    let before = std::fs::read_to_string(&issuers).unwrap();
    for (content, accepted) in [
        (before.replace("[\"invitation-service\"]", "[\"other\"]"), false),
        (before.clone(), true),
        (format!("{before}unknown = 1\n"), true),
    ] {
        std::fs::write(&issuers, content).unwrap();
        let began = Instant::now();
        while began.elapsed() < Duration::from_millis(1_500) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(caller(&service, &token).await.is_ok(), accepted);
    }
    service.stop().await;
}
