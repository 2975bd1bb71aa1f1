//! The gifts of powers as a table, and the changes of a key.

use super::*;
use crate::domain::fixtures::NOW;

fn powers(permissions: &[&str], roles: Option<&[&str]>, expires: Option<i64>) -> Powers {
    let texts = |texts: &[&str]| texts.iter().map(ToString::to_string).collect();
    Powers {
        permissions: texts(permissions),
        grantable_roles: roles.map(texts),
        expires_at: expires.map(Timestamp::from_micros),
    }
}

fn key(powers: Powers) -> ApiKeyRecord {
    ApiKeyRecord {
        id: Uuid::from_u128(1),
        key_id: "ci".to_owned(),
        display_name: String::new(),
        hash: [1; 32],
        powers,
        organization: None,
        revoked_at: None,
        last_used_at: None,
        revision: 1,
        creator: "apiKeys/root".to_owned(),
        created_at: NOW,
        updated_at: NOW,
    }
}

#[test]
fn nobody_gives_a_new_key_more_than_they_have() {
    let all = powers(&["a", "b"], None, None);
    let some = powers(&["a"], Some(&["admin", "viewer"]), Some(100));
    let permission = |name: &str| Err(Excess::Permission(name.to_owned()));
    for (gift, giver, result) in [
        (powers(&["a", "b"], None, None), &all, Ok(())),
        (powers(&["a"], Some(&["admin"]), Some(1)), &all, Ok(())),
        (powers(&["c"], None, None), &all, permission("c")),
        (powers(&["a", "b"], Some(&[]), Some(1)), &some, permission("b")),
        (powers(&["a"], Some(&["viewer"]), Some(100)), &some, Ok(())),
        (powers(&["a"], Some(&["viewer"]), Some(101)), &some, Err(Excess::Time)),
        (powers(&["a"], Some(&["viewer"]), None), &some, Err(Excess::Time)),
        (powers(&["a"], Some(&["owner"]), Some(100)), &some, Err(Excess::Role(Some("owner".to_owned())))),
        (powers(&["a"], None, Some(100)), &some, Err(Excess::Role(None))),
        (powers(&[], Some(&[]), Some(100)), &some, Ok(())),
    ] {
        assert_eq!(gift.check_gift(None, giver), result, "{gift:?} by {giver:?}");
    }
}

#[test]
fn change_of_a_stronger_key_may_only_take_from_it() {
    let weak = powers(&["a"], Some(&["viewer"]), Some(50));
    let strong = powers(&["a", "b"], Some(&["admin", "viewer"]), Some(100));
    let permission = |name: &str| Err(Excess::Permission(name.to_owned()));
    for (after, result) in [
        (powers(&["a", "b"], Some(&["admin", "viewer"]), Some(100)), Ok(())),
        (powers(&["b"], Some(&["admin", "viewer"]), Some(100)), Ok(())),
        (powers(&[], Some(&["admin"]), Some(99)), Ok(())),
        (powers(&["a", "b"], Some(&["admin", "viewer"]), Some(101)), permission("b")),
        (powers(&["a"], Some(&["viewer"]), Some(101)), Err(Excess::Time)),
        (powers(&["a", "b", "c"], Some(&["viewer"]), Some(50)), permission("c")),
        (powers(&["a", "b"], None, Some(50)), Err(Excess::Role(None))),
    ] {
        assert_eq!(after.check_gift(Some(&strong), &weak), result, "{after:?}");
    }
    let short = powers(&["b"], Some(&["viewer"]), Some(50));
    let added = powers(&["a", "b"], Some(&["viewer"]), Some(50));
    assert_eq!(added.check_gift(Some(&short), &weak), Ok(()), "only what is added counts");
}

#[test]
fn revoked_key_is_changed_by_nobody_and_revoked_once() {
    let all = powers(&["a", "b"], None, None);
    let first = key(powers(&["a"], None, None));
    let update = ApiKeyUpdate { display_name: Some("CI".to_owned()), ..ApiKeyUpdate::default() };
    let named = first.update(&update, &all, Some(&first.etag()), NOW).unwrap().unwrap();
    assert_eq!((named.display_name.as_str(), named.revision), ("CI", 2));
    assert_eq!(named.update(&update, &all, None, NOW), Ok(None), "nothing changes");
    assert_eq!(named.update(&update, &all, Some(&first.etag()), NOW), Err(ChangeRefusal::Stale));
    assert_eq!(named.revoke(Some(&first.etag()), NOW), Err(ChangeRefusal::Stale));
    let elsewhere = ApiKeyUpdate { organization: Some(Uuid::from_u128(7)), ..ApiKeyUpdate::default() };
    assert_eq!(named.update(&elsewhere, &all, None, NOW), Err(ChangeRefusal::Fixed("organization_id")));
    let revoked = named.revoke(Some(&named.etag()), NOW).unwrap().unwrap();
    assert_eq!((revoked.revoked_at, revoked.revision), (Some(NOW), 3));
    assert_eq!(revoked.revoke(None, NOW), Ok(None));
    assert_eq!(revoked.update(&update, &all, None, NOW), Err(ChangeRefusal::Revoked));
}

#[test]
fn state_is_that_of_the_moment_and_revoked_comes_first() {
    let expiring = key(powers(&[], None, Some(NOW.micros() + 1)));
    let later = Timestamp::from_micros(NOW.micros() + 1);
    assert_eq!((expiring.state_at(NOW), expiring.state_at(later)), (ApiKeyState::Active, ApiKeyState::Expired));
    assert_eq!(ApiKeyRecord { revoked_at: Some(NOW), ..expiring }.state_at(later), ApiKeyState::Revoked);
}

#[test]
fn id_of_a_key_is_a_word_that_fits_a_name() {
    for good in ["a", "ci", "billing-2", "0", &"a".repeat(63)] {
        assert_eq!(parse_id(good).as_deref(), Ok(good));
    }
    for bad in ["", "-", "-a", "a-", "A", "a b", "a/b", "ä", "a_b", "a\n", &"a".repeat(64)] {
        assert!(parse_id(bad).is_err(), "{bad:?}");
    }
}
