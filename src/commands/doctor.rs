//! `doctor`: checks the configuration and everything that it leads to, and says what to do about each problem.
//!
//! It changes nothing but for files that it writes and removes where the service writes, and needs no running service. On SQLite it reads
//! the file beside the service that has it open.

mod database;
mod folder;
mod neighbours;
mod report;

use super::console::Console;
use super::{Exit, Outcome};
use crate::cli::DoctorArgs;
use crate::config::{Config, ConfigError};
use crate::serve::check::check;
use report::Report;

/// Runs all checks and prints what they find. Its exit code is that of the worst problem; warnings have none.
pub(super) async fn run(args: DoctorArgs, console: &Console) -> Outcome {
    let DoctorArgs { serve, json } = args;
    let mut report = Report::default();
    let loaded = serve.load();
    match &loaded {
        Ok(config) => examine(config, &mut report).await,
        Err(error) => refuse(&mut report, error),
    }
    console.say(&if json { report.json() } else { report.text() })?;
    Ok(report.exit())
}

async fn examine(config: &Config, report: &mut Report) {
    match check(config) {
        Ok(()) => report.ok("configuration", "serve would start with it"),
        Err(error) => refuse(report, &error),
    }
    Box::pin(database::examine(config, report)).await;
    neighbours::mail(config, report).await;
    neighbours::nats(config, report).await;
    neighbours::webhooks(config, report);
    neighbours::certificate(config, report);
}

fn refuse(report: &mut Report, error: &ConfigError) {
    for problem in &error.problems {
        report.problem("configuration", Exit::Configuration, problem.to_string());
    }
}
