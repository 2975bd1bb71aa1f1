//! Keeps the issuers of JWTs and their keys up to date: files are followed, URLs are fetched now and then.

mod fetch;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use super::entry_file::{Change, follow};
use crate::auth::jwt::jwks::KeySet;
use crate::auth::jwt::key_cache::Read;
use crate::auth::jwt::{Issuer, JwtVerifier};
use crate::background::watched_file::{self, Content, Follow};
use crate::clock::Clock;
use crate::config::{EntryFile, JwksSource, JwtIssuer};
use crate::input_file;
use crate::telemetry::metrics::files as file_names;
use fetch::Source;

/// The time after which the keys of a URL are fetched again.
const REFRESH_INTERVAL: Duration = Duration::from_secs(600);
/// The shortest time between two fetches of a URL that has answered, whatever keys tokens name.
const MIN_INTERVAL: Duration = Duration::from_secs(30);
/// The pause after the first fetch that failed; it doubles up to the shortest time between two.
const FIRST_RETRY: Duration = Duration::from_secs(1);
/// The time for which keys stay at work while their URL does not answer.
const MAX_AGE: Duration = Duration::from_secs(24 * 3_600);
/// The interval at which tokens that name unknown keys are noticed.
const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// Returns a verifier of the configured issuers, with the keys that come from files.
pub(super) fn verifier(issuers: &[JwtIssuer], clock: Clock) -> JwtVerifier {
    let verifier = JwtVerifier::new(issuers, clock);
    verifier.issuers().iter().for_each(|issuer| read_file(&verifier, issuer));
    verifier
}

/// Follows the file of issuers, and the keys of each, until stopped.
pub(super) async fn run(verifier: JwtVerifier, file: EntryFile<JwtIssuer>, files: Follow) {
    let tracker = TaskTracker::new();
    let start = || {
        let files = Follow { stop: files.stop.child_token(), ..files.clone() };
        for issuer in verifier.issuers() {
            tracker.spawn(follow_keys(verifier.clone(), issuer, files.clone()));
        }
        files.stop
    };
    let at_work = Mutex::new(start());
    let replace = |Change { now, file, fingerprint, .. }: Change<'_, JwtIssuer>| {
        let mut at_work = at_work.lock().unwrap_or_else(PoisonError::into_inner);
        at_work.cancel();
        verifier.replace(now);
        verifier.issuers().iter().for_each(|issuer| read_file(&verifier, issuer));
        log_event!(info, JWT_ISSUERS_READ, file, issuers = now.len(), fingerprint, "JWT issuers were read again");
        *at_work = start();
        Ok(())
    };
    follow(file_names::JWT_ISSUERS, file, files.clone(), replace).await;
    tracker.close();
    tracker.wait().await;
}

async fn follow_keys(verifier: JwtVerifier, issuer: Arc<Issuer>, files: Follow) {
    match &issuer.config.keys {
        JwksSource::File(path) => follow_file(&verifier, &issuer, path.clone(), files).await,
        JwksSource::Url { url, ca_file, bearer_file } => {
            let source = Source { url: url.clone(), ca_file: ca_file.clone(), bearer_file: bearer_file.clone() };
            let fetch = || fetch::fetch(source.clone(), fetch::TIMEOUT);
            tokio::select! {
                () = follow_url(&verifier, &issuer, fetch) => {}
                () = files.stop.cancelled() => {}
            }
        }
    }
}

async fn follow_file(verifier: &JwtVerifier, issuer: &Issuer, path: PathBuf, files: Follow) {
    let shown = path.display().to_string();
    let apply = |content: &Content| {
        let keys = KeySet::parse(content.text.as_bytes())?;
        put_to_work(verifier, issuer, issuer.keys.begin(), keys, (Some(&shown), &content.fingerprint));
        Ok(())
    };
    watched_file::run(file_names::JWKS, path, files, apply).await;
}

/// Fetches the keys of a URL now, from time to time, and soon after a token has named a key that is not among them.
async fn follow_url<F>(verifier: &JwtVerifier, issuer: &Issuer, fetch: impl Fn() -> F)
where
    F: Future<Output = Result<(KeySet, String), String>>,
{
    let name = issuer.config.name.as_str();
    let mut retry = FIRST_RETRY;
    loop {
        let (read, began) = (issuer.keys.begin(), Instant::now());
        match fetch().await {
            Ok((keys, fingerprint)) => {
                put_to_work(verifier, issuer, read, keys, (None, &fingerprint));
                issuer.keys.note_fetch(began.into_std());
                retry = FIRST_RETRY;
                wait_for_next(issuer, began).await;
            }
            Err(problem) => {
                // The keys may be older than this task, which begins anew when the file of issuers changes.
                let age = issuer.keys.fetched_at().map(|at| Instant::from_std(at).elapsed());
                if age.is_some_and(|age| age >= MAX_AGE) && verifier.drop_keys(&issuer.keys) {
                    log_event!(
                        error,
                        JWT_KEYS_TOO_OLD,
                        issuer = name,
                        problem,
                        "the keys of a JWT issuer are too old; its tokens are UNAVAILABLE"
                    );
                } else {
                    let age_s = age.map(|age| age.as_secs());
                    log_event!(
                        warn,
                        JWT_KEYS_NOT_FETCHED,
                        issuer = name,
                        problem,
                        age_s,
                        "the keys of a JWT issuer cannot be fetched; trying again"
                    );
                }
                tokio::time::sleep_until(began + retry).await;
                retry = (retry * 2).min(MIN_INTERVAL);
            }
        }
    }
}

async fn wait_for_next(issuer: &Issuer, began: Instant) {
    tokio::time::sleep_until(began + MIN_INTERVAL).await;
    while began.elapsed() < REFRESH_INTERVAL && !issuer.keys.is_wanted() {
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

/// Reads the keys of an issuer that come from a file, so that they are there before the first call.
fn read_file(verifier: &JwtVerifier, issuer: &Issuer) {
    let JwksSource::File(path) = &issuer.config.keys else { return };
    let read = input_file::read(path).map_err(|error| error.to_string());
    // If it cannot be used, the file is looked at again, and the reason is logged then.
    if let Ok(keys) = read.and_then(|bytes| KeySet::parse(&bytes)) {
        verifier.use_keys(&issuer.keys, issuer.keys.begin(), keys);
    }
}

fn put_to_work(
    verifier: &JwtVerifier,
    issuer: &Issuer,
    read: Read,
    keys: KeySet,
    (file, fingerprint): (Option<&str>, &str),
) {
    let (name, usable, skipped) = (issuer.config.name.as_str(), keys.len(), keys.skipped);
    if verifier.use_keys(&issuer.keys, read, keys) {
        log_event!(
            info,
            JWT_KEYS_READ,
            issuer = name,
            file,
            keys = usable,
            skipped,
            fingerprint,
            "the keys of a JWT issuer were read"
        );
    }
}

#[cfg(test)]
mod tests;
