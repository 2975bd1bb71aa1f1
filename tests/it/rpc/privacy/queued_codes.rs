//! Codes that still wait to be mailed to a person who is erased.

use invitation_service::pb;
use sea_orm::{ConnectionTrait as _, Statement};

use super::erase;
use crate::contract::codes;
use crate::support::build::{generals, messages};
use crate::support::database::TestDatabase;
use crate::support::on_both;
use crate::support::service::Service;

on_both!(migrated: queued_codes_of_an_erased_person_lose_their_address,);

/// One mailbox in two spellings, which only folding and the ASCII form of the domain make equal.
const GIVEN: &str = "ÄNNA.Groß@Müller.example";
const ERASED: &str = "änna.GROSS@xn--mller-kva.example";
const BOB: &str = "bob@müller.example";

async fn addresses(service: &Service) -> Vec<(String, String)> {
    let rows = service.connect().await;
    let sql =
        "SELECT address, address_key FROM outbox WHERE address IS NOT NULL OR address_key IS NOT NULL ORDER BY id";
    let found = rows.query_all_raw(Statement::from_string(rows.get_database_backend(), sql)).await.unwrap();
    rows.close().await.unwrap();
    found.iter().map(|row| (row.try_get("", "address").unwrap(), row.try_get("", "address_key").unwrap())).collect()
}

async fn queued_codes_of_an_erased_person_lose_their_address(database: TestDatabase) {
    let service = Service::start(&database).await;
    let target = generals::email("carl@müller.example");
    let recipient_match = pb::RecipientMatch::Domain.into();
    let domain = pb::Invitation { recipient_match, ..generals::into_team(&[target]) };
    let domain = generals::create(&service, domain).await;
    let sync = pb::SyncAutojoinRequest {
        scope: Some(messages::scope("team", "blue")),
        domains: vec!["müller.example".to_owned()],
        ..Default::default()
    };
    let autojoin = service.scopes().sync_autojoin(sync).await.unwrap().into_inner().invitation.unwrap();
    // Of one invitation they ask for a code alone, and the other one has an acceptance of theirs.
    for token in [&domain.invitation_token, &autojoin.invitation_token] {
        codes::ask(&service, token, GIVEN).await.unwrap();
        codes::ask(&service, token, BOB).await.unwrap();
    }
    let accept = messages::accept_as(&autojoin.invitation_token, "anna", GIVEN, true);
    service.redemptions().accept_invitation(accept).await.unwrap();
    assert_eq!(addresses(&service).await.len(), 4);
    assert_eq!(erase(&service, ERASED, "").await.acceptance_count, 1);
    let bob = (BOB.to_owned(), "bob@xn--mller-kva.example".to_owned());
    assert_eq!(addresses(&service).await, [bob.clone(), bob]);
    service.stop().await;
}
