//! kill -9 in the middle of the work.

use std::time::{Duration, Instant};

use super::load::{Load, kept};
use super::server::Server;
use crate::harness::database::TestDatabase;
use crate::harness::folder::folder;
use crate::harness::on_both;
use crate::harness::service::KEYS;

on_both!(migrated: what_was_acknowledged_outlives_a_kill);

async fn what_was_acknowledged_outlives_a_kill(database: TestDatabase) {
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
        assert!(took < Duration::from_secs(2), "ready only {took:?} after kill number {round}");
        let kept = kept(&server).await;
        book.none_lost(&kept);
        acknowledged.extend(book.acknowledged);
        assert!(acknowledged.iter().all(|name| kept.contains(name)), "what outlived one kill outlives the next");
    }
    server.stop().await;
}
