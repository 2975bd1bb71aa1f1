//! The limits on mailing an invitation again.

use std::time::Duration;

use invitation_service::pb;
use invitation_service::pb::ResendInvitationRequest as Request;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::support::build::generals::{email, into_team};
use crate::support::build::{generals, messages};
use crate::support::database::TestDatabase;
use crate::support::expect::refused;
use crate::support::on_both;
use crate::support::service::Service;

on_both!(
    migrated:
    invitation_is_mailed_again_once_a_minute_and_ten_times_a_day,
    call_that_mails_nobody_is_not_limited,
    resend_cancels_what_is_queued,
);

fn request(name: &str) -> Request {
    Request { name: name.to_owned(), ..Default::default() }
}

async fn resend(service: &Service, request: Request) -> Result<pb::Invitation, Status> {
    service.invitations().resend_invitation(request).await.map(tonic::Response::into_inner)
}

/// Asserts that there were too many, and returns the seconds to wait.
fn wait(result: Result<pb::Invitation, Status>) -> u64 {
    let details = refused(result, Code::ResourceExhausted, "RATE_LIMITED").get_error_details();
    assert_eq!(details.error_info().unwrap().metadata["limit"], "resends_per_invitation");
    details.retry_info().unwrap().retry_delay.unwrap().as_secs()
}

async fn invitation_is_mailed_again_once_a_minute_and_ten_times_a_day(database: TestDatabase) {
    let service = Service::start(&database).await;
    let name = generals::create(&service, into_team(&[email("a@b.org")])).await.name;
    let other = generals::create(&service, into_team(&[email("a@b.org")])).await.name;
    let first = Request { request_id: "first".to_owned(), ..request(&name) };
    resend(&service, first.clone()).await.unwrap();
    for _ in 1..10 {
        let dry = Request { validate_only: true, ..request(&name) };
        assert_eq!(wait(resend(&service, dry).await), 60);
        assert_eq!(wait(resend(&service, request(&name)).await), 60);
        service.clock.advance(Duration::from_secs(60));
        resend(&service, request(&name)).await.unwrap();
    }
    service.clock.advance(Duration::from_secs(60));
    assert_eq!(wait(resend(&service, request(&name)).await), 24 * 3_600 - 600);
    resend(&service, first).await.unwrap();
    assert_eq!(messages::get_general(&service, &name).await.delivery_count, 11);
    resend(&service, request(&other)).await.unwrap();
    service.clock.advance(Duration::from_secs(24 * 3_600 - 600));
    resend(&service, request(&name)).await.unwrap();
    service.stop().await;
}

async fn call_that_mails_nobody_is_not_limited(database: TestDatabase) {
    let service = Service::start(&database).await;
    let name = generals::create(&service, into_team(&[email("a@b.org")])).await.name;
    resend(&service, request(&name)).await.unwrap();
    for _ in 0..11 {
        let silent = Request { send_email: Some(false), rotate_token: true, ..request(&name) };
        resend(&service, silent).await.unwrap();
    }
    assert_eq!(wait(resend(&service, request(&name)).await), 60);
    service.stop().await;
}

async fn resend_cancels_what_is_queued(database: TestDatabase) {
    let service = Service::start(&database).await;
    let made = generals::create(&service, into_team(&[email("a@b.org"), email("c@b.org")])).await;
    let second = format!("{}/recipients/2", made.name);
    resend(&service, Request { recipients: vec![second], ..request(&made.name) }).await.unwrap();
    let list = pb::ListDeliveriesRequest { parent: made.name, ..Default::default() };
    let listed = service.deliveries().list_deliveries(list).await.unwrap().into_inner().deliveries;
    let mut seen: Vec<_> = listed.iter().map(|one| (one.recipient.clone(), one.state())).collect();
    seen.sort_by_key(|(recipient, state)| (recipient.clone(), *state as i32));
    let states: Vec<_> = seen.iter().map(|(_, state)| *state).collect();
    use pb::DeliveryState::{Cancelled, Queued};
    assert_eq!(states, [Queued, Queued, Cancelled]);
    assert_eq!(seen[1].0, seen[2].0);
    service.stop().await;
}
