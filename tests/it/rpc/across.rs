//! Lists with the parent `invitations/-`: messages, acceptances, events and recipients of all invitations, by time.

use std::time::Duration;

use invitation_service::pb;
use invitation_service::pb::{DeliveryState, RecipientState};
use tonic::Code;

use crate::rpc::redemption::keys;
use crate::support::build::generals::{email, into_team, subject, verified};
use crate::support::build::guests::{HOST, OTHER_HOST};
use crate::support::build::messages::Expiring as _;
use crate::support::build::{generals, guests, messages};
use crate::support::database::TestDatabase;
use crate::support::expect::{refused, violated};
use crate::support::on_both;
use crate::support::service::Service;

on_both!(
    migrated:
    lists_of_all_invitations_have_everything_once_in_order,
    bounced_messages_of_a_week_are_listed,
    spans_and_filters_hold_over_all_invitations,
    key_of_one_organization_lists_what_its_hosts_have,
    filters_and_orders_of_one_invitation_are_refused,
);

const ALL: &str = "invitations/-";

fn deliveries() -> pb::ListDeliveriesRequest {
    pb::ListDeliveriesRequest { parent: ALL.to_owned(), ..Default::default() }
}

fn acceptances() -> pb::ListAcceptancesRequest {
    pb::ListAcceptancesRequest { parent: ALL.to_owned(), ..Default::default() }
}

fn events() -> pb::ListEventsRequest {
    pb::ListEventsRequest { parent: ALL.to_owned(), ..Default::default() }
}

fn recipients() -> pb::ListRecipientsRequest {
    pb::ListRecipientsRequest { parent: ALL.to_owned(), ..Default::default() }
}

/// Follows a list to its end, with a credential.
macro_rules! pages {
    ($client:expr, $list:ident, $items:ident, $key:expr, $request:expr) => {{
        let (mut request, mut all) = ($request, Vec::new());
        loop {
            let page = $client.$list(keys::with($key, request.clone())).await.unwrap().into_inner();
            assert!(request.page_size == 0 || page.$items.len() <= request.page_size.try_into().unwrap());
            all.extend(page.$items);
            request.page_token = page.next_page_token;
            if request.page_token.is_empty() {
                break all;
            }
        }
    }};
}

async fn delivered(service: &Service, key: &str, request: pb::ListDeliveriesRequest) -> Vec<pb::Delivery> {
    pages!(service.deliveries(), list_deliveries, deliveries, key, request)
}

async fn accepted(service: &Service, key: &str, request: pb::ListAcceptancesRequest) -> Vec<pb::Acceptance> {
    pages!(service.invitations(), list_acceptances, acceptances, key, request)
}

async fn received(service: &Service, key: &str, request: pb::ListRecipientsRequest) -> Vec<pb::Recipient> {
    pages!(service.invitations(), list_recipients, recipients, key, request)
}

/// Lists events once all of them have their places.
async fn happened(service: &Service, key: &str, request: pb::ListEventsRequest, count: usize) -> Vec<pb::Event> {
    loop {
        let all = pages!(service.events(), list_events, events, key, request.clone());
        assert!(all.len() <= count, "{} events", all.len());
        if all.len() == count {
            return all;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn reversed<T>(mut list: Vec<T>) -> Vec<T> {
    list.reverse();
    list
}

/// Invites some people, each invitation a second later than the one before.
async fn invited(service: &Service, people: &[&[&str]]) -> Vec<pb::Invitation> {
    let mut made = Vec::new();
    for people in people {
        let targets: Vec<_> = people.iter().map(|person| email(&format!("{person}@example.org"))).collect();
        let usage = pb::InvitationType::MultiUse.into();
        made.push(generals::create(service, pb::Invitation { invitation_type: usage, ..into_team(&targets) }).await);
        service.clock.advance(Duration::from_secs(1));
    }
    made
}

async fn lists_of_all_invitations_have_everything_once_in_order(database: TestDatabase) {
    let service = Service::start(&database).await;
    let made = invited(&service, &[&["a", "b", "c"], &[], &["d"], &["e", "f"]]).await;
    for (number, person) in ["u", "v", "w", "x", "y"].into_iter().enumerate() {
        generals::accept(&service, &[&made[number % 4].name], subject(person)).await;
        service.clock.advance(Duration::from_secs(1));
    }
    let (mut each_recipient, mut each_event) = (Vec::new(), Vec::new());
    for invitation in &made {
        let parent = invitation.name.clone();
        each_recipient.extend(received(&service, "none", pb::ListRecipientsRequest { parent, ..recipients() }).await);
        each_event.extend(messages::events(&service, &invitation.name).await);
    }
    for page_size in [0, 1, 2, 3, 100] {
        let order = |by: &str| by.to_owned();
        let request = |order_by| pb::ListRecipientsRequest { page_size, order_by, ..recipients() };
        assert_eq!(received(&service, "none", request(order("create_time"))).await, each_recipient, "{page_size}");
        let newest = received(&service, "none", request(order(""))).await;
        assert_eq!(reversed(newest), each_recipient, "{page_size}");

        let request = |order_by| pb::ListDeliveriesRequest { page_size, order_by, ..deliveries() };
        let oldest = delivered(&service, "none", request(order("create_time"))).await;
        assert!(oldest.is_sorted_by_key(|one| one.create_time.map(|at| (at.seconds, at.nanos))));
        let addresses: Vec<_> = oldest.iter().map(|one| one.address.trim_end_matches("@example.org")).collect();
        let (mut sorted, others) = (addresses.clone(), ["a", "b", "c", "d", "e", "f"]);
        sorted.sort_unstable();
        assert_eq!(sorted, others, "{page_size}");
        assert_eq!(reversed(delivered(&service, "none", request(order(""))).await), oldest, "{page_size}");
        let one = service.deliveries().get_delivery(pb::GetDeliveryRequest { name: oldest[3].name.clone() }).await;
        assert_eq!(one.unwrap().into_inner(), oldest[3]);

        let request = |order_by| pb::ListAcceptancesRequest { page_size, order_by, ..acceptances() };
        let newest = accepted(&service, "none", request(order(""))).await;
        let subjects: Vec<_> = newest.iter().map(|one| one.subject.as_str()).collect();
        assert_eq!(subjects, ["y", "x", "w", "v", "u"], "{page_size}");
        assert_eq!(reversed(accepted(&service, "none", request(order("accept_time asc"))).await), newest);

        let request = |order_by| pb::ListEventsRequest { page_size, order_by, ..events() };
        let oldest = happened(&service, "none", request(order("time")), each_event.len()).await;
        assert!(oldest.is_sorted_by_key(|one| one.time.map(|at| (at.seconds, at.nanos))));
        for event in &each_event {
            assert_eq!(oldest.iter().filter(|other| other.uid == event.uid).count(), 1, "{page_size}");
        }
        let newest = happened(&service, "none", request(order("")), each_event.len()).await;
        let uids = |events: &[pb::Event]| events.iter().map(|event| event.uid.clone()).collect::<Vec<_>>();
        assert_eq!(uids(&reversed(newest)), uids(&oldest), "{page_size}");
    }
    service.stop().await;
}

async fn bounced_messages_of_a_week_are_listed(database: TestDatabase) {
    let service = Service::start(&database).await;
    let week = Duration::from_secs(7 * 24 * 3_600);
    let long_ago = invited(&service, &[&["old"]]).await.remove(0);
    service.clock.advance(week);
    let recent = invited(&service, &[&["a", "b"], &["c"]]).await;
    let bounce = async |parent: &str, address: &str| {
        let list = pb::ListDeliveriesRequest { parent: parent.to_owned(), ..deliveries() };
        let all = delivered(&service, "none", list).await;
        let message = all.into_iter().find(|one| one.address.starts_with(address)).unwrap();
        let report = pb::ReportDeliveryStatusRequest {
            message_id: message.message_id,
            report: pb::DeliveryReport::Bounced.into(),
            ..Default::default()
        };
        service.deliveries().report_delivery_status(report).await.unwrap().into_inner()
    };
    bounce(&long_ago.name, "old").await;
    let bounced = [bounce(&recent[1].name, "c").await, bounce(&recent[0].name, "b").await];
    let since = messages::at(7 * 24 * 3_600 - 1);
    let in_states = |states: &[DeliveryState]| pb::ListDeliveriesRequest {
        states: states.iter().map(|state| (*state).into()).collect(),
        create_time: Some(pb::TimeRange { start_time: since, end_time: None }),
        ..deliveries()
    };
    use DeliveryState::{Bounced, Failed, Queued, Suppressed};
    for states in [&[Bounced][..], &[Bounced, Failed], &[Bounced, Failed, Suppressed]] {
        assert_eq!(delivered(&service, "none", in_states(states)).await, bounced, "{states:?}");
    }
    let waiting = delivered(&service, "none", in_states(&[Queued])).await;
    assert_eq!(waiting.len(), 1);
    assert_eq!(delivered(&service, "none", in_states(&[Bounced, Queued])).await.len(), 3);
    assert!(delivered(&service, "none", in_states(&[Suppressed])).await.is_empty());
    service.stop().await;
}

async fn spans_and_filters_hold_over_all_invitations(database: TestDatabase) {
    let service = Service::start(&database).await;
    let made = invited(&service, &[&["a", "b"], &["c"], &["d"]]).await;
    service.clock.advance(Duration::from_secs(300));
    for (number, acceptor) in [(0, verified("x", "a@example.org")), (1, subject("y")), (2, subject("x"))] {
        generals::accept(&service, &[&made[number].name], acceptor).await;
        service.clock.advance(Duration::from_secs(1));
    }
    // The invitations were made at 0, 1 and 2 seconds, and accepted at 303, 304 and 305.
    let span = |start: Option<i64>, end: Option<i64>| {
        Some(pb::TimeRange { start_time: start.and_then(messages::at), end_time: end.and_then(messages::at) })
    };
    for (range, count) in
        [((None, None), 3), ((Some(304), None), 2), ((Some(304), Some(305)), 1), ((None, Some(303)), 0)]
    {
        let accept_time = span(range.0, range.1).filter(|_| range != (None, None));
        let listed = accepted(&service, "none", pb::ListAcceptancesRequest { accept_time, ..acceptances() }).await;
        assert_eq!(listed.len(), count, "{range:?}");
    }
    let of_x = pb::ListAcceptancesRequest { subject: "x".to_owned(), page_size: 1, ..acceptances() };
    let of_x = accepted(&service, "none", of_x).await;
    let parents: Vec<_> = of_x.iter().map(|one| one.name.split("/acceptances/").next().unwrap()).collect();
    assert_eq!(parents, [made[2].name.as_str(), &made[0].name]);

    let created = |start, end| pb::ListRecipientsRequest { create_time: span(start, end), ..recipients() };
    assert_eq!(received(&service, "none", created(Some(1), Some(2))).await.len(), 1);
    assert_eq!(received(&service, "none", created(None, Some(2))).await.len(), 3);
    let in_state =
        |state: RecipientState| pb::ListRecipientsRequest { states: vec![state.into()], page_size: 1, ..recipients() };
    assert_eq!(received(&service, "none", in_state(RecipientState::Open)).await.len(), 3);
    assert_eq!(received(&service, "none", in_state(RecipientState::Accepted)).await.len(), 1);
    assert!(received(&service, "none", in_state(RecipientState::Removed)).await.is_empty());

    let types = |types: &[&str], time| pb::ListEventsRequest {
        types: types.iter().map(|name| (*name).to_owned()).collect(),
        time,
        page_size: 1,
        ..events()
    };
    happened(&service, "none", types(&["invitation.accepted"], None), 3).await;
    happened(&service, "none", types(&["invitation.*"], span(Some(1), Some(304))), 3).await;
    let two = happened(&service, "none", types(&["invitation.accepted"], span(Some(304), None)), 2).await;
    assert_eq!(two[0].invitation, made[2].name, "the newest first");
    let of_one = |time| pb::ListEventsRequest { parent: made[0].name.clone(), time, ..events() };
    assert_eq!(happened(&service, "none", of_one(span(Some(300), None)), 1).await[0].r#type, "invitation.accepted");
    service.stop().await;
}

async fn key_of_one_organization_lists_what_its_hosts_have(database: TestDatabase) {
    let (service, key) =
        keys::start_bound(&database, &[("ours", "*", None), ("ours", "*", Some(HOST)), ("theirs", "*", None)]).await;
    for (host, address) in [(HOST, "ours@example.org"), (OTHER_HOST, "others@example.org")] {
        let mut create = keys::with(&key[0], guests::creation(guests::guest(address)));
        guests::add(&mut create, host, host);
        let made = service.guests().create_guest_invitation(create).await.unwrap().into_inner();
        let name = made.read().name;
        let mut accept = keys::with(&key[0], guests::by_system(&name, guests::GUEST).into_inner());
        guests::add(&mut accept, host, host);
        service.guests().accept_guest_invitation(accept).await.unwrap();
    }
    let create = keys::with(&key[0], messages::general(into_team(&[email("team@example.org")])));
    service.invitations().create_invitation(create).await.unwrap();
    let of = async |key: &str, count: usize| {
        let messages = delivered(&service, key, deliveries()).await;
        let people = received(&service, key, recipients()).await;
        let mut found: Vec<_> = people.into_iter().map(|one| one.value).collect();
        found.extend(messages.into_iter().map(|one| one.address));
        found.sort_unstable();
        found.dedup();
        let all = happened(&service, key, events(), count).await;
        (found, accepted(&service, key, acceptances()).await.len(), all.len())
    };
    let ours = vec!["ours@example.org".to_owned()];
    let whole = of(&key[0], 7).await;
    assert_eq!((whole.0.len(), whole.1, whole.2), (3, 2, 7));
    assert_eq!(of(&key[1], 3).await, (ours, 1, 3), "created, accepted, fulfilled");
    assert_eq!(of(&key[2], 0).await, (vec![], 0, 0), "another account");
    service.stop().await;
}

async fn filters_and_orders_of_one_invitation_are_refused(database: TestDatabase) {
    let service = Service::start(&database).await;
    let made = invited(&service, &[&["a"]]).await.remove(0);
    let one = made.name.as_str();
    let span = Some(pb::TimeRange { start_time: messages::at(0), end_time: None });
    for (parent, order_by, recipient, fields) in [
        ("userInvitations/-", "", String::new(), vec!["parent"]),
        ("invitations/*", "", String::new(), vec!["parent"]),
        (ALL, "state", format!("{one}/recipients/1"), vec!["order_by", "recipient"]),
    ] {
        let (parent, order_by) = (parent.to_owned(), order_by.to_owned());
        let list = pb::ListDeliveriesRequest { parent, order_by, recipient, ..Default::default() };
        let status = service.deliveries().list_deliveries(list).await;
        assert_eq!(violated(&refused(status, Code::InvalidArgument, "INVALID_FIELD")), fields);
    }
    for (parent, order_by) in [(ALL, "sequence"), (one, "time")] {
        let list = pb::ListEventsRequest { parent: parent.to_owned(), order_by: order_by.to_owned(), ..events() };
        let status = service.events().list_events(list).await;
        assert_eq!(violated(&refused(status, Code::InvalidArgument, "INVALID_FIELD")), ["order_by"]);
    }
    for (parent, order_by, create_time, fields) in [
        (ALL, "ordinal", None, vec!["order_by"]),
        (ALL, "", Some(pb::TimeRange::default()), vec!["create_time"]),
        (one, "create_time", span, vec!["create_time", "order_by"]),
    ] {
        let (parent, order_by) = (parent.to_owned(), order_by.to_owned());
        let list = pb::ListRecipientsRequest { parent, order_by, create_time, ..Default::default() };
        let status = service.invitations().list_recipients(list).await;
        assert_eq!(violated(&refused(status, Code::InvalidArgument, "INVALID_FIELD")), fields);
    }
    // A token of one list is none of another.
    let page = pb::ListDeliveriesRequest { page_size: 1, ..deliveries() };
    invited(&service, &[&["b"]]).await;
    let token = service.deliveries().list_deliveries(page).await.unwrap().into_inner().next_page_token;
    assert!(!token.is_empty());
    for parent in [one, ALL] {
        let list = pb::ListDeliveriesRequest { parent: parent.to_owned(), page_token: token.clone(), ..deliveries() };
        assert_eq!(service.deliveries().list_deliveries(list).await.is_ok(), parent == ALL);
    }
    service.stop().await;
}
