//! The state that outlives the process on SQLite: links, requests that were made already, and the key that only its owner may read.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::secrets::{preview, redemptions};
use super::server::Server;
use crate::support::folder::folder;

#[tokio::test(crate = "crate::support::limit")]
async fn links_and_request_ids_outlive_the_process() {
    let folder = folder();
    let server = Server::ready(folder.path(), &[], &[]).await;
    let made = server.create().await.with_request_id("order-1").await.unwrap();
    server.stop().await;

    let server = Server::ready(folder.path(), &[], &[]).await;
    let again = server.create().await.with_request_id("order-1").await.unwrap();
    assert_eq!((&again.name, &again.invitation_token), (&made.name, &made.invitation_token));
    redemptions(&server).await.preview_invitation(preview(&made.invitation_token)).await.unwrap();
    server.stop().await;
}

#[tokio::test(crate = "crate::support::limit")]
async fn generated_key_is_for_its_owner_only_and_never_replaced() {
    let folder = folder();
    let key = folder.path().join("data/invitations.keys");
    Server::ready(folder.path(), &[], &[]).await.stop().await;
    let first = fs::read_to_string(&key).unwrap();
    assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    Server::ready(folder.path(), &[], &[]).await.stop().await;
    assert_eq!(fs::read_to_string(&key).unwrap(), first);
}

#[tokio::test(crate = "crate::support::limit")]
async fn orderly_stop_leaves_everything_in_one_file() {
    let folder = folder();
    let server = Server::ready(folder.path(), &[], &[]).await;
    server.create().await.one().await.unwrap();
    server.stop().await;
    let log = folder.path().join("data/invitations.db-wal");
    assert!(!log.exists() || fs::metadata(&log).unwrap().len() == 0, "a copy of the file alone would lack something");
}
