//! The commands of the operator about erased people: the tombstones are listed, and applied again after a restore.
//!
//! A restored backup brings back what was erased after it was made, without the tombstones of that time. So tombstones are kept apart
//! from the backups, and are taken in before they are applied. The operator knows of a restore and the service does not: this is a
//! command, and no step of the start, which would have to read every address each time.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use uuid::Uuid;

use super::{OpenStore, ServeError, build_store, open};
use crate::clock::Clock;
use crate::config::{Config, StoreConfig, StoreUrl};
use crate::domain::erasure::tombstone::Tombstone;
use crate::domain::value::given_email::GivenEmail;
use crate::domain::value::id::IdSeed;
use crate::domain::value::text::AccountId;
use crate::entropy::Entropy;
use crate::store::erasures::ErasureCounts;
use crate::store::erasures::chunk::{ChunkError, PersonErasure, PersonPlace};
use crate::store::{Database, Store, StoreError};

/// The actor in the events.
const ACTOR: &str = "system/erasure";
/// The number of tombstones that are read at a time.
const PAGE: u64 = 1_000;

/// The result of applying tombstones.
#[derive(Clone, Copy, Debug, Default)]
pub struct Report {
    /// The number of tombstones.
    pub tombstones: usize,
    /// The number of tombstones whose key is not in the ring, so that they stand for no address any more.
    pub without_key: usize,
    /// The number of people that were found.
    pub people: usize,
    /// The number of people of whom something could not be erased.
    pub failed: usize,
    /// The number of accounts and addresses that cannot be read, so that nothing of them was erased.
    pub unreadable: usize,
    /// The numbers of what was erased.
    pub counts: ErasureCounts,
}

impl Report {
    /// Returns whether every tombstone was applied, and nothing that it stands for is left.
    pub fn is_complete(&self) -> bool {
        self.without_key == 0 && self.failed == 0 && self.unreadable == 0
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { tombstones, without_key, people, failed, unreadable, counts } = self;
        let ErasureCounts { invitations, acceptances, events, messages } = counts;
        write!(
            f,
            "applied {tombstones} tombstones: erased {people} people again, with {invitations} invitations, {acceptances} acceptances, \
             {events} events and {messages} messages; {without_key} tombstones need a key that token.keys lacks; {failed} people failed; \
             {unreadable} accounts or addresses cannot be read"
        )
    }
}

/// Prints all tombstones while `print` says that it goes on. A file is read beside the service that has it open.
pub async fn list(config: &StoreConfig, clock: Clock, mut print: impl FnMut(String) -> bool) -> Result<(), ServeError> {
    let database = match &config.url {
        StoreUrl::Sqlite(path) => Database::sqlite_beside(path, config.timeout, clock).await?,
        StoreUrl::Postgres(_) => open(config, clock).await?,
    };
    let mut after = (String::new(), Uuid::nil());
    loop {
        let page = database.maintenance().tombstones((&after.0, after.1), PAGE).await?;
        let goes_on = page.iter().all(|tombstone| print(serde_json::to_string(tombstone).unwrap_or_default()));
        match page.last() {
            Some(last) if goes_on => after = (last.account.clone(), last.id),
            _ => break,
        }
    }
    database.close().await;
    Ok(())
}

/// Takes in the tombstones of a text, and erases everybody whom a tombstone stands for from what is older than it.
pub async fn again(config: &Config, clock: &Clock, text: &str) -> Result<Report, ServeError> {
    let given = parse(text)?;
    let OpenStore { store, ring, .. } = Box::pin(build_store(config, clock)).await?;
    for tombstone in &given {
        store.take_in_tombstone(tombstone).await?;
    }
    let mut by_account: BTreeMap<String, Vec<Tombstone>> = BTreeMap::new();
    let (mut after, mut report) = ((String::new(), Uuid::nil()), Report::default());
    let known: Vec<u8> = ring.fingerprints().into_iter().map(|key| key.key_id).collect();
    loop {
        let page = store.maintenance().tombstones((&after.0, after.1), PAGE).await?;
        let Some(last) = page.last() else { break };
        after = (last.account.clone(), last.id);
        for tombstone in page {
            report.tombstones += 1;
            report.without_key += usize::from(!known.contains(&tombstone.address.key_id));
            by_account.entry(tombstone.account.clone()).or_default().push(tombstone);
        }
    }
    for (account, tombstones) in by_account {
        let Ok(account) = AccountId::parse(&account) else {
            report.unreadable += 1;
            continue;
        };
        for (address, until) in store.erased_addresses(&account, &tombstones, &ring).await? {
            let Ok(email) = GivenEmail::parse(&address) else {
                report.unreadable += 1;
                continue;
            };
            let person =
                PersonErasure { account: &account, actor: ACTOR, email: &email, until, ring: &ring, is_dry_run: false };
            let (counts, is_whole) = erase(&store, &person, clock).await?;
            store.erase_from_suppression(&person).await?;
            report.counts.add(counts);
            report.people += 1;
            report.failed += usize::from(!is_whole);
        }
    }
    store.close().await;
    Ok(report)
}

/// Erases one person, and returns the numbers and whether nothing failed.
async fn erase(store: &Store, person: &PersonErasure<'_>, clock: &Clock) -> Result<(ErasureCounts, bool), ServeError> {
    let (entropy, mut counts, mut is_whole) = (Entropy::system(), ErasureCounts::default(), true);
    let (mut place, mut seen) = (Some(PersonPlace::start()), BTreeSet::new());
    while let Some(after) = place {
        let seed = || IdSeed::new(clock.now(), entropy.bytes());
        let chunk = store.erase_chunk(person, after, seed, None).await.map_err(|error| match error {
            ChunkError::Store(error) => error,
            ChunkError::Batch(_) => StoreError::Unavailable("the executor does not take commands".to_owned()),
        })?;
        counts.add(chunk.counts(&mut seen));
        is_whole &= chunk.failed.is_none();
        place = chunk.next;
    }
    Ok((counts, is_whole))
}

/// Parses lines of tombstones. Lines of a log in JSON are taken as well, by their field `tombstone`, and other lines of it are skipped.
fn parse(text: &str) -> Result<Vec<Tombstone>, ServeError> {
    let (mut tombstones, mut skipped) = (Vec::new(), None);
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        if let Ok(tombstone) = serde_json::from_str::<Tombstone>(line) {
            tombstones.push(tombstone);
            continue;
        }
        // A log may have lines of others between its own.
        if !line.trim_start().starts_with('{') {
            skipped = skipped.or(Some(index + 1));
            continue;
        }
        let logged: serde_json::Value = serde_json::from_str(line).map_err(|_| ServeError::Tombstone(index + 1))?;
        if let Some(field) = find(&logged) {
            tombstones.push(serde_json::from_str(field).map_err(|_| ServeError::Tombstone(index + 1))?);
        }
    }
    match skipped {
        Some(line) if tombstones.is_empty() => Err(ServeError::Tombstone(line)),
        _ => Ok(tombstones),
    }
}

/// Returns the tombstone of a line of the log.
fn find(logged: &serde_json::Value) -> Option<&str> {
    logged.get("tombstone")?.as_str()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::value::time::Timestamp;

    #[test]
    fn tombstones_are_taken_from_lists_and_from_logs() {
        let line =
            r#"{"account":"acme","id":"01920000-0000-7000-8000-000000000001","key_id":1,"mac":"ab","erased_at":7}"#;
        let logged = serde_json::json!({"level": "INFO", "tombstone": line}).to_string();
        let other = r#"{"level":"INFO","message":"listening"}"#;
        let parsed = parse(&format!("Try: grpcurl\n{line}\n\n{logged}\n{other}\n")).unwrap();
        assert_eq!((parsed.len(), &parsed[0]), (2, &parsed[1]));
        assert_eq!((parsed[0].address.key_id, parsed[0].erased_at), (1, Timestamp::from_micros(7)));
        for (text, number) in [("nonsense", 1), (&*format!("{line}\n{{"), 2)] {
            assert!(matches!(parse(text), Err(ServeError::Tombstone(found)) if found == number), "{text}");
        }
    }
}
