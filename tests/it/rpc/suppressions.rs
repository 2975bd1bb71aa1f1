//! `SuppressionService`, and what a suppressed address changes for the calls that would mail it.

use std::time::Duration;

use invitation_service::pb;
use invitation_service::pb::batch_create_invitations_result::Result as Outcome;
use invitation_service::pb::event::Payload;
use sea_orm::{ConnectionTrait as _, Statement};
use serde_json::Value;
use tonic::{Code, Status};

use crate::support::build::generals::{self, email, into_team};
use crate::support::build::{guests, messages, users};
use crate::support::database::TestDatabase;
use crate::support::expect::{refused, violated};
use crate::support::on_both;
use crate::support::service::Service;

on_both!(
    migrated:
    suppression_is_created_found_listed_and_lifted,
    address_is_suppressed_once_in_any_spelling,
    call_that_would_mail_a_suppressed_address_says_so,
    report_of_a_bounce_or_a_complaint_suppresses_the_address,
    erased_address_stays_suppressed_and_cannot_be_read,
    suppression_of_a_caller_is_told_to_watchers,
);

fn of(email: &str) -> pb::CreateSuppressionRequest {
    let suppression = Some(pb::Suppression { email: email.to_owned(), ..Default::default() });
    pb::CreateSuppressionRequest { suppression, ..Default::default() }
}

async fn try_suppress(service: &Service, email: &str) -> Result<pb::Suppression, Status> {
    service.suppressions().create_suppression(of(email)).await.map(tonic::Response::into_inner)
}

async fn suppress(service: &Service, email: &str) -> pb::Suppression {
    try_suppress(service, email).await.unwrap()
}

async fn lookup(service: &Service, email: &str) -> Result<pb::Suppression, Status> {
    let request = pb::LookupSuppressionRequest { email: email.to_owned() };
    service.suppressions().lookup_suppression(request).await.map(tonic::Response::into_inner)
}

async fn list(service: &Service, page_size: i32, page_token: &str) -> pb::ListSuppressionsResponse {
    let request = pb::ListSuppressionsRequest { page_size, page_token: page_token.to_owned(), ..Default::default() };
    service.suppressions().list_suppressions(request).await.unwrap().into_inner()
}

async fn lift(service: &Service, name: &str, etag: &str) -> Result<(), Status> {
    let request = pb::DeleteSuppressionRequest { name: name.to_owned(), etag: etag.to_owned(), ..Default::default() };
    service.suppressions().delete_suppression(request).await.map(drop)
}

async fn invite(service: &Service, addresses: &[&str]) -> pb::Invitation {
    let targets: Vec<_> = addresses.iter().map(|address| email(address)).collect();
    generals::create(service, into_team(&targets)).await
}

async fn deliveries(service: &Service, parent: &str) -> Vec<pb::Delivery> {
    let request = pb::ListDeliveriesRequest { parent: parent.to_owned(), ..Default::default() };
    service.deliveries().list_deliveries(request).await.unwrap().into_inner().deliveries
}

async fn suppression_is_created_found_listed_and_lifted(database: TestDatabase) {
    let service = Service::start(&database).await;
    let made = suppress(&service, "Ann.Lee@Example.org").await;
    assert_eq!((made.masked_email.as_str(), made.email.as_str()), ("A***@Example.org", ""));
    assert_eq!((made.reason(), made.creator.as_str()), (pb::SuppressionReason::Manual, "anonymous"));
    assert_eq!((made.create_time, made.source_delivery.as_str()), (messages::at(0), ""));
    let get = pb::GetSuppressionRequest { name: made.name.clone() };
    assert_eq!(service.suppressions().get_suppression(get.clone()).await.unwrap().into_inner(), made);
    assert_eq!(lookup(&service, " <ann.lee@EXAMPLE.org> ").await.unwrap(), made);
    refused(lookup(&service, "bob@example.org").await, Code::NotFound, "SUPPRESSION_NOT_FOUND");
    let status = refused(lookup(&service, "bob").await, Code::InvalidArgument, "INVALID_FIELD");
    assert_eq!(violated(&status), ["email"]);

    let mut reported = of("bob@example.org");
    reported.suppression.as_mut().unwrap().reason = pb::SuppressionReason::Complaint.into();
    let dry = pb::CreateSuppressionRequest { validate_only: true, ..reported.clone() };
    let dry = service.suppressions().create_suppression(dry).await.unwrap().into_inner();
    assert_eq!((dry.name.as_str(), dry.etag.as_str(), dry.masked_email.as_str()), ("", "", "b***@example.org"));
    refused(lookup(&service, "bob@example.org").await, Code::NotFound, "SUPPRESSION_NOT_FOUND");
    service.clock.advance(Duration::from_secs(1));
    let bob = service.suppressions().create_suppression(reported).await.unwrap().into_inner();
    assert_eq!(bob.reason(), pb::SuppressionReason::Complaint);
    let first = list(&service, 1, "").await;
    assert_eq!(first.suppressions, std::slice::from_ref(&bob), "the newest first");
    let rest = list(&service, 1, &first.next_page_token).await;
    assert_eq!((rest.suppressions, rest.next_page_token.as_str()), (vec![made.clone()], ""));

    refused(lift(&service, &made.name, "\"other\"").await, Code::Aborted, "ETAG_MISMATCH");
    lift(&service, &made.name, &made.etag).await.unwrap();
    refused(lift(&service, &made.name, "").await, Code::NotFound, "SUPPRESSION_NOT_FOUND");
    refused(service.suppressions().get_suppression(get).await, Code::NotFound, "SUPPRESSION_NOT_FOUND");
    refused(lookup(&service, "ann.lee@example.org").await, Code::NotFound, "SUPPRESSION_NOT_FOUND");
    assert_eq!(list(&service, 0, "").await.suppressions, [bob]);
    service.stop().await;
}

async fn address_is_suppressed_once_in_any_spelling(database: TestDatabase) {
    let service = Service::start(&database).await;
    let request = pb::CreateSuppressionRequest { request_id: "r-1".to_owned(), ..of("ann@b\u{fc}cher.example") };
    let made = service.suppressions().create_suppression(request.clone()).await.unwrap().into_inner();
    let again = service.suppressions().create_suppression(request.clone()).await.unwrap().into_inner();
    assert_eq!(again, made, "a retry");
    for spelling in ["ANN@B\u{dc}CHER.example", "ann@xn--bcher-kva.example"] {
        let status = refused(try_suppress(&service, spelling).await, Code::AlreadyExists, "SUPPRESSION_EXISTS");
        let details = tonic_types::StatusExt::get_error_details(&status);
        assert_eq!(details.error_info().unwrap().metadata["suppression"], made.name);
    }
    lift(&service, &made.name, "").await.unwrap();
    let deleted = service.suppressions().create_suppression(request).await;
    refused(deleted, Code::NotFound, "SUPPRESSION_NOT_FOUND");
    assert_ne!(suppress(&service, "ann@b\u{fc}cher.example").await.name, made.name);
    let status = refused(try_suppress(&service, "ann").await, Code::InvalidArgument, "INVALID_FIELD");
    assert_eq!(violated(&status), ["suppression.email"]);
    service.stop().await;
}

async fn call_that_would_mail_a_suppressed_address_says_so(database: TestDatabase) {
    let service = Service::start(&database).await;
    let suppressed = suppress(&service, "gone@example.org").await;
    let request = messages::general(into_team(&[email("Gone@example.org"), email("ann@example.org")]));
    let dry = pb::CreateInvitationRequest { validate_only: true, ..request.clone() };
    let dry = service.invitations().create_invitation(dry).await.unwrap().into_inner();
    assert_eq!(dry.suppressed_emails, ["Gone@example.org"]);
    let made = service.invitations().create_invitation(request).await.unwrap().into_inner();
    assert_eq!(made.suppressed_emails, ["Gone@example.org"]);
    assert_eq!((made.state(), made.last_delivery_state()), (pb::InvitationState::Active, pb::DeliveryState::Queued));
    let told: Vec<_> = messages::events(&service, &made.name).await;
    let types: Vec<_> = told.iter().map(|event| event.r#type.as_str()).collect();
    assert_eq!(types, ["invitation.created", "delivery.suppressed"]);
    let Some(Payload::Created(created)) = &told[0].payload else { panic!("{told:?}") };
    assert_eq!((created.recipient_count, created.mailed_count), (2, 1));
    let Some(Payload::Delivery(payload)) = &told[1].payload else { panic!("{told:?}") };
    assert_eq!(payload.recipient, format!("{}/recipients/1", made.name));
    assert_eq!(payload.detail, "the address is suppressed");
    let found = deliveries(&service, &made.name).await;
    let ended = found.iter().find(|one| one.name == payload.delivery).unwrap();
    assert_eq!(
        (ended.state(), ended.last_error.as_str()),
        (pb::DeliveryState::Suppressed, "the address is suppressed")
    );
    assert_eq!(found.len(), 2);

    let alone = invite(&service, &["gone@example.org"]).await;
    assert_eq!(alone.status(), pb::InvitationStatus::Suppressed);
    let read = messages::get_general(&service, &alone.name).await;
    assert_eq!((read.status(), read.suppressed_emails.len()), (pb::InvitationStatus::Suppressed, 0));
    let requests = vec![messages::general(into_team(&[email("gone@example.org")]))];
    let batch = pb::BatchCreateInvitationsRequest { requests, atomic: true, ..Default::default() };
    let mut made_all = service.invitations().batch_create_invitations(batch).await.unwrap().into_inner().results;
    let Some(Outcome::Invitation(one)) = made_all.remove(0).result else { panic!("no invitation") };
    assert_eq!(one.suppressed_emails, ["gone@example.org"]);

    let user = service.users().create_user_invitation(users::creation(users::user("gone@example.org"))).await;
    let user = user.unwrap().into_inner();
    let suppressed_state = pb::DeliveryState::Suppressed;
    assert_eq!((user.suppressed_emails.len(), user.last_delivery_state()), (1, suppressed_state));
    let guest = guests::of(messages::COMPANY, guests::creation(guests::guest("gone@example.org")));
    let guest = service.guests().create_guest_invitation(guest).await.unwrap().into_inner();
    assert_eq!((guest.suppressed_emails.len(), guest.last_delivery_state()), (1, suppressed_state));
    let company = pb::CreateConnectionInvitationRequest {
        send_email: Some(true),
        ..messages::creation(messages::invitation_for(&["gone@example.org", "ann@example.org"]))
    };
    let company = service.connections().create_connection_invitation(company).await.unwrap().into_inner();
    assert_eq!(company.suppressed_emails, ["gone@example.org"]);

    service.clock.advance(Duration::from_secs(120));
    let resend = pb::ResendInvitationRequest { name: alone.name.clone(), rotate_token: true, ..Default::default() };
    let resent = service.invitations().resend_invitation(resend.clone()).await.unwrap().into_inner();
    assert_eq!((resent.suppressed_emails.len(), resent.status()), (1, pb::InvitationStatus::Suppressed));
    assert_ne!(resent.invitation_token, alone.invitation_token, "a link can be withdrawn all the same");
    lift(&service, &suppressed.name, "").await.unwrap();
    service.clock.advance(Duration::from_secs(120));
    let resent = service.invitations().resend_invitation(resend).await.unwrap().into_inner();
    assert_eq!((resent.suppressed_emails.len(), resent.status()), (0, pb::InvitationStatus::Queued));
    service.stop().await;
}

async fn report(service: &Service, parent: &str, report: pb::DeliveryReport, detail: &str) {
    let message_id = deliveries(service, parent).await.remove(0).message_id;
    let (report, detail) = (report.into(), detail.to_owned());
    let request = pb::ReportDeliveryStatusRequest { message_id, report, detail, ..Default::default() };
    service.deliveries().report_delivery_status(request).await.unwrap();
}

async fn report_of_a_bounce_or_a_complaint_suppresses_the_address(database: TestDatabase) {
    use pb::DeliveryReport::{Bounced, Complained, Delivered};
    let service = Service::start(&database).await;
    for (address, told, detail, reason) in [
        ("bounced@example.org", Bounced, "550 5.1.1 no such user", Some(pb::SuppressionReason::HardBounce)),
        ("unexplained@example.org", Bounced, "", Some(pb::SuppressionReason::HardBounce)),
        ("full@example.org", Bounced, "552 5.2.2 mailbox full", None),
        ("blocked@example.org", Bounced, "550 5.7.1 policy", None),
        ("greylisted@example.org", Bounced, "450 4.2.0 greylisted", None),
        ("annoyed@example.org", Complained, "", Some(pb::SuppressionReason::Complaint)),
        ("glad@example.org", Delivered, "", None),
    ] {
        let made = invite(&service, &[address]).await;
        report(&service, &made.name, told, detail).await;
        let found = lookup(&service, address).await;
        let Some(reason) = reason else {
            refused(found, Code::NotFound, "SUPPRESSION_NOT_FOUND");
            continue;
        };
        let found = found.unwrap();
        let source = deliveries(&service, &made.name).await.remove(0).name;
        assert_eq!((found.reason(), found.source_delivery.as_str()), (reason, source.as_str()), "{address}");
        let told = messages::events(&service, &made.name).await.pop().unwrap();
        assert_eq!(told.r#type, "suppression.created");
        let Some(Payload::Suppression(payload)) = told.payload else { panic!("{told:?}") };
        assert_eq!((payload.suppression, payload.source_delivery), (found.name.clone(), source));
        assert_eq!((payload.reason, payload.recipient), (found.reason, format!("{}/recipients/1", made.name)));
        let next = invite(&service, &[address]).await;
        assert_eq!(next.status(), pb::InvitationStatus::Suppressed, "{address}");
        lift(&service, &found.name, "").await.unwrap();
        assert_eq!(invite(&service, &[address]).await.status(), pb::InvitationStatus::Queued, "{address}");
    }
    service.stop().await;
}

/// The document that ExportRecipient returns; null if there is none.
async fn export(service: &Service, email: &str) -> Value {
    let request = pb::ExportRecipientRequest { email: email.to_owned(), ..Default::default() };
    let document = service.privacy().export_recipient(request).await.unwrap().into_inner().document;
    if document.is_empty() { Value::Null } else { serde_json::from_str(&document).unwrap() }
}

async fn erased_address_stays_suppressed_and_cannot_be_read(database: TestDatabase) {
    let service = Service::start(&database).await;
    let made = suppress(&service, "Ann.Lee@example.org").await;
    let exported = export(&service, "ann.lee@example.org").await;
    assert_eq!(
        (&exported["suppression"]["name"], &exported["suppression"]["reason"]),
        (&made.name.as_str().into(), &"manual".into())
    );
    let queued = {
        lift(&service, &made.name, "").await.unwrap();
        let queued = invite(&service, &["ann.lee@example.org"]).await;
        report(&service, &queued.name, pb::DeliveryReport::Complained, "").await;
        queued
    };
    let made = lookup(&service, "ann.lee@example.org").await.unwrap();
    let erase = pb::EraseRecipientRequest { email: "ANN.LEE@example.org".to_owned(), ..Default::default() };
    let dry = pb::EraseRecipientRequest { validate_only: true, ..erase.clone() };
    service.privacy().erase_recipient(dry).await.unwrap();
    assert_eq!(lookup(&service, "ann.lee@example.org").await.unwrap(), made, "a dry run erases nothing");
    service.privacy().erase_recipient(erase.clone()).await.unwrap();

    let erased = lookup(&service, "ann.lee@example.org").await.unwrap();
    assert_eq!(erased, pb::Suppression { masked_email: String::new(), ..made.clone() });
    let rows = service.connected().await;
    for table in ["suppression", "outbox", "recipient", "event"] {
        let row = if rows.get_database_backend() == sea_orm::DbBackend::Postgres {
            "CAST(t AS text)"
        } else {
            "address_key || masked_email"
        };
        if row.contains("address_key") && table != "suppression" {
            continue;
        }
        let sql = format!("SELECT count(*) FROM {table} t WHERE lower({row}) LIKE '%ann%lee%'");
        let found =
            rows.query_one_raw(Statement::from_string(rows.get_database_backend(), sql)).await.unwrap().unwrap();
        assert_eq!(found.try_get_by_index::<i64>(0).unwrap(), 0, "{table}");
    }
    assert_eq!(export(&service, "ann.lee@example.org").await, Value::Null);
    let payload = messages::events(&service, &queued.name).await;
    assert!(payload.iter().any(|event| event.r#type == "suppression.created"), "its event stays");
    refused(try_suppress(&service, "Ann.Lee@example.org").await, Code::AlreadyExists, "SUPPRESSION_EXISTS");
    assert_eq!(invite(&service, &["ann.lee@example.org"]).await.status(), pb::InvitationStatus::Suppressed);
    // An erasure can be repeated.
    service.privacy().erase_recipient(erase).await.unwrap();
    lift(&service, &erased.name, "").await.unwrap();
    assert_eq!(invite(&service, &["ann.lee@example.org"]).await.status(), pb::InvitationStatus::Queued);
    service.stop().await;
}

async fn suppression_of_a_caller_is_told_to_watchers(database: TestDatabase) {
    let service = Service::start(&database).await;
    let request = pb::WatchEventsRequest { types: vec!["suppression.*".to_owned()], ..Default::default() };
    let mut watch = service.events().watch_events(request).await.unwrap().into_inner();
    let request = pb::CreateSuppressionRequest { request_id: "r-1".to_owned(), ..of("ann@example.org") };
    let made = service.suppressions().create_suppression(request).await.unwrap().into_inner();
    let event = loop {
        let answer = watch.message().await.unwrap().unwrap();
        if let Some(pb::watch_events_response::Item::Event(event)) = answer.item {
            break event;
        }
    };
    assert_eq!((event.r#type.as_str(), event.request_id.as_str()), ("suppression.created", "r-1"));
    assert_eq!((event.name.as_str(), event.invitation.as_str(), event.sequence), ("", "", 0));
    assert_eq!((event.kind(), event.state()), (Default::default(), Default::default()));
    assert!(!event.uid.is_empty() && !event.resume_token.is_empty());
    let Some(Payload::Suppression(payload)) = event.payload else { panic!("{event:?}") };
    assert_eq!((payload.suppression.as_str(), payload.source_delivery.as_str()), (made.name.as_str(), ""));
    assert_eq!(payload.reason(), pb::SuppressionReason::Manual);
    service.stop().await;
}
