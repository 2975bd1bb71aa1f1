//! Follows the API keys of the database: brings each change to the directory that calls look in, asks for the keys that it does not
//! know, and notes when keys are used.
//!
//! One look a second reads one row, whatever the number of keys. Between replicas a notification makes the next look come at once, so
//! a revoked key is usually refused within milliseconds, and always within two seconds.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::periodic_task::{PeriodicTask, TickResult};
use crate::auth::key_directory::{Answer, Ask, Asks, FoundKey, HOUR, KeyDirectory, KeyHash};
use crate::clock::Clock;
use crate::domain::value::time::Timestamp;
use crate::store::{FollowedKey, Store, StoreError, Topic};
use crate::telemetry::log_limiter::LogLimiter;

/// The interval of the looks for changes.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// The longest that a look may take.
const LOOK_LIMIT: Duration = Duration::from_secs(2);
/// The most changes that one look reads.
const MAX_CHANGES: u64 = 500;
/// The most unknown keys that one question is about, and the pause between two: callers with keys that do not exist can cause no
/// more than forty small statements a second.
const MAX_ASKED: usize = 256;
const ASK_PAUSE: Duration = Duration::from_millis(25);
/// The longest that a question may take.
const ASK_LIMIT: Duration = Duration::from_secs(1);
/// The times that a question is asked again because keys have changed meanwhile.
const MAX_QUESTIONS: usize = 3;
/// The interval at which uses are noted.
const NOTE_INTERVAL: Duration = Duration::from_secs(2);

/// Follows the keys until stopped. `has_others` is whether there are keys beside the database's.
pub(crate) async fn run(
    store: Store,
    directory: KeyDirectory,
    asks: Asks,
    clock: Clock,
    has_others: bool,
    stop: CancellationToken,
) {
    let began = watch::Sender::new(false);
    let answered = async {
        tokio::select! {
            () = answer(&store, &directory, asks, began.subscribe()) => {}
            () = stop.cancelled() => {}
        }
    };
    tokio::join!(
        follow(&store, &directory, &clock, &began, has_others, stop.clone()),
        answered,
        note_uses(&store, &directory, &clock, stop.clone())
    );
}

/// Brings changes to the directory.
async fn follow(
    store: &Store,
    directory: &KeyDirectory,
    clock: &Clock,
    began: &watch::Sender<bool>,
    has_others: bool,
    stop: CancellationToken,
) {
    let notified = Some(store.notifications().subscribe(Topic::ApiKey));
    let task = PeriodicTask { name: "api_keys", notified, gather: Duration::ZERO, interval: POLL_INTERVAL, stop };
    let has_begun = AtomicBool::new(false);
    task.run(|| async {
        directory.set_hour(clock.now().micros() / HOUR);
        let looked = timeout(LOOK_LIMIT, look(store, directory, &has_begun, has_others)).await;
        let looked = looked.unwrap_or(Err(StoreError::Slow));
        match &looked {
            // The changes are not known before the last of them.
            Ok(TickResult::More) => {}
            Ok(_) => {
                directory.note_contact();
                began.send_if_modified(|began| !std::mem::replace(began, true));
            }
            Err(_) => directory.note_failure(),
        }
        looked
    })
    .await;
}

async fn look(
    store: &Store,
    directory: &KeyDirectory,
    has_begun: &AtomicBool,
    has_others: bool,
) -> Result<TickResult, StoreError> {
    let (last, known) = (store.last_api_key_change().await?, directory.position());
    if !has_begun.swap(true, Ordering::Relaxed) {
        directory.restart_at(last);
        if last == 0 && !has_others {
            log_event!(
                warn,
                NO_API_KEY,
                "no call can be answered, since there is no API key: create one with `api-key create`"
            );
        }
        return Ok(TickResult::Done);
    }
    if last < known {
        log_event!(
            warn,
            API_KEYS_ROLLED_BACK,
            "the API keys are older than they were, as after a restore: all are read again when they are used"
        );
        directory.restart_at(last);
        return Ok(TickResult::Done);
    }
    if last == known {
        return Ok(TickResult::Done);
    }
    let changed = store.changed_api_keys(known, MAX_CHANGES).await?;
    directory.change(changed.keys.into_iter().map(found).collect(), changed.position);
    Ok(if changed.more { TickResult::More } else { TickResult::Done })
}

/// Answers the questions for unknown keys, several together, once the changes are followed.
async fn answer(store: &Store, directory: &KeyDirectory, Asks(mut asks): Asks, mut began: watch::Receiver<bool>) {
    if began.wait_for(|began| *began).await.is_err() {
        return;
    }
    let mut log_limiter = LogLimiter::default();
    let mut asked = Vec::new();
    while asks.recv_many(&mut asked, MAX_ASKED).await > 0 {
        let mut waiting: BTreeMap<KeyHash, Vec<Ask>> = BTreeMap::new();
        for ask in asked.drain(..) {
            // A caller who has gone does not ask any more.
            if !ask.answer.is_closed() {
                waiting.entry(ask.hash).or_default().push(ask);
            }
        }
        let hashes: Vec<KeyHash> = waiting.keys().copied().collect();
        let found = timeout(ASK_LIMIT, find(store, directory, &hashes)).await;
        let found = found.unwrap_or(Err(StoreError::Slow));
        if let Err(error) = &found {
            log_limiter.warn("api_keys", error);
        }
        for ask in waiting.into_values().flatten() {
            let answer = found
                .as_ref()
                .map_or(Answer::Failed, |found| Answer::of(found.iter().find(|(hash, _)| *hash == ask.hash)));
            // Whoever has gone meanwhile needs none.
            drop(ask.answer.send(answer));
        }
        sleep(ASK_PAUSE).await;
    }
}

/// Reads keys, and has the directory learn them.
async fn find(store: &Store, directory: &KeyDirectory, hashes: &[KeyHash]) -> Result<Vec<FoundKey>, StoreError> {
    let mut keys = Vec::new();
    for _ in 0..MAX_QUESTIONS {
        let position = directory.position();
        keys = store.find_api_keys(hashes).await?.into_iter().map(found).collect();
        if directory.learn(hashes, &keys, position) {
            break;
        }
    }
    // If keys keep changing, these are true for their calls, and are asked for again by the next.
    Ok(keys)
}

fn found(key: FollowedKey) -> FoundKey {
    (key.hash, key.key)
}

/// Notes in which hour keys were used.
async fn note_uses(store: &Store, directory: &KeyDirectory, clock: &Clock, stop: CancellationToken) {
    let task =
        PeriodicTask { name: "api_key_uses", notified: None, gather: Duration::ZERO, interval: NOTE_INTERVAL, stop };
    task.run(|| async {
        let mut used = directory.take_used();
        if used.is_empty() {
            return Ok(TickResult::Done);
        }
        // All replicas lock the rows in one order.
        used.sort_unstable();
        let hour = clock.now().micros() / HOUR * HOUR;
        let noted = store.note_api_key_uses(&used, Timestamp::from_micros(hour)).await;
        if noted.is_err() {
            directory.give_back_used(used);
        }
        noted.map(|()| TickResult::Done)
    })
    .await;
}
