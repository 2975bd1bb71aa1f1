//! Grants between organizations.

use invitation_service::domain::organization_grant::{GrantUpdate, OrganizationGrant};
use invitation_service::domain::value::etag::StaleEtag;
use invitation_service::domain::value::text::AccountId;
use invitation_service::store::{Cursor, GrantCreated, GrantRefusal, OrganizationGrantQuery, WriteOnce};
use uuid::Uuid;

use crate::support::build::commands::*;
use crate::support::database::{NEW_YEAR, TestDatabase};
use crate::support::on_both;

on_both!(
    migrated:
    grant_exists_once_each_way,
    grant_changes_for_one_writer_at_a_time,
    grants_are_paged_and_filtered_within_their_account,
);

fn grant(id: u128, requester: u128, target: u128) -> OrganizationGrant {
    OrganizationGrant {
        id: Uuid::from_u128(id),
        requester: Uuid::from_u128(requester),
        target: Uuid::from_u128(target),
        permissions: vec!["guests.read".to_owned(), "a \"b\" \\ ü".to_owned()],
        revision: 1,
        creator: "o'neil".to_owned(),
        created_at: NEW_YEAR,
        updated_at: NEW_YEAR,
    }
}

async fn grant_exists_once_each_way(database: TestDatabase) {
    let (store, _) = store(&database).await;
    let first = grant(1, 10, 20);
    let create = async |made: OrganizationGrant| {
        store.create_organization_grant(&account(), &made, &WriteOnce::default()).await.unwrap()
    };
    let find = async |requester, target| {
        let ends = (Uuid::from_u128(requester), Uuid::from_u128(target));
        store.find_organization_grant(&account(), ends.0, ends.1).await.unwrap()
    };
    assert_eq!(create(first.clone()).await, GrantCreated::Created);
    assert_eq!(create(first.clone()).await, GrantCreated::AlreadyExists(first.id), "again");
    assert_eq!(create(grant(2, 10, 20)).await, GrantCreated::AlreadyExists(first.id), "another");
    assert_eq!(create(grant(3, 20, 10)).await, GrantCreated::Created, "the other way round");
    assert_eq!(find(10, 20).await, Some(first.clone()));
    assert_eq!(find(20, 30).await, None);

    let other = AccountId::parse("Acme").unwrap();
    assert!(store.find_organization_grant(&other, first.requester, first.target).await.unwrap().is_none());
    let once = WriteOnce::default();
    let delete = async |account: &AccountId, stale: bool| {
        let check = |_: &OrganizationGrant| if stale { Err(StaleEtag) } else { Ok(()) };
        store.delete_organization_grant(account, first.id, &once, check).await.unwrap()
    };
    assert_eq!(delete(&other, false).await, Err(GrantRefusal::NotFound));
    assert_eq!(delete(&account(), true).await, Err(GrantRefusal::Stale));
    assert_eq!(delete(&account(), false).await, Ok(()));
    assert_eq!(delete(&account(), false).await, Err(GrantRefusal::NotFound));
    assert_eq!(find(10, 20).await, None);
    assert_eq!(create(grant(4, 10, 20)).await, GrantCreated::Created);
}

async fn grant_changes_for_one_writer_at_a_time(database: TestDatabase) {
    let (store, _) = store(&database).await;
    let first = grant(1, 10, 20);
    store.create_organization_grant(&account(), &first, &WriteOnce::default()).await.unwrap();
    // Each adds a name to what it finds: no change may be lost.
    let add = |name: usize| {
        let store = store.clone();
        async move {
            let decide = |found: &OrganizationGrant| {
                let permissions = [found.permissions.as_slice(), &[name.to_string()]].concat();
                let update = GrantUpdate { permissions: Some(permissions), ..GrantUpdate::default() };
                found.update(&update, None, NEW_YEAR)
            };
            let once = WriteOnce::default();
            store.change_organization_grant(&account(), Uuid::from_u128(1), &once, decide).await.unwrap().unwrap();
        }
    };
    futures_util::future::join_all((0..5).map(add)).await;
    let found = store.primary().get_organization_grant(&account(), first.id).await.unwrap().unwrap();
    assert_eq!((found.permissions.len(), found.revision), (first.permissions.len() + 5, 6));
    let other = AccountId::parse("Acme").unwrap();
    assert_eq!(store.primary().get_organization_grant(&other, first.id).await.unwrap(), None);
    let foreign = store.change_organization_grant(&other, first.id, &WriteOnce::default(), |_| Ok(None)).await.unwrap();
    assert_eq!(foreign, Err(GrantRefusal::NotFound));
}

async fn grants_are_paged_and_filtered_within_their_account(database: TestDatabase) {
    let (store, _) = store(&database).await;
    for n in 1..=9 {
        let made = grant(n, 100 + n % 3, 200 + n);
        store.create_organization_grant(&account(), &made, &WriteOnce::default()).await.unwrap();
    }
    let other = AccountId::parse("Acme").unwrap();
    store.create_organization_grant(&other, &grant(50, 100, 201), &WriteOnce::default()).await.unwrap();
    let id = |n: u128| Some(Uuid::from_u128(n));
    for (requester, target, wanted) in [
        (None, None, vec![9, 8, 7, 6, 5, 4, 3, 2, 1]),
        (id(101), None, vec![7, 4, 1]),
        (None, id(205), vec![5]),
        (id(101), id(204), vec![4]),
        (id(101), id(205), vec![]),
    ] {
        for ascending in [false, true] {
            let mut query = OrganizationGrantQuery { requester, target, ascending, limit: 2, after: None };
            let mut seen = Vec::new();
            loop {
                let page = store.primary().list_organization_grants(&account(), &query).await.unwrap();
                let Some(last) = page.last() else { break };
                query.after = Some(Cursor::of_id(last.id));
                seen.extend(page.iter().map(|grant| grant.id.as_u128()));
            }
            if ascending {
                seen.reverse();
            }
            assert_eq!(seen, wanted);
        }
    }
}
