//! Reads that may lag, asked of a database that is a copy, of one that is none, of a copy that this release cannot read, and of one
//! that is slow, stands still or was promoted.

use std::time::Duration;

use invitation_service::clock::Clock;
use invitation_service::domain::group::Group;
use invitation_service::domain::invitation::Invitation;
use invitation_service::store::{Database, InvitationQuery, PostgresOptions, Reads, Store};
use sea_orm::{ConnectionTrait as _, DatabaseConnection};

use crate::support::build::commands::{self, created, link, reach};
use crate::support::database::{NEW_YEAR, TestDatabase};
use crate::support::postgres::{options, read_schema, start_private};

/// The time limit of a read.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Opens a store with a standby.
async fn store(database: &TestDatabase, standby: &TestDatabase) -> Store {
    let store = start((database.url(), standby.url()), TIMEOUT, &Clock::manual(NEW_YEAR));
    store.maintenance().migrate().await.unwrap();
    store
}

fn start((url, read_url): (&str, &str), timeout: Duration, clock: &Clock) -> Store {
    let options = PostgresOptions { read_url: Some(read_url), ..options(url, None, 4, timeout) };
    Store::start(Database::postgres(&options, clock.clone()).unwrap(), &commands::options(Group::run))
}

/// Moves the last position of an event.
async fn number_an_event(rows: &DatabaseConnection) {
    let sql = "UPDATE follower SET position = position + 1 WHERE name = 'sequencer'";
    rows.execute_unprepared(sql).await.unwrap();
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
    assert!(!beside.check_standby().await, "it has another key");
    assert_eq!(count_lagging(&beside).await, 1, "what the primary has");
    beside.close().await;

    let copy = database.copy().await.unwrap();
    let store = store(&database, &copy).await;
    created(&store, link()).await;
    assert_eq!(count_lagging(&store).await, 2, "the copy is not asked before it was checked");
    assert!(store.check_standby().await);
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
    assert!(store.check_standby().await);
    let rows = copy.connect().await;
    rows.execute_unprepared("UPDATE invitation SET max_uses = 77").await.unwrap();
    assert_eq!(get_lagging(&store, &invitation).await.facts.max_uses, Some(77));
    let read = format!("{}.invitation", read_schema());
    // A column that this release needs has not come yet.
    rows.execute_unprepared(&format!("ALTER TABLE {read} RENAME COLUMN details TO other")).await.unwrap();
    assert_eq!(get_lagging(&store, &invitation).await, get(store.primary(), &invitation).await);
    assert_eq!(count_lagging(&store).await, 1);
    // The table itself has not come yet.
    rows.execute_unprepared(&format!("ALTER TABLE {read} RENAME TO another")).await.unwrap();
    assert_eq!(get_lagging(&store, &invitation).await, get(store.primary(), &invitation).await);
    assert!(store.check_standby().await, "it answers");
    rows.close().await.unwrap();
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2, crate = "crate::support::limit")]
async fn copy_that_stands_still_is_not_read_until_it_moves() {
    let Some(database) = TestDatabase::migrated_postgres().await else { return };
    let (copy, clock) = (database.copy().await.unwrap(), Clock::manual(NEW_YEAR));
    let (primary, standby) = (database.connect().await, copy.connect().await);
    let first = start((database.url(), copy.url()), TIMEOUT, &clock);
    created(&first, link()).await;
    assert!(first.check_standby().await, "it has all events");
    number_an_event(&primary).await;
    clock.advance(Duration::from_secs(29));
    assert!(first.check_standby().await);
    assert_eq!(count_lagging(&first).await, 0, "what the copy has");
    clock.advance(Duration::from_secs(1));
    assert!(!first.check_standby().await);
    assert_eq!(count_lagging(&first).await, 1, "what the primary has");
    number_an_event(&primary).await;
    number_an_event(&standby).await;
    assert!(first.check_standby().await, "it moves, if slowly");
    first.close().await;

    let second = start((database.url(), copy.url()), TIMEOUT, &clock);
    assert!(!second.check_standby().await, "another process does not know whether it moves");
    number_an_event(&standby).await;
    assert!(second.check_standby().await);
    for _ in 0..2 {
        number_an_event(&standby).await;
        assert!(second.check_standby().await, "the primary may not show its latest events yet");
    }
    clock.advance(Duration::from_secs(30));
    assert!(!second.check_standby().await, "it has events that the primary does not have");
    for rows in [primary, standby] {
        rows.close().await.unwrap();
    }
    second.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2, crate = "crate::support::limit")]
async fn standby_without_replay_or_promoted_is_not_read() {
    let Some(cluster) = start_private() else { return };
    let url = cluster.migrated().await;
    let mut read_url = url::Url::parse(&url).unwrap();
    read_url.set_port(Some(cluster.start_standby())).unwrap();
    let clock = Clock::manual(NEW_YEAR);
    let store = start((&url, read_url.as_str()), TIMEOUT, &clock);
    let primary = sea_orm::Database::connect(&url).await.unwrap();
    // The cluster's default is serializable, which no standby knows.
    let past = format!("{read_url}?options[default_transaction_isolation]=read%20committed");
    let standby = sea_orm::Database::connect(past).await.unwrap();
    until_read(&store).await;

    standby.execute_unprepared("SELECT pg_wal_replay_pause()").await.unwrap();
    // Events that come before the pause takes effect are followed by others.
    while store.check_standby().await {
        number_an_event(&primary).await;
        clock.advance(Duration::from_secs(30));
    }
    assert!(!store.check_standby().await, "it stands still");
    standby.execute_unprepared("SELECT pg_wal_replay_resume()").await.unwrap();
    until_read(&store).await;

    standby.execute_unprepared("SELECT pg_promote()").await.unwrap();
    assert!(!store.check_standby().await, "it was promoted");
    number_an_event(&standby).await;
    assert!(!store.check_standby().await, "it moves, but not with the primary");
    for rows in [primary, standby] {
        rows.close().await.unwrap();
    }
    store.close().await;
}

async fn until_read(store: &Store) {
    while !store.check_standby().await {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2, crate = "crate::support::limit")]
async fn read_too_slow_on_the_standby_is_asked_of_the_primary() {
    const TIMEOUT: Duration = Duration::from_secs(2);
    let Some(database) = TestDatabase::migrated_postgres().await else { return };
    let before = store(&database, &database).await;
    created(&before, link()).await;
    before.close().await;
    let copy = database.copy().await.unwrap();
    let rows = copy.connect().await;
    let schema = read_schema();
    let slow = format!(
        "ALTER TABLE {schema}.invitation RENAME TO quick;
        CREATE VIEW {schema}.invitation AS SELECT q.* FROM (SELECT pg_sleep(60)) AS slow CROSS JOIN {schema}.quick q;
        GRANT SELECT ON {schema}.invitation TO public"
    );
    rows.execute_unprepared(&slow).await.unwrap();
    rows.close().await.unwrap();
    let store = start((database.url(), copy.url()), TIMEOUT, &Clock::manual(NEW_YEAR));
    created(&store, link()).await;
    assert!(store.check_standby().await, "it answers the check at once");
    let listed = tokio::time::timeout(TIMEOUT, count_lagging(&store)).await;
    assert_eq!(listed, Ok(2), "the primary answers in the time of the call");
    assert!(store.check_standby().await);
    store.close().await;
}
