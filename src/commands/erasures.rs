//! `erasures` and `erase-again`: the tombstones of erased people, listed, and applied again after a restore.

use super::console::Console;
use super::{Exit, Failure, Outcome};
use crate::cli::{ConfigArgs, EraseAgainArgs};
use crate::clock::Clock;
use crate::serve::erasures;

/// Prints the tombstones, one a line.
pub(super) async fn list(args: ConfigArgs, console: &mut Console) -> Outcome {
    let config = args.load()?;
    console.start_log(&config.log)?;
    let mut printed = Ok(());
    let print = |line: String| {
        printed = console.say(&line);
        printed.is_ok()
    };
    erasures::list(&config.store, Clock::system(), print).await?;
    printed.map(|()| Exit::Success)
}

/// Erases people again after a restore. On SQLite the service has to be stopped, since the file has one process at a time.
pub(super) async fn again(args: EraseAgainArgs, console: &mut Console) -> Outcome {
    let EraseAgainArgs { config, tombstones } = args;
    let config = config.load()?;
    console.start_log(&config.log)?;
    let text = match tombstones {
        Some(file) => std::fs::read_to_string(&file).map_err(|error| {
            Failure::new(Exit::Usage, format!("--tombstones: cannot read {}: {error}", file.display()))
        })?,
        None => String::new(),
    };
    let report = erasures::again(&config, &Clock::system(), &text).await?;
    console.say(&report.to_string())?;
    if report.is_complete() {
        Ok(Exit::Success)
    } else {
        Err(Failure::new(Exit::Failed, "some tombstones could not be applied"))
    }
}
