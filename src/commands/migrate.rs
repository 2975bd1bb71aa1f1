//! `migrate`: waits for the database and brings its schema up to date, or says what is missing.

use super::console::Console;
use super::{Exit, Outcome};
use crate::cli::MigrateArgs;
use crate::clock::Clock;
use crate::serve::check::check;
use crate::serve::{open, wait_for};

/// Migrates the schema.
pub(super) async fn run(args: MigrateArgs, console: &mut Console) -> Outcome {
    let MigrateArgs { config, wait, check: only_check } = args;
    let config = config.load()?;
    console.start_log(&config.log)?;
    check(&config)?;
    let database = open(&config.store, Clock::system()).await?;
    wait_for(&database, wait).await?;
    let maintenance = database.maintenance();
    if only_check {
        let pending = match maintenance.pending().await {
            Ok(pending) => pending,
            Err(error) => return Err(maintenance.explain(error).await.into()),
        };
        database.close().await;
        if pending.is_empty() {
            console.say("the schema is up to date")?;
            return Ok(Exit::Success);
        }
        console.say(&format!("pending: {}", pending.join("\npending: ")))?;
        return Ok(Exit::Behind);
    }
    maintenance.migrate().await?;
    maintenance.warn_of_newer_schema().await?;
    database.close().await;
    console.say("the schema is up to date")?;
    Ok(Exit::Success)
}
