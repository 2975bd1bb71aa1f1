//! SIGTERM, whatever clients are doing at that moment.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::load::{Load, kept};
use super::server::{BY_NAME, Server, refusal, run};

/// What an end without anything to wait for may take.
const AT_ONCE: Duration = Duration::from_secs(1);

/// Far longer than any test waits: only a second signal ends this.
const LONG_DRAIN: [(&str, &str); 2] =
    [("INVITATION__GRPC__DRAIN_DELAY", "120s"), ("INVITATION__GRPC__DRAIN_TIMEOUT", "120s")];

/// Sends a signal, waits for an orderly end, and returns how long that took.
async fn end(mut server: Server, signal: &str) -> Duration {
    let told = Instant::now();
    server.signal(signal).await;
    let status = server.ended().await;
    let took = told.elapsed();
    assert_eq!(status.code(), Some(0), "{}", server.log());
    took
}

#[tokio::test(crate = "crate::harness::limit")]
async fn an_idle_service_ends_at_once_on_either_signal() {
    let folder = TempDir::new().unwrap();
    for signal in ["TERM", "INT"] {
        let server = Server::ready(folder.path(), &[], &[]).await;
        let idle = server.channel().await;
        let took = end(server, signal).await;
        assert!(took < AT_ONCE, "{took:?} after {signal}");
        drop(idle);
    }
}

#[tokio::test(crate = "crate::harness::limit")]
async fn an_open_watch_and_a_silent_client_do_not_hold_it_up() {
    let folder = TempDir::new().unwrap();
    let server = Server::ready(folder.path(), &[], &[]).await;
    let silent = TcpStream::connect(server.address).unwrap();
    let request = HealthCheckRequest { service: BY_NAME.to_owned() };
    let mut watch = HealthClient::new(server.channel().await).watch(request).await.unwrap().into_inner();
    assert_eq!(watch.message().await.unwrap().unwrap().status(), ServingStatus::Serving);
    let took = end(server, "TERM").await;
    assert!(took < AT_ONCE, "{took:?}");
    let told = watch.message().await.unwrap().unwrap();
    assert_eq!(told.status(), ServingStatus::NotServing, "whoever watches is told first");
    drop(silent);
}

#[tokio::test(crate = "crate::harness::limit")]
async fn while_it_drains_it_serves_but_says_that_it_is_going() {
    let folder = TempDir::new().unwrap();
    let mut server = Server::ready(folder.path(), &[], &LONG_DRAIN).await;
    server.signal("TERM").await;
    server.until(ServingStatus::NotServing).await;
    assert_eq!(server.health("").await, ServingStatus::Serving, "it is alive");
    server.create().await.one().await.unwrap();
    let told = Instant::now();
    server.signal("TERM").await;
    assert_eq!(server.ended().await.code(), Some(0));
    assert!(told.elapsed() < AT_ONCE, "the second signal took {:?}", told.elapsed());
    let endpoint = format!("http://{}", server.address);
    refusal(&run(folder.path(), &["health", "--endpoint", &endpoint], &[]).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2, crate = "crate::harness::limit")]
async fn under_load_every_call_is_answered_or_told_to_try_again_and_nothing_is_lost() {
    let folder = TempDir::new().unwrap();
    let mut server = Server::ready(folder.path(), &[], &[]).await;
    let mut load = Load::start(&server, 64).await;
    load.go_on_for(500).await;
    let told = Instant::now();
    server.signal("TERM").await;
    assert_eq!(server.ended().await.code(), Some(0));
    assert!(told.elapsed() < Duration::from_secs(3), "{:?}", told.elapsed());
    server.logged("\"message\":\"ended\"").await;
    let answered = server.log().lines().filter(|line| line.contains("\"answered\"")).count();
    let book = load.stop().await;
    book.only_unavailable();
    assert_eq!(book.acknowledged.len(), answered, "every answer reached its caller");

    let server = Server::ready(folder.path(), &[], &[]).await;
    book.none_lost(&kept(&server).await);
    server.stop().await;
}
