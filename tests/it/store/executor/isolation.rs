//! The rows of one account are invisible to another.

use std::time::Duration;

use invitation_service::domain::command::{Action, Command, CreateInvitation, ReportDelivery, SettleDelivery};
use invitation_service::domain::delivery::{DeliveryEnd, DeliveryReport};
use invitation_service::domain::invitation::EngagementType;
use invitation_service::domain::invitation::refusal::Refusal;
use invitation_service::domain::kind::connection::NewConnection;
use invitation_service::domain::reach::Reach;
use invitation_service::domain::secret::verification::FreeTries;
use invitation_service::domain::value::text::AccountId;
use invitation_service::store::{
    ClaimedDelivery, CodeTry, DeliveryQuery, EventQuery, ExecuteError, InvitationQuery, RedeliveryQuery, Tried,
    WriteOnce,
};
use uuid::Uuid;

use crate::support::build::commands::*;
use crate::support::codes::{requested, verification};
use crate::support::database::TestDatabase;
use crate::support::on_both;

on_both!(
    migrated:
    another_account_sees_and_changes_nothing,
    request_ids_of_two_accounts_do_not_meet,
    messages_and_codes_of_another_account_are_not_found,
);

async fn another_account_sees_and_changes_nothing(database: TestDatabase) {
    let (store, _) = store(&database).await;
    let made = created(&store, link()).await;
    let acceptance = store.executor().execute(command(accept(&made, "ann")), None).await.unwrap().acceptance.unwrap();
    let before = read(&store, made.id).await;
    let other = AccountId::parse("Acme").unwrap();

    assert!(store.primary().get_invitation(&Reach::of_account(other.clone()), made.id, true).await.unwrap().is_none());
    let query = InvitationQuery { limit: 10, ..InvitationQuery::default() };
    assert!(store.primary().list_invitations(&Reach::of_account(other.clone()), &query).await.unwrap().is_empty());
    assert_eq!(store.primary().list_invitations(&reach(), &query).await.unwrap().len(), 1, "the owner sees it");
    let events = EventQuery { ascending: true, ..EventQuery::of(made.id, 10) };
    assert!(store.primary().list_events(&Reach::of_account(other.clone()), &events).await.unwrap().is_none());

    let connection = NewConnection { id: COMPANY, datasource_name: String::new(), status: String::new() };
    let update = recorded(&made, connection, Some(acceptance.id));
    for action in [
        accept(&made, "ann"),
        accept(&made, "bob"),
        decline(&made, 0),
        revoke(&made),
        resend(&made, true, None),
        record(&made, EngagementType::View),
        Action::RecordCreatedConnection(update),
    ] {
        let foreign = Command { reach: Reach::of_account(other.clone()), ..command(action) };
        let refused = store.executor().execute(foreign, None).await.unwrap_err();
        assert_eq!(refused, ExecuteError::Refused(Refusal::InvitationNotFound));
    }
    assert_eq!(read(&store, made.id).await, before);
    assert_eq!(story(&store, made.id).await, ["created", "accepted"]);
}

async fn request_ids_of_two_accounts_do_not_meet(database: TestDatabase) {
    let (store, _) = store(&database).await;
    let ours = retryable("Create", "same", 1, create(link()));
    let theirs = Command {
        reach: Reach::of_account(AccountId::parse("other").unwrap()),
        ..retryable("Create", "same", 2, create(link()))
    };
    let ours = store.executor().execute(ours, None).await.unwrap().invitation;
    let theirs = store.executor().execute(theirs, None).await.unwrap().invitation;
    assert_ne!(ours.id, theirs.id);
    assert!(
        store
            .primary()
            .get_invitation(&Reach::of_account(theirs.account.clone()), theirs.id, false)
            .await
            .unwrap()
            .is_some()
    );
}

async fn messages_and_codes_of_another_account_are_not_found(database: TestDatabase) {
    let (store, _) = store(&database).await;
    let made = created(&store, CreateInvitation { recipients: emails(1), mails: true, ..link() }).await;
    let other = AccountId::parse("Acme").unwrap();
    let lease = Uuid::from_u128(1);
    let claimed = store.claim_deliveries(lease, Duration::from_secs(45), 1, "").await.unwrap().remove(0);
    let foreign = ClaimedDelivery { account: other.clone(), ..claimed.clone() };
    assert!(!store.release_delivery(&foreign, Duration::ZERO, true, "").await.unwrap());
    assert!(!store.cancel_delivery(&foreign, "").await.unwrap());
    assert!(store.topicality(&foreign).await.unwrap().is_none());
    let query = DeliveryQuery { ascending: true, ..DeliveryQuery::of(made.id, 10) };
    assert!(store.primary().list_deliveries(&Reach::of_account(other.clone()), &query).await.unwrap().is_none());
    let delivery = claimed.delivery.message.id;
    for action in [
        Action::SettleDelivery(SettleDelivery { delivery, lease, end: DeliveryEnd::Failed("550".to_owned()) }),
        Action::ReportDelivery(ReportDelivery { delivery, report: DeliveryReport::Bounced, detail: None }),
    ] {
        let foreign = Command { reach: Reach::of_account(other.clone()), ..command(action) };
        let refused = store.executor().execute(foreign, None).await.unwrap_err();
        assert_eq!(refused, ExecuteError::Refused(Refusal::DeliveryNotFound));
    }
    let settle = SettleDelivery { delivery, lease, end: DeliveryEnd::Failed("550".to_owned()) };
    store.executor().execute(command(Action::SettleDelivery(settle)), None).await.unwrap();
    assert_eq!(
        store
            .redeliver_deliveries(&Reach::of_account(other.clone()), &RedeliveryQuery::default(), &WriteOnce::default())
            .await
            .unwrap(),
        Some(0)
    );

    let code = verification(&made, Uuid::from_u128(2));
    store.request_verification(&made, &requested(&code, "ann", "client")).await.unwrap().unwrap();
    let key = ["ann".to_owned()];
    assert_eq!(store.find_verification(&other, made.id, code.id).await.unwrap(), None);
    assert!(store.find_codes(&other, made.id, &key).await.unwrap().is_empty());
    let kept = store.find_codes(&account(), made.id, &key).await.unwrap();
    let free = FreeTries { client: 1, invitation: 1 };
    let (invitation, client_key, is_right) = (made.id, "client", true);
    let foreign = CodeTry { account: &other, invitation, client_key, code: kept.first(), is_right, free };
    assert_eq!(store.try_code(&foreign).await.unwrap(), Tried::Wrong);
    assert_eq!(store.find_verification(&account(), made.id, code.id).await.unwrap(), Some(code), "the owner finds it");
}
