//! The reminders that are planned beside the messages with links.

use std::time::Duration;

use invitation_service::clock::Clock;
use invitation_service::pb;

use crate::contract::codes;
use crate::support::build::{guests, messages, users};
use crate::support::database::{NEW_YEAR, TestDatabase};
use crate::support::on_both;
use crate::support::service::{Service, configuration};

on_both!(
    migrated:
    reminders_wait_in_the_outbox_and_count_as_no_delivery,
    expiry_that_moves_there_and_back_reminds_nobody_twice,
    planned_reminder_is_listed_where_it_was_planned,
);

const DAY: i64 = 86_400;

/// A service that reminds guests three days and a day before the expiry, and users after three and seven days.
async fn start(database: &TestDatabase) -> Service {
    let more = [
        ("INVITATION__REMINDERS__USER_AFTER", "3d, 7d, 30d"),
        ("INVITATION__REMINDERS__USER_BEFORE_EXPIRY", "1d"),
        ("INVITATION__REMINDERS__GUEST_BEFORE_EXPIRY", "72h, 1d"),
    ];
    Service::start_with(configuration(database, &more), Clock::manual(NEW_YEAR)).await
}

/// The reminders that wait: to whom, after how many days, and after how many the expiry is that they speak of.
async fn waiting(service: &Service) -> Vec<(i32, i64, Option<i64>)> {
    let sql = "SELECT recipient, planned_at, moment FROM outbox WHERE purpose = 'reminder' AND state = 'queued'
        AND due_at IS NULL ORDER BY planned_at, recipient";
    let days = |micros: i64| (micros - NEW_YEAR.micros()) / 1_000_000 / DAY;
    let rows = codes::rows(service, sql).await;
    let row = |row: &sea_orm::QueryResult| {
        let (planned, expiry): (i64, Option<i64>) =
            (row.try_get("", "planned_at").unwrap(), row.try_get("", "moment").unwrap());
        (row.try_get("", "recipient").unwrap(), days(planned), expiry.map(days))
    };
    rows.iter().map(row).collect()
}

async fn reminders_wait_in_the_outbox_and_count_as_no_delivery(database: TestDatabase) {
    let service = start(&database).await;
    let user = pb::UserInvitation {
        expiration: messages::seconds(10 * DAY).map(pb::user_invitation::Expiration::Ttl),
        ..users::user("ann@example.org")
    };
    let made = users::create(&service, user.clone()).await;
    let planned = [(1, 3, None), (1, 7, None), (1, 9, Some(10))];
    assert_eq!(waiting(&service).await, planned);
    let name = format!("invitations/{}", made.uid);
    let shown = messages::get_general(&service, &name).await;
    assert_eq!(shown.delivery_count, 1, "the link alone was sent");
    let silent = pb::UserInvitation { invited_email: "bob@example.org".to_owned(), ..user };
    let silent = pb::CreateUserInvitationRequest { send_email: Some(false), ..users::creation(silent) };
    service.users().create_user_invitation(silent).await.unwrap();
    assert_eq!(waiting(&service).await, planned, "whom nothing was mailed is reminded of nothing");
    let resend = pb::ResendUserInvitationRequest {
        expiration: messages::seconds(20 * DAY).map(pb::resend_user_invitation_request::Expiration::Ttl),
        ..users::resending(&made.name)
    };
    service.users().resend_user_invitation(resend).await.unwrap();
    let renewed = [(1, 3, None), (1, 7, None), (1, 9, Some(10)), (1, 19, Some(20))];
    assert_eq!(waiting(&service).await, renewed, "what speaks of the old expiry is cancelled when its time comes");
    assert_eq!(messages::get_general(&service, &name).await.delivery_count, 2);
    service.clock.advance(Duration::from_secs(60));
    service.users().resend_user_invitation(users::resending(&made.name)).await.unwrap();
    assert_eq!(waiting(&service).await, renewed, "the expiry has not moved");
    let tried = "UPDATE outbox SET attempts = 1 WHERE purpose = 'reminder' AND moment IS NULL";
    codes::rows(&service, tried).await;
    assert_eq!(
        messages::get_general(&service, &name).await.delivery_count,
        5,
        "a reminder that was sent brought the link"
    );
    service.stop().await;
}

async fn expiry_that_moves_there_and_back_reminds_nobody_twice(database: TestDatabase) {
    let service = start(&database).await;
    let guest = pb::GuestInvitation {
        expiration: messages::at(10 * DAY).map(pb::guest_invitation::Expiration::ExpireTime),
        ..guests::guest("ann@example.org")
    };
    let made = guests::create(&service, guest).await;
    let first = [(1, 7, Some(10)), (1, 9, Some(10))];
    assert_eq!(waiting(&service).await, first);
    for days in [20, 10, 20] {
        let moved = pb::GuestInvitation {
            name: made.name.clone(),
            expiration: messages::at(days * DAY).map(pb::guest_invitation::Expiration::ExpireTime),
            ..Default::default()
        };
        service.guests().update_guest_invitation(guests::update(moved, &["expire_time"])).await.unwrap();
    }
    let both = [first.as_slice(), &[(1, 17, Some(20)), (1, 19, Some(20))]].concat();
    assert_eq!(waiting(&service).await, both);
    service.stop().await;
}

async fn planned_reminder_is_listed_where_it_was_planned(database: TestDatabase) {
    let service = start(&database).await;
    let user = pb::UserInvitation {
        expiration: messages::seconds(10 * DAY).map(pb::user_invitation::Expiration::Ttl),
        ..users::user("ann@example.org")
    };
    let made = users::create(&service, user).await;
    service.clock.advance(Duration::from_secs(3_600));
    service.users().resend_user_invitation(users::resending(&made.name)).await.unwrap();
    let mut listed = Vec::new();
    let mut list = pb::ListDeliveriesRequest { parent: made.name.clone(), page_size: 1, ..Default::default() };
    while listed.is_empty() || !list.page_token.is_empty() {
        let page = service.deliveries().list_deliveries(list.clone()).await.unwrap().into_inner();
        listed.extend(page.deliveries.into_iter().map(|delivery| (delivery.create_time, delivery.purpose())));
        list.page_token = page.next_page_token;
    }
    use pb::DeliveryPurpose::{Invitation, Reminder};
    assert_eq!(listed[0], (messages::at(3_600), Invitation), "the newest first, although reminders are for later");
    let mut purposes: Vec<_> = listed[1..].iter().map(|(at, purpose)| (*at, *purpose == Reminder)).collect();
    purposes.sort_by_key(|(_, reminder)| *reminder);
    let first = messages::at(0);
    assert_eq!(purposes, [(first, false), (first, true), (first, true), (first, true)]);
    service.stop().await;
}
