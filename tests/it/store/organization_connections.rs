//! Connections between organizations.

use invitation_service::domain::organization_connection::OrganizationConnection;
use invitation_service::domain::value::text::AccountId;
use invitation_service::store::{ConnectionCreated, ConnectionDeleted, Cursor, OrganizationConnectionQuery, WriteOnce};
use uuid::Uuid;

use crate::support::build::commands::*;
use crate::support::database::{NEW_YEAR, TestDatabase};
use crate::support::on_both;

on_both!(migrated: two_organizations_are_connected_once_each_way, connections_are_paged_and_filtered_within_their_account,);

fn connection(id: u128, requester: u128, target: u128) -> OrganizationConnection {
    OrganizationConnection {
        id: Uuid::from_u128(id),
        requester: Uuid::from_u128(requester),
        target: Uuid::from_u128(target),
        permissions: vec!["guests.read".to_owned(), "a \"b\" \\ ü".to_owned()],
        creator: "o'neil".to_owned(),
        created_at: NEW_YEAR,
    }
}

async fn two_organizations_are_connected_once_each_way(database: TestDatabase) {
    let (store, _) = store(&database).await;
    let first = connection(1, 10, 20);
    let create = async |made: OrganizationConnection| {
        store.create_organization_connection(&account(), &made, &WriteOnce::default()).await.unwrap()
    };
    let find = async |requester, target| {
        let ends = (Uuid::from_u128(requester), Uuid::from_u128(target));
        store.find_organization_connection(&account(), ends.0, ends.1).await.unwrap()
    };
    assert_eq!(create(first.clone()).await, ConnectionCreated::Created);
    assert_eq!(create(first.clone()).await, ConnectionCreated::AlreadyExists(first.id), "again");
    assert_eq!(create(connection(2, 10, 20)).await, ConnectionCreated::AlreadyExists(first.id), "another");
    assert_eq!(create(connection(3, 20, 10)).await, ConnectionCreated::Created, "the other way round");
    assert_eq!(find(10, 20).await, Some(first.clone()));
    assert_eq!(find(20, 30).await, None);

    let other = AccountId::parse("Acme").unwrap();
    assert!(store.find_organization_connection(&other, first.requester, first.target).await.unwrap().is_none());
    assert_eq!(
        store.delete_organization_connection(&other, first.id, &WriteOnce::default()).await.unwrap(),
        ConnectionDeleted::NotFound
    );
    assert_eq!(
        store.delete_organization_connection(&account(), first.id, &WriteOnce::default()).await.unwrap(),
        ConnectionDeleted::Deleted
    );
    assert_eq!(
        store.delete_organization_connection(&account(), first.id, &WriteOnce::default()).await.unwrap(),
        ConnectionDeleted::NotFound
    );
    assert_eq!(find(10, 20).await, None);
    assert_eq!(create(connection(4, 10, 20)).await, ConnectionCreated::Created);
}

async fn connections_are_paged_and_filtered_within_their_account(database: TestDatabase) {
    let (store, _) = store(&database).await;
    for n in 1..=9 {
        let made = connection(n, 100 + n % 3, 200 + n);
        store.create_organization_connection(&account(), &made, &WriteOnce::default()).await.unwrap();
    }
    let other = AccountId::parse("Acme").unwrap();
    store.create_organization_connection(&other, &connection(50, 100, 201), &WriteOnce::default()).await.unwrap();
    let id = |n: u128| Some(Uuid::from_u128(n));
    for (requester, target, wanted) in [
        (None, None, vec![9, 8, 7, 6, 5, 4, 3, 2, 1]),
        (id(101), None, vec![7, 4, 1]),
        (None, id(205), vec![5]),
        (id(101), id(204), vec![4]),
        (id(101), id(205), vec![]),
    ] {
        for ascending in [false, true] {
            let mut query = OrganizationConnectionQuery { requester, target, ascending, limit: 2, after: None };
            let mut seen = Vec::new();
            loop {
                let page = store.list_organization_connections(&account(), &query).await.unwrap();
                let Some(last) = page.last() else { break };
                query.after = Some(Cursor::of_id(last.id));
                seen.extend(page.iter().map(|connection| connection.id.as_u128()));
            }
            if ascending {
                seen.reverse();
            }
            assert_eq!(seen, wanted);
        }
    }
}
