//! ExportRecipient: everything of the person, and nothing else.

use invitation_service::pb;
use serde_json::Value;

use super::{ADDRESS, BOB, NAME, PHONE, SUBJECT, erase, make};
use crate::support::database::TestDatabase;
use crate::support::on_both;
use crate::support::service::Service;

on_both!(migrated: export_has_everything_of_the_person_and_of_nobody_else, export_comes_in_pages);

async fn page(service: &Service, request: pb::ExportRecipientRequest) -> (Value, String) {
    let answer = service.privacy().export_recipient(request).await.unwrap().into_inner();
    (serde_json::from_str(&answer.document).unwrap(), answer.next_page_token)
}

fn of(email: &str) -> pb::ExportRecipientRequest {
    pb::ExportRecipientRequest { email: email.to_owned(), ..Default::default() }
}

async fn export_has_everything_of_the_person_and_of_nobody_else(database: TestDatabase) {
    let service = Service::start(&database).await;
    let made = make(&service).await;
    let (document, next) = page(&service, of("quentin.zebra@example.org")).await;
    assert_eq!((document["account"].as_str(), next.as_str()), (Some("default"), ""));
    let names: Vec<_> = document["invitations"].as_array().unwrap().iter().map(|one| &one["name"]).collect();
    let wanted = ["link", "declined", "targets", "connection", "guest", "user"].map(|which| made[which].name.as_str());
    assert_eq!(names, wanted, "the newest first");
    let text = document.to_string();
    for part in [ADDRESS, NAME, PHONE, SUBJECT, "has moved", "invitation.accepted"] {
        assert!(text.contains(part), "{part}: {document:#}");
    }
    // Neither another recipient nor the inviter, and no link.
    for part in [BOB, "\"bob\"", "Ida Inviter", "inv_"] {
        assert!(!text.contains(part), "{part}: {document:#}");
    }
    erase(&service, ADDRESS, "").await;
    let answer = service.privacy().export_recipient(of(ADDRESS)).await.unwrap().into_inner();
    assert_eq!(answer, pb::ExportRecipientResponse::default());
    service.stop().await;
}

async fn export_comes_in_pages(database: TestDatabase) {
    let service = Service::start(&database).await;
    make(&service).await;
    let (whole, _) = page(&service, of(ADDRESS)).await;
    let (mut invitations, mut page_token) = (Vec::new(), String::new());
    loop {
        let (document, next) =
            page(&service, pb::ExportRecipientRequest { page_size: 2, page_token, ..of(ADDRESS) }).await;
        let some = document["invitations"].as_array().unwrap().clone();
        assert!(some.len() <= 2);
        invitations.extend(some);
        page_token = next;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(Value::Array(invitations), whole["invitations"]);
    let (oldest, _) =
        page(&service, pb::ExportRecipientRequest { order_by: "create_time".to_owned(), ..of(ADDRESS) }).await;
    let mut reversed = oldest["invitations"].as_array().unwrap().clone();
    reversed.reverse();
    assert_eq!(Value::Array(reversed), whole["invitations"]);
    service.stop().await;
}
