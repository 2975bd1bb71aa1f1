//! gRPC-Web, binary and as text.

use data_encoding::BASE64;
use http::Method;
use invitation_service::pb;
use prost::Message as _;

use super::http::{Answer, Client};
use super::stream::{Messages, envelope};
use crate::support::build::messages;
use crate::support::database::TestDatabase;
use crate::support::service::Service;

const BINARY: (&str, &str) = ("content-type", "application/grpc-web+proto");
const TEXT: (&str, &str) = ("content-type", "application/grpc-web-text+proto");
const GET: &str = "/invitation.v1.ConnectionInvitationService/GetConnectionInvitation";

/// The messages of an answer with their flags.
fn parts(mut body: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut parts = Vec::new();
    while let Some((prefix, rest)) = body.split_at_checked(5) {
        let length = u32::from_be_bytes(prefix[1..].try_into().unwrap());
        let (message, rest) = rest.split_at(usize::try_from(length).unwrap());
        parts.push((prefix[0], message.to_vec()));
        body = rest;
    }
    parts
}

/// The status of an answer, which is among its headers or in its last message.
fn status(answer: &Answer, parts: &[(u8, Vec<u8>)]) -> String {
    if !answer.header("grpc-status").is_empty() {
        return answer.header("grpc-status").to_owned();
    }
    let (flags, last) = parts.last().unwrap();
    assert_eq!(*flags, 0x80);
    let text = String::from_utf8(last.clone()).unwrap();
    let line = text.lines().find(|line| line.starts_with("grpc-status:"));
    line.unwrap_or_else(|| panic!("{text}")).split(':').nth(1).unwrap().trim().to_owned()
}

#[tokio::test(crate = "crate::support::limit")]
async fn call_is_answered_in_the_form_it_was_sent_in() {
    let database = TestDatabase::sqlite();
    let service = Service::start(&database).await;
    let made = messages::create(&service, messages::invitation()).await;
    let request =
        |name: &str| envelope(0, &pb::GetConnectionInvitationRequest { name: name.to_owned() }.encode_to_vec());
    for client in Client::both(&service) {
        let binary = client.send(Method::POST, GET, &[BINARY], request(&made.name)).await;
        let found = parts(&binary.body);
        assert_eq!((binary.status, binary.header("content-type"), found.len()), (200, BINARY.1, 2));
        assert_eq!(pb::ConnectionInvitation::decode(found[0].1.as_slice()).unwrap().name, made.name);
        assert_eq!(status(&binary, &found), "0");
        let text =
            client.send(Method::POST, GET, &[TEXT, ("accept", TEXT.1)], BASE64.encode(&request(&made.name))).await;
        assert_eq!((text.status, text.header("content-type")), (200, TEXT.1));
        let missing = client.send(Method::POST, GET, &[BINARY], request(&made.name.replace('0', "1"))).await;
        assert_eq!(status(&missing, &parts(&missing.body)), "5", "{missing:?}");
        let malformed = client.send(Method::POST, GET, &[BINARY], envelope(0, &[0xff])).await;
        assert_eq!(status(&malformed, &parts(&malformed.body)), "3", "{malformed:?}");
        let wrong = client.send(Method::GET, GET, &[BINARY], "").await;
        assert_eq!(wrong.status, 415);
    }
    service.stop().await;
}

#[tokio::test(crate = "crate::support::limit")]
async fn events_are_watched() {
    let database = TestDatabase::sqlite();
    let service = Service::start(&database).await;
    let path = "/invitation.v1.EventService/WatchEvents";
    for client in Client::both(&service) {
        let answer = client.begin(Method::POST, path, &[BINARY], envelope(0, &[])).await;
        let mut watched = Messages::of(answer);
        messages::create(&service, messages::invitation()).await;
        loop {
            let (_, message) = watched.next().await.unwrap();
            let response = pb::WatchEventsResponse::decode(message).unwrap();
            if let Some(pb::watch_events_response::Item::Event(event)) = response.item {
                assert_eq!(event.r#type, "invitation.created");
                break;
            }
        }
        let short = [BINARY, ("grpc-timeout", "300m")];
        let answer = client.send(Method::POST, path, &short, envelope(0, &[])).await;
        assert_eq!(status(&answer, &parts(&answer.body)), "4");
    }
    service.stop().await;
}
