//! ListGuestInvitations: a host's guests, filtered, sorted, counted and paged.

use std::time::Duration;

use invitation_service::pb;
use invitation_service::pb::{
    GuestInvitationStatus as Status, InvitationState, ListGuestInvitationsRequest as Request,
};
use tonic::Code;

use crate::support::build::{guests, messages};
use crate::support::database::TestDatabase;
use crate::support::expect::{refused, violated};
use crate::support::on_both;
use crate::support::service::Service;

on_both!(
    migrated:
    each_filter_finds_what_it_says,
    search_takes_every_character_for_itself,
    every_order_pages_both_ways_over_ties_and_missing_values,
    total_is_that_of_the_first_page_on_every_page,
    rows_are_skipped_from_where_the_page_would_begin,
    page_token_serves_its_own_query_and_host_alone,
    all_that_is_wrong_is_told_at_once,
);

async fn list(service: &Service, request: Request) -> pb::ListGuestInvitationsResponse {
    let request = Request { show_total: true, ..request };
    service.guests().list_guest_invitations(guests::of(guests::HOST, request)).await.unwrap().into_inner()
}

/// The addresses that a list has, in its order.
async fn emails(service: &Service, request: Request) -> Vec<String> {
    let page = list(service, request).await;
    assert_eq!(usize::try_from(page.total_size).unwrap(), page.guest_invitations.len());
    page.guest_invitations.into_iter().map(|guest| guest.email).collect()
}

fn labelled(name: &str) -> std::collections::BTreeMap<String, String> {
    [("name".to_owned(), name.to_owned())].into()
}

/// Guests in many states, each named after theirs, the oldest first.
async fn invite_all(service: &Service) {
    let mut made = Vec::new();
    for (index, email) in
        ["sent", "guest", "system", "revoked", "archived", "declined", "expired"].into_iter().enumerate()
    {
        service.clock.advance(Duration::from_secs(1));
        let seconds = if email == "expired" { 100 } else { 10_000 - i64::try_from(index).unwrap() };
        let guest = pb::GuestInvitation {
            expiration: messages::at(seconds).map(pb::guest_invitation::Expiration::ExpireTime),
            labels: labelled(email),
            parent_organization_id: if email == "system" { guests::GUEST.to_owned() } else { String::new() },
            ..guests::guest(&format!("{email}@x.org"))
        };
        made.push(guests::create(service, guest).await);
    }
    let accept = pb::AcceptInvitationRequest {
        kind_input: messages::as_guest(guests::GUEST),
        ..messages::accept(&messages::mailed_token(&made[1].uid, 1), "gus")
    };
    service.clock.advance(Duration::from_secs(1));
    service.redemptions().accept_invitation(accept).await.unwrap();
    service.clock.advance(Duration::from_secs(1));
    service.guests().accept_guest_invitation(guests::by_system(&made[2].name, guests::GUEST)).await.unwrap();
    service.guests().revoke_guest_invitation(guests::revocation(&made[3].name)).await.unwrap();
    let archived = pb::GuestInvitation { name: made[4].name.clone(), archived: Some(true), ..Default::default() };
    service.guests().update_guest_invitation(guests::update(archived, &["archived"])).await.unwrap();
    let decline = messages::decline(&messages::mailed_token(&made[5].uid, 1));
    service.redemptions().decline_invitation(decline).await.unwrap();
    service.clock.advance(Duration::from_secs(100));
    let other = guests::of(
        guests::OTHER_HOST,
        guests::creation(pb::GuestInvitation {
            expiration: messages::at(10_000).map(pb::guest_invitation::Expiration::ExpireTime),
            ..guests::guest("sent@x.org")
        }),
    );
    service.guests().create_guest_invitation(other).await.unwrap();
}

async fn each_filter_finds_what_it_says(database: TestDatabase) {
    let service = Service::start(&database).await;
    invite_all(&service).await;
    let statuses = |statuses: &[Status]| Request {
        statuses: statuses.iter().map(|status| (*status).into()).collect(),
        ..Default::default()
    };
    let states = |states: &[InvitationState]| Request {
        states: states.iter().map(|state| (*state).into()).collect(),
        ..Default::default()
    };
    let cases: Vec<(Request, &str)> = vec![
        (Request::default(), "expired declined archived revoked system guest sent"),
        (statuses(&[Status::Sent]), "expired declined archived revoked sent"),
        (statuses(&[Status::AcceptedByGuest]), "guest"),
        (statuses(&[Status::AcceptedBySystem]), "system"),
        (statuses(&[Status::AcceptedBySystem, Status::AcceptedByGuest]), "system guest"),
        (states(&[InvitationState::Active]), "archived sent"),
        (states(&[InvitationState::Expired]), "expired"),
        (states(&[InvitationState::Revoked, InvitationState::Declined]), "declined revoked"),
        (states(&[InvitationState::Fulfilled]), "system guest"),
        (Request { expired: Some(true), ..Default::default() }, "expired"),
        (Request { expired: Some(false), ..Default::default() }, "declined archived revoked system guest sent"),
        (Request { archived: Some(true), ..Default::default() }, "archived"),
        (Request { archived: Some(false), ..Default::default() }, "expired declined revoked system guest sent"),
        (Request { archived: Some(false), ..states(&[InvitationState::Active]) }, "sent"),
        (Request { email_query: "E@".to_owned(), ..Default::default() }, ""),
        (Request { email: " Guest@X.org".to_owned(), ..Default::default() }, "guest"),
        (Request { email: "guest@x.org".to_owned(), ..states(&[InvitationState::Active]) }, ""),
        (Request { email_prefix: "S".to_owned(), ..Default::default() }, "system sent"),
        (Request { creator: "anonymous".to_owned(), ..statuses(&[Status::AcceptedByGuest]) }, "guest"),
        (Request { creator: "nobody".to_owned(), ..Default::default() }, ""),
        (Request { labels: labelled("sent"), ..Default::default() }, "sent"),
        (Request { labels: labelled("sent"), order_by: "email".to_owned(), ..Default::default() }, "sent"),
        (Request { parent_organization_id: guests::GUEST.to_uppercase(), ..Default::default() }, "system"),
        (Request { parent_organization_id: guests::HOST.to_owned(), ..Default::default() }, ""),
        (
            Request { email_query: "ED@X".to_owned(), expired: Some(false), ..Default::default() },
            "declined archived revoked",
        ),
        (Request { email_query: "ed@x".to_owned(), ..statuses(&[Status::AcceptedByGuest]) }, ""),
    ];
    for (request, wanted) in cases {
        let found = emails(&service, request.clone()).await.join(" ").replace("@x.org", "");
        assert_eq!(found, wanted, "{request:?}");
    }
    service.stop().await;
}

async fn search_takes_every_character_for_itself(database: TestDatabase) {
    let service = Service::start(&database).await;
    for email in ["a%b@x.org", "a_b@x.org", "acb@x.org", "Jos\u{e9}@b\u{fc}cher.example", "a*b@x.org"] {
        guests::create(&service, guests::guest(email)).await;
    }
    for (query, wanted) in [
        ("%", vec!["a%b@x.org"]),
        ("a_b", vec!["a_b@x.org"]),
        ("A%B", vec!["a%b@x.org"]),
        ("*", vec!["a*b@x.org"]),
        ("\\", vec![]),
        ("'", vec![]),
        ("@X.ORG", vec!["a%b@x.org", "a*b@x.org", "a_b@x.org", "acb@x.org"]),
        ("jose\u{301}", vec!["Jos\u{e9}@b\u{fc}cher.example"]),
        ("xn--bcher", vec!["Jos\u{e9}@b\u{fc}cher.example"]),
        // The search is in the normalised address, whose domain is in ASCII.
        ("b\u{fc}cher.example", vec![]),
    ] {
        let request = Request { email_query: query.to_owned(), order_by: "email".to_owned(), ..Default::default() };
        assert_eq!(emails(&service, request).await, wanted, "{query}");
    }
    service.stop().await;
}

/// Walks all pages and returns the addresses.
async fn walk(service: &Service, mut request: Request, total: i32) -> Vec<String> {
    let mut seen = Vec::new();
    loop {
        let page = list(service, request.clone()).await;
        assert_eq!(page.total_size, total, "on every page");
        seen.extend(page.guest_invitations.into_iter().map(|guest| guest.email.replace("@x.org", "")));
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() {
            return seen;
        }
    }
}

async fn every_order_pages_both_ways_over_ties_and_missing_values(database: TestDatabase) {
    let service = Service::start(&database).await;
    invite_all(&service).await;
    let all = "archived declined expired guest revoked sent system";
    for (field, wanted) in [
        ("create_time", Some("sent guest system revoked archived declined expired")),
        ("first_sent_time", Some("sent guest system revoked archived declined expired")),
        ("last_sent_time", Some("sent guest system revoked archived declined expired")),
        ("expire_time", Some("expired declined archived revoked system guest sent")),
        ("email", Some(all)),
        // Several have no value, or the same: their order is their ids'.
        ("accept_time", None),
        ("archive_time", None),
        ("update_time", None),
    ] {
        let request = |direction: &str, page_size| Request {
            order_by: format!("{field}{direction}"),
            page_size,
            ..Default::default()
        };
        let forth = walk(&service, request("", 2), 7).await;
        let mut back = walk(&service, request(" desc", 3), 7).await;
        back.reverse();
        assert_eq!(forth, back, "{field}");
        let mut sorted = forth.clone();
        sorted.sort();
        assert_eq!(sorted.join(" "), all, "{field}: each once");
        if let Some(wanted) = wanted {
            assert_eq!(forth.join(" "), wanted, "{field}");
        }
        match field {
            "accept_time" => assert_eq!(forth[..2], ["guest", "system"], "what has none is last"),
            "archive_time" => assert_eq!(forth[0], "archived"),
            "update_time" => assert_eq!(forth[..2], ["sent", "expired"], "never changed, by age"),
            _ => {}
        }
    }
    service.stop().await;
}

async fn total_is_that_of_the_first_page_on_every_page(database: TestDatabase) {
    let service = Service::start(&database).await;
    for index in 0..5 {
        service.clock.advance(Duration::from_secs(1));
        guests::create(&service, guests::guest(&format!("{index}@x.org"))).await;
    }
    let filtered = || Request { states: vec![InvitationState::Active.into()], page_size: 2, ..Default::default() };
    let first = list(&service, filtered()).await;
    assert_eq!(first.total_size, 5);
    guests::create(&service, guests::guest("new@x.org")).await;
    service.clock.advance(Duration::from_secs(3_600));
    let second = list(&service, Request { page_token: first.next_page_token, ..filtered() }).await;
    assert_eq!((second.total_size, second.guest_invitations.len()), (5, 2), "judged as at the first page");
    let last = list(&service, Request { page_token: second.next_page_token, page_size: 50, ..filtered() }).await;
    assert_eq!((last.total_size, last.guest_invitations.len(), last.next_page_token.as_str()), (5, 1, ""));
    let now = list(&service, filtered()).await;
    assert_eq!((now.total_size, now.guest_invitations.len()), (0, 0));
    let all = list(&service, Request { page_size: 1, ..Default::default() }).await;
    assert_eq!(all.total_size, 6);
    service.stop().await;
}

async fn rows_are_skipped_from_where_the_page_would_begin(database: TestDatabase) {
    let service = Service::start(&database).await;
    for index in 0..9 {
        guests::create(&service, guests::guest(&format!("{index}@x.org"))).await;
    }
    let request = |skip, page_token: &str| Request {
        order_by: "email".to_owned(),
        page_size: 2,
        skip,
        page_token: page_token.to_owned(),
        ..Default::default()
    };
    let read = |page: &pb::ListGuestInvitationsResponse| -> Vec<String> {
        page.guest_invitations.iter().map(|guest| guest.email.replace("@x.org", "")).collect()
    };
    let first = list(&service, request(3, "")).await;
    assert_eq!((read(&first), first.total_size), (vec!["3".to_owned(), "4".to_owned()], 9));
    let next = list(&service, request(0, &first.next_page_token)).await;
    assert_eq!(read(&next), ["5", "6"]);
    let further = list(&service, request(1, &first.next_page_token)).await;
    assert_eq!((read(&further), further.total_size), (vec!["6".to_owned(), "7".to_owned()], 9));
    let beyond = list(&service, request(100, "")).await;
    assert_eq!((read(&beyond).len(), beyond.total_size, beyond.next_page_token.as_str()), (0, 9, ""));
    service.stop().await;
}

async fn page_token_serves_its_own_query_and_host_alone(database: TestDatabase) {
    let service = Service::start(&database).await;
    for index in 0..3 {
        guests::create(&service, guests::guest(&format!("{index}@x.org"))).await;
    }
    let first = list(&service, Request { page_size: 1, ..Default::default() }).await;
    let on = Request { page_token: first.next_page_token, ..Default::default() };
    for other in [
        Request { archived: Some(false), ..on.clone() },
        Request { expired: Some(false), ..on.clone() },
        Request { email_query: "x".to_owned(), ..on.clone() },
        Request { order_by: "email".to_owned(), ..on.clone() },
        Request { statuses: vec![1], ..on.clone() },
    ] {
        let status = service.guests().list_guest_invitations(guests::of(guests::HOST, other)).await;
        assert_eq!(violated(&refused(status, Code::InvalidArgument, "INVALID_FIELD")), ["page_token"]);
    }
    let elsewhere = service.guests().list_guest_invitations(guests::of(guests::OTHER_HOST, on.clone())).await;
    assert_eq!(violated(&refused(elsewhere, Code::InvalidArgument, "INVALID_FIELD")), ["page_token"]);
    assert_eq!(list(&service, on).await.guest_invitations.len(), 2);
    service.stop().await;
}

async fn all_that_is_wrong_is_told_at_once(database: TestDatabase) {
    let service = Service::start(&database).await;
    let bad = Request {
        statuses: vec![0, 99],
        states: vec![0],
        email_query: "x".repeat(101),
        page_size: -1,
        page_token: "x".to_owned(),
        skip: -1,
        order_by: "expire_time up".to_owned(),
        ..Default::default()
    };
    let status = service.guests().list_guest_invitations(bad).await;
    let status = refused(status, Code::InvalidArgument, "INVALID_FIELD");
    let mut fields = violated(&status);
    fields.sort();
    let wanted = [
        "email_query",
        "order_by",
        "page_size",
        "page_token",
        "requester_organization_id",
        "skip",
        "states[0]",
        "statuses[0]",
        "statuses[1]",
        "target_organization_id",
    ];
    assert_eq!(fields, wanted);
    service.stop().await;
}
