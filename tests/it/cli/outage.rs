//! PostgreSQL that is not there: before the start, and in the middle of the work. With the time limits of the defaults.

use std::time::{Duration, Instant};

use invitation_service::pb::health::health_check_response::ServingStatus;
use tempfile::TempDir;
use tonic::Code;

use super::load::{Load, kept};
use super::server::{BY_NAME, Server, printed, run};
use crate::support::expect::refused;
use crate::support::folder::folder;
use crate::support::pace::paced;
use crate::support::postgres::{Cluster, start_private};
use crate::support::service::KEYS;

/// The longest wait of a caller while the database is away.
const ANSWERED: Duration = Duration::from_secs(2);
/// The longest time until the database's return is noticed.
const BACK: Duration = Duration::from_secs(5);

/// Makes a database with the schema at its head on a cluster of its own.
async fn database(folder: &TempDir, cluster: &Cluster) -> String {
    let url = cluster.database().await;
    let environment = [("INVITATION__STORE__URL", url.as_str()), ("INVITATION__TOKEN__KEYS", KEYS)];
    printed(&run(folder.path(), &["migrate"], &environment).await);
    url
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2, crate = "crate::support::limit")]
async fn start_without_the_database_waits_and_answers_meanwhile() {
    let Some(cluster) = start_private() else { return };
    let folder = folder();
    let url = database(&folder, &cluster).await;
    cluster.stop();
    let environment = [("INVITATION__STORE__URL", url.as_str()), ("INVITATION__TOKEN__KEYS", KEYS)];
    let server = Server::start(folder.path(), &[], &environment).await;
    server.logged("not ready").await;
    assert_eq!(server.health("").await, ServingStatus::Serving, "alive");
    assert_eq!(server.health(BY_NAME).await, ServingStatus::NotServing);
    let mut create = server.create().await;
    for _ in 0..2 {
        let asked = Instant::now();
        refused(create.one().await, Code::Unavailable, "UNAVAILABLE");
        assert!(asked.elapsed() < paced(ANSWERED), "{:?}", asked.elapsed());
    }
    cluster.start();
    let returned = Instant::now();
    server.until(ServingStatus::Serving).await;
    assert!(returned.elapsed() < paced(BACK), "{:?}", returned.elapsed());
    create.one().await.unwrap();
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2, crate = "crate::support::limit")]
async fn outage_under_load_is_answered_in_time_and_loses_nothing() {
    let Some(cluster) = start_private() else { return };
    let folder = folder();
    let url = database(&folder, &cluster).await;
    let environment = [("INVITATION__STORE__URL", url.as_str()), ("INVITATION__TOKEN__KEYS", KEYS)];
    let server = Server::ready(folder.path(), &[], &environment).await;
    let mut load = Load::start(&server, 32).await;
    load.go_on_for(300).await;
    cluster.stop_hard();
    server.until(ServingStatus::NotServing).await;
    assert_eq!(server.health("").await, ServingStatus::Serving, "an outage of the database restarts nothing");
    load.until_refused().await;
    cluster.start();
    let returned = Instant::now();
    server.until(ServingStatus::Serving).await;
    assert!(returned.elapsed() < paced(BACK), "{:?}", returned.elapsed());
    load.go_on_for(100).await;
    let book = load.stop().await;
    book.only_unavailable();
    assert!(book.longest < paced(ANSWERED), "somebody waited {:?}", book.longest);
    book.none_lost(&kept(&server).await);
    server.stop().await;
}
