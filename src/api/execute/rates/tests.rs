//! The rates: what fits, how long the rest waits, and how much is remembered.

use std::num::NonZeroU32;
use std::time::Duration;

use tonic_types::StatusExt as _;

use super::*;
use crate::auth::permission::Permission;
use crate::domain::delivery::repeats::ResendLimits;
use crate::domain::value::text::AccountId;
use crate::domain::value::time::Timestamp;
use crate::server::admission::keyed_rate::MAX_KEYS;
use crate::server::status;

const NOW: Timestamp = Timestamp::from_micros(1_767_225_600_000_000);

fn caller(account: &str, name: &str, credential: Credential) -> Caller {
    Caller {
        account: AccountId::parse(account).unwrap(),
        name: name.to_owned(),
        permissions: vec![Permission::InvitationsWrite],
        organization_id: None,
        credential,
        expires_at: None,
        grantable_roles: None,
    }
}

fn key(account: &str, name: &str) -> Caller {
    caller(account, name, Credential::ApiKey)
}

/// Rates of some numbers a minute; 0 is off.
fn rates([per_key, per_account, lookups]: [u32; 3]) -> (Rates, Clock) {
    let clock = Clock::manual(NOW);
    let rate = |most| NonZeroU32::new(most).map(|most| Rate { most, per: Duration::from_secs(60) });
    let config = LimitsConfig {
        invitations_per_key: rate(per_key),
        invitations_per_account: rate(per_account),
        failed_lookups_per_key: rate(lookups),
        calls_per_person: None,
        api_keys_per_account: None,
        open_invitations_per_account: None,
        invitations_per_inviter_per_day: None,
        mails_per_recipient_per_day: None,
        resends: ResendLimits::DEFAULT,
    };
    (Rates::new(&config, &clock), clock)
}

/// Returns the seconds that a refused caller is to wait, and the limit.
fn wait(refused: &Status) -> (Option<u64>, String) {
    let details = refused.get_error_details();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    let limit = details.error_info().unwrap().metadata["limit"].clone();
    assert_eq!(details.quota_failure().unwrap().violations[0].subject, limit);
    (details.retry_info().and_then(|info| info.retry_delay).map(|delay| delay.as_secs()), limit)
}

#[test]
fn rate_weighs_invitees_and_says_how_long_to_wait() {
    let (rates, clock) = rates([60, 0, 0]);
    let ann = key("acme", "apiKeys/ann");
    for (seconds, number, waits) in [
        (0, 40, None),
        (0, 20, None),
        (0, 1, Some(1)),
        (0, 40, Some(40)),
        (39, 40, Some(1)),
        (1, 40, None),
        (0, 1, Some(1)),
        (600, 60, None),
    ] {
        clock.advance(Duration::from_secs(seconds));
        let taken = rates.invite(&ann, number).map(drop);
        assert_eq!(taken.err().map(|refused| wait(&refused).0), waits.map(Some), "{number} after {seconds} s");
    }
    rates.invite(&key("acme", "apiKeys/bob"), 60).unwrap();
}

#[test]
fn number_beyond_the_rate_is_refused_for_good() {
    let (rates, _) = rates([0, 50, 0]);
    let refused = rates.invite(&key("acme", "apiKeys/ann"), 51).map(drop).unwrap_err();
    assert_eq!(wait(&refused), (None, PER_ACCOUNT.to_owned()));
    assert!(refused.message().contains("smaller batches"), "{}", refused.message());
    rates.invite(&key("acme", "apiKeys/ann"), 50).unwrap();
}

#[test]
fn account_has_one_rate_whatever_the_credential() {
    let (rates, _) = rates([10, 15, 0]);
    rates.invite(&key("acme", "apiKeys/ann"), 10).unwrap();
    let refused = rates.invite(&key("acme", "apiKeys/bob"), 10).map(drop).unwrap_err();
    assert_eq!(wait(&refused).1, PER_ACCOUNT);
    // A refusal by the account costs the key nothing.
    rates.invite(&key("acme", "apiKeys/bob"), 5).unwrap();
    let used: Vec<_> = rates.left(&key("acme", "apiKeys/bob")).iter().map(|left| left.used).collect();
    assert_eq!(used, [5, 15]);
    rates.invite(&key("other", "apiKeys/bob"), 10).unwrap();
    // Without credentials the account alone counts.
    let nobody = caller("default", "anonymous", Credential::None);
    rates.invite(&nobody, 15).unwrap();
    assert_eq!(rates.left(&nobody).len(), 1);
}

#[test]
fn invitees_that_are_given_back_can_be_invited_again() {
    let (rates, _) = rates([10, 10, 0]);
    let ann = key("acme", "apiKeys/ann");
    let invited = rates.invite(&ann, 10).unwrap();
    invited.give_back(4);
    assert_eq!(rates.left(&ann)[0].used, 6);
    assert_eq!(rates.left(&ann)[0].reset_after, Duration::from_secs(36));
    rates.invite(&ann, 4).unwrap();
    assert!(rates.invite(&ann, 1).is_err());
    rates.invite(&ann, 0).unwrap();
}

#[tokio::test(crate = "crate::limit")]
async fn failed_look_ups_alone_are_counted_and_then_refused() {
    let (rates, clock) = rates([0, 0, 3]);
    let ann = key("acme", "apiKeys/ann");
    let found = async || rates.look_up(&ann, async { Ok(()) }).await;
    let missing = async || rates.look_up(&ann, async { Err::<(), _>(status::not_found()) }).await.unwrap_err();
    for _ in 0..5 {
        found().await.unwrap();
        rates.look_up(&ann, async { Err::<(), _>(status::unavailable()) }).await.unwrap_err();
    }
    for _ in 0..3 {
        assert_eq!(missing().await.code(), Code::NotFound);
    }
    // A good token is no exception: whether it is good would have to be looked up.
    assert_eq!(wait(&found().await.unwrap_err()), (Some(20), FAILED_LOOKUPS.to_owned()));
    clock.advance(Duration::from_secs(19));
    assert_eq!(wait(&missing().await).0, Some(1));
    clock.advance(Duration::from_secs(1));
    found().await.unwrap();
    assert_eq!(missing().await.code(), Code::NotFound);
    assert_eq!(wait(&missing().await).0, Some(20));
    let bob = key("acme", "apiKeys/bob");
    rates.look_up(&bob, async { Ok(()) }).await.unwrap();
}

#[test]
fn many_keys_are_forgotten_from_the_least_used_on() {
    let (rates, _) = rates([0, 1_000, 0]);
    let rate = rates.per_account.as_ref().unwrap();
    rates.invite(&key("busy", "apiKeys/ann"), 1_000).unwrap();
    for account in 0..3 * MAX_KEYS {
        rates.invite(&key(&format!("account-{account}"), "apiKeys/ann"), 1).unwrap();
        assert!(rate.remembered() <= MAX_KEYS);
    }
    assert!(rates.invite(&key("busy", "apiKeys/ann"), 1).is_err(), "whoever has used much is remembered");
}
