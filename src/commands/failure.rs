//! The failure of a command, with the exit code that it ends with.

use crate::cli::exit::Exit;
use crate::config::ConfigError;
use crate::serve::ServeError;
use crate::store::{ConnectFailure, OpenError, StoreError};

/// The failure of a command.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// The text, with the remedy, on one line.
    pub line: String,
    /// The text for a terminal, which may have several lines.
    pub text: String,
    /// The problems of the configuration, whose settings of the log are in force where it has been read that far.
    pub(super) config: Option<Box<ConfigError>>,
}

impl Failure {
    /// Creates a failure.
    pub fn new(exit: Exit, text: impl Into<String>) -> Self {
        let text = text.into();
        Self { exit, line: text.replace('\n', "; "), text, config: None }
    }

    /// Creates the failure of arguments that are checked by the rules of a configuration.
    pub(super) fn of_arguments(error: ConfigError) -> Self {
        Self { exit: Exit::Usage, ..Self::from(error) }
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        let (line, text) = (error.line(), error.to_string());
        Self { exit: Exit::Configuration, line, text, config: Some(Box::new(error)) }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let exit = if error.is_unreachable() { Exit::Unreachable } else { Exit::Failed };
        Self::new(exit, error.to_string())
    }
}

impl From<ConnectFailure> for Failure {
    fn from(failure: ConnectFailure) -> Self {
        Self::new(Exit::Unreachable, failure.to_string())
    }
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Self {
        Self::new(Exit::Unreachable, error.to_string())
    }
}

impl From<ServeError> for Failure {
    fn from(error: ServeError) -> Self {
        let text = error.to_string();
        match error {
            ServeError::Config(error) => error.into(),
            ServeError::Open(error) => error.into(),
            ServeError::Migrate(error) | ServeError::Database(error) => error.into(),
            ServeError::Auth(_)
            | ServeError::Keys(_)
            | ServeError::NoKeys
            | ServeError::KeyRing(_)
            | ServeError::KeyFileMissing(_)
            | ServeError::KeyFile(..)
            | ServeError::GeneralTtl(_)
            | ServeError::Templates(_)
            | ServeError::Pages(_)
            | ServeError::Transport(_)
            | ServeError::Tls(_) => Self::new(Exit::Configuration, text),
            ServeError::Tombstone(_) | ServeError::Reflection(_) => Self::new(Exit::Failed, text),
        }
    }
}
