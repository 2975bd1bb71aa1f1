//! The commands that call a running server, and those that describe the commands.

use std::io;

use super::{Exit, Failure, Outcome};
use crate::cli::client::{self, ClientCommand};

/// Runs a command of an operator.
pub(super) async fn run(command: ClientCommand) -> Outcome {
    ended(Box::pin(client::run(command)).await)
}

/// Ends a command whose output may be unwritable.
pub(super) fn generated(result: io::Result<()>) -> Outcome {
    ended(result.map_err(client::Failure::from))
}

fn ended(result: Result<(), client::Failure>) -> Outcome {
    match result {
        Ok(()) => Ok(Exit::Success),
        // The reader of the output has gone, and nobody is there to be told.
        Err(failure) => match failure.exit() {
            Exit::Success => Ok(Exit::Success),
            exit => Err(Failure::new(exit, format!("error: {failure}"))),
        },
    }
}
