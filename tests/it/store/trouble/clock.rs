//! Processes whose machines have the wrong time: what decides is the database's clock.

use std::time::Duration;

use invitation_service::clock::Clock;
use invitation_service::domain::command::{CreateInvitation, Expiry, ExpiryTime};
use invitation_service::domain::group::Group;
use invitation_service::domain::invitation::state::State;
use invitation_service::domain::value::time::Ttl;
use sea_orm::{ConnectionTrait, DbBackend, Statement};

use crate::support::build::commands::*;
use crate::support::database::TestDatabase;

const SKEWS: [i64; 2] = [-300_000_000, 300_000_000];

/// Nothing has told this process the time before it is asked to decide by it.
#[tokio::test(crate = "crate::support::limit")]
async fn first_create_of_a_skewed_process_lives_its_whole_ttl() {
    let Some(database) = TestDatabase::postgres().await else { return };
    let connection = database.connect().await;
    for skew in SKEWS {
        let store = store_with(&database, &Clock::skewed(skew), &options(Group::run)).await;
        let expiry =
            Some(Expiry { time: ExpiryTime::After(Ttl::parse(Duration::from_secs(120)).unwrap()), field: "ttl" });
        let made = created(&store, CreateInvitation { expiry, ..link() }).await;
        let read = store.primary().get_invitation(&reach(), made.id, false).await.unwrap().unwrap();
        assert_eq!(read.found.state_at(read.now), State::Active);
        let sql = "SELECT (extract(epoch FROM now()) * 1000000)::bigint - created_at,
            expire_at - created_at FROM invitation ORDER BY created_at DESC LIMIT 1";
        let row = connection.query_one_raw(Statement::from_string(DbBackend::Postgres, sql)).await.unwrap().unwrap();
        let (age, lives): (i64, i64) = (row.try_get_by_index(0).unwrap(), row.try_get_by_index(1).unwrap());
        assert!(age.abs() < 20_000_000, "created {age} us ago");
        assert_eq!(lives, 120_000_000);
    }
}

#[tokio::test(crate = "crate::support::limit")]
async fn skewed_process_forgets_request_ids_by_the_database_clock() {
    let Some(database) = TestDatabase::postgres().await else { return };
    let connection = database.connect().await;
    for skew in SKEWS {
        let clock = Clock::skewed(skew);
        let opened = database.open(&clock).await;
        let maintenance = opened.maintenance();
        let store = invitation_service::store::Store::start(opened, &options(Group::run));
        for (id, hours, minutes) in [("young", 47, 58), ("old", 48, 2)] {
            store.executor().execute(retryable("Create", id, 1, create(link())), None).await.unwrap();
            let sql = format!(
                "UPDATE request SET created_at = (extract(epoch FROM now() - interval '{hours} hours {minutes} minutes')
                    * 1000000)::bigint WHERE request_id = '{id}'"
            );
            connection.execute_unprepared(&sql).await.unwrap();
        }
        assert_eq!(maintenance.prune_requests().await.unwrap(), 1, "skew {skew}");
        connection.execute_unprepared("DELETE FROM request").await.unwrap();
        store.close().await;
    }
}

#[tokio::test(crate = "crate::support::limit")]
async fn process_follows_the_database_clock_against_its_machine() {
    let Some(database) = TestDatabase::postgres().await else { return };
    for skew in SKEWS {
        let clock = Clock::skewed(skew);
        let opened = database.open(&clock).await;
        assert!(opened.maintenance().is_ready().await.unwrap());
        let apart = clock.now().micros() - Clock::system().now().micros();
        assert!(apart.abs() < Duration::from_secs(2).as_micros() as i64, "{apart} us apart");
    }
}

/// Every load of SQLite is given the moment by which it decides. That moment, given back, is late by the load's own time.
#[tokio::test(crate = "crate::support::limit")]
async fn process_on_sqlite_keeps_to_the_clock_of_its_machine() {
    let database = TestDatabase::sqlite();
    let clock = Clock::system();
    let store = store_with(&database, &clock, &options(Group::run)).await;
    let made = created(&store, link()).await;
    for subject in ["ann", "bob"] {
        store.executor().execute(command(accept(&made, subject)), None).await.unwrap();
    }
    assert_eq!(clock.database_now(), None, "SQLite has told the time");
}
