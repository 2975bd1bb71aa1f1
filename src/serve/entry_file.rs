//! Follows the files that list credentials, or who issues them, and puts changed entries to work.

use std::sync::{Mutex, PoisonError};

use crate::background::watched_file::{self, Content, Follow};
use crate::config::{EntryFile, FileEntry, parse_entries};

/// Other entries than before.
pub(super) struct Change<'a, E> {
    pub(super) before: &'a [E],
    pub(super) now: &'a [E],
    /// The name of the file.
    pub(super) file: &'a str,
    /// The name of the file's content, for the log.
    pub(super) fingerprint: &'a str,
}

/// Follows a file until stopped, and hands its entries to `replace` when they are others than before.
pub(super) async fn follow<E: FileEntry + Send>(
    name: &'static str,
    file: EntryFile<E>,
    follow: Follow,
    replace: impl Fn(Change<'_, E>) -> Result<(), String> + Send + Sync,
) {
    let EntryFile { path, entries } = file;
    let shown = path.display().to_string();
    let at_work = Mutex::new(entries);
    let apply = |content: &Content| {
        let entries = parse_entries::<E>(&shown, &content.text)?;
        let mut at_work = at_work.lock().unwrap_or_else(PoisonError::into_inner);
        if *at_work != entries {
            let fingerprint = &content.fingerprint;
            replace(Change { before: &at_work, now: &entries, file: &shown, fingerprint })?;
            *at_work = entries;
        }
        Ok(())
    };
    watched_file::run(name, path, follow, apply).await;
}
