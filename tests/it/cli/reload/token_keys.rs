//! Token keys that change while the service runs.

use std::net::SocketAddr;
use std::time::Duration;

use invitation_service::domain::secret::key_ring::KeyRing;
use invitation_service::pb::health::health_check_response::ServingStatus;
use tokio::time::{Instant, sleep};
use tonic::Code;

use super::{file, publish, until_logged};
use crate::cli::admin;
use crate::cli::secrets::{preview, redemptions};
use crate::cli::server::{BY_NAME, PATIENCE, Server, printed, run};
use crate::support::database::TestDatabase;
use crate::support::folder::folder;
use crate::support::network::Network;
use crate::support::on_both;

on_both!(keys_are_rotated_without_a_restart, ring_that_does_not_fit_is_refused_and_the_one_before_stays,);

const REFUSED: &str = "a file that changed cannot be used";

fn key(id: u8) -> String {
    KeyRing::format_key(id, [id; 32])
}

fn ring(ids: &[u8]) -> String {
    ids.iter().map(|id| key(*id)).collect::<Vec<_>>().join(",") + "\n"
}

/// Migrates a database and starts a service with the keys of a file.
async fn start(database: &TestDatabase, folder: &std::path::Path, path: &str) -> Server {
    let environment = [("INVITATION__STORE__URL", database.url()), ("INVITATION__TOKEN__KEYS_FILE", path)];
    printed(&run(folder, &["migrate"], &environment).await);
    Server::ready(folder, &[], &environment).await
}

/// Creates an invitation, and returns its link's token and the id of the key that it was signed by.
async fn token(server: &Server) -> (String, u8) {
    let token = server.create().await.one().await.unwrap().invitation_token;
    let bytes = data_encoding::BASE64URL_NOPAD.decode(&token.as_bytes()["inv_".len()..]).unwrap();
    (token, bytes[KEY_ID])
}

/// The place of the key's id in a token.
const KEY_ID: usize = 1;

async fn is_verified(server: &Server, token: &str) -> bool {
    match redemptions(server).await.preview_invitation(preview(token)).await {
        Ok(_) => true,
        Err(status) if status.code() == Code::NotFound => false,
        Err(status) => panic!("{status}"),
    }
}

async fn keys_are_rotated_without_a_restart(database: TestDatabase) {
    let folder = folder();
    let (path, text) = file(folder.path(), "token-keys", &ring(&[1]));
    let server = start(&database, folder.path(), &text).await;
    let (first, signed_by) = token(&server).await;
    assert_eq!(signed_by, 1);
    publish(&path, &ring(&[1, 2]));
    let line = server.logged("token keys were read again").await;
    let fingerprint = KeyRing::parse(&key(2)).unwrap().fingerprints().remove(0).text;
    let added = format!("\"added\":\"2:{fingerprint}\"");
    assert!(line.contains(&added) && line.contains("token-keys") && line.contains("\"signing\":1"), "{line}");
    assert_eq!(token(&server).await.1, 1);
    publish(&path, &ring(&[2, 1]));
    until_logged(&server, "\"signing\":2", 1).await;
    let (second, signed_by) = token(&server).await;
    assert_eq!(signed_by, 2);
    assert!(is_verified(&server, &first).await && is_verified(&server, &second).await);
    let log = server.log();
    for id in [1, 2] {
        assert!(!log.contains(key(id).split_once(':').unwrap().1), "{log}");
    }
    assert_eq!(server.health(BY_NAME).await, ServingStatus::Serving);
    server.stop().await;
}

async fn ring_that_does_not_fit_is_refused_and_the_one_before_stays(database: TestDatabase) {
    let folder = folder();
    let (path, text) = file(folder.path(), "token-keys", &ring(&[1]));
    let environment = [("INVITATION__STORE__URL", database.url()), ("INVITATION__TOKEN__KEYS_FILE", text.as_str())];
    printed(&run(folder.path(), &["migrate"], &environment).await);
    let (server, admin) = admin::start(folder.path(), &environment).await;
    server.until(ServingStatus::Serving).await;
    until_metrics(admin, (1.0, 1.0, 0.0)).await;
    let (first, _) = token(&server).await;
    let other = KeyRing::format_key(1, [9; 32]);
    for (number, (text, part)) in [
        (ring(&[2]), "is missing and still in use"),
        (other.clone(), "has the fingerprint"),
        ("1:short".to_owned(), "key number 1"),
        (String::new(), "at least one key"),
    ]
    .into_iter()
    .enumerate()
    {
        publish(&path, &text);
        let lines = until_logged(&server, REFUSED, number + 1).await;
        assert!(lines[number].contains(part) && lines[number].contains("token-keys"), "{}", lines[number]);
        assert!(lines[number].contains("\"setting\":\"token.keys_file\""), "{}", lines[number]);
        until_metrics(admin, (0.0, 1.0, f64::from(u32::try_from(number).unwrap()) + 1.0)).await;
        assert!(!server.log().contains(other.split_once(':').unwrap().1));
        assert!(is_verified(&server, &first).await);
        assert_eq!(token(&server).await.1, 1);
    }
    sleep(Duration::from_secs(2)).await;
    assert_eq!(until_logged(&server, REFUSED, 4).await.len(), 4, "each problem is logged once");
    publish(&path, &ring(&[1, 2]));
    server.logged("token keys were read again").await;
    until_metrics(admin, (1.0, 2.0, 4.0)).await;
    assert_eq!(server.health(BY_NAME).await, ServingStatus::Serving);
    server.stop().await;
}

/// Waits for what metrics say of the file: whether it is usable, and how often it was read and refused.
async fn until_metrics(admin: SocketAddr, wanted: (f64, f64, f64)) {
    let until = Instant::now() + PATIENCE;
    loop {
        let text = admin::request_text(admin, "GET /metrics").await;
        let value = |sample: &str| -> Option<f64> {
            text.lines().find_map(|line| line.strip_prefix(sample))?.trim().parse().ok()
        };
        let reloads =
            |result| value(&format!("invitation_reloads_total{{file=\"token.keys_file\",result=\"{result}\"}}"));
        let found = (value("invitation_file_usable{file=\"token.keys_file\"}"), reloads("read"), reloads("failed"));
        if found == (Some(wanted.0), Some(wanted.1), Some(wanted.2)) {
            return;
        }
        assert!(Instant::now() < until, "{wanted:?} {found:?}:\n{text}");
        sleep(Duration::from_millis(50)).await;
    }
}

/// A link that another replica cannot verify would not exist there, and a replica that lacks a key that signs is not ready.
#[tokio::test(crate = "crate::support::limit")]
async fn new_first_key_signs_only_once_other_replicas_can_know_it() {
    let Some(database) = TestDatabase::postgres().await else { return };
    let folder = folder();
    let (path, text) = file(folder.path(), "token-keys", &ring(&[1]));
    let (_, other_text) = file(folder.path(), "other-keys", &ring(&[1]));
    let changed = start(&database, folder.path(), &text).await;
    let late = start(&database, folder.path(), &other_text).await;
    publish(&path, &ring(&[2, 1]));
    let line = changed.logged("the new first key verifies now").await;
    assert!(line.contains("\"signing\":1") && line.contains("\"signs_in_s\":120"), "{line}");
    // The file is the same: whoever asks for a look does not make it sign earlier.
    changed.signal("HUP").await;
    sleep(Duration::from_secs(3)).await;
    let (made, signed_by) = token(&changed).await;
    assert_eq!(signed_by, 1);
    assert!(is_verified(&late, &made).await);
    assert_eq!(late.health(BY_NAME).await, ServingStatus::Serving);
    for server in [changed, late] {
        server.stop().await;
    }
}

#[tokio::test(crate = "crate::support::limit")]
async fn ring_that_did_not_fit_at_a_late_start_can_be_mended() {
    let Some(database) = TestDatabase::postgres().await else { return };
    let folder = folder();
    let (path, text) = file(folder.path(), "token-keys", &KeyRing::format_key(1, [9; 32]));
    // Of two that find an empty database, either may be the first to note its key.
    let network = Network::to(database.url()).await;
    network.silence();
    let environment = [("INVITATION__STORE__URL", network.url()), ("INVITATION__TOKEN__KEYS_FILE", text.as_str())];
    let late = Server::start(folder.path(), &[], &environment).await;
    late.logged("not ready").await;
    let (_, right) = file(folder.path(), "right-keys", &ring(&[1]));
    let first = start(&database, folder.path(), &right).await;
    network.heal();
    late.logged("has the fingerprint").await;
    publish(&path, &ring(&[1]));
    late.until(ServingStatus::Serving).await;
    assert_eq!(token(&late).await.1, 1);
    for server in [late, first] {
        server.stop().await;
    }
}
