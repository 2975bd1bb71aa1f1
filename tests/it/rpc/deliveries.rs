//! Messages on their way: shown by name and by filters, reported on, and queued again.

use std::collections::BTreeSet;
use std::time::Duration;

use invitation_service::pb;
use invitation_service::pb::{Delivery, DeliveryState, RedeliverDeliveriesRequest as Redeliver};
use sea_orm::ConnectionTrait;
use tonic::{Code, Response, Status};
use tonic_types::StatusExt as _;

use crate::rpc::redemption::keys;
use crate::support::build::guests::{HOST, OTHER_HOST};
use crate::support::build::{generals, guests, messages};
use crate::support::database::TestDatabase;
use crate::support::expect::{refused, violated};
use crate::support::on_both;
use crate::support::service::Service;

on_both!(
    migrated:
    list_filters_by_state_and_recipient,
    delivery_is_got_by_its_name_alone,
    failed_messages_of_one_or_all_invitations_are_queued_again,
    bound_key_reaches_deliveries_of_its_hosts_alone,
);

async fn invited(service: &Service, emails: &[&str]) -> pb::Invitation {
    let targets: Vec<_> = emails.iter().map(|email| generals::email(email)).collect();
    generals::create(service, generals::into_team(&targets)).await
}

fn listing(parent: &str) -> pb::ListDeliveriesRequest {
    pb::ListDeliveriesRequest { parent: parent.to_owned(), ..Default::default() }
}

async fn list(service: &Service, request: pb::ListDeliveriesRequest) -> Vec<Delivery> {
    service.deliveries().list_deliveries(request).await.unwrap().into_inner().deliveries
}

async fn get(service: &Service, name: &str) -> Result<Delivery, Status> {
    let request = pb::GetDeliveryRequest { name: name.to_owned() };
    service.deliveries().get_delivery(request).await.map(Response::into_inner)
}

/// Gives up every message, as a mail worker does after its last attempt.
async fn give_up(service: &Service) {
    let database = service.connect().await;
    database.execute_unprepared("UPDATE outbox SET state = 'failed', due_at = NULL").await.unwrap();
    database.close().await.unwrap();
}

async fn list_filters_by_state_and_recipient(database: TestDatabase) {
    let service = Service::start(&database).await;
    let made = invited(&service, &["ann@example.org", "bob@example.org"]).await;
    let all = list(&service, listing(&made.name)).await;
    let ann = format!("{}/recipients/1", made.name);
    let to_ann = pb::ListDeliveriesRequest { recipient: ann.clone(), ..listing(&made.name) };
    let found = list(&service, to_ann.clone()).await;
    assert!(!found.is_empty() && found.len() < all.len());
    assert!(found.iter().all(|one| one.recipient == ann && one.address == "ann@example.org"), "{found:?}");
    let report = pb::ReportDeliveryStatusRequest {
        message_id: found[0].message_id.clone(),
        report: pb::DeliveryReport::Bounced.into(),
        ..Default::default()
    };
    let reported = service.deliveries().report_delivery_status(report).await.unwrap().into_inner();
    assert_eq!((reported.name.as_str(), reported.state()), (found[0].name.as_str(), DeliveryState::Bounced));
    let in_states = |states: &[DeliveryState]| pb::ListDeliveriesRequest {
        states: states.iter().map(|state| (*state).into()).collect(),
        ..listing(&made.name)
    };
    assert_eq!(list(&service, in_states(&[DeliveryState::Bounced])).await, [reported]);
    let both = list(&service, in_states(&[DeliveryState::Bounced, DeliveryState::Queued])).await;
    assert_eq!(both.len(), all.len());
    assert!(list(&service, in_states(&[DeliveryState::Sent])).await.is_empty());
    let foreign = "invitations/01920000-0000-7000-8000-000000000000/recipients/1".to_owned();
    for recipient in [foreign, format!("{}/recipients/0", made.name), format!("{}/recipients/01", made.name)] {
        let request = pb::ListDeliveriesRequest { recipient, ..listing(&made.name) };
        let status =
            refused(service.deliveries().list_deliveries(request).await, Code::InvalidArgument, "INVALID_FIELD");
        assert_eq!(violated(&status), ["recipient"]);
    }
    service.stop().await;
}

async fn delivery_is_got_by_its_name_alone(database: TestDatabase) {
    let service = Service::start(&database).await;
    let (one, other) = (invited(&service, &["ann@example.org"]).await, invited(&service, &["bob@example.org"]).await);
    let sent = list(&service, listing(&one.name)).await.remove(0);
    assert_eq!(get(&service, &sent.name).await.unwrap(), sent);
    let id = sent.name.rsplit('/').next().unwrap();
    let elsewhere = format!("{}/deliveries/{id}", other.name);
    let missing = "invitations/01920000-0000-7000-8000-000000000000/deliveries/01920000-0000-7000-8000-000000000000";
    let mut texts = BTreeSet::new();
    for name in [&elsewhere, missing] {
        let status = refused(get(&service, name).await, Code::NotFound, "DELIVERY_NOT_FOUND");
        let details = status.get_error_details();
        let resource = details.resource_info().unwrap();
        assert_eq!(
            (resource.resource_type.as_str(), resource.resource_name.as_str()),
            ("invitation.v1/Delivery", name)
        );
        assert!(details.error_info().unwrap().metadata.is_empty());
        texts.insert(status.message().to_owned());
    }
    assert_eq!(texts.len(), 1, "that of another invitation is told apart by nothing");
    for name in ["", id, &one.name, &format!("{}/deliveries/x", one.name), &format!("{}/", sent.name)] {
        assert_eq!(violated(&refused(get(&service, name).await, Code::InvalidArgument, "INVALID_FIELD")), ["name"]);
    }
    service.stop().await;
}

async fn failed_messages_of_one_or_all_invitations_are_queued_again(database: TestDatabase) {
    let service = Service::start(&database).await;
    let first = invited(&service, &["ann@example.org"]).await;
    service.clock.advance(Duration::from_secs(60));
    let second = invited(&service, &["bob@example.org"]).await;
    let redeliver = async |request: Redeliver| {
        let answer = service.deliveries().redeliver_deliveries(request).await.unwrap();
        answer.into_inner().redelivered_count
    };
    let of = |parent: &str| Redeliver { parent: parent.to_owned(), ..Default::default() };
    give_up(&service).await;
    let (ours, theirs) = (list(&service, listing(&first.name)).await, list(&service, listing(&second.name)).await);
    let count = |of: &[Delivery]| i32::try_from(of.len()).unwrap();
    assert_eq!(redeliver(of(&first.name)).await, count(&ours));
    assert_eq!(redeliver(of(&first.name)).await, 0, "they wait again");
    let dry = Redeliver { validate_only: true, ..of("invitations/-") };
    assert_eq!(redeliver(dry).await, count(&theirs));
    let span = |start_time, end_time| Redeliver {
        create_time: Some(pb::TimeRange { start_time, end_time }),
        ..of("invitations/-")
    };
    give_up(&service).await;
    assert_eq!(redeliver(span(messages::at(61), None)).await, 0);
    assert_eq!(redeliver(span(None, messages::at(0))).await, 0, "the end is exclusive");
    assert_eq!(redeliver(span(messages::at(0), messages::at(60))).await, count(&ours), "the start is inclusive");
    assert_eq!(redeliver(span(messages::at(60), messages::at(61))).await, count(&theirs));
    for (start, end) in [(61, 60), (60, 60)] {
        let status = service.deliveries().redeliver_deliveries(span(messages::at(start), messages::at(end))).await;
        assert_eq!(violated(&refused(status, Code::InvalidArgument, "INVALID_FIELD")), ["create_time.end_time"]);
    }
    for parent in ["", "-", "invitations/", "guestInvitations/-"] {
        let status = service.deliveries().redeliver_deliveries(of(parent)).await;
        assert_eq!(violated(&refused(status, Code::InvalidArgument, "INVALID_FIELD")), ["parent"], "{parent}");
    }
    service.stop().await;
}

async fn bound_key_reaches_deliveries_of_its_hosts_alone(database: TestDatabase) {
    let credentials = [("ours", "*", Some(HOST)), ("ours", "*", Some(OTHER_HOST))];
    let (service, key) = keys::start_bound(&database, &credentials).await;
    let mut create = keys::with(&key[0], guests::creation(guests::guest("ann@example.org")));
    guests::add(&mut create, HOST, HOST);
    let made = service.guests().create_guest_invitation(create).await.unwrap().into_inner();
    let mut deliveries = service.deliveries();
    let listed = deliveries.list_deliveries(keys::with(&key[0], listing(&made.name))).await.unwrap().into_inner();
    let name = listed.deliveries[0].name.clone();
    let get = |key: &str| keys::with(key, pb::GetDeliveryRequest { name: name.clone() });
    deliveries.get_delivery(get(&key[0])).await.unwrap();
    refused(deliveries.get_delivery(get(&key[1])).await, Code::NotFound, "DELIVERY_NOT_FOUND");
    let all = Redeliver { parent: "invitations/-".to_owned(), ..Default::default() };
    let denied = deliveries.redeliver_deliveries(keys::with(&key[0], all)).await;
    refused(denied, Code::PermissionDenied, "ORGANIZATION_ACCESS_DENIED");
    service.stop().await;
}
