//! `check-config`: shows what the server would run with.
//!
//! It opens no socket and no database; it does read the configured files, as the server would.

use super::ServeArgs;
use crate::config::ConfigError;

/// Loads the configuration as `serve` would and returns it as TOML, secrets redacted.
///
/// # Errors
/// All problems of the configuration.
pub fn run(args: ServeArgs) -> Result<String, ConfigError> {
    args.load().map(|config| config.redacted())
}
