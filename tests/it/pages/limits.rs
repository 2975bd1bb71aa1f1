//! The limits of one client, and the credential that the pages have.

use std::time::Duration;

use http::StatusCode;
use http::header::RETRY_AFTER;
use invitation_service::auth::api_key::{ApiKey, format_hash};
use invitation_service::entropy::Entropy;
use invitation_service::pb;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::person::{ANN, Person, of_ann, start, start_with};
use crate::rpc::redemption::keys;
use crate::support::build::messages;
use crate::support::database::TestDatabase;

#[tokio::test(flavor = "multi_thread", worker_threads = 2, crate = "crate::support::limit")]
async fn client_beyond_its_rate_waits_and_others_do_not() {
    let database = TestDatabase::sqlite();
    let more =
        [("INVITATION__PAGES__REQUESTS_PER_CLIENT", "3 per 1m"), ("INVITATION__PAGES__TRUSTED_PROXIES", "127.0.0.0/8")];
    let service = start_with(&database, &more).await;
    let mut ann = Person::of(&service).saying("x-forwarded-for", "203.0.113.7");
    for _ in 0..3 {
        assert_eq!(ann.get("/i").await.status, StatusCode::BAD_REQUEST);
    }
    let busy = ann.get("/i/inv_nothing").await;
    assert_eq!((busy.status, busy.header(RETRY_AFTER)), (StatusCode::TOO_MANY_REQUESTS, "21"));
    assert!(busy.body.contains("Wait 1 minute,"), "{}", busy.body);
    let mut spoofing = Person::of(&service).saying("x-forwarded-for", "198.51.100.1, 203.0.113.7");
    assert_eq!(spoofing.get("/i").await.status, StatusCode::TOO_MANY_REQUESTS);
    let mut bob = Person::of(&service).saying("x-forwarded-for", "203.0.113.8");
    assert_eq!(bob.get("/i").await.status, StatusCode::BAD_REQUEST);
    service.clock.advance(Duration::from_secs(20));
    assert_eq!(ann.get("/i").await.status, StatusCode::BAD_REQUEST);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2, crate = "crate::support::limit")]
async fn client_cannot_name_itself_without_a_trusted_proxy() {
    let database = TestDatabase::sqlite();
    let service = start_with(&database, &[("INVITATION__PAGES__REQUESTS_PER_CLIENT", "1 per 1m")]).await;
    let mut one = Person::of(&service).saying("x-forwarded-for", "203.0.113.7");
    assert_eq!(one.get("/i").await.status, StatusCode::BAD_REQUEST);
    let mut other = Person::of(&service).saying("x-forwarded-for", "203.0.113.8");
    assert_eq!(other.get("/i").await.status, StatusCode::TOO_MANY_REQUESTS);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2, crate = "crate::support::limit")]
async fn pages_call_with_the_permissions_of_their_key() {
    let database = TestDatabase::sqlite();
    let made: Vec<ApiKey> = (0..3).map(|_| ApiKey::generate(&Entropy::system())).collect();
    let entry = |(key, permission): (&ApiKey, &str)| {
        let hash = format_hash(&key.hash());
        format!(
            "[[api_key]]\nname = \"{permission}\"\nhash = \"{hash}\"\naccount = \"acme\"\npermissions = [\"{permission}\"]\n"
        )
    };
    let permissions = ["*", "invitations.redeem", "invitations.read"];
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys.toml");
    std::fs::write(&file, made.iter().zip(permissions).map(entry).collect::<String>()).unwrap();
    let auth = [("INVITATION__AUTH__MODE", "required"), ("INVITATION__AUTH__API_KEYS_FILE", file.to_str().unwrap())];
    for (key, status) in [
        (made[1].expose(), StatusCode::OK),
        (made[2].expose(), StatusCode::SERVICE_UNAVAILABLE),
        ("ivk_unknown", StatusCode::SERVICE_UNAVAILABLE),
    ] {
        // Failed look-ups of the key are few, and forged tokens use none of them up.
        let more = [("INVITATION__PAGES__API_KEY", key), ("INVITATION__LIMITS__FAILED_LOOKUPS_PER_KEY", "1 per 1d")];
        let service = start_with(&database, &[&auth[..], &more].concat()).await;
        let create = pb::CreateUserInvitationRequest {
            user_invitation: Some(of_ann()),
            on_conflict: pb::OnConflict::ReturnExisting.into(),
            ..Default::default()
        };
        let create = keys::with(made[0].expose(), create);
        let invitation = service.users().create_user_invitation(create).await.unwrap().into_inner();
        let mut ann = Person::of(&service);
        for _ in 0..5 {
            assert_eq!(ann.get("/i/inv_forged").await.status, StatusCode::NOT_FOUND);
        }
        let page = ann.open(&messages::mailed_token(&invitation.uid, 1)).await;
        assert_eq!(page.status, status, "{}", page.body);
        if status == StatusCode::OK {
            let done = ann.answer(&page, "/i/accept", &[]).await;
            let verify = pb::VerifyReceiptRequest { receipt: done.receipt() };
            let verify = keys::with(made[0].expose(), verify);
            let shown = service.redemptions().verify_receipt(verify).await.unwrap().into_inner();
            assert_eq!((shown.account.as_str(), shown.email.as_str()), ("acme", ANN));
            let get = pb::GetAcceptanceRequest { name: shown.acceptance };
            let get = keys::with(made[0].expose(), get);
            service.invitations().get_acceptance(get).await.unwrap();
        }
        service.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2, crate = "crate::support::limit")]
async fn silent_and_oversized_requests_end_soon() {
    let database = TestDatabase::sqlite();
    let service = start(&database).await;
    let address = service.pages.unwrap();
    let mut silent = TcpStream::connect(address).await.unwrap();
    silent.write_all(b"GET /i HTTP/1.1\r\nhost: x\r\n").await.unwrap();
    let mut large = TcpStream::connect(address).await.unwrap();
    let headers = format!("GET /i HTTP/1.1\r\nhost: x\r\nx-large: {}\r\n\r\n", "x".repeat(64 * 1024));
    // The answer may come before all of it is sent.
    drop(large.write_all(headers.as_bytes()).await);
    let mut answer = Vec::new();
    drop(large.read_to_end(&mut answer).await);
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
    let mut rest = Vec::new();
    let ended = tokio::time::timeout(Duration::from_secs(30), silent.read_to_end(&mut rest)).await;
    assert!(ended.is_ok(), "a client without headers has its connection for ever");
    // A form that never comes ends as well.
    let mut slow = TcpStream::connect(address).await.unwrap();
    let head = format!(
        "POST /i/accept HTTP/1.1\r\nhost: {address}\r\norigin: http://{address}\r\ncontent-type: application/x-www-form-urlencoded\r\n\
         content-length: 100\r\n\r\nvisit="
    );
    slow.write_all(head.as_bytes()).await.unwrap();
    let mut answer = vec![0; 64];
    let read = tokio::time::timeout(Duration::from_secs(30), slow.read(&mut answer)).await.unwrap().unwrap();
    assert!(answer[..read].starts_with(b"HTTP/1.1 408"), "{}", String::from_utf8_lossy(&answer));
    service.stop().await;
}
