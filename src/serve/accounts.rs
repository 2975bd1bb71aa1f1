//! Puts a changed file of accounts to work.

use tokio_util::sync::CancellationToken;

use super::entry_file::{Change, follow};
use crate::auth::accounts::Accounts;
use crate::config::{AccountEntry, EntryFile};

/// Follows the file of accounts until stopped.
pub(super) async fn run(accounts: Accounts, file: EntryFile<AccountEntry>, stop: CancellationToken) {
    let replace = |Change { now, fingerprint, .. }: Change<'_, AccountEntry>| {
        accounts.replace(now);
        tracing::info!(accounts = now.len(), fingerprint, "the rules of accounts were read again");
        Ok(())
    };
    follow("accounts", file, stop, replace).await;
}
