//! kill -9 in the middle of the work.

use std::time::{Duration, Instant};

use super::load::{Load, kept};
use super::server::{Server, command};
use crate::support::database::TestDatabase;
use crate::support::folder::folder;
use crate::support::on_both;
use crate::support::pace::paced;
use crate::support::service::KEYS;

on_both!(migrated: acknowledged_write_outlives_a_kill);

async fn acknowledged_write_outlives_a_kill(database: TestDatabase) {
    let folder = folder();
    let environment = [
        ("INVITATION__STORE__URL", database.url()),
        ("INVITATION__TOKEN__KEYS", KEYS),
        ("INVITATION__STORE__MIGRATE_ON_START", "true"),
    ];
    let mut server = Server::ready(folder.path(), &[], &environment).await;
    let mut acknowledged = Vec::new();
    for round in 0..2 {
        let mut load = Load::start(&server, 32).await;
        load.go_on_for(300).await;
        server.kill().await;
        let book = load.stop().await;

        let started = Instant::now();
        server = Server::ready(folder.path(), &[], &environment).await;
        let took = started.elapsed();
        assert!(took < paced(Duration::from_secs(2)), "ready only {took:?} after kill number {round}");
        let kept = kept(&server).await;
        book.none_lost(&kept);
        acknowledged.extend(book.acknowledged);
        assert!(acknowledged.iter().all(|name| kept.contains(name)), "what outlived one kill outlives the next");
    }
    server.stop().await;
}

/// The schema is migrated within the first moments, and the moments of these kills spread over them.
#[tokio::test(crate = "crate::support::limit")]
async fn first_start_on_sqlite_outlives_kills_at_any_moment() {
    let folder = folder();
    for attempt in 0..12_u64 {
        let mut child = command(folder.path(), &["serve", "--listen", "127.0.0.1:0"], &[]).spawn().unwrap();
        tokio::time::sleep(Duration::from_millis(10 + attempt * 7)).await;
        child.kill().await.unwrap();
    }
    let server = Server::ready(folder.path(), &[], &[]).await;
    server.create().await.one().await.unwrap();
    server.stop().await;
}
