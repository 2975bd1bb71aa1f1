//! The times at which keys are fetched, and how long they stay.

use std::cell::RefCell;

use super::*;
use crate::config::{JwtAccess, JwtIssuer, JwtSource};
use crate::domain::value::text::AccountId;
use crate::domain::value::time::Timestamp;

fn keys(kid: &str) -> KeySet {
    let key = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE";
    KeySet::parse(format!(r#"{{"keys":[{{"kty":"OKP","crv":"Ed25519","x":"{key}","kid":"{kid}"}}]}}"#).as_bytes())
        .unwrap()
}

fn issuer() -> (JwtVerifier, Arc<Issuer>) {
    let account = JwtSource::Fixed(AccountId::parse("acme").unwrap());
    let issuer = JwtIssuer {
        name: "main".to_owned(),
        issuer: "https://issuer.example".to_owned(),
        audiences: vec!["invitation-service".to_owned()],
        keys: JwksSource::Url { url: "https://issuer.example/".parse().unwrap(), ca_file: None, bearer_file: None },
        leeway: Duration::ZERO,
        subject_claim: "sub".to_owned(),
        access: JwtAccess::All { account, permissions: JwtSource::Fixed(Vec::new()), organization_id: None },
    };
    let verifier = JwtVerifier::new(&[issuer], Clock::manual(Timestamp::from_micros(0)));
    let issuer = verifier.issuers().remove(0);
    (verifier, issuer)
}

/// Runs the fetches for a time, and returns the seconds at which they were made. `answer` decides by the second.
async fn fetches(
    (verifier, issuer): &(JwtVerifier, Arc<Issuer>),
    time: Duration,
    answer: impl Fn(u64) -> Result<KeySet, String>,
) -> Vec<u64> {
    let (began, made) = (Instant::now(), RefCell::new(Vec::new()));
    let fetch = || {
        let second = began.elapsed().as_secs();
        made.borrow_mut().push(second);
        std::future::ready(answer(second).map(|keys| (keys, String::new())))
    };
    tokio::time::timeout(time, follow_url(verifier, issuer, fetch)).await.unwrap_err();
    made.into_inner()
}

#[tokio::test(start_paused = true, crate = "crate::limit")]
async fn keys_are_fetched_every_ten_minutes_and_soon_after_trouble() {
    let made = fetches(&issuer(), Duration::from_secs(1_201), |_| Ok(keys("one"))).await;
    assert_eq!(made, [0, 600, 1_200]);
    let away = issuer();
    let made = fetches(&away, Duration::from_secs(100), |second| match second {
        0..70 => Err("away".to_owned()),
        _ => Ok(keys("one")),
    });
    assert_eq!(made.await, [0, 1, 3, 7, 15, 31, 61, 91]);
    assert!(away.1.keys.keys().is_some());
}

#[tokio::test(start_paused = true, crate = "crate::limit")]
async fn unknown_key_is_looked_for_once_in_thirty_seconds() {
    let wanting = issuer();
    let cache = Arc::clone(&wanting.1.keys);
    let unknown = tokio::spawn(async move {
        for number in 0_u64.. {
            cache.misses(&number.to_string());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    let made = fetches(&wanting, Duration::from_secs(100), |_| Ok(keys("one"))).await;
    assert_eq!(made, [0, 30, 60, 90]);
    unknown.abort();
    let late = issuer();
    let cache = Arc::clone(&late.1.keys);
    let unknown = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(200)).await;
        cache.misses("new")
    });
    let made =
        fetches(&late, Duration::from_secs(300), |second| Ok(keys(if second < 200 { "one" } else { "new" }))).await;
    assert_eq!(made, [0, 200], "at once, because the keys are older");
    assert!(!unknown.await.unwrap());
}

#[tokio::test(start_paused = true, crate = "crate::limit")]
async fn keys_stay_a_day_while_their_url_is_away_and_come_back() {
    const DAY: u64 = 86_400;
    let away = issuer();
    let answer = |second: u64| if second == 0 { Ok(keys("one")) } else { Err("away".to_owned()) };
    fetches(&away, Duration::from_secs(DAY - 60), answer).await;
    assert!(away.1.keys.keys().is_some());
    let away = issuer();
    fetches(&away, Duration::from_secs(DAY + 60), answer).await;
    assert!(away.1.keys.keys().is_none());
    fetches(&away, Duration::from_secs(1), |_| Ok(keys("one"))).await;
    assert!(away.1.keys.keys().is_some());
}
