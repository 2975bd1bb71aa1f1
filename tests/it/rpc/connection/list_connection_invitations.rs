//! ListConnectionInvitations: filters, orders and pages.

use std::collections::BTreeSet;
use std::time::Duration;

use invitation_service::pb;
use invitation_service::pb::{InvitationState, ListConnectionInvitationsRequest as Request};
use tokio::task::JoinSet;
use tonic::Code;

use crate::support::build::messages;
use crate::support::database::TestDatabase;
use crate::support::expect::{refused, violated};
use crate::support::on_both;
use crate::support::service::Service;

on_both!(
    migrated:
    filters_must_all_hold_and_none_means_all,
    every_page_size_walks_the_whole_list_in_order_both_ways,
    invitations_of_one_instant_are_each_seen_once,
    states_are_judged_by_the_moment_of_the_first_page,
    row_that_stays_is_listed_once_whatever_changes,
    page_sizes_are_bounded_and_never_negative,
    created_connections_are_in_no_list,
);

const OTHER: &str = "01920000-0000-7000-8000-0000000000aa";

async fn list(service: &Service, request: Request) -> pb::ListConnectionInvitationsResponse {
    service.connections().list_connection_invitations(request).await.unwrap().into_inner()
}

async fn names(service: &Service, request: Request) -> Vec<String> {
    list(service, request).await.connection_invitations.into_iter().map(|read| read.name).collect()
}

/// Walks a list to its end.
async fn walk(service: &Service, request: Request) -> Vec<String> {
    let (mut seen, mut request) = (Vec::new(), request);
    loop {
        let page = list(service, request.clone()).await;
        assert!(page.connection_invitations.len() <= usize::try_from(request.page_size).unwrap());
        seen.extend(page.connection_invitations.into_iter().map(|read| read.name));
        if page.next_page_token.is_empty() {
            return seen;
        }
        request.page_token = page.next_page_token;
    }
}

/// Makes invitations, one a second, and returns their names.
async fn one_a_second(service: &Service, count: usize) -> Vec<String> {
    let mut names = Vec::new();
    for _ in 0..count {
        service.clock.advance(Duration::from_secs(1));
        names.push(messages::create(service, messages::invitation()).await.name);
    }
    names
}

async fn filters_must_all_hold_and_none_means_all(database: TestDatabase) {
    let service = Service::start(&database).await;
    let labels: std::collections::BTreeMap<_, _> = [("team".to_owned(), "north".to_owned())].into();
    let active = pb::ConnectionInvitation { labels: labels.clone(), ..messages::invitation() };
    let active = messages::create(&service, active).await.name;
    let other = pb::ConnectionInvitation { company_id: OTHER.to_owned(), ..messages::invitation() };
    let other = messages::create(&service, other).await.name;
    let revoked = messages::create(&service, messages::invitation()).await.name;
    messages::revoke(&service, &revoked).await.unwrap();
    let declined = messages::create(&service, messages::invitation_for(&["ann@example.org"])).await;
    let mailed = messages::mailed_token(&declined.uid, 1);
    service.redemptions().decline_invitation(messages::decline(&mailed)).await.unwrap();
    let once = pb::ConnectionInvitation { max_uses: Some(1), ..messages::invitation() };
    let fulfilled = messages::create(&service, once).await;
    service.redemptions().accept_invitation(messages::accept(&fulfilled.invitation_token, "ann")).await.unwrap();
    let short = pb::ConnectionInvitation {
        expiration: messages::seconds(60).map(pb::connection_invitation::Expiration::Ttl),
        ..messages::invitation()
    };
    let expired = messages::create(&service, short).await.name;
    let reconnect = pb::CreateReconnectInvitationRequest {
        connection_id: messages::CONNECTION.to_owned(),
        company_id: OTHER.to_owned(),
        ..Default::default()
    };
    let reconnect = service.connections().create_reconnect_invitation(reconnect).await.unwrap().into_inner().name;
    service.clock.advance(Duration::from_secs(60));
    let (declined, fulfilled) = (declined.name, fulfilled.name);

    use InvitationState::{Active, Declined, Expired, Fulfilled, Revoked};
    let states = |states: &[InvitationState]| states.iter().map(|state| (*state).into()).collect::<Vec<i32>>();
    let (company, connection) = (messages::COMPANY.to_owned(), messages::CONNECTION.to_owned());
    let ann = Some(pb::TargetRef { r#type: pb::TargetType::Email.into(), value: "ANN@example.org".to_owned() });
    let all = [&active, &other, &revoked, &declined, &fulfilled, &expired, &reconnect];
    let cases: Vec<(Request, Vec<&String>)> = vec![
        (Request::default(), all.to_vec()),
        (Request { company_id: OTHER.to_owned(), ..Default::default() }, vec![&other, &reconnect]),
        (Request { company_id: OTHER.to_uppercase(), ..Default::default() }, vec![&other, &reconnect]),
        (Request { connection_id: connection.clone(), ..Default::default() }, vec![&reconnect]),
        (Request { connection_id: connection.clone(), company_id: company.clone(), ..Default::default() }, vec![]),
        (Request { states: states(&[Active]), ..Default::default() }, vec![&active, &other, &reconnect]),
        (Request { states: states(&[Expired]), ..Default::default() }, vec![&expired]),
        (Request { states: states(&[Revoked]), ..Default::default() }, vec![&revoked]),
        (Request { states: states(&[Declined]), ..Default::default() }, vec![&declined]),
        (Request { states: states(&[Fulfilled]), ..Default::default() }, vec![&fulfilled]),
        (
            Request { states: states(&[Fulfilled, Expired, Fulfilled]), ..Default::default() },
            vec![&fulfilled, &expired],
        ),
        (Request { states: states(&[Active]), company_id: company, ..Default::default() }, vec![&active]),
        (Request { company_id: messages::CONNECTION.to_owned(), ..Default::default() }, vec![]),
        (Request { target: ann.clone(), ..Default::default() }, vec![&declined]),
        (Request { target: ann, states: states(&[Active]), ..Default::default() }, vec![]),
        (Request { creator: "anonymous".to_owned(), states: states(&[Expired]), ..Default::default() }, vec![&expired]),
        (Request { creator: "nobody".to_owned(), ..Default::default() }, vec![]),
        (Request { labels: labels.clone(), ..Default::default() }, vec![&active]),
        (Request { labels, company_id: OTHER.to_owned(), ..Default::default() }, vec![]),
    ];
    for (request, wanted) in cases {
        let seen: BTreeSet<String> = names(&service, request.clone()).await.into_iter().collect();
        assert_eq!(seen, wanted.into_iter().cloned().collect(), "{request:?}");
    }
    service.stop().await;
}

async fn every_page_size_walks_the_whole_list_in_order_both_ways(database: TestDatabase) {
    let service = Service::start(&database).await;
    let oldest_first = one_a_second(&service, 7).await;
    let newest_first: Vec<String> = oldest_first.iter().rev().cloned().collect();
    for page_size in 1..=8 {
        for (order_by, wanted) in [
            ("", &newest_first),
            ("create_time desc", &newest_first),
            ("  create_time   desc ", &newest_first),
            ("create_time", &oldest_first),
            ("create_time asc", &oldest_first),
        ] {
            let request = Request { page_size, order_by: order_by.to_owned(), ..Default::default() };
            assert_eq!(walk(&service, request).await, *wanted, "{page_size} {order_by:?}");
        }
    }
    for order_by in [
        "name",
        "create_time up",
        "asc create_time",
        "create_time,name",
        "create_time desc desc",
        "CREATE_TIME",
        "; --",
    ] {
        let request = Request { order_by: order_by.to_owned(), ..Default::default() };
        let answer = service.connections().list_connection_invitations(request).await;
        assert_eq!(violated(&refused(answer, Code::InvalidArgument, "INVALID_FIELD")), ["order_by"], "{order_by}");
    }
    service.stop().await;
}

async fn invitations_of_one_instant_are_each_seen_once(database: TestDatabase) {
    let service = Service::start(&database).await;
    let mut made = BTreeSet::new();
    for _ in 0..9 {
        made.insert(messages::create(&service, messages::invitation()).await.name);
    }
    for order_by in ["create_time", "create_time desc"] {
        let seen = walk(&service, Request { page_size: 2, order_by: order_by.to_owned(), ..Default::default() }).await;
        assert_eq!(seen.len(), 9);
        assert_eq!(seen.into_iter().collect::<BTreeSet<_>>(), made);
    }
    service.stop().await;
}

async fn states_are_judged_by_the_moment_of_the_first_page(database: TestDatabase) {
    let service = Service::start(&database).await;
    let mut made = Vec::new();
    for _ in 0..3 {
        let short = pb::ConnectionInvitation {
            expiration: messages::seconds(60).map(pb::connection_invitation::Expiration::Ttl),
            ..messages::invitation()
        };
        made.push(messages::create(&service, short).await.name);
        service.clock.advance(Duration::from_secs(1));
    }
    let request = Request {
        states: vec![InvitationState::Active.into()],
        page_size: 1,
        order_by: "create_time".to_owned(),
        ..Default::default()
    };
    let first = list(&service, request.clone()).await;
    assert_eq!(first.connection_invitations[0].name, made[0]);
    service.clock.advance(Duration::from_secs(3_600));
    let mut next = Request { page_token: first.next_page_token, ..request.clone() };
    for name in &made[1..] {
        let page = list(&service, next.clone()).await;
        let read = &page.connection_invitations[0];
        assert_eq!((&read.name, read.state()), (name, InvitationState::Active), "as it was on the first page");
        next.page_token = page.next_page_token;
    }
    assert_eq!(next.page_token, "");
    assert!(names(&service, request).await.is_empty(), "a new list is judged anew");
    service.stop().await;
}

async fn row_that_stays_is_listed_once_whatever_changes(database: TestDatabase) {
    let service = Service::start(&database).await;
    let throughout: BTreeSet<String> = one_a_second(&service, 6).await.into_iter().collect();
    for order_by in ["create_time", "create_time desc"] {
        let mut request = Request { page_size: 2, order_by: order_by.to_owned(), ..Default::default() };
        let mut seen = Vec::new();
        loop {
            let page = list(&service, request.clone()).await;
            seen.extend(page.connection_invitations.into_iter().map(|read| read.name));
            if page.next_page_token.is_empty() || seen.len() > 30 {
                break;
            }
            request.page_token = page.next_page_token;
            if seen.len() < 8 {
                one_a_second(&service, 1).await;
            }
            messages::rotate(&service, throughout.first().unwrap()).await;
            messages::rotate(&service, throughout.last().unwrap()).await;
        }
        let distinct: BTreeSet<String> = seen.iter().cloned().collect();
        assert_eq!(distinct.len(), seen.len(), "{order_by}: none twice");
        assert!(distinct.is_superset(&throughout), "{order_by}: none missing");
    }
    service.stop().await;
}

async fn page_sizes_are_bounded_and_never_negative(database: TestDatabase) {
    let service = Service::start(&database).await;
    let mut calls = JoinSet::new();
    for _ in 0..1_001 {
        let mut connections = service.connections();
        let request = messages::creation(messages::invitation());
        calls.spawn(async move { connections.create_connection_invitation(request).await.unwrap() });
    }
    calls.join_all().await;
    for (page_size, wanted) in [(0, 50), (1, 1), (1_000, 1_000), (1_001, 1_000), (i32::MAX, 1_000)] {
        let page = list(&service, Request { page_size, ..Default::default() }).await;
        assert_eq!(page.connection_invitations.len(), wanted, "{page_size}");
        assert!(!page.next_page_token.is_empty());
    }
    for page_size in [-1, i32::MIN] {
        let answer =
            service.connections().list_connection_invitations(Request { page_size, ..Default::default() }).await;
        assert_eq!(violated(&refused(answer, Code::InvalidArgument, "INVALID_FIELD")), ["page_size"]);
    }
    assert_eq!(walk(&service, Request { page_size: 400, ..Default::default() }).await.len(), 1_001);
    service.stop().await;
}

async fn created_connections_are_in_no_list(database: TestDatabase) {
    let service = Service::start(&database).await;
    let known = crate::contract::request::known(&service, None, messages::COMPANY).await;
    let listed = list(&service, Request::default()).await.connection_invitations;
    let read = messages::get(&service, &format!("connectionInvitations/{}", known.id)).await;
    assert_eq!(read.created_connections.len(), 1);
    assert_eq!(
        listed,
        [pb::ConnectionInvitation { created_connections: Vec::new(), ..read }],
        "else as a get shows it"
    );
    service.stop().await;
}
