//! Signals: the first SIGTERM or SIGINT drains the service, the second ends it at once, and SIGHUP makes it look at its files.

use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// The requests that come by signals: to end the service, and to look at its files.
#[derive(Clone, Debug, Default)]
pub struct Shutdown {
    /// Finish what is under way and end.
    pub drain: CancellationToken,
    /// End now.
    pub now: CancellationToken,
    /// Look at all files that are read again when they change. The number is that of the requests.
    pub files: watch::Sender<u32>,
}

impl Shutdown {
    /// Listens to SIGTERM, SIGINT and SIGHUP.
    pub fn on_signals() -> io::Result<Self> {
        let shutdown = Self::default();
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut hang_up = signal(SignalKind::hangup())?;
        let files = shutdown.files.clone();
        tokio::spawn(async move {
            while hang_up.recv().await.is_some() {
                log_event!(
                    info,
                    FILES_LOOKED_AT,
                    "SIGHUP: the files that are read again when they change are looked at now"
                );
                files.send_modify(|number| *number = number.wrapping_add(1));
            }
        });
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
