//! The runtime that a command runs on, and the signals that end a command which does not handle them itself.

use std::io;

use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};

use super::{Exit, Failure};

/// The variable that says how many threads run calls; without it there is one for each processor.
const THREADS: &str = "TOKIO_WORKER_THREADS";
const MAX_THREADS: usize = 1_024;

/// The threads that run a command.
pub(super) struct Runtime(tokio::runtime::Runtime);

impl Runtime {
    /// Runs a command to its end. Nobody waits for a thread that reads a terminal, or waits for a disk.
    pub(super) fn run<T>(self, command: impl Future<Output = T>) -> T {
        let result = self.0.block_on(command);
        self.0.shutdown_background();
        result
    }
}

/// Starts the runtime. The library's own look at the variable would panic.
pub(super) fn start() -> Result<Runtime, Failure> {
    let mut builder = Builder::new_multi_thread();
    if let Some(text) = std::env::var_os(THREADS) {
        let threads = text.to_str().and_then(|text| text.parse().ok());
        let threads = threads.filter(|threads| (1..=MAX_THREADS).contains(threads)).ok_or_else(|| {
            Failure::new(Exit::Configuration, format!("{THREADS}: must be a number from 1 to {MAX_THREADS}"))
        })?;
        builder.worker_threads(threads);
    }
    let failed = |error: io::Error| Failure::new(Exit::Failed, format!("threads cannot be started: {error}"));
    builder.enable_all().build().map(Runtime).map_err(failed)
}

/// Waits for a signal that ends the command. Without a handler, the first process of a container ignores both signals.
pub(super) async fn ended() -> Exit {
    let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => Exit::Interrupted,
        _ = terminate.recv() => Exit::Terminated,
    }
}
