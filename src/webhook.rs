//! Webhooks: the events of accounts, posted to their endpoints, at least once each.
//!
//! One loop follows the order of events and writes messages, another posts those that are due. Which addresses may be
//! connected to is checked in [`client`], on the very address.

pub mod client;
pub mod reseal;
pub mod worker;

use std::time::Duration;

use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::domain::value::id::IdSeed;
use crate::entropy::Entropy;
use crate::store::{Store, StoreError, Topic};
use worker::WebhookWorker;

/// The longest wait for a wake-up: rows that fell due by time, or were written by another process, are found this soon.
const POLL: Duration = Duration::from_secs(1);
/// The time between two log lines about one outage.
const OUTAGE_LOG: Duration = Duration::from_secs(10);

/// Writes messages and posts them until stopped.
pub async fn run(sender: WebhookWorker, store: Store, clock: Clock, stop: CancellationToken) {
    tokio::join!(dispatch(store, clock, stop.clone()), sender.run(stop));
}

/// Writes the messages for events as they get their place in the order.
async fn dispatch(store: Store, clock: Clock, stop: CancellationToken) {
    let mut heard = store.notifications().subscribe(Topic::Position);
    let mut outage = Outage::default();
    while !stop.is_cancelled() {
        // The mark is set before the look, so that a wake-up during the look is not lost.
        heard.mark_unchanged();
        let seed = IdSeed::new(clock.now(), Entropy::system().bytes());
        let more = store.dispatch_webhooks(&seed).await;
        if outage.seen(more).unwrap_or(false) {
            continue;
        }
        tokio::select! {
            _ = timeout(POLL, heard.changed()) => {}
            () = stop.cancelled() => {}
        }
    }
}

/// Keeps an outage of the database from filling the log.
#[derive(Debug, Default)]
struct Outage {
    told: Option<Instant>,
}

impl Outage {
    /// Returns what was done, or logs now and then why it was not.
    fn seen<T>(&mut self, done: Result<T, StoreError>) -> Option<T> {
        match done {
            Ok(done) => Some(done),
            Err(error) => {
                if self.told.is_none_or(|told| told.elapsed() >= OUTAGE_LOG) {
                    tracing::warn!(%error, "webhooks wait for the database");
                    self.told = Some(Instant::now());
                }
                None
            }
        }
    }
}
