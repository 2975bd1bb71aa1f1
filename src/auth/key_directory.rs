//! The API keys of the database, as far as this process knows them.
//!
//! A key is found by its hash in memory. One that is not there is asked for once, by the task that follows the keys
//! ([`crate::background::api_keys`]), which asks for several together. The same task brings every change within a second or two, so
//! what is known here is as good as the database.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, timeout};

use super::authenticator::{NextExpiry, has_expired};
use super::caller::{Caller, Credential};
use super::permission::Permission;
use super::refused_caller::{RefusalReason, RefusedCaller};
use crate::clock::Clock;
use crate::domain::api_key::ApiKeyRecord;
use crate::domain::value::text::AccountId;
use crate::domain::value::time::Timestamp;

/// The most keys that are kept in memory.
const MAX_KNOWN: usize = 100_000;
/// The most hashes of which it is remembered that there is no such key, and how long.
const MAX_ABSENT: usize = 10_000;
const ABSENT_TTL: Duration = Duration::from_secs(60);
/// The most calls with an unknown key that wait for the database.
const MAX_WAITING: usize = 1_024;
/// The longest that such a call waits.
const ASK_TIMEOUT: Duration = Duration::from_millis(1_500);
/// The time for which known keys are accepted while the database cannot be asked whether they changed.
const MAX_STALE: Duration = Duration::from_secs(600);

/// The hours for which a key that was used counts as one in use.
const USED_HOURS: i64 = 24;

/// The hash of a key.
pub type KeyHash = [u8; 32];

/// A receiver of changes of credentials.
pub(crate) type Changes = watch::Receiver<()>;

/// The keys that this process knows. Clones share them.
#[derive(Clone)]
pub struct KeyDirectory(Arc<Shared>);

struct Shared {
    known: RwLock<Known>,
    absent: Mutex<HashMap<KeyHash, Instant>>,
    /// The keys that were used for the first time in the present hour, since they were last taken.
    used: Mutex<Vec<KeyHash>>,
    /// The present hour, since 1970.
    hour: AtomicI64,
    contact: AtomicU8,
    /// The last moment at which all changes were known.
    followed_at: Mutex<Instant>,
    asks: mpsc::Sender<Ask>,
    changes: watch::Sender<()>,
}

/// Keys by their hashes, as of the changes up to a position.
#[derive(Default)]
struct Known {
    keys: HashMap<KeyHash, KnownKey>,
    position: i64,
}

/// A key that the database has.
struct KnownKey {
    caller: Caller,
    is_revoked: bool,
    /// The last hour in which it was used here.
    used: AtomicI64,
    /// Whether the log has told that it expired.
    told: AtomicBool,
}

/// A key as the database has it: its hash, and what it is; `None` for one that cannot be accepted.
pub type FoundKey = (KeyHash, Option<(AccountId, ApiKeyRecord)>);

/// The question for a key, and where the answer goes.
pub(crate) struct Ask {
    pub(crate) hash: KeyHash,
    pub(crate) answer: oneshot::Sender<Answer>,
}

/// The questions for unknown keys, for the task that answers them.
pub struct Asks(pub(crate) mpsc::Receiver<Ask>);

/// The answer to the question for a key.
pub(crate) enum Answer {
    /// There is this key.
    Found(Box<KeyAnswer>),
    /// There is no such key.
    Absent,
    /// The database does not answer.
    Failed,
}

/// A key that was asked for.
pub(crate) struct KeyAnswer(KnownKey);

/// The result of a look-up in memory.
pub(crate) enum LookUp {
    /// The key, or its absence, is known.
    Known(Result<Caller, RefusedCaller>),
    /// The key has to be asked for.
    Unknown,
}

/// The state of the looks for changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Contact {
    /// The last look succeeded, or there was none yet.
    Good,
    /// The last look failed.
    Lost,
    /// Looks have failed for [`MAX_STALE`].
    Stale,
}

impl KeyDirectory {
    /// Creates a directory that knows no keys, and the questions that it will ask.
    pub fn new() -> (Self, Asks) {
        let (asks, asked) = mpsc::channel(MAX_WAITING);
        let shared = Shared {
            known: RwLock::default(),
            absent: Mutex::default(),
            used: Mutex::default(),
            hour: AtomicI64::new(0),
            contact: AtomicU8::new(Contact::Good as u8),
            followed_at: Mutex::new(Instant::now()),
            asks,
            changes: watch::Sender::new(()),
        };
        (Self(Arc::new(shared)), Asks(asked))
    }

    /// Looks a key up in memory, and notes its use.
    pub(super) fn look_up(&self, hash: &KeyHash, clock: &Clock) -> LookUp {
        let shared = self.0.as_ref();
        if let Some(key) = shared.known.read().unwrap_or_else(PoisonError::into_inner).keys.get(hash) {
            if self.contact() == Contact::Stale {
                return LookUp::Known(Err(RefusalReason::NotJudged.into()));
            }
            let caller = key.caller(clock);
            if caller.is_ok() {
                self.note_use(hash, key);
            }
            return LookUp::Known(caller);
        }
        let absent = shared.absent.lock().unwrap_or_else(PoisonError::into_inner);
        let is_absent = absent.get(hash).is_some_and(|since| since.elapsed() < ABSENT_TTL);
        if is_absent { LookUp::Known(Err(RefusalReason::UnknownKey.into())) } else { LookUp::Unknown }
    }

    /// Asks the database for a key. Too many questions, and those while the database is away, are not asked.
    pub(super) async fn ask(&self, hash: KeyHash, clock: &Clock) -> Result<Caller, RefusedCaller> {
        if self.contact() != Contact::Good {
            return Err(RefusalReason::NotJudged.into());
        }
        let (answer, answered) = oneshot::channel();
        self.0.asks.try_send(Ask { hash, answer }).map_err(|_| RefusalReason::NotJudged)?;
        match timeout(ASK_TIMEOUT, answered).await {
            // The first use is noted if the key is known by now, as it usually is.
            Ok(Ok(Answer::Found(key))) => match self.look_up(&hash, clock) {
                LookUp::Known(known) => known,
                LookUp::Unknown => key.0.caller(clock),
            },
            Ok(Ok(Answer::Absent)) => Err(RefusalReason::UnknownKey.into()),
            Ok(Ok(Answer::Failed) | Err(_)) | Err(_) => Err(RefusalReason::NotJudged.into()),
        }
    }

    /// Notes the first use of a key in an hour.
    fn note_use(&self, hash: &KeyHash, key: &KnownKey) {
        let hour = self.0.hour.load(Ordering::Relaxed);
        if key.used.load(Ordering::Relaxed) != hour && key.used.swap(hour, Ordering::Relaxed) != hour {
            self.0.used.lock().unwrap_or_else(PoisonError::into_inner).push(*hash);
        }
    }

    /// Takes the keys that were used for the first time in an hour since they were last taken.
    pub(crate) fn take_used(&self) -> Vec<KeyHash> {
        std::mem::take(&mut *self.0.used.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Gives keys back whose use could not be noted.
    pub(crate) fn give_back_used(&self, hashes: Vec<KeyHash>) {
        self.0.used.lock().unwrap_or_else(PoisonError::into_inner).extend(hashes);
    }

    /// Sets the present hour.
    pub(crate) fn set_hour(&self, hour: i64) {
        self.0.hour.store(hour, Ordering::Relaxed);
    }

    /// Returns the key that ends next after a moment, of those that were used within a day before it.
    pub(super) fn next_expiry(&self, now: Timestamp) -> Option<NextExpiry> {
        let since = now.micros() / HOUR - USED_HOURS;
        let known = self.0.known.read().unwrap_or_else(PoisonError::into_inner);
        let in_use = known.keys.values().filter(|key| !key.is_revoked && key.used.load(Ordering::Relaxed) >= since);
        NextExpiry::among(in_use.map(|key| &key.caller), now)
    }

    /// Returns the position up to which changes are known.
    pub(crate) fn position(&self) -> i64 {
        self.0.known.read().unwrap_or_else(PoisonError::into_inner).position
    }

    /// Forgets all keys, and continues at a position.
    pub(crate) fn restart_at(&self, position: i64) {
        *self.0.known.write().unwrap_or_else(PoisonError::into_inner) = Known { keys: HashMap::new(), position };
        self.0.absent.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.tell_change();
    }

    /// Learns the changes of keys, up to a position. A key that is not known here is asked for when somebody uses it: those who make many
    /// keys fill no memory with them.
    pub(crate) fn change(&self, keys: Vec<FoundKey>, position: i64) {
        let mut known = self.0.known.write().unwrap_or_else(PoisonError::into_inner);
        let mut absent = self.0.absent.lock().unwrap_or_else(PoisonError::into_inner);
        for (hash, key) in keys {
            absent.remove(&hash);
            match key {
                // Nothing says what it is now.
                None => drop(known.keys.remove(&hash)),
                Some((account, record)) if known.keys.contains_key(&hash) => {
                    known.insert(hash, KnownKey::new(account, record));
                }
                Some(_) => {}
            }
        }
        known.position = position;
        drop((known, absent));
        self.tell_change();
    }

    /// Learns the keys that were asked for, as of a position. If changes have been learned since, the keys may be older than these,
    /// and the question has to be asked again: returns false.
    pub(crate) fn learn(&self, asked: &[KeyHash], found: &[FoundKey], position: i64) -> bool {
        let mut known = self.0.known.write().unwrap_or_else(PoisonError::into_inner);
        if known.position != position {
            return false;
        }
        let mut absent = self.0.absent.lock().unwrap_or_else(PoisonError::into_inner);
        if absent.len() + asked.len() > MAX_ABSENT {
            absent.clear();
        }
        let now = Instant::now();
        absent.extend(asked.iter().map(|hash| (*hash, now)));
        for (hash, key) in found {
            if let Some((account, record)) = key {
                absent.remove(hash);
                known.insert(*hash, KnownKey::new(account.clone(), record.clone()));
            }
        }
        true
    }

    /// Notes that all changes up to the present are known.
    pub(crate) fn note_contact(&self) {
        *self.0.followed_at.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        self.0.contact.store(Contact::Good as u8, Ordering::Relaxed);
    }

    /// Notes that the database did not say whether keys have changed.
    pub(crate) fn note_failure(&self) {
        let silent = self.0.followed_at.lock().unwrap_or_else(PoisonError::into_inner).elapsed();
        let contact = if silent < MAX_STALE { Contact::Lost } else { Contact::Stale };
        if self.0.contact.swap(contact as u8, Ordering::Relaxed) != contact as u8 && contact == Contact::Stale {
            log_event!(
                warn,
                API_KEYS_STALE,
                "no API key of the database is accepted: for ten minutes nothing says which were revoked"
            );
            self.tell_change();
        }
    }

    fn contact(&self) -> Contact {
        match self.0.contact.load(Ordering::Relaxed) {
            0 => Contact::Good,
            1 => Contact::Lost,
            _ => Contact::Stale,
        }
    }

    /// Returns a receiver of changes.
    pub(super) fn changes(&self) -> Changes {
        self.0.changes.subscribe()
    }

    /// Tells the streams that are open to check their credentials.
    pub(super) fn tell_change(&self) {
        self.0.changes.send_replace(());
    }
}

impl Known {
    /// Puts a key in the place of what was known of it, or beside the others, of which one leaves if there are too many.
    fn insert(&mut self, hash: KeyHash, key: KnownKey) {
        if let Some(before) = self.keys.get(&hash) {
            // The hour was noted already.
            key.used.store(before.used.load(Ordering::Relaxed), Ordering::Relaxed);
        } else if self.keys.len() >= MAX_KNOWN
            && let Some(other) = self.keys.keys().next().copied()
        {
            self.keys.remove(&other);
        }
        self.keys.insert(hash, key);
    }
}

impl KnownKey {
    /// Reads a key. A permission that this release does not know is one that none of its RPCs needs.
    fn new(account: AccountId, record: ApiKeyRecord) -> Self {
        let permissions = record.powers.permissions.iter().filter_map(|name| name.parse::<Permission>().ok());
        let caller = Caller {
            account,
            name: name_of(&record.key_id),
            permissions: permissions.collect(),
            organization_id: record.organization,
            credential: Credential::ApiKey,
            expires_at: record.powers.expires_at,
            grantable_roles: record.powers.grantable_roles.map(Into::into),
        };
        let used = record.last_used_at.map_or(-1, |used| used.micros() / HOUR);
        Self {
            caller,
            is_revoked: record.revoked_at.is_some(),
            used: AtomicI64::new(used),
            told: AtomicBool::new(false),
        }
    }

    fn caller(&self, clock: &Clock) -> Result<Caller, RefusedCaller> {
        let refused = |reason| Err(RefusedCaller::from(reason).of(&self.caller));
        match () {
            () if self.is_revoked => refused(RefusalReason::RevokedKey),
            () if has_expired(&self.caller, &self.told, clock) => refused(RefusalReason::ExpiredKey),
            () => Ok(self.caller.clone()),
        }
    }
}

/// The microseconds of an hour.
pub(crate) const HOUR: i64 = 3_600_000_000;

/// Returns the name of the key with an id, as callers and resources show it.
pub fn name_of(key_id: &str) -> String {
    format!("apiKeys/{key_id}")
}

impl Answer {
    /// Returns the answer that a row gives; a key that cannot be accepted counts as none.
    pub(crate) fn of(found: Option<&FoundKey>) -> Self {
        match found.and_then(|(_, key)| key.clone()) {
            Some((account, record)) => Self::Found(Box::new(KeyAnswer(KnownKey::new(account, record)))),
            None => Self::Absent,
        }
    }
}
