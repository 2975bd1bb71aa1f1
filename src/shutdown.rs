//! Signals end the service in order: the first SIGTERM or SIGINT drains, the second ends at once.

use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// The request to end the service, and how soon.
#[derive(Clone, Debug, Default)]
pub struct Shutdown {
    /// Finish what is under way and end.
    pub drain: CancellationToken,
    /// End now.
    pub now: CancellationToken,
}

impl Shutdown {
    /// Listens to SIGTERM and SIGINT.
    pub fn on_signals() -> io::Result<Self> {
        let shutdown = Self::default();
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let told = shutdown.clone();
        tokio::spawn(async move {
            for stage in [&told.drain, &told.now] {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
                stage.cancel();
            }
        });
        Ok(shutdown)
    }
}
