//! Signals: SIGTERM and SIGINT drain the service, SIGINT ends it at once if it drains already, and SIGHUP makes it look at its files.
//!
//! A second SIGTERM changes nothing: supervisors repeat it, such as a kubelet that was restarted while a pod ended. SIGUSR1 and SIGUSR2,
//! which would end the process, are ignored.

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
    /// Listens to the signals.
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
                    RELOAD_REQUESTED,
                    "SIGHUP: the files that are read again when they change are looked at now"
                );
                files.send_modify(|number| *number = number.wrapping_add(1));
            }
        });
        for kind in [SignalKind::user_defined1(), SignalKind::user_defined2()] {
            // The handler of the runtime stays for the life of the process, and takes the place of the one that ends it.
            drop(signal(kind)?);
        }
        let told = shutdown.clone();
        tokio::spawn(async move {
            loop {
                let ends_now = tokio::select! {
                    Some(()) = terminate.recv() => false,
                    Some(()) = interrupt.recv() => told.drain.is_cancelled(),
                };
                if ends_now {
                    told.now.cancel();
                }
                told.drain.cancel();
            }
        });
        Ok(shutdown)
    }
}
