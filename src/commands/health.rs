//! `health`: asks a running server for its health.

use super::console::Console;
use super::{Exit, Failure, Outcome};
use crate::cli::HealthArgs;
use crate::cli::health::{AskError, ask};

/// Prints `SERVING`, or fails with the reason.
pub(super) async fn run(args: HealthArgs, console: &Console) -> Outcome {
    match ask(args).await {
        Ok(()) => {
            console.say("SERVING")?;
            Ok(Exit::Success)
        }
        Err(AskError::Arguments(text)) => Err(Failure::new(Exit::Usage, text)),
        Err(AskError::Unreachable(text)) => Err(Failure::new(Exit::Unreachable, text)),
        Err(AskError::NotServing(text)) => Err(Failure::new(Exit::Failed, text)),
    }
}
