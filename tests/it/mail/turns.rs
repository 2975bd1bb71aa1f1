//! Accounts take turns with the places that mail is sent from.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use invitation_service::domain::command::{Command, CreateInvitation};
use invitation_service::domain::delivery::DeliveryState;
use invitation_service::domain::reach::Reach;
use invitation_service::domain::value::text::AccountId;
use invitation_service::mail::mailer::Mailer;
use invitation_service::mail::transport::SendError;
use invitation_service::mail::worker::{MailWorker, MailWorkerOptions};
use invitation_service::store::{ClaimedDelivery, DeliveryQuery, Topicality};
use tokio_util::sync::CancellationToken;

use crate::support::build::commands::*;
use crate::support::database::TestDatabase;
use crate::support::on_both;

on_both!(migrated: slow_mail_of_one_account_leaves_places_for_another);

const OPTIONS: MailWorkerOptions =
    MailWorkerOptions { lease: Duration::from_secs(45), concurrency: 8, per_second: None, attempts: 3 };

/// Notes whose messages it is given, and never ends those of one account.
#[derive(Debug)]
struct SlowFor(AccountId, Mutex<Vec<AccountId>>);

#[async_trait]
impl Mailer for SlowFor {
    async fn deliver(&self, message: &ClaimedDelivery, _: &Topicality) -> Result<(), SendError> {
        self.1.lock().unwrap().push(message.account.clone());
        if message.account == self.0 { std::future::pending().await } else { Ok(()) }
    }
}

fn mailed_link(addresses: usize) -> CreateInvitation {
    CreateInvitation { recipients: emails(addresses), mails: true, ..link() }
}

async fn slow_mail_of_one_account_leaves_places_for_another(database: TestDatabase) {
    let (store, clock) = store(&database).await;
    created(&store, mailed_link(20)).await;
    let (mailer, stop) = (Arc::new(SlowFor(account(), Mutex::default())), CancellationToken::new());
    let running = tokio::spawn(MailWorker::new(store.clone(), mailer.clone(), clock, OPTIONS).run(stop));
    let given = || mailer.1.lock().unwrap().len();
    while given() < 6 {
        tokio::task::yield_now().await;
    }
    let other = Reach::of_account(AccountId::parse("other").unwrap());
    let made = Command { reach: other.clone(), ..command(create(mailed_link(3))) };
    let made = store.executor().execute(made, None).await.unwrap().invitation;
    let query = DeliveryQuery::of(made.id, 10);
    let is_sent = async || {
        let found = store.primary().list_deliveries(&other, &query).await.unwrap().unwrap().1;
        found.iter().all(|delivery| delivery.state == DeliveryState::Sent)
    };
    while !is_sent().await {
        tokio::task::yield_now().await;
    }
    assert_eq!(given(), 6 + 3, "three quarters of the places, as long as none of them ends");
    running.abort();
}
