//! Notifications between replicas that share a database.

use std::time::Duration;

use invitation_service::domain::command::CreateInvitation;
use invitation_service::domain::group::Group;
use invitation_service::store::events::listener;
use invitation_service::store::{Store, Topic};
use sea_orm::{ConnectionTrait, DatabaseConnection};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::support::build::commands::*;
use crate::support::database::TestDatabase;

const PATIENCE: Duration = Duration::from_secs(20);

async fn heard(receiver: &mut watch::Receiver<()>) {
    timeout(PATIENCE, receiver.changed()).await.expect("it is told").unwrap();
}

/// Waits until a store listens: then it tells all topics, since it may have missed some.
async fn listening(store: &Store, stop: &CancellationToken) {
    let mut told = store.notifications().subscribe(Topic::Webhook);
    tokio::spawn(listener::run(store.clone(), stop.clone()));
    heard(&mut told).await;
}

async fn cut(admin: &DatabaseConnection) {
    let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND query LIKE 'LISTEN%'";
    assert_eq!(admin.execute_unprepared(sql).await.unwrap().rows_affected(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2, crate = "crate::support::limit")]
async fn commit_of_one_store_notifies_the_other_once() {
    let Some(database) = TestDatabase::postgres().await else { return };
    let (one, clock) = store(&database).await;
    let other = store_with(&database, &clock, &options(Group::run)).await;
    let stop = CancellationToken::new();
    listening(&one, &stop).await;
    listening(&other, &stop).await;

    let mailed = || CreateInvitation { recipients: emails(1), mails: true, ..link() };
    let mut there = other.notifications().subscribe(Topic::Outbox);
    let numbered_here = other.notifications().subscribe(Topic::Event);
    created(&one, mailed()).await;
    heard(&mut there).await;
    assert!(!numbered_here.has_changed().unwrap(), "whoever has committed events numbers them");

    // Were it passed on, each would hear of it for ever. A signal of another topic comes behind all that was sent.
    let (mut here, outbox) =
        (one.notifications().subscribe(Topic::Position), one.notifications().subscribe(Topic::Outbox));
    let mut position = other.notifications().subscribe(Topic::Position);
    one.notifications().notify(Topic::Outbox);
    for _ in 0..3 {
        here.mark_unchanged();
        other.notifications().notify(Topic::Position);
        heard(&mut here).await;
        position.mark_unchanged();
        one.notifications().notify(Topic::Position);
        heard(&mut position).await;
    }
    let mut outbox_again = outbox.clone();
    assert!(outbox.has_changed().unwrap());
    outbox_again.mark_unchanged();
    here.mark_unchanged();
    other.notifications().notify(Topic::Position);
    heard(&mut here).await;
    assert!(!outbox_again.has_changed().unwrap(), "nobody has told it back");

    // Whoever was not connected may have missed anything.
    let mut anything = other.notifications().subscribe(Topic::Webhook);
    let admin = database.connect().await;
    cut(&admin).await;
    heard(&mut anything).await;
    there.mark_unchanged();
    created(&one, mailed()).await;
    heard(&mut there).await;
    stop.cancel();
}
