//! Page tokens: opaque, and good for the query they were made for and for nothing else.

use invitation_service::pb;
use prost::Message as _;
use tonic::Code;

use super::request;
use crate::rpc::redemption::keys;
use crate::support::build::messages;
use crate::support::database::TestDatabase;
use crate::support::expect::{refused, violated};
use crate::support::service::Service;

const CONNECTIONS: &str = "/invitation.v1.ConnectionInvitationService/ListConnectionInvitations";
const INVITATIONS: &str = "/invitation.v1.InvitationService/ListInvitations";
const EVENTS: &str = "/invitation.v1.EventService/ListEvents";

/// Asserts that a token is refused with a request that is good without it.
async fn refuse(service: &Service, key: &str, path: &str, message: Vec<u8>) {
    let status = refused(keys::call(service, key, path, message).await, Code::InvalidArgument, "INVALID_FIELD");
    assert_eq!(violated(&status), ["page_token"], "{path}");
}

fn connections(page_token: &str) -> pb::ListConnectionInvitationsRequest {
    pb::ListConnectionInvitationsRequest { page_size: 1, page_token: page_token.to_owned(), ..Default::default() }
}

#[tokio::test(crate = "crate::support::limit")]
async fn page_token_serves_its_own_query_account_and_method_alone() {
    let database = TestDatabase::sqlite();
    let (service, key) = keys::start(&database, &[("ours", "*"), ("theirs", "*"), ("ours", "*")]).await;
    let mut known = Vec::new();
    for key in [&key[0], &key[0], &key[1], &key[1]] {
        known.push(request::known(&service, Some(key), messages::COMPANY).await);
    }
    let mut client = service.connections();
    let first = client.list_connection_invitations(keys::with(&key[0], connections(""))).await.unwrap().into_inner();
    let token = first.next_page_token.as_str();
    let second =
        client.list_connection_invitations(keys::with(&key[0], connections(token))).await.unwrap().into_inner();
    assert_eq!((second.connection_invitations.len(), second.next_page_token.as_str()), (1, ""));
    assert_ne!(first.connection_invitations, second.connection_invitations);
    for (name, uid) in first.connection_invitations.iter().map(|read| (&read.name, &read.uid)) {
        assert!(!token.contains(name.as_str()) && !token.contains(uid.as_str()), "opaque");
    }
    // Another key of the same account, and another size.
    let bigger = pb::ListConnectionInvitationsRequest { page_size: 9, ..connections(token) };
    client.list_connection_invitations(keys::with(&key[2], bigger)).await.unwrap();

    refuse(&service, &key[1], CONNECTIONS, connections(token).encode_to_vec()).await;
    for other in [
        pb::ListConnectionInvitationsRequest { company_id: messages::COMPANY.to_owned(), ..connections(token) },
        pb::ListConnectionInvitationsRequest { connection_id: messages::CONNECTION.to_owned(), ..connections(token) },
        pb::ListConnectionInvitationsRequest { states: vec![1], ..connections(token) },
        pb::ListConnectionInvitationsRequest { order_by: "create_time".to_owned(), ..connections(token) },
    ] {
        refuse(&service, &key[0], CONNECTIONS, other.encode_to_vec()).await;
    }
    let general = pb::ListInvitationsRequest { page_size: 1, page_token: token.to_owned(), ..Default::default() };
    refuse(&service, &key[0], INVITATIONS, general.encode_to_vec()).await;

    let events = |parent: &str, page_token: &str| pb::ListEventsRequest {
        parent: format!("invitations/{parent}"),
        page_size: 1,
        page_token: page_token.to_owned(),
        ..Default::default()
    };
    refuse(&service, &key[0], EVENTS, events(&known[0].id, token).encode_to_vec()).await;
    let page = service.events().list_events(keys::with(&key[0], events(&known[0].id, ""))).await.unwrap().into_inner();
    refuse(&service, &key[0], EVENTS, events(&known[1].id, &page.next_page_token).encode_to_vec()).await;
    service.stop().await;
}

#[tokio::test(crate = "crate::support::limit")]
async fn no_changed_bit_of_a_page_token_passes() {
    let database = TestDatabase::sqlite();
    let service = Service::start(&database).await;
    for _ in 0..2 {
        messages::create(&service, messages::invitation()).await;
    }
    let mut client = service.connections();
    let token = client.list_connection_invitations(connections("")).await.unwrap().into_inner().next_page_token;
    for at in 0..token.len() {
        let mut forged = token.clone().into_bytes();
        forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
        let forged = String::from_utf8(forged).unwrap();
        refuse(&service, "none", CONNECTIONS, connections(&forged).encode_to_vec()).await;
        if at > 0 {
            refuse(&service, "none", CONNECTIONS, connections(&token[..at]).encode_to_vec()).await;
        }
    }
    let tail = format!("{token}A");
    for nonsense in ["x", "AAAA", " ", "\u{1f512}", messages::COMPANY, &tail, &"A".repeat(10_000)] {
        refuse(&service, "none", CONNECTIONS, connections(nonsense).encode_to_vec()).await;
    }
    let again = client.list_connection_invitations(connections("")).await.unwrap().into_inner().next_page_token;
    assert_ne!(again, token, "one query's tokens do not show that they are");
    client.list_connection_invitations(connections(&token)).await.unwrap();
    service.stop().await;
}
