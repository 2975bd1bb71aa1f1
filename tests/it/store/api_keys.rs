//! API keys: once by name, in the order of their changes, and never by a row that cannot be read.

use futures_util::future::join_all;
use invitation_service::domain::api_key::{ApiKeyRecord, ChangeRefusal, Powers};
use invitation_service::domain::value::text::AccountId;
use invitation_service::domain::value::time::Timestamp;
use invitation_service::store::{ApiKeyChanged, ApiKeyCreated, ApiKeyName, Store, WriteOnce};
use sea_orm::ConnectionTrait as _;
use uuid::Uuid;

use crate::support::build::commands::*;
use crate::support::database::{NEW_YEAR, TestDatabase};
use crate::support::on_both;

on_both!(
    migrated:
    key_keeps_all_that_it_has_and_its_id_for_ever,
    changes_are_followed_in_the_order_of_their_commits,
    key_that_cannot_be_read_is_followed_as_none,
    last_use_only_moves_on_and_is_no_change,
);

fn stored(number: u8) -> ApiKeyRecord {
    ApiKeyRecord {
        id: Uuid::from_u128(number.into()),
        key_id: format!("key-{number}"),
        display_name: "o'neil \"ü\"".to_owned(),
        hash: [number; 32],
        powers: Powers {
            permissions: vec!["a.b".to_owned(), "c \\ d".to_owned()],
            grantable_roles: None,
            expires_at: None,
        },
        organization: None,
        revoked_at: None,
        last_used_at: None,
        revision: 1,
        creator: "cli".to_owned(),
        created_at: NEW_YEAR,
        updated_at: NEW_YEAR,
    }
}

fn named<'a>(account: &'a AccountId, key_id: &'static str) -> ApiKeyName<'a> {
    ApiKeyName { account, key_id, within: None }
}

async fn create(store: &Store, key: &ApiKeyRecord) -> ApiKeyCreated {
    store.create_api_key(&account(), key, &WriteOnce::default(), None).await.unwrap()
}

async fn key_keeps_all_that_it_has_and_its_id_for_ever(database: TestDatabase) {
    let (store, _) = store(&database).await;
    let (account, other) = (account(), AccountId::parse("Acme").unwrap());
    let mut full = stored(2);
    full.powers.grantable_roles = Some(vec!["viewer".to_owned()]);
    full.powers.expires_at = Some(Timestamp::from_micros(NEW_YEAR.micros() + 1));
    full.organization = Some(COMPANY);
    for key in [stored(1), full] {
        assert_eq!(create(&store, &key).await, ApiKeyCreated::Created);
        let name = ApiKeyName { account: &account, key_id: &key.key_id, within: key.organization };
        assert_eq!(store.primary().get_api_key(name).await.unwrap(), Some(key.clone()));
        assert_eq!(store.primary().get_api_key(ApiKeyName { account: &other, ..name }).await.unwrap(), None);
        let found = store.find_api_keys(&[[9; 32], key.hash]).await.unwrap();
        assert_eq!(found[0].key, Some((account.clone(), key)));
    }
    let again = ApiKeyRecord { id: Uuid::from_u128(9), hash: [9; 32], ..stored(1) };
    let revoke = |key: &ApiKeyRecord| key.revoke(None, NEW_YEAR);
    for _ in 0..2 {
        assert_eq!(create(&store, &again).await, ApiKeyCreated::AlreadyExists);
        let name = named(&account, "key-1");
        let changed = store.change_api_key(name, &WriteOnce::default(), None, revoke).await.unwrap();
        assert!(matches!(changed, ApiKeyChanged::Changed(_) | ApiKeyChanged::Unchanged(_)), "{changed:?}");
    }
    let refuse = |_: &ApiKeyRecord| Err(ChangeRefusal::Revoked);
    let refused = store.change_api_key(named(&account, "key-1"), &WriteOnce::default(), None, refuse).await.unwrap();
    assert_eq!(refused, ApiKeyChanged::Refused(ChangeRefusal::Revoked));
    let foreign = store.change_api_key(named(&other, "key-1"), &WriteOnce::default(), None, revoke).await.unwrap();
    assert_eq!(foreign, ApiKeyChanged::NotFound);
}

async fn changes_are_followed_in_the_order_of_their_commits(database: TestDatabase) {
    let (store, _) = store(&database).await;
    assert_eq!(store.last_api_key_change().await.unwrap(), 0);
    let keys: Vec<_> = (1..=20).map(stored).collect();
    let writes = join_all(keys.iter().map(|key| create(&store, key)));
    let follow = async {
        let (mut seen, mut position) = (Vec::new(), 0);
        while seen.len() < 20 {
            let changed = store.changed_api_keys(position, 3).await.unwrap();
            assert_eq!(changed.more, changed.keys.len() == 3);
            position = changed.position;
            seen.extend(changed.keys.into_iter().map(|key| key.hash));
        }
        seen
    };
    let (_, mut seen) = tokio::join!(writes, follow);
    seen.sort_unstable();
    assert_eq!(seen, keys.iter().map(|key| key.hash).collect::<Vec<_>>(), "none is missed, and none is seen twice");
    let last = store.last_api_key_change().await.unwrap();
    let account = account();
    let dry = WriteOnce { validate_only: true, ..WriteOnce::default() };
    let wet = WriteOnce::default();
    for (once, moved) in [(&dry, 0), (&wet, 1), (&wet, 1)] {
        let revoke = |key: &ApiKeyRecord| key.revoke(None, NEW_YEAR);
        store.change_api_key(named(&account, "key-7"), once, None, revoke).await.unwrap();
        assert_eq!(store.last_api_key_change().await.unwrap(), last + moved);
    }
    let changed = store.changed_api_keys(last, 3).await.unwrap();
    assert_eq!((changed.keys.len(), changed.keys[0].hash), (1, [7; 32]));
    assert!(changed.keys[0].key.as_ref().unwrap().1.revoked_at.is_some());
}

async fn key_that_cannot_be_read_is_followed_as_none(database: TestDatabase) {
    let (store, _) = store(&database).await;
    for number in 1..=3 {
        create(&store, &stored(number)).await;
    }
    let past = database.connect().await;
    // A release to come may write roles in another form: they must not count as any role.
    past.execute_unprepared("UPDATE api_key SET grantable_roles = '{}' WHERE key_id = 'key-2'").await.unwrap();
    past.close().await.unwrap();
    let changed = store.changed_api_keys(0, 10).await.unwrap();
    let known: Vec<_> = changed.keys.iter().map(|key| (key.hash[0], key.key.is_some())).collect();
    assert_eq!(known, [(1, true), (2, false), (3, true)]);
    assert_eq!(changed.position, store.last_api_key_change().await.unwrap());
    assert!(store.find_api_keys(&[[2; 32]]).await.unwrap()[0].key.is_none());
}

async fn last_use_only_moves_on_and_is_no_change(database: TestDatabase) {
    let (store, _) = store(&database).await;
    create(&store, &stored(1)).await;
    let (last, account) = (store.last_api_key_change().await.unwrap(), account());
    let at = |hour: i64| Timestamp::from_micros(NEW_YEAR.micros() + hour * 3_600_000_000);
    for (noted, shown) in [(2, 2), (1, 2), (3, 3)] {
        let hashes: Vec<_> = (0..40).map(|number| [number; 32]).collect();
        store.note_api_key_uses(&hashes, at(noted)).await.unwrap();
        let found = store.primary().get_api_key(named(&account, "key-1")).await.unwrap().unwrap();
        assert_eq!(found, ApiKeyRecord { last_used_at: Some(at(shown)), ..stored(1) });
    }
    let rename = |key: &ApiKeyRecord| Ok(Some(ApiKeyRecord { revision: 2, last_used_at: None, ..key.clone() }));
    store.change_api_key(named(&account, "key-1"), &WriteOnce::default(), None, rename).await.unwrap();
    let found = store.primary().get_api_key(named(&account, "key-1")).await.unwrap().unwrap();
    assert_eq!(found.last_used_at, Some(at(3)), "a change does not forget what others note");
    assert_eq!(store.last_api_key_change().await.unwrap(), last + 1);
}
