//! The exit codes of the process.

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
    /// SIGINT ended a command other than `serve`.
    Interrupted,
    /// SIGTERM ended a command other than `serve`.
    Terminated,
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
            // The codes that shells show for a process which a signal has ended.
            Self::Interrupted => 130,
            Self::Terminated => 143,
        }
    }
}
