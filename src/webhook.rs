//! Webhooks: the events of accounts, posted to their endpoints, at least once each.
//!
//! One loop follows the order of events and writes messages, another posts those that are due. Which addresses may be
//! connected to is checked in [`client`], on the very address.

pub mod client;
mod request;
pub mod reseal;
pub mod tester;
pub mod worker;

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::background::periodic_task::{PeriodicTask, TickResult};
use crate::clock::Clock;
use crate::domain::value::id::IdSeed;
use crate::entropy::Entropy;
use crate::store::{Store, StoreError, Topic};
use worker::WebhookWorker;

/// The longest wait for a notification: rows that fell due by time, or were written by another process, are found this soon.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// Writes messages and posts them until stopped.
pub async fn run(worker: WebhookWorker, store: Store, clock: Clock, stop: CancellationToken) {
    tokio::join!(dispatch(store, clock, stop.clone()), worker.run(stop));
}

/// Writes the messages for events as they get their place in the order.
async fn dispatch(store: Store, clock: Clock, stop: CancellationToken) {
    let notified = Some(store.notifications().subscribe(Topic::Position));
    let name = "webhook_dispatch";
    let task = PeriodicTask { name, notified, gather: Duration::ZERO, interval: POLL_INTERVAL, stop };
    let entropy = Entropy::system();
    let tick = async || {
        let more = store.dispatch_webhooks(&IdSeed::new(clock.now(), entropy.bytes())).await?;
        Ok::<_, StoreError>(if more { TickResult::More } else { TickResult::Done })
    };
    task.run(tick).await;
}
