//! Puts a changed file of token keys to work: all keys verify, and the first one signs. A ring that does not fit the database is refused
//! as at the start.
//!
//! A link that another replica cannot verify yet would not exist there, and a replica that lacks a key that signs is not ready. So a
//! key that becomes the first without having been in the ring before verifies at once and signs after a while.

use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

use crate::background::watched_file::file_use::FileUse;
use crate::background::watched_file::{self, Content, Follow, Used};
use crate::domain::secret::key_check::{KeyFingerprint, RingRefused};
use crate::domain::secret::key_ring::KeyRing;
use crate::store::{Store, StoreError};
use crate::telemetry::log_limiter::LogLimiter;
use crate::telemetry::metrics::files;

/// The time after which a new first key signs: by then the kubelets of all nodes have brought the file to all replicas.
const HOLD_BACK: Duration = Duration::from_secs(120);

const READ_AND_HELD_BACK: &str =
    "token keys were read again; the new first key verifies now, and signs once all replicas have had time to read it";
/// The time between two looks whether a ring that was refused fits.
const REFUSED_INTERVAL: Duration = Duration::from_secs(60);
/// The longest that a comparison with the database may take, and the pause before the next.
const CHECK_LIMIT: Duration = Duration::from_secs(5);
const CHECK_PAUSE: Duration = Duration::from_secs(1);

/// The next step with a ring that was read.
enum Step {
    /// It is at work, or was refused.
    Done,
    /// There is more to do at a moment.
    At(Instant),
}

/// A key that verifies already, and the moment from which it signs.
struct HeldBack {
    key: KeyFingerprint,
    until: Instant,
}

/// The note that was made of the ring that was read last.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Noted {
    Nothing,
    Used,
    Refused,
}

struct TokenKeys<'a> {
    store: Store,
    ring: KeyRing,
    file: String,
    file_use: &'a FileUse,
    noted: Noted,
    held_back: Option<HeldBack>,
    log_limiter: LogLimiter,
}

/// Follows the file of keys until stopped.
pub(super) async fn run(store: Store, ring: KeyRing, path: PathBuf, follow: Follow) {
    let file = path.display().to_string();
    let (wanted, stop) = (watch::Sender::new(ring.clone()), follow.stop.clone());
    let file_use = FileUse::new(files::TOKEN_KEYS);
    let (noted, held_back, log_limiter) = (Noted::Nothing, None, LogLimiter::default());
    let keys = TokenKeys { store, ring, file, file_use: &file_use, noted, held_back, log_limiter };
    let work = keys.put_to_work(wanted.subscribe());
    let apply = |contents: &[Content]| {
        let text = contents.first().map_or("", |content| content.text.trim());
        wanted.send_replace(KeyRing::parse(text).map_err(|error| error.to_string())?);
        // The database decides whether the ring can be used.
        Ok(Used::Later)
    };
    tokio::join!(watched_file::run_noted(&file_use, vec![path], follow, apply), async {
        tokio::select! {
            () = work => {}
            () = stop.cancelled() => {}
        }
    });
}

impl TokenKeys<'_> {
    /// Puts each ring to work that is read, and that the database allows.
    async fn put_to_work(mut self, mut wanted: watch::Receiver<KeyRing>) {
        while wanted.changed().await.is_ok() {
            self.noted = Noted::Nothing;
            loop {
                let ring = wanted.borrow_and_update().clone();
                let Step::At(moment) = self.step(&ring).await else { break };
                tokio::select! {
                    () = sleep_until(moment) => {}
                    _ = wanted.changed() => self.noted = Noted::Nothing,
                }
            }
        }
    }

    async fn step(&mut self, wanted: &KeyRing) -> Step {
        let (ring, waits_until) = self.next_ring(wanted);
        let step = waits_until.map_or(Step::Done, Step::At);
        if ring.fingerprints() == self.ring.fingerprints() {
            self.note_used();
            return step;
        }
        match timeout(CHECK_LIMIT, self.check(&ring)).await.unwrap_or(Err(StoreError::Slow)) {
            Ok(Some(Ok(()))) => {
                self.replace(&ring, waits_until.is_some());
                self.note_used();
                step
            }
            Ok(Some(Err(refused))) => {
                self.note_refused(&refused.to_string());
                // A key that is given up, or out of use, no longer stands in its way.
                Step::At(Instant::now() + REFUSED_INTERVAL)
            }
            Ok(None) => self.check_later("its schema is out of date"),
            Err(error) => self.check_later(&error.to_string()),
        }
    }

    /// Returns the ring that may be used now, and the moment from which its first key has to be another.
    fn next_ring(&mut self, wanted: &KeyRing) -> (KeyRing, Option<Instant>) {
        let present = self.ring.fingerprints();
        let Some(first) = wanted.fingerprints().into_iter().next() else { return (self.ring.clone(), None) };
        let now = Instant::now();
        if !present.contains(&first) && !self.store.maintenance().is_of_one_process() {
            self.held_back = Some(HeldBack { key: first.clone(), until: now + HOLD_BACK });
        }
        let held_back = self.held_back.as_ref().filter(|held| held.key == first && held.until > now);
        let Some(HeldBack { until, .. }) = held_back else { return (wanted.clone(), None) };
        match wanted.signing_with(self.ring.signing_key()) {
            Some(ring) => (ring, Some(*until)),
            // The key that has signed until now is gone, which only a retired one may be.
            None => (wanted.clone(), None),
        }
    }

    /// Compares a ring with the database; `None` if there is no schema to compare it with.
    async fn check(&self, ring: &KeyRing) -> Result<Option<Result<(), RingRefused>>, StoreError> {
        let maintenance = self.store.maintenance();
        if maintenance.is_ready().await? {
            maintenance.check_keys(&ring.fingerprints()).await.map(Some)
        } else {
            Ok(None)
        }
    }

    /// Notes once that the ring that was read last is in use.
    fn note_used(&mut self) {
        if self.noted != Noted::Used {
            self.noted = Noted::Used;
            self.file_use.note_used();
        }
    }

    /// Notes once that the ring that was read last does not fit, and logs it each time.
    fn note_refused(&mut self, problem: &str) {
        if self.noted == Noted::Refused {
            self.file_use.warn(&self.file, problem);
        } else {
            self.noted = Noted::Refused;
            self.file_use.note_refused(&self.file, problem);
        }
    }

    fn check_later(&mut self, problem: &str) -> Step {
        if self.log_limiter.is_due() {
            let file = self.file.as_str();
            log_event!(
                warn,
                TOKEN_KEYS_HELD_BACK,
                file,
                problem,
                "token keys that were read are put to work when the database answers"
            );
        }
        Step::At(Instant::now() + CHECK_PAUSE)
    }

    fn replace(&self, ring: &KeyRing, is_held_back: bool) {
        let (before, now) = (self.ring.fingerprints(), ring.fingerprints());
        self.ring.replace(ring);
        self.store.sign_with(ring.signing_key());
        let (file, signing, fingerprints) = (self.file.as_str(), ring.signing_key(), shown(&now, &[]));
        let (added, removed) = (shown(&now, &before), shown(&before, &now));
        let (signs_in_s, message) = match is_held_back {
            true => (Some(HOLD_BACK.as_secs()), READ_AND_HELD_BACK),
            false => (None, "token keys were read again"),
        };
        log_event!(info, TOKEN_KEYS_READ, file, signing, added, removed, fingerprints, signs_in_s, "{message}");
    }
}

/// Returns the keys that are not among the others, by id and fingerprint.
fn shown(keys: &[KeyFingerprint], others: &[KeyFingerprint]) -> String {
    let keys = keys.iter().filter(|key| !others.contains(key));
    keys.map(|KeyFingerprint { key_id, text }| format!("{key_id}:{text}")).collect::<Vec<_>>().join(",")
}
