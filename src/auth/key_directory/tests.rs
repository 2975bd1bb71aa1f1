//! The directory by itself: the task that follows the database is played by the test.

use super::*;
use crate::auth::refused_caller::NoCaller;
use crate::domain::api_key::Powers;
use crate::domain::value::time::Timestamp;
use uuid::Uuid;

const NOW: Timestamp = Timestamp::from_micros(1_800_000_000_000_000);

fn key(number: u8, revoked: bool) -> FoundKey {
    let record = ApiKeyRecord {
        id: Uuid::from_u128(number.into()),
        key_id: format!("key-{number}"),
        display_name: String::new(),
        hash: [number; 32],
        powers: Powers { permissions: vec!["events.read".to_owned(), "of.tomorrow".to_owned()], ..Powers::default() },
        organization: None,
        revoked_at: revoked.then_some(NOW),
        last_used_at: None,
        revision: 1,
        creator: "cli".to_owned(),
        created_at: NOW,
        updated_at: NOW,
    };
    ([number; 32], Some((AccountId::parse("acme").unwrap(), record)))
}

fn clock() -> Clock {
    Clock::manual(NOW)
}

fn known(directory: &KeyDirectory, number: u8) -> Option<Result<String, NoCaller>> {
    match directory.look_up(&[number; 32], &clock()) {
        LookUp::Known(known) => Some(known.map(|caller| caller.name).map_err(|refused| refused.answer())),
        LookUp::Unknown => None,
    }
}

fn named(number: u8) -> Option<Result<String, NoCaller>> {
    Some(Ok(format!("apiKeys/key-{number}")))
}

/// Has a directory know some keys, as of a position.
fn know(directory: &KeyDirectory, keys: &[FoundKey], position: i64) {
    directory.restart_at(position);
    let asked: Vec<_> = keys.iter().map(|(hash, _)| *hash).collect();
    assert!(directory.learn(&asked, keys, position));
}

const REFUSED: Option<Result<String, NoCaller>> = Some(Err(NoCaller::Unauthenticated));

#[tokio::test(crate = "crate::limit")]
async fn change_is_known_at_once_and_wakes_streams() {
    let (directory, _asks) = KeyDirectory::new();
    let changes = directory.changes();
    know(&directory, &[key(1, true), key(2, false)], 6);
    directory.change(vec![key(1, false), key(2, true), key(3, false)], 7);
    assert!(known(&directory, 3).is_none(), "nobody has used it here");
    assert_eq!((known(&directory, 1), known(&directory, 2)), (named(1), REFUSED));
    assert!(changes.has_changed().unwrap() && directory.position() == 7);
    directory.change(vec![key(1, true)], 8);
    assert_eq!(known(&directory, 1), REFUSED);
    directory.change(vec![([2; 32], None)], 9);
    assert!(known(&directory, 2).is_none(), "one that cannot be read is none");
    directory.restart_at(3);
    assert!(known(&directory, 1).is_none() && directory.position() == 3);
}

#[tokio::test(start_paused = true, crate = "crate::limit")]
async fn answer_older_than_a_change_is_not_learned() {
    let (directory, _asks) = KeyDirectory::new();
    know(&directory, &[key(1, false)], 4);
    directory.change(vec![key(1, true)], 5);
    assert!(!directory.learn(&[[1; 32]], &[key(1, false)], 4), "the key was read before it was revoked");
    assert_eq!(known(&directory, 1), REFUSED);
    assert!(directory.learn(&[[2; 32], [3; 32]], &[key(2, false)], 5));
    assert_eq!((known(&directory, 2), known(&directory, 3)), (named(2), REFUSED));
    tokio::time::advance(ABSENT_TTL).await;
    assert!(known(&directory, 3).is_none(), "its absence is asked for again");
    directory.learn(&[[3; 32]], &[], 5);
    directory.change(vec![key(3, false)], 6);
    assert!(known(&directory, 3).is_none(), "a key that is created is no longer absent");
}

#[tokio::test(start_paused = true, crate = "crate::limit")]
async fn known_keys_are_accepted_for_ten_minutes_without_contact() {
    let (directory, _asks) = KeyDirectory::new();
    know(&directory, &[key(1, false)], 1);
    directory.note_contact();
    for (seconds, expected) in [(1, named(1)), (598, named(1)), (1, Some(Err(NoCaller::Unavailable)))] {
        tokio::time::advance(Duration::from_secs(seconds)).await;
        directory.note_failure();
        assert_eq!(known(&directory, 1), expected, "after {seconds} s more");
        assert_eq!(directory.ask([9; 32], &clock()).await.unwrap_err().answer(), NoCaller::Unavailable);
    }
    directory.note_contact();
    assert_eq!(known(&directory, 1), named(1));
}

#[tokio::test(start_paused = true, crate = "crate::limit")]
async fn questions_beyond_the_limit_are_not_asked() {
    let (directory, Asks(mut asks)) = KeyDirectory::new();
    let asked: Vec<_> = (0..MAX_WAITING + 10)
        .map(|number| {
            let directory = directory.clone();
            tokio::spawn(async move {
                let mut hash = [0; 32];
                hash[..8].copy_from_slice(&number.to_be_bytes());
                directory.ask(hash, &clock()).await.unwrap_err().answer()
            })
        })
        .collect();
    // In paused time, all of them go first.
    tokio::time::sleep(Duration::from_millis(1)).await;
    let mut taken = Vec::new();
    assert_eq!(asks.recv_many(&mut taken, usize::MAX).await, MAX_WAITING);
    taken.drain(..1).for_each(|ask| drop(ask.answer.send(Answer::Absent)));
    let mut results = Vec::new();
    for asked in asked {
        results.push(asked.await.unwrap());
    }
    assert_eq!(results.iter().filter(|error| **error == NoCaller::Unauthenticated).count(), 1);
    assert_eq!(results.iter().filter(|error| **error == NoCaller::Unavailable).count(), MAX_WAITING + 9);
}

#[tokio::test(crate = "crate::limit")]
async fn use_is_noted_once_an_hour_and_absent_hashes_are_bounded() {
    let (directory, _asks) = KeyDirectory::new();
    know(&directory, &[key(1, false), key(2, true)], 1);
    for hour in [5, 6] {
        directory.set_hour(hour);
        for number in [1, 2, 1] {
            known(&directory, number);
        }
        assert_eq!(directory.take_used(), [[1; 32]], "a refused call is no use");
    }
    directory.change(vec![key(1, false)], 2);
    known(&directory, 1);
    assert!(directory.take_used().is_empty(), "a change forgets no use");
    let hashes: Vec<KeyHash> = (0..MAX_ABSENT + 1)
        .map(|number| {
            let mut hash = [0xff; 32];
            hash[..8].copy_from_slice(&number.to_be_bytes());
            hash
        })
        .collect();
    assert!(hashes.iter().all(|hash| directory.learn(&[*hash], &[], 2)));
    assert!(directory.0.absent.lock().unwrap().len() <= MAX_ABSENT);
}

#[tokio::test(crate = "crate::limit")]
async fn next_end_is_that_of_a_key_in_use() {
    let day = 24 * HOUR;
    let ending = |number, revoked, expires_in: i64, used_ago: i64| {
        let (hash, found) = key(number, revoked);
        let (account, record) = found.unwrap();
        let powers = Powers { expires_at: Some(Timestamp::from_micros(NOW.micros() + expires_in)), ..record.powers };
        let last_used_at = Some(Timestamp::from_micros(NOW.micros() - used_ago));
        (hash, Some((account, ApiKeyRecord { powers, last_used_at, ..record })))
    };
    let (directory, _asks) = KeyDirectory::new();
    let keys = [
        key(1, false),
        ending(2, false, 3 * day, HOUR),
        ending(3, false, 2 * day, 2 * day),
        ending(4, true, day, HOUR),
        ending(5, false, -day, HOUR),
        ending(6, false, 4 * day, HOUR),
    ];
    know(&directory, &keys, 1);
    let next = directory.next_expiry(NOW).unwrap();
    assert_eq!((next.api_key.as_str(), next.expires_at.micros()), ("apiKeys/key-2", NOW.micros() + 3 * day));
    know(&directory, &[key(1, false)], 2);
    assert_eq!(directory.next_expiry(NOW), None, "no key ends");
}
