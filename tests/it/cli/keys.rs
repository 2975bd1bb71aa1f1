//! The output of `api-key` and `token-key` is valid input of `serve`.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::{Duration, Instant};

use invitation_service::auth::api_key::{format_hash, hash_api_key};
use invitation_service::pb;
use invitation_service::pb::access_service_client::AccessServiceClient;
use invitation_service::pb::event_service_client::EventServiceClient;
use serde_json::json;
use tokio::time::timeout;
use tonic::Code;

use super::load::COMPANY;
use super::server::{Server, printed, refusal, run};
use super::tools;
use crate::rpc::redemption::keys::with;
use crate::support::build::messages;
use crate::support::expect::refused;
use crate::support::folder::folder;
use crate::support::pace::paced;

const METHOD: &str = "ConnectionInvitationService/CreateConnectionInvitation";

/// The flags of a server that asks for the keys that [`api_key`] made.
pub(super) const WITH_KEYS: [&str; 4] = ["--auth-mode", "required", "--api-keys-file", "keys.toml"];

/// Makes a key as an operator does, appends its entry to the file, and returns the key.
pub(super) async fn api_key(folder: &Path, account: &str, permission: &str) -> String {
    let arguments = ["api-key", "entry", "--name", account, "--account", account, "--permission", permission];
    let text = printed(&run(folder, &arguments, &[]).await);
    let key = text.lines().find(|line| line.starts_with("ivk_")).unwrap().to_owned();
    let file = folder.join("keys.toml");
    let before = fs::read_to_string(&file).unwrap_or_default();
    fs::write(&file, before + &text[text.find("[[api_key]]").unwrap()..] + "\n").unwrap();
    key
}

#[tokio::test(crate = "crate::support::limit")]
async fn printed_api_key_is_let_in_and_nobody_else() {
    let folder = folder();
    let key = api_key(folder.path(), "acme", "*").await;
    let reader = api_key(folder.path(), "reader", "events.read").await;
    let server = Server::ready(folder.path(), &WITH_KEYS, &[]).await;
    refused(server.create().await.one().await, Code::Unauthenticated, "UNAUTHENTICATED");

    if tools::python() {
        let request = json!({"connection_invitation": {"company_id": COMPANY}});
        let call = async |header: String| tools::call(server.address, METHOD, &[&header], request.clone()).await;
        call(format!("x-api-key={key}")).await.unwrap();
        call(format!("authorization=Bearer {key}")).await.unwrap();
        for wrong in [format!("x-api-key={key}x"), format!("authorization=Basic {key}"), "x-api-key=ivk_".to_owned()] {
            assert_eq!(call(wrong).await.unwrap_err()["code"], "UNAUTHENTICATED");
        }
        let denied = call(format!("x-api-key={reader}")).await.unwrap_err();
        assert_eq!((&denied["code"], &denied["reason"]), (&json!("PERMISSION_DENIED"), &json!("PERMISSION_DENIED")));
        assert_eq!(denied["metadata"], json!({"permission": "connection_invitations.write"}));
    }
    if tools::grpcurl() {
        for header in [format!("x-api-key: {key}"), format!("authorization: Bearer {key}")] {
            let data = format!(r#"{{"connection_invitation": {{"company_id": "{COMPANY}"}}}}"#);
            let line = format!("-plaintext -H '{header}' -d '{data}' {} invitation.v1.{METHOD}", server.address);
            let output = tools::shell(&format!("grpcurl {line}")).await;
            assert!(output.status.success(), "{output:?}");
        }
    }
    server.stop().await;
}

#[tokio::test(crate = "crate::support::limit")]
async fn created_key_is_let_in_and_each_change_is_logged() {
    let folder = folder();
    let arguments = |name| ["api-key", "create", "--name", name, "--account", "acme", "--permission", "*"];
    let root = printed(&run(folder.path(), &arguments("root"), &[]).await).trim().to_owned();
    assert!(root.starts_with("ivk_") && root.len() == 53, "the key alone");
    let again = refusal(&run(folder.path(), &arguments("root"), &[]).await);
    assert!(again.contains("an API key root: choose another name"), "{again}");
    let bad = refusal(&run(folder.path(), &arguments("No Name"), &[]).await);
    assert!(bad.contains("name must be"), "{bad}");
    // Beside a file.
    let other = api_key(folder.path(), "other", "*").await;
    let server = Server::ready(folder.path(), &[&WITH_KEYS[..], &["--log-level", "trace"]].concat(), &[]).await;
    let running = refusal(&run(folder.path(), &arguments("late"), &[]).await);
    assert!(running.contains("is in use by another process"), "{running}");

    let mut access = AccessServiceClient::new(server.channel().await);
    let mut create = async |key: &str, id: &str| {
        let api_key = Some(pb::ApiKey { permissions: vec!["events.read".to_owned()], ..Default::default() });
        let create = pb::CreateApiKeyRequest { api_key_id: id.to_owned(), api_key, ..Default::default() };
        access.create_api_key(with(key, create)).await.unwrap().into_inner().key_string
    };
    let keys = [create(&root, "made").await, create(&other, "theirs").await];
    let name = "apiKeys/made".to_owned();
    let fewer =
        pb::ApiKey { name: name.clone(), permissions: vec!["deliveries.read".to_owned()], ..Default::default() };
    let update = pb::UpdateApiKeyRequest { api_key: Some(fewer), ..Default::default() };
    access.update_api_key(with(&root, update)).await.unwrap();
    for _ in 0..2 {
        let revoke = pb::RevokeApiKeyRequest { name: name.clone(), ..Default::default() };
        access.revoke_api_key(with(&root, revoke)).await.unwrap();
    }
    let last = server.logged("api_key.revoked").await;
    let last: serde_json::Value = serde_json::from_str(&last).unwrap();
    assert_eq!((&last["api_key"], &last["permissions"]), (&json!("apiKeys/made"), &json!("deliveries.read")), "{last}");
    assert_eq!((&last["account"], &last["caller"]), (&json!("acme"), &json!("apiKeys/root")), "{last}");
    let log = server.log();
    let audits = |event: &str| log.matches(&format!("\"event\":\"api_key.{event}\"")).count();
    assert_eq!(["created", "updated", "revoked"].map(audits), [2, 1, 1], "one line for each change");
    for key in keys.iter().chain([&root, &other]) {
        let hash = format_hash(&hash_api_key(key));
        assert!(!log.contains(&key[4..47]) && !log.contains(&hash[7..]), "a key, or its hash, is in the log");
    }
    server.stop().await;
}

#[tokio::test(crate = "crate::support::limit")]
async fn withdrawn_key_is_refused_without_a_restart() {
    let folder = folder();
    let kept = api_key(folder.path(), "acme", "*").await;
    let both = folder.path().join("keys.toml");
    let one = fs::read_to_string(&both).unwrap();
    let withdrawn = api_key(folder.path(), "reader", "*").await;
    // A link that is replaced, as Kubernetes mounts a Secret.
    let publish = |file: &Path| {
        symlink(file, folder.path().join("next")).unwrap();
        fs::rename(folder.path().join("next"), folder.path().join("mounted.toml")).unwrap();
    };
    publish(&both);
    let with_keys = ["--auth-mode", "required", "--api-keys-file", "mounted.toml"];
    let server = Server::ready(folder.path(), &with_keys, &[]).await;
    let mut client = EventServiceClient::new(server.channel().await);
    let watch = |key: &str| {
        let mut request = tonic::Request::new(pb::WatchEventsRequest::default());
        request.metadata_mut().insert("x-api-key", key.parse().unwrap());
        request
    };
    let mut stays = client.watch_events(watch(&kept)).await.unwrap().into_inner();
    let mut ends = client.watch_events(watch(&withdrawn)).await.unwrap().into_inner();

    let fewer = folder.path().join("fewer.toml");
    fs::write(&fewer, &one).unwrap();
    publish(&fewer);
    let began = Instant::now();
    let ended = messages::next_event(&mut ends).await.unwrap_err();
    assert_eq!(ended.code(), Code::Unauthenticated);
    assert!(began.elapsed() < paced(Duration::from_secs(10)), "{:?}", began.elapsed());
    refused(client.watch_events(watch(&withdrawn)).await, Code::Unauthenticated, "UNAUTHENTICATED");
    let told = server.logged("API keys were read again").await;
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    assert_eq!((&told["keys"], &told["withdrawn"]), (&json!(1), &json!(1)), "{told}");
    assert_eq!(told["fingerprint"].as_str().unwrap().len(), 16);

    // Nothing that is not a file of keys takes the place of one.
    let bad = folder.path().join("bad.toml");
    fs::write(&bad, "[[api_key]]\nname = \"ci\"\nhash = \"ivk_this_is_a_key\"\n").unwrap();
    publish(&bad);
    server.logged("a file that changed cannot be used").await;
    client.watch_events(watch(&kept)).await.unwrap();
    publish(&both);
    server.logged("\"withdrawn\":0").await;
    client.watch_events(watch(&withdrawn)).await.unwrap();
    assert_eq!(server.log().matches("a file that changed cannot be used").count(), 1);
    let log = server.log();
    assert!([&kept, &withdrawn, "ivk_this_is_a_key"].iter().all(|key| !log.contains(*key)), "{log}");
    while let Ok(checkpoint) = timeout(Duration::from_millis(10), stays.message()).await {
        checkpoint.unwrap().expect("the key that stayed keeps its stream");
    }
    server.stop().await;
}

#[tokio::test(crate = "crate::support::limit")]
async fn printed_token_keys_sign_and_old_links_survive_their_rotation() {
    let folder = folder();
    let make = async |id: &str| printed(&run(folder.path(), &["token-key", "--id", id], &[]).await).trim().to_owned();
    let (old, new) = (make("1").await, make("2").await);
    let with = async |keys: &str| Server::ready(folder.path(), &[], &[("INVITATION__TOKEN__KEYS", keys)]).await;

    let server = with(&old).await;
    let made = server.create().await.one().await.unwrap();
    server.stop().await;
    assert!(!folder.path().join("data/invitations.keys").exists(), "no key is made where one is given");

    let server = with(&format!("{new},{old}")).await;
    let mut redemptions = super::secrets::redemptions(&server).await;
    redemptions.preview_invitation(super::secrets::preview(&made.invitation_token)).await.unwrap();
    server.stop().await;

    let retired = run(folder.path(), &["retire-key", "--id", "1"], &[]).await;
    assert!(printed(&retired).contains("key 1 is retired"));
    let server = with(&new).await;
    let mut redemptions = super::secrets::redemptions(&server).await;
    let gone = redemptions.preview_invitation(super::secrets::preview(&made.invitation_token)).await;
    refused(gone, Code::NotFound, "INVITATION_NOT_FOUND");
    server.stop().await;
}
