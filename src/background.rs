//! What goes on beside the calls: the order of events, those who follow it, and the relay.

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::EventsConfig;
use crate::delivery::nats;
use crate::delivery::relay::Relay;
use crate::store::tail::Tail;
use crate::store::{Store, expiry, notify, sequencer, tail};

/// The tasks. They outlive the calls, so that what the last of them did is followed up too.
#[derive(Debug, Default)]
pub(crate) struct Background {
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Background {
    /// Starts what puts events in order and tells them to those who follow.
    pub(crate) fn follow(&self, store: &Store, events: &EventsConfig, tail: &Tail) {
        let Self { tasks, stop } = self;
        tasks.spawn(notify::run(store.clone(), stop.clone()));
        tasks.spawn(sequencer::run(store.clone(), stop.clone()));
        tasks.spawn(tail::run(store.clone(), tail.clone(), stop.clone()));
        tasks.spawn(expiry::run(store.clone(), events.expiry_interval, stop.clone()));
        if let Some(config) = &events.nats {
            tasks.spawn(nats::run(store.clone(), config.clone(), stop.clone()));
        }
    }

    /// Starts the relay. It begins nothing more once the service drains, and finishes what it is sending meanwhile.
    pub(crate) fn relay(&self, relay: Relay, drain: CancellationToken) {
        self.tasks.spawn(relay.run(drain));
    }

    /// Starts something else that ends by itself once the service drains.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(task);
    }

    /// Tells all tasks to end, and waits until they have.
    pub(crate) async fn end(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}
