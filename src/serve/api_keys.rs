//! Puts a changed file of API keys to work: a key that is no longer in it is refused, and its streams end within seconds.

use std::collections::HashSet;

use super::entry_file::{Change, follow};
use crate::auth::authenticator::Authenticator;
use crate::background::watched_file::Follow;
use crate::config::{ApiKeyEntry, EntryFile};
use crate::telemetry::metrics::files;

/// Follows the file of API keys until stopped.
pub(super) async fn run(authenticator: Authenticator, file: EntryFile<ApiKeyEntry>, files: Follow) {
    let replace = |Change { before, now, file, fingerprint }: Change<'_, ApiKeyEntry>| {
        authenticator.replace(now).map_err(|error| error.to_string())?;
        let kept: HashSet<_> = now.iter().map(|key| key.hash).collect();
        let withdrawn = before.iter().filter(|key| !kept.contains(&key.hash)).count();
        log_event!(info, API_KEYS_READ, file, keys = now.len(), withdrawn, fingerprint, "API keys were read again");
        Ok(())
    };
    follow(files::API_KEYS, file, files, replace).await;
}
