//! Connections of HTTP/1.1 as clients write to them: kept alive, slow, broken off.

use std::time::{Duration, Instant};

use http::Method;
use invitation_service::clock::Clock;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::http::Client;
use crate::support::database::{NEW_YEAR, TestDatabase};
use crate::support::pace::paced;
use crate::support::service::{Service, configuration};

const PATIENCE: Duration = Duration::from_secs(20);

async fn connect(service: &Service) -> TcpStream {
    TcpStream::connect(service.address).await.unwrap()
}

fn request(body: &str) -> String {
    let length = body.len();
    format!(
        "POST /invitation.v1.InvitationService/ListInvitations HTTP/1.1\r\nhost: localhost\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    )
}

/// Reads until the connection is closed.
async fn rest(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("it is closed").ok();
    String::from_utf8(answer).unwrap()
}

/// Reads until a text has come.
async fn until(stream: &mut TcpStream, text: &str) -> String {
    let mut answer = Vec::new();
    while !String::from_utf8_lossy(&answer).contains(text) {
        let mut part = [0; 4_096];
        let read = timeout(PATIENCE, stream.read(&mut part)).await.expect("more comes").unwrap();
        assert!(read > 0, "{}", String::from_utf8_lossy(&answer));
        answer.extend_from_slice(&part[..read]);
    }
    String::from_utf8(answer).unwrap()
}

#[tokio::test(crate = "crate::support::limit")]
async fn requests_that_come_together_are_answered_in_their_order() {
    let database = TestDatabase::sqlite();
    let service = Service::start(&database).await;
    let mut stream = connect(&service).await;
    let closing = request("{}").replace("host: localhost", "host: localhost\r\nconnection: close");
    let all = [request("{}"), request("[]"), request(r#"{"pageSize": 1}"#), closing].concat();
    stream.write_all(all.as_bytes()).await.unwrap();
    let answers = rest(&mut stream).await;
    let codes: Vec<_> = answers.match_indices("HTTP/1.1 ").map(|(at, _)| &answers[at + 9..at + 12]).collect();
    assert_eq!(codes, ["200", "400", "200", "200"], "{answers}");
    service.stop().await;
}

#[tokio::test(crate = "crate::support::limit")]
async fn call_that_is_broken_off_or_slow_is_given_up() {
    let database = TestDatabase::sqlite();
    let patient = [("INVITATION__GRPC__REQUEST_TIMEOUT", "1s"), ("INVITATION__STORE__TIMEOUT", "900ms")];
    let service = Service::start_with(configuration(&database, &patient), Clock::manual(NEW_YEAR)).await;
    let begun = request("{}").trim_end_matches("{}").to_owned();
    let mut slow = connect(&service).await;
    slow.write_all(begun.as_bytes()).await.unwrap();
    let began = Instant::now();
    let answer = rest(&mut slow).await;
    assert!(answer.starts_with("HTTP/1.1 504 ") && answer.contains("deadline_exceeded"), "{answer}");
    assert!(began.elapsed() < paced(Duration::from_secs(4)), "{:?}", began.elapsed());

    let mut broken = connect(&service).await;
    broken.write_all(begun.as_bytes()).await.unwrap();
    broken.write_all(b"{").await.unwrap();
    broken.shutdown().await.unwrap();
    rest(&mut broken).await;

    let mut next = connect(&service).await;
    next.write_all(request("{}").as_bytes()).await.unwrap();
    assert!(until(&mut next, "{}").await.starts_with("HTTP/1.1 200 "));
    service.stop().await;
}

#[tokio::test(crate = "crate::support::limit")]
async fn headers_beyond_their_limit_are_refused() {
    let database = TestDatabase::sqlite();
    let service = Service::start(&database).await;
    for (name, many) in [("one", format!("x-one: {}\r\n", "a".repeat(40_000))), ("many", "x: y\r\n".repeat(200))] {
        let mut stream = connect(&service).await;
        let large = request("{}").replace("host: localhost\r\n", &format!("host: localhost\r\n{many}"));
        stream.write_all(large.as_bytes()).await.ok();
        let answer = rest(&mut stream).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431 "), "{name}: {answer}");
    }
    let mut other = connect(&service).await;
    other.write_all(b"HELO nobody\r\n\r\n").await.unwrap();
    assert!(rest(&mut other).await.starts_with("HTTP/1.1 400 "));
    service.stop().await;
}

#[tokio::test(crate = "crate::support::limit")]
async fn silent_connection_is_closed_as_any_other() {
    let database = TestDatabase::sqlite();
    let service = Service::start(&database).await;
    let (mut silent, mut slow, mut undecided) =
        (connect(&service).await, connect(&service).await, connect(&service).await);
    slow.write_all(b"POST / HTTP/1.1\r\nhost: local").await.unwrap();
    undecided.write_all(b"PRI * HTTP/2.0\r\n").await.unwrap();
    let began = Instant::now();
    tokio::join!(rest(&mut silent), rest(&mut slow), rest(&mut undecided));
    assert!(
        (Duration::from_secs(9)..paced(Duration::from_secs(18))).contains(&began.elapsed()),
        "{:?}",
        began.elapsed()
    );
    service.stop().await;
}

#[tokio::test(crate = "crate::support::limit")]
async fn old_connection_is_told_to_close_with_its_last_answer() {
    let database = TestDatabase::sqlite();
    let old = [("INVITATION__GRPC__MAX_CONNECTION_AGE", "1s")];
    let service = Service::start_with(configuration(&database, &old), Clock::manual(NEW_YEAR)).await;
    let mut stream = connect(&service).await;
    stream.write_all(request("{}").as_bytes()).await.unwrap();
    assert!(!until(&mut stream, "{}").await.contains("connection: close"));
    assert_eq!(rest(&mut stream).await, "", "it has no call under way");
    let mut busy = connect(&service).await;
    let begun = request("{}").trim_end_matches("{}").to_owned();
    busy.write_all(begun.as_bytes()).await.unwrap();
    sleep(Duration::from_millis(1_500)).await;
    busy.write_all(b"{}").await.unwrap();
    let answer = rest(&mut busy).await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("connection: close"), "{answer}");
    service.stop().await;
}

#[tokio::test(crate = "crate::support::limit")]
async fn grpc_needs_http_2() {
    let database = TestDatabase::sqlite();
    let service = Service::start(&database).await;
    let headers = [("content-type", "application/grpc"), ("te", "trailers")];
    let path = "/invitation.v1.InvitationService/ListInvitations";
    let answer = Client::http_1(&service).send(Method::POST, path, &headers, vec![0; 5]).await;
    assert_eq!(answer.status, 505, "{answer:?}");
    service.stop().await;
}
