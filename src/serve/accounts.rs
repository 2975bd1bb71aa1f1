//! Puts a changed file of accounts to work.

use super::entry_file::{Change, follow};
use crate::auth::accounts::Accounts;
use crate::background::watched_file::Follow;
use crate::config::{AccountEntry, EntryFile};
use crate::telemetry::metrics::files;

/// Follows the file of accounts until stopped.
pub(super) async fn run(accounts: Accounts, file: EntryFile<AccountEntry>, files: Follow) {
    let replace = |Change { now, fingerprint, .. }: Change<'_, AccountEntry>| {
        accounts.replace(now);
        log_event!(info, ACCOUNTS_READ, accounts = now.len(), fingerprint, "the rules of accounts were read again");
        Ok(())
    };
    follow(files::ACCOUNTS, file, files, replace).await;
}
