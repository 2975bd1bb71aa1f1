//! The tasks beside the calls: the order of events, those who follow it, and the mail worker.

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::nats;
use crate::config::EventsConfig;
use crate::mail::worker::MailWorker;
use crate::store::events::feed::EventFeed;
use crate::store::events::{feed, listener, sequencer};
use crate::store::maintenance::prune;
use crate::store::{Store, expiry};

/// The tasks. They outlive the calls, so that what the last of them did is followed up too.
#[derive(Debug, Default)]
pub(crate) struct Background {
    tasks: TaskTracker,
    begin: CancellationToken,
    stop: CancellationToken,
}

impl Background {
    /// Starts what puts events in order and tells them to those who follow.
    pub(crate) fn follow(&self, store: &Store, events: &EventsConfig, tail: &EventFeed) {
        let stop = &self.stop;
        self.spawn(listener::run(store.clone(), stop.clone()));
        self.spawn(sequencer::run(store.clone(), stop.clone()));
        self.spawn(feed::run(store.clone(), tail.clone(), stop.clone()));
        self.spawn(expiry::run(store.clone(), events.expiry_interval, stop.clone()));
        self.spawn(prune::run(store.clone(), stop.clone()));
        if let Some(config) = &events.nats {
            self.spawn(nats::run(store.clone(), config.clone(), stop.clone()));
        }
    }

    /// Starts the mail worker. It begins nothing more once the service drains, and finishes what it is sending meanwhile.
    pub(crate) fn send_mail(&self, worker: MailWorker, drain: CancellationToken) {
        self.spawn(worker.run(drain));
    }

    /// Starts something else that ends by itself once the service drains.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let (begin, stop) = (self.begin.clone(), self.stop.clone());
        self.tasks.spawn(async move {
            tokio::select! {
                () = begin.cancelled() => task.await,
                () = stop.cancelled() => {}
            }
        });
    }

    /// Returns what has to be cancelled for the tasks to begin: not before there is a schema for them to work on.
    pub(crate) fn begin(&self) -> CancellationToken {
        self.begin.clone()
    }

    /// Tells all tasks to end, and waits until they have.
    pub(crate) async fn end(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}
