//! The exit codes, and the failure of a command with the one that it ends with.

use crate::config::ConfigError;
use crate::serve::ServeError;
use crate::store::{ConnectFailure, OpenError, StoreError};

/// The way in which a command ended. The codes are documented in docs/operations.md and in the help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It did what was asked for.
    Success,
    /// It failed for a reason of its own.
    Failed,
    /// The arguments are wrong.
    Usage,
    /// The configuration, or a file that it names, cannot be used.
    Configuration,
    /// A database or a server cannot be reached, refuses the login, or cannot be opened.
    Unreachable,
    /// The service ended before every call was answered.
    Cut,
    /// The schema lacks migrations of this release.
    Behind,
}

impl Exit {
    /// Returns the exit code.
    pub const fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Configuration => 3,
            Self::Unreachable => 4,
            Self::Cut => 5,
            Self::Behind => 6,
        }
    }
}

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
    pub(super) config: Option<ConfigError>,
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
        Self { exit: Exit::Configuration, line, text, config: Some(error) }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let exit = match error {
            StoreError::Unavailable(_) | StoreError::Slow => Exit::Unreachable,
            StoreError::Conflict
            | StoreError::Locked
            | StoreError::Busy
            | StoreError::Crowded
            | StoreError::Encoding(_)
            | StoreError::Forbidden(_)
            | StoreError::Role(_)
            | StoreError::Refused(_)
            | StoreError::Corrupt { .. } => Exit::Failed,
        };
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
            | ServeError::Transport(_)
            | ServeError::Tls(_) => Self::new(Exit::Configuration, text),
            ServeError::Tombstone(_) | ServeError::Reflection(_) => Self::new(Exit::Failed, text),
        }
    }
}
