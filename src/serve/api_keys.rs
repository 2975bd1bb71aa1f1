//! Puts a changed file of API keys to work: a key that is no longer in it is refused, and its streams end within seconds.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use tokio_util::sync::CancellationToken;

use crate::auth::authenticator::Authenticator;
use crate::background::watched_file::{self, Content};
use crate::config::{ApiKeyEntry, ConfigError, parse_api_keys};

/// Follows the file of API keys until stopped; `keys` are those that were read at the start.
pub(crate) async fn run(authenticator: Authenticator, keys: Vec<ApiKeyEntry>, path: PathBuf, stop: CancellationToken) {
    let file = path.display().to_string();
    let at_work = Mutex::new(keys);
    let apply = |content: &Content| {
        let keys = parse_api_keys(&file, &content.text).map_err(|error| one_line(&error))?;
        let mut at_work = at_work.lock().unwrap_or_else(PoisonError::into_inner);
        if *at_work == keys {
            return Ok(());
        }
        authenticator.replace(&keys).map_err(|error| error.to_string())?;
        let kept: HashSet<_> = keys.iter().map(|key| key.hash).collect();
        let withdrawn = at_work.iter().filter(|key| !kept.contains(&key.hash)).count();
        tracing::info!(keys = keys.len(), withdrawn, fingerprint = content.fingerprint, "API keys were read again");
        *at_work = keys;
        Ok(())
    };
    watched_file::run("API keys", path, stop, apply).await;
}

/// Returns all problems of a configuration on one line.
pub(super) fn one_line(error: &ConfigError) -> String {
    error.problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}
