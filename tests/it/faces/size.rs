//! The sizes of requests and answers, and their compression.

use std::convert::Infallible;
use std::io::{Read as _, Write as _};

use bytes::Bytes;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use futures_util::stream;
use http_body::Frame;
use http_body_util::StreamBody;
use serde_json::json;

use super::http::{Client, JSON, PROTO};
use crate::support::build::{generals, messages};
use crate::support::database::TestDatabase;
use crate::support::service::Service;

const MIB: usize = 1024 * 1024;
const LIST: &str = "InvitationService/ListInvitations";
const GZIP: (&str, &str) = ("content-encoding", "gzip");

/// A body whose length its sender does not tell.
fn of_unknown_length(body: Vec<u8>) -> reqwest::Body {
    let part = |part: &[u8]| Ok::<_, Infallible>(Frame::data(Bytes::copy_from_slice(part)));
    let parts: Vec<_> = body.chunks(10_000).map(part).collect();
    reqwest::Body::wrap(StreamBody::new(stream::iter(parts)))
}

fn zipped(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

fn padded(size: usize) -> Vec<u8> {
    let mut body = b"{}".to_vec();
    body.resize(size, b' ');
    body
}

#[tokio::test(crate = "crate::support::limit")]
async fn request_beyond_the_limit_is_refused_however_it_comes() {
    let database = TestDatabase::sqlite();
    let service = Service::start(&database).await;
    for client in Client::both(&service) {
        for (size, status) in [(100, 200), (20_000, 200), (MIB, 200), (MIB + 10, 429)] {
            let sent = client.call(LIST, &[JSON], padded(size)).await;
            let streamed = client.call(LIST, &[JSON], of_unknown_length(padded(size))).await;
            let compressed = client.call(LIST, &[JSON, GZIP], zipped(&padded(size))).await;
            for answer in [sent, streamed, compressed] {
                assert_eq!(answer.status, status, "{size}: {answer:?}");
                if status == 429 {
                    assert_eq!(answer.error().2, "MESSAGE_TOO_LARGE");
                }
            }
        }
        let values = format!(r#"{{"filter": {{"names": [{}""]}}}}"#, "\"\",".repeat(50_000));
        assert_eq!(client.call(LIST, &[JSON], values).await.error().2, "MESSAGE_TOO_LARGE");
        let binary = client.call(LIST, &[PROTO], of_unknown_length([0xe0, 0x07, 0x01].repeat(10))).await;
        assert_eq!(binary.error().2, "UNKNOWN_FIELD", "a message of unknown length is read to its end");
        let empty = client.call(LIST, &[PROTO], of_unknown_length(Vec::new())).await;
        assert_eq!(empty.status, 200);
        let zipped_binary = client.call(LIST, &[PROTO, GZIP], zipped(&[])).await;
        assert_eq!(zipped_binary.status, 200, "{zipped_binary:?}");
    }
    service.stop().await;
}

#[tokio::test(crate = "crate::support::limit")]
async fn large_answer_is_compressed_for_clients_that_take_it() {
    let database = TestDatabase::sqlite();
    let service = Service::start(&database).await;
    for team in 0..30 {
        let message = "x".repeat(900);
        let invitation = generals::into(&team.to_string(), &[]);
        generals::create(&service, invitation_service::pb::Invitation { message, ..invitation }).await;
    }
    let takes = ("accept-encoding", "br, gzip");
    for client in Client::both(&service) {
        for form in [JSON, PROTO] {
            let request = if form == JSON { "{}" } else { "" };
            let plain = client.call(LIST, &[form], request).await;
            let small = client.call(LIST, &[form, takes], request).await;
            assert!(!plain.headers.contains_key("content-encoding") && small.header("content-encoding") == "gzip");
            let mut body = Vec::new();
            GzDecoder::new(&small.body[..]).read_to_end(&mut body).unwrap();
            assert!(body == plain.body && small.body.len() < body.len() / 3, "{}", small.body.len());
        }
        let error = client.call(LIST, &[JSON, takes], "no").await;
        assert_eq!((error.status, error.header("content-encoding")), (400, ""));
    }
    service.stop().await;
}

#[tokio::test(crate = "crate::support::limit")]
async fn page_of_a_mebibyte_is_answered_in_json() {
    let database = TestDatabase::sqlite();
    let service = Service::start(&database).await;
    let allowed: Vec<String> =
        (0..1_000).map(|at| format!("{}{at}@{}.example.org", "a".repeat(50), "b".repeat(50))).collect();
    let allowed: Vec<&str> = allowed.iter().map(String::as_str).collect();
    for _ in 0..10 {
        messages::create(&service, messages::invitation_for(&allowed)).await;
    }
    for client in Client::both(&service) {
        let method = "ConnectionInvitationService/ListConnectionInvitations";
        let page = client.json(method, &json!({"pageSize": 1_000})).await;
        let shown = page["connectionInvitations"].as_array().unwrap();
        assert!(shown.len() > 3 && shown[0]["allowedEmails"].as_array().unwrap().len() == 1_000);
    }
    service.stop().await;
}
