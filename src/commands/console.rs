//! Where a command prints: results on standard output, failures in the log, or for people on standard error.

use std::io::{self, ErrorKind, Write as _};

use super::{Exit, Failure};
use crate::cli::Command;
use crate::config::{ConfigError, LogConfig, LogFormat};
use crate::telemetry::{self, Logging, TelemetryError};

/// The output of one command.
pub(super) struct Console {
    /// Whether the command's failures belong into a log, as those of the service and of its Job do.
    is_logged: bool,
    log: Option<(Logging, bool)>,
}

impl Console {
    /// Creates the console of a command.
    pub(super) fn of(command: &Command) -> Self {
        Self { is_logged: matches!(command, Command::Serve(_) | Command::Migrate(_)), log: None }
    }

    /// Returns whether the command's failures belong into a log.
    pub(super) fn is_logged(&self) -> bool {
        self.is_logged
    }

    /// Prints a result. A reader that has gone wants no more of it.
    pub(super) fn say(&self, text: &str) -> Result<(), Failure> {
        match write_line(text) {
            Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(unwritable(&error)),
            _ => Ok(()),
        }
    }

    /// Prints a result that cannot be had again; `otherwise` tells what to do where it cannot be printed.
    pub(super) fn say_once(&self, text: &str, otherwise: &str) -> Result<(), Failure> {
        let failed = |error| Failure::new(Exit::Failed, format!("{}: {otherwise}", unwritable(&error).text));
        write_line(text).map_err(failed)
    }

    /// Starts the log.
    pub(super) fn start_log(&mut self, config: &LogConfig) -> Result<(), Failure> {
        let logging =
            telemetry::init(config).map_err(|error: TelemetryError| Failure::new(Exit::Failed, error.to_string()))?;
        self.log = Some((logging, telemetry::is_json(config)));
        Ok(())
    }

    /// Reports a failure: as one line of the log where that has a machine for a reader, else as text.
    /// Returns the exit code.
    pub(super) fn fail(&mut self, failure: &Failure) -> Exit {
        if self.log.is_none() {
            self.start_log_of(failure);
        }
        let is_json = self.log.as_ref().is_some_and(|(_, is_json)| *is_json);
        if is_json && tracing::enabled!(tracing::Level::ERROR) {
            let (exit_code, reason) = (failure.exit.code(), &failure.line);
            log_event!(error, PROCESS_FAILED, exit_code, "{reason}");
        } else {
            // Nobody is left to be told that this cannot be printed.
            drop(writeln!(io::stderr(), "{}", failure.text));
        }
        failure.exit
    }

    /// Starts the log by the settings that a configuration has which cannot be used otherwise. People who check one read text.
    fn start_log_of(&mut self, failure: &Failure) {
        let Some(ConfigError { log: Some(log), .. }) = failure.config.as_deref() else { return };
        if (self.is_logged || log.format == LogFormat::Json) && telemetry::is_json(log) {
            // Without a log, the failure is printed.
            drop(self.start_log(log));
        }
    }
}

fn write_line(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()
}

fn unwritable(error: &io::Error) -> Failure {
    Failure::new(Exit::Failed, format!("cannot write the output: {error}"))
}
