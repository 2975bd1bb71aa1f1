//! The tasks beside the calls.

pub(crate) mod api_keys;
pub(crate) mod backlog;
pub mod event_feed;
pub mod expiry;
pub(crate) mod key_expiry;
pub(crate) mod periodic_task;
pub(crate) mod prune;
pub mod sequencer;
pub(crate) mod standby;
pub(crate) mod watched_file;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use watched_file::Follow;

/// The tasks. They outlive the calls, so that what the last of them did is followed up too.
#[derive(Debug, Default)]
pub(crate) struct Background {
    tasks: TaskTracker,
    begin: CancellationToken,
    stop: CancellationToken,
    /// Asks those who follow files to look at them at once.
    files: watch::Sender<u32>,
}

impl Background {
    /// Creates tasks that look at files when `files` asks for it.
    pub(crate) fn new(files: watch::Sender<u32>) -> Self {
        Self { files, ..Self::default() }
    }

    /// Returns the request and the end of a task that follows files.
    pub(crate) fn follow(&self) -> Follow {
        Follow { stop: self.stop(), asked: self.files.subscribe() }
    }

    /// Returns the sender that asks those who follow files to look at them at once.
    pub(crate) fn files(&self) -> watch::Sender<u32> {
        self.files.clone()
    }

    /// Starts a task that ends by itself once it is stopped, or the service drains.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let (begin, stop) = (self.begin.clone(), self.stop.clone());
        self.tasks.spawn(async move {
            tokio::select! {
                () = begin.cancelled() => task.await,
                () = stop.cancelled() => {}
            }
        });
    }

    /// Starts a task that needs no database at once.
    pub(crate) fn spawn_at_once(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(task);
    }

    /// Returns the token that has to be cancelled for the tasks to begin: not before there is a schema for them to work on.
    pub(crate) fn begin(&self) -> CancellationToken {
        self.begin.clone()
    }

    /// Returns the token that is cancelled when the tasks have to end.
    pub(crate) fn stop(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Stops all tasks and waits until they have ended.
    pub(crate) async fn end(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}
