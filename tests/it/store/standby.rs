//! Reads that may lag, asked of a database that is a copy, of one that is none, and of a copy that this release cannot read.

use std::time::Duration;

use invitation_service::clock::Clock;
use invitation_service::domain::group::Group;
use invitation_service::domain::invitation::Invitation;
use invitation_service::store::{Database, InvitationQuery, PostgresOptions, Reads, Store};
use sea_orm::ConnectionTrait as _;

use crate::support::build::commands::{self, created, link, reach};
use crate::support::database::{NEW_YEAR, TestDatabase};
use crate::support::postgres::options;

/// Opens a store with a standby.
async fn store(database: &TestDatabase, standby: &TestDatabase) -> Store {
    let usual = options(database.url(), None, 4, Duration::from_secs(10));
    let options = PostgresOptions { read_url: Some(standby.url()), ..usual };
    let connections = Database::postgres(&options, Clock::manual(NEW_YEAR)).unwrap();
    connections.maintenance().migrate().await.unwrap();
    Store::start(connections, &commands::options(Group::run))
}

async fn get(reads: &Reads, invitation: &Invitation) -> Invitation {
    reads.get_invitation(&reach(), invitation.id, false).await.unwrap().unwrap().found
}

async fn get_lagging(store: &Store, invitation: &Invitation) -> Invitation {
    let reach = reach();
    let get = store.find_lagging(Option::is_some, |reads| reads.get_invitation(&reach, invitation.id, false));
    get.await.unwrap().unwrap().found
}

async fn count_lagging(store: &Store) -> usize {
    let (reach, query) = (reach(), InvitationQuery { limit: 10, ..InvitationQuery::default() });
    store.read_lagging(|reads| reads.list_invitations(&reach, &query)).await.unwrap().len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2, crate = "crate::support::limit")]
async fn only_a_copy_of_the_database_is_read() {
    let Some(database) = TestDatabase::postgres().await else { return };
    let Some(other) = TestDatabase::postgres().await else { return };
    other.open(&Clock::manual(NEW_YEAR)).await.close().await;
    let beside = store(&database, &other).await;
    created(&beside, link()).await;
    assert!(!beside.check_standby().await.unwrap(), "it has another key");
    assert_eq!(count_lagging(&beside).await, 1, "what the primary has");
    beside.close().await;

    let copy = database.copy().await.unwrap();
    let store = store(&database, &copy).await;
    created(&store, link()).await;
    assert_eq!(count_lagging(&store).await, 2, "the copy is not asked before it was checked");
    assert!(store.check_standby().await.unwrap());
    assert_eq!(count_lagging(&store).await, 1, "what the copy has");
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2, crate = "crate::support::limit")]
async fn read_that_fails_on_the_standby_is_asked_of_the_primary() {
    let Some(database) = TestDatabase::migrated_postgres().await else { return };
    let before = store(&database, &database).await;
    let invitation = created(&before, link()).await;
    before.close().await;
    let copy = database.copy().await.unwrap();
    let store = store(&database, &copy).await;
    assert!(store.check_standby().await.unwrap());
    let rows = copy.connect().await;
    rows.execute_unprepared("UPDATE invitation SET max_uses = 77").await.unwrap();
    assert_eq!(get_lagging(&store, &invitation).await.facts.max_uses, Some(77));
    // A column that this release needs has not come yet.
    rows.execute_unprepared("ALTER TABLE invitation RENAME COLUMN details TO other").await.unwrap();
    assert_eq!(get_lagging(&store, &invitation).await, get(&store, &invitation).await);
    assert_eq!(count_lagging(&store).await, 1);
    // The table itself has not come yet.
    rows.execute_unprepared("ALTER TABLE invitation RENAME TO another").await.unwrap();
    assert_eq!(get_lagging(&store, &invitation).await, get(&store, &invitation).await);
    assert!(store.check_standby().await.unwrap(), "it answers");
    rows.close().await.unwrap();
    store.close().await;
}
