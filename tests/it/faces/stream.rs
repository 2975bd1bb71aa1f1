//! Streams by Connect: WatchEvents, over both versions of HTTP.

use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use http::Method;
use invitation_service::pb;
use prost::Message as _;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::http::Client;
use crate::support::build::messages;
use crate::support::database::TestDatabase;
use crate::support::service::Service;

const PATH: &str = "/invitation.v1.EventService/WatchEvents";
const JSON: (&str, &str) = ("content-type", "application/connect+json");
const PROTO: (&str, &str) = ("content-type", "application/connect+proto");

pub(super) fn envelope(flags: u8, message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    [&[flags][..], &length, message].concat()
}

/// The messages of an answer, one at a time.
pub(super) struct Messages {
    answer: reqwest::Response,
    read: BytesMut,
}

impl Messages {
    pub(super) fn of(answer: reqwest::Response) -> Self {
        Self { answer, read: BytesMut::new() }
    }

    /// Returns the next message with its flags; `None` at the end of the answer.
    pub(super) async fn next(&mut self) -> Option<(u8, Bytes)> {
        loop {
            if let Some(mut length) = self.read.get(1..5) {
                let length = usize::try_from(length.get_u32()).unwrap();
                if self.read.len() >= 5 + length {
                    let flags = self.read[0];
                    self.read.advance(5);
                    return Some((flags, self.read.split_to(length).freeze()));
                }
            }
            let part = timeout(Duration::from_secs(20), self.answer.chunk()).await.expect("more comes").unwrap();
            self.read.extend_from_slice(&part?);
        }
    }

    pub(super) async fn next_json(&mut self) -> (u8, Value) {
        let (flags, message) = self.next().await.expect("the stream goes on");
        (flags, serde_json::from_slice(&message).unwrap())
    }
}

#[tokio::test(crate = "crate::support::limit")]
async fn events_are_watched_in_json_and_in_binary() {
    let database = TestDatabase::sqlite();
    let service = Service::start(&database).await;
    for client in Client::both(&service) {
        let begin = async |form: (&str, &str), request: Vec<u8>| {
            let answer = client.begin(Method::POST, PATH, &[form], envelope(0, &request)).await;
            assert_eq!((answer.status().as_u16(), &answer.headers()["content-type"]), (200, &form.1.parse().unwrap()));
            Messages::of(answer)
        };
        let mut json = begin(JSON, b"{}".to_vec()).await;
        let mut proto = begin(PROTO, pb::WatchEventsRequest::default().encode_to_vec()).await;
        let made = messages::create(&service, messages::invitation()).await;
        let name = loop {
            let (flags, message) = json.next_json().await;
            assert_eq!(flags, 0);
            if let Some(event) = message.get("event") {
                assert_eq!(event["type"], "invitation.created");
                break event["invitation"].as_str().unwrap().to_owned();
            }
            assert!(message["resumeToken"].is_string(), "{message}");
        };
        assert!(made.name.ends_with(name.rsplit('/').next().unwrap()), "{name}");
        loop {
            let (flags, message) = proto.next().await.unwrap();
            let response = pb::WatchEventsResponse::decode(message).unwrap();
            assert_eq!(flags, 0);
            if let Some(pb::watch_events_response::Item::Event(event)) = response.item {
                assert_eq!(event.invitation, name);
                break;
            }
        }
    }
    service.stop().await;
}

#[tokio::test(crate = "crate::support::limit")]
async fn stream_ends_with_its_status_in_the_last_message() {
    let database = TestDatabase::sqlite();
    let service = Service::start(&database).await;
    for client in Client::both(&service) {
        for (headers, request, code, reason) in [
            (&[][..], envelope(0, br#"{"nothing": 1}"#), "invalid_argument", "UNKNOWN_FIELD"),
            (&[], envelope(0, br#"{"resumeToken": "none"}"#), "invalid_argument", "INVALID_FIELD"),
            (&[], envelope(0, b"no"), "invalid_argument", "MALFORMED_MESSAGE"),
            (&[], envelope(2, b"{}"), "invalid_argument", "MALFORMED_MESSAGE"),
            (&[], envelope(1, b"{}"), "invalid_argument", "MALFORMED_MESSAGE"),
            (&[], envelope(0, b"{}").repeat(2), "invalid_argument", "MALFORMED_MESSAGE"),
            (&[], Vec::new(), "invalid_argument", "MALFORMED_MESSAGE"),
            (&[("connect-content-encoding", "br")], envelope(0, b"{}"), "unimplemented", "UNIMPLEMENTED"),
            (&[("connect-timeout-ms", "0")], envelope(0, b"{}"), "deadline_exceeded", "DEADLINE_EXCEEDED"),
        ] {
            let answer = client.begin(Method::POST, PATH, &[&[JSON], headers].concat(), request).await;
            assert_eq!(answer.status().as_u16(), 200, "{headers:?}");
            let mut messages = Messages::of(answer);
            let (flags, last) = messages.next_json().await;
            let error = &last["error"];
            let shown = (error["code"].as_str().unwrap(), error["details"][0]["debug"]["reason"].as_str().unwrap());
            assert_eq!((flags, shown), (2, (code, reason)), "{last}");
            assert!(messages.next().await.is_none());
        }
        let headers = [JSON, ("connect-timeout-ms", "700")];
        let mut messages = Messages::of(client.begin(Method::POST, PATH, &headers, envelope(0, b"{}")).await);
        let last = loop {
            let (flags, message) = messages.next_json().await;
            if flags == 2 {
                break message;
            }
        };
        assert_eq!(last["error"]["code"], "deadline_exceeded", "{last}");
        assert!(messages.next().await.is_none());
    }
    service.stop().await;
}

#[tokio::test(crate = "crate::support::limit")]
async fn stream_ends_when_the_service_drains() {
    let database = TestDatabase::sqlite();
    let service = Service::start(&database).await;
    let mut streams = Vec::new();
    for client in Client::both(&service) {
        let answer = client.begin(Method::POST, PATH, &[JSON], envelope(0, b"{}")).await;
        streams.push((client, Messages::of(answer)));
    }
    let ends = async {
        for (_client, messages) in &mut streams {
            loop {
                if let (2, last) = messages.next_json().await {
                    assert_eq!(
                        last["error"],
                        json!({
                            "code": "unavailable", "message": last["error"]["message"], "details": last["error"]["details"],
                        })
                    );
                    break;
                }
            }
        }
    };
    tokio::join!(service.stop(), ends);
}
