//! Stored events are read by what a follower wants, in looks that end.

use invitation_service::domain::invitation::event::{EventFilter, EventType, EventTypeFilter};
use invitation_service::domain::kind::{Kind, Scope};
use invitation_service::domain::reach::Reach;
use invitation_service::store::Store;
use sea_orm::{ConnectionTrait, DbBackend};
use uuid::Uuid;

use crate::support::build::commands::*;
use crate::support::database::{NEW_YEAR, TestDatabase};
use crate::support::on_both;

on_both!(migrated: look_for_rare_events_ends_and_the_next_goes_on, events_are_chosen_by_all_that_a_follower_wants);

/// The number of rows that one look reads.
const SCAN: i64 = 5_000;

/// Writes events of one invitation, numbered from 1, past the service.
async fn write(database: &TestDatabase, count: i64) {
    let connection = database.connect().await;
    let (uuid, json) = match connection.get_database_backend() {
        DbBackend::Postgres => ("gen_random_uuid()", "::jsonb"),
        _ => ("randomblob(16)", ""),
    };
    let sql = format!(
        "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {count}), one AS (SELECT {uuid} AS id)
        INSERT INTO event (account_id, invitation_id, sequence, id, kind, event_type, occurred_at, actor, data, position)
        SELECT 'acme', one.id, n.n, {uuid}, 'user', 'invitation.viewed', {now} + n.n, 'tester',
            '{{\"state\": \"active\", \"payload\": {{}}}}'{json}, n.n FROM n, one",
        now = NEW_YEAR.micros(),
    );
    connection.execute_unprepared(&sql).await.unwrap();
    connection
        .execute_unprepared(&format!("UPDATE follower SET position = {count} WHERE name = 'sequencer'"))
        .await
        .unwrap();
}

async fn run(database: &TestDatabase, sql: &str) {
    database.connect().await.execute_unprepared(sql).await.unwrap();
}

fn of_types(types: impl IntoIterator<Item = EventTypeFilter>) -> EventFilter {
    EventFilter { types: types.into_iter().collect(), ..EventFilter::default() }
}

async fn positions(store: &Store, filter: &EventFilter) -> Vec<i64> {
    let batch = store.events_behind(&reach(), filter, 0, 10).await.unwrap();
    batch.events.iter().map(|event| event.position).collect()
}

async fn look_for_rare_events_ends_and_the_next_goes_on(database: TestDatabase) {
    let (store, _) = store(&database).await;
    write(&database, 2 * SCAN + 10).await;
    let rare = of_types([EventType::Archived.into()]);
    let look = async |filter: &EventFilter, after: i64| {
        let batch = store.events_behind(&reach(), filter, after, 2).await.unwrap();
        let found: Vec<_> = batch.events.iter().map(|event| event.position).collect();
        (found, batch.until, batch.is_last, batch.time.map(|time| time.micros() - NEW_YEAR.micros()))
    };
    assert_eq!(look(&rare, 0).await, (vec![], SCAN, false, Some(SCAN)));
    assert_eq!(look(&rare, SCAN).await, (vec![], 2 * SCAN, false, Some(2 * SCAN)));
    assert_eq!(look(&rare, 2 * SCAN).await, (vec![], 2 * SCAN + 10, true, None));
    run(&database, "UPDATE event SET event_type = 'invitation.archived' WHERE position IN (7, 4000, 4500)").await;
    assert_eq!(look(&rare, 0).await, (vec![7, 4_000], 4_000, false, Some(4_000)), "a page is full");
    assert_eq!(look(&rare, 4_000).await, (vec![4_500], 4_000 + SCAN, false, Some(4_000 + SCAN)));
    assert_eq!(look(&EventFilter::default(), 3).await, (vec![4, 5], 5, false, Some(5)));
    assert_eq!(look(&rare, 2 * SCAN + 10).await.1, 2 * SCAN + 10);
}

async fn events_are_chosen_by_all_that_a_follower_wants(database: TestDatabase) {
    let (store, _) = store(&database).await;
    write(&database, 6).await;
    for (position, column, value) in [
        (2, "event_type", "'invitation.archived'"),
        (3, "event_type", "'delivery.transferred'"),
        (4, "kind", "'guest'"),
        (5, "data", "'{\"state\": \"active\", \"payload\": {}, \"scope\": {\"type\": \"team\", \"id\": \"it''s\"}}'"),
        (6, "data", "'{\"state\": \"active\", \"payload\": {}, \"scope\": {\"type\": \"team\", \"id\": \"7\"}}'"),
    ] {
        run(&database, &format!("UPDATE event SET {column} = {value} WHERE position = {position}")).await;
    }
    let chosen = |name: &str| EventTypeFilter::from_name(name).unwrap();
    let scope = |id: &str| EventFilter { scope: Some(Scope::new("team", id)), ..EventFilter::default() };
    for (filter, wanted) in [
        (EventFilter::default(), vec![1, 2, 3, 4, 5, 6]),
        (of_types([chosen("invitation.archived")]), vec![2]),
        (of_types([chosen("delivery.*")]), vec![3]),
        (of_types([chosen("invitation.archived"), chosen("delivery.*")]), vec![2, 3]),
        (of_types([chosen("invitation.*")]), vec![1, 2, 4, 5, 6]),
        (EventFilter { kinds: vec![Kind::Guest, Kind::General], ..EventFilter::default() }, vec![4]),
        (EventFilter { kinds: vec![Kind::User], ..of_types([chosen("delivery.*")]) }, vec![3]),
        (EventFilter { kinds: vec![Kind::Guest], ..of_types([chosen("delivery.*")]) }, vec![]),
        (scope("it's"), vec![5]),
        (scope("7"), vec![6]),
        (scope("8"), vec![]),
        (EventFilter { is_hosted: true, ..EventFilter::default() }, vec![4]),
    ] {
        assert_eq!(positions(&store, &filter).await, wanted, "{filter:?}");
        let all = store.events_behind(&reach(), &EventFilter::default(), 0, 10).await.unwrap().events;
        let matched = all.iter().filter(|event| filter.matches(&event.event.event)).map(|event| event.position);
        assert_eq!(matched.collect::<Vec<_>>(), wanted, "the feed chooses the same: {filter:?}");
    }
    let bound = Reach::of_hosts(account(), vec![Uuid::from_u128(1)]);
    let filter = EventFilter::default().within(&bound);
    let batch = store.events_behind(&bound, &filter, 0, 10).await.unwrap();
    assert_eq!((batch.events.len(), batch.until), (0, 6), "nothing of what it hosts");
}
