//! The rows of verification codes: how long they are kept, and for which account.

use std::time::Duration;

use invitation_service::clock::Clock;
use invitation_service::domain::command::{Action, Command, SettleDelivery};
use invitation_service::domain::delivery::{DeliveryEnd, NewDelivery, Purpose};
use invitation_service::domain::group::Group;
use invitation_service::domain::invitation::Invitation;
use invitation_service::domain::reach::Reach;
use invitation_service::domain::secret::verification::Verification;
use invitation_service::domain::value::email::Email;
use invitation_service::domain::value::id::{IdSeed, InvitationId};
use invitation_service::entropy::Entropy;
use invitation_service::store::{DeliveryQuery, NewVerification, Store, Topic};
use uuid::Uuid;

use crate::support::build::commands::*;
use crate::support::database::{NEW_YEAR, TestDatabase};
use crate::support::on_both;

on_both!(
    migrated:
    codes_are_forgotten_after_an_hour_and_not_before,
    message_finds_its_verification_until_replaced_or_used,
    used_code_counts_only_its_wrong_tries,
    whoever_sends_messages_is_told_of_a_code_and_of_no_other,
    address_of_a_code_message_is_removed_on_settle,
);

fn asked(invitation: &Invitation, address_key: &str, mailed: bool) -> NewVerification {
    let seed = IdSeed::new(NEW_YEAR, Entropy::system().bytes());
    let verification = Verification { account: account(), invitation: invitation.id, id: seed.nth(1), key_id: 7 };
    let message = mailed.then(|| NewDelivery {
        id: seed.nth(2),
        invitation: invitation.id,
        purpose: Purpose::VerificationCode,
        recipient: 1,
        address: None,
        about: Some(verification.id),
        for_expire_at: None,
        created_at: NEW_YEAR,
        due_at: NEW_YEAR,
    });
    NewVerification { verification, address_key: address_key.to_owned(), message }
}

async fn ask(store: &Store, invitation: &Invitation, new: &NewVerification) {
    store.request_verification(invitation, new).await.unwrap().unwrap();
}

async fn codes_are_forgotten_after_an_hour_and_not_before(database: TestDatabase) {
    let clock = Clock::manual(NEW_YEAR);
    let opened = database.open(&clock).await;
    let maintenance = opened.maintenance();
    let store = Store::start(opened, &options(Group::run));
    let made = created(&store, link()).await;
    ask(&store, &made, &asked(&made, "old", false)).await;
    clock.advance(Duration::from_secs(60));
    let young = asked(&made, "young", false);
    ask(&store, &made, &young).await;
    clock.advance(Duration::from_secs(3_540));
    assert_eq!(maintenance.prune_verifications().await.unwrap(), 0);
    clock.advance(Duration::from_micros(1));
    assert_eq!(maintenance.prune_verifications().await.unwrap(), 1);
    let found = store.find_verification(&account(), made.id, young.verification.id).await.unwrap();
    assert_eq!(found, Some(young.verification));
}

async fn message_finds_its_verification_until_replaced_or_used(database: TestDatabase) {
    let (store, clock) = store(&database).await;
    let made = created(&store, link()).await;
    let (first, second) = (asked(&made, "ann", true), asked(&made, "ann", true));
    ask(&store, &made, &first).await;
    let find =
        async |new: &NewVerification| store.find_verification(&account(), made.id, new.verification.id).await.unwrap();
    assert_eq!(find(&first).await, Some(first.verification.clone()));
    let elsewhere = InvitationId(first.verification.id);
    assert_eq!(store.find_verification(&account(), elsewhere, first.verification.id).await.unwrap(), None);
    clock.advance(Duration::from_secs(60));
    ask(&store, &made, &second).await;
    assert_eq!((find(&first).await, find(&second).await), (None, Some(second.verification.clone())));
    let keys = ["other".to_owned(), "ann".to_owned()];
    assert_eq!(store.try_verification(&account(), made.id, &keys).await.unwrap(), vec![second.verification.clone()]);
    assert!(store.try_verification(&account(), elsewhere, &keys).await.unwrap().is_empty());
    assert!(!store.use_verification(&first.verification).await.unwrap(), "another took its place");
    assert!(store.use_verification(&second.verification).await.unwrap());
    assert_eq!(find(&second).await, None);
    assert_eq!(read(&store, made.id).await.deliveries, 0, "what brings a code brings no link");
}

async fn used_code_counts_only_its_wrong_tries(database: TestDatabase) {
    let (store, _) = store(&database).await;
    let made = created(&store, link()).await;
    let new = asked(&made, "ann", true);
    ask(&store, &made, &new).await;
    let keys = ["ann".to_owned()];
    let tried = async || !store.try_verification(&account(), made.id, &keys).await.unwrap().is_empty();
    for _ in 0..4 {
        assert!(tried().await);
    }
    for _ in 0..20 {
        assert!(tried().await);
        assert!(store.use_verification(&new.verification).await.unwrap());
    }
    // The four that were wrong count still.
    assert!(tried().await);
    assert!(!tried().await);
}

async fn whoever_sends_messages_is_told_of_a_code_and_of_no_other(database: TestDatabase) {
    let (store, _) = store(&database).await;
    let made = created(&store, link()).await;
    let heard = store.notifications().subscribe(Topic::Outbox);
    ask(&store, &made, &asked(&made, "eve", false)).await;
    assert!(!heard.has_changed().unwrap());
    ask(&store, &made, &asked(&made, "ann", true)).await;
    assert!(heard.has_changed().unwrap());
}

async fn address_of_a_code_message_is_removed_on_settle(database: TestDatabase) {
    let (store, _) = store(&database).await;
    for end in [Some(DeliveryEnd::Sent), Some(DeliveryEnd::Failed("gone".to_owned())), None] {
        let made = created(&store, link()).await;
        let mut new = asked(&made, "dora", true);
        let message = new.message.as_mut().unwrap();
        (message.recipient, message.address) = (0, Some(Email::parse("dora@example.net").unwrap()));
        ask(&store, &made, &new).await;
        let lasts = Duration::from_secs(45);
        let claimed = store.claim_deliveries(Uuid::from_u128(1), lasts, 1, "").await.unwrap().remove(0);
        assert!(claimed.delivery.message.address.is_some());
        match end {
            Some(end) => {
                let (delivery, lease) = (claimed.delivery.message.id, Uuid::from_u128(1));
                let action = Action::SettleDelivery(SettleDelivery { delivery, lease, end });
                store
                    .executor()
                    .execute(Command { reach: Reach::of_account(claimed.account.clone()), ..command(action) }, None)
                    .await
                    .unwrap();
            }
            None => assert!(store.cancel_delivery(&claimed, "no reason").await.unwrap()),
        }
        let query = DeliveryQuery { ascending: true, ..DeliveryQuery::of(made.id, 10) };
        let (_, settled) = store.list_deliveries(&reach(), &query).await.unwrap().unwrap();
        assert_eq!(settled.iter().map(|settled| &settled.message.address).collect::<Vec<_>>(), [&None]);
    }
}
