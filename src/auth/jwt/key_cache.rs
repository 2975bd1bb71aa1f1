//! The keys of one issuer: none at first, then those that were read last.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::jwks::KeySet;

/// The most ids of keys that are noted as unknown.
const MAX_UNKNOWN: usize = 64;

/// The keys of one issuer, and whether newer ones are wanted.
#[derive(Debug)]
pub(crate) struct KeyCache {
    state: Mutex<State>,
    created_at: Instant,
    is_wanted: AtomicBool,
    /// Whether the keys can be asked for anew. Those of a file come by themselves.
    is_fetched: bool,
}

#[derive(Debug, Default)]
struct State {
    keys: Option<Arc<KeySet>>,
    /// The moment at which the fetch of the latest keys began.
    fetched_at: Option<Instant>,
    /// The number of reads that have begun.
    begun: u64,
    /// The number of the latest read whose keys are here.
    read: u64,
    /// The ids of keys that tokens named and that were not here, with the number of reads that had begun by then.
    unknown: HashMap<String, u64>,
}

/// The number of a read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Read(u64);

impl KeyCache {
    /// Creates a cache without keys.
    pub(super) fn new(is_fetched: bool) -> Self {
        Self { state: Mutex::default(), created_at: Instant::now(), is_wanted: AtomicBool::new(false), is_fetched }
    }

    /// Returns the keys, unless there are none yet or they are too old.
    pub(crate) fn keys(&self) -> Option<Arc<KeySet>> {
        self.lock().keys.clone()
    }

    /// Begins to read the keys; nobody wants newer ones than those.
    pub(crate) fn begin(&self) -> Read {
        self.is_wanted.store(false, Ordering::SeqCst);
        let mut state = self.lock();
        state.begun += 1;
        Read(state.begun)
    }

    /// Returns whether a token has named a key that is not here since the latest read began.
    pub(crate) fn is_wanted(&self) -> bool {
        self.is_wanted.load(Ordering::SeqCst)
    }

    /// Replaces the keys, and returns whether they are others than before.
    pub(super) fn replace(&self, read: Read, keys: KeySet) -> bool {
        let mut state = self.lock();
        state.read = read.0;
        let is_new = state.keys.as_deref() != Some(&keys);
        if is_new {
            state.keys = Some(Arc::new(keys));
        }
        is_new
    }

    /// Notes when a fetch that was answered began.
    pub(crate) fn note_fetch(&self, began: Instant) {
        self.lock().fetched_at = Some(began);
    }

    /// Returns when the latest fetch that was answered began; `None` if there was none.
    pub(crate) fn fetched_at(&self) -> Option<Instant> {
        self.lock().fetched_at
    }

    /// Returns the age of keys that are fetched: since the latest fetch that was answered, or since the issuer is known; `None` for
    /// those of a file.
    pub(super) fn age(&self) -> Option<Duration> {
        self.is_fetched.then(|| self.fetched_at().unwrap_or(self.created_at).elapsed())
    }

    /// Drops the keys, and returns whether there were any.
    pub(super) fn drop_keys(&self) -> bool {
        self.lock().keys.take().is_some()
    }

    /// Asks for newer keys, because a token names one that is not here. Returns whether the issuer is known not to have it: its
    /// keys were read after the first token that named it.
    pub(crate) fn misses(&self, kid: &str) -> bool {
        if !self.is_fetched {
            return true;
        }
        self.is_wanted.store(true, Ordering::SeqCst);
        let mut state = self.lock();
        let (begun, read) = (state.begun, state.read);
        if let Some(seen) = state.unknown.get(kid) {
            return read > *seen;
        }
        if state.unknown.len() >= MAX_UNKNOWN {
            state.unknown.retain(|_, seen| *seen >= read);
        }
        // Callers who invent ids get no more room than this, and nobody is told that a key which may be new does not exist.
        if state.unknown.len() >= MAX_UNKNOWN {
            return false;
        }
        state.unknown.insert(kid.to_owned(), begun);
        false
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fetched_keys_have_an_age_from_the_start_on() {
        let hour = Duration::from_secs(3_600);
        let (of_file, fetched) = (KeyCache::new(false), KeyCache::new(true));
        assert!(of_file.age().is_none());
        assert!(fetched.age().is_some_and(|age| age < hour), "nothing was fetched yet");
        fetched.note_fetch(Instant::now().checked_sub(hour).unwrap());
        assert!(fetched.age().is_some_and(|age| age >= hour));
    }

    fn keys() -> KeySet {
        let key = data_encoding::BASE64URL_NOPAD.encode(&[1; 32]);
        KeySet::parse(format!(r#"{{"keys":[{{"kty":"OKP","crv":"Ed25519","x":"{key}"}}]}}"#).as_bytes()).unwrap()
    }

    #[test]
    fn unknown_key_is_missing_only_after_a_read_that_began_later() {
        let cache = KeyCache::new(true);
        let first = cache.begin();
        assert!(!cache.is_wanted() && !cache.misses("new"));
        assert!(cache.is_wanted());
        assert!(cache.replace(first, keys()), "the first keys are new");
        assert!(!cache.misses("new"), "the read that had begun before proves nothing");
        let second = cache.begin();
        assert!(!cache.is_wanted() && !cache.misses("new"));
        assert!(!cache.replace(second, keys()), "the keys are the same");
        assert!(cache.misses("new") && cache.is_wanted());
        assert!(!cache.misses("other"));
        assert!(cache.drop_keys() && !cache.drop_keys() && cache.keys().is_none());
        let file = KeyCache::new(false);
        assert!(file.misses("new") && !file.is_wanted(), "a file has no other keys to offer");
    }

    #[test]
    fn invented_ids_take_bounded_room() {
        let cache = KeyCache::new(true);
        assert!((0..1_000).all(|number| !cache.misses(&number.to_string())), "any of them may be a new key");
        assert_eq!(cache.lock().unknown.len(), MAX_UNKNOWN);
        let read = cache.begin();
        assert!(!cache.is_wanted(), "all of them have asked for one read");
        cache.replace(read, keys());
        assert!(cache.misses("0"));
        assert!(!cache.misses("new"), "the ids of before make room");
        assert_eq!(cache.lock().unknown.len(), 1);
    }
}
