//! Events go by their age once every follower has had them, and their end is noted for resume tokens.

use invitation_service::domain::command::Command;
use invitation_service::domain::invitation::event::EventFilter;
use invitation_service::domain::reach::Reach;
use invitation_service::domain::value::id::IdSeed;
use invitation_service::store::{Begin, Follower, PruneTurn, Store, WriteOnce};
use uuid::Uuid;

use super::{DAY, MINUTE, all, count, other, reach_of, run};
use crate::store::plans_make::endpoint;
use crate::support::build::commands::*;
use crate::support::build::kinds::*;
use crate::support::database::{NEW_YEAR, TestDatabase};
use crate::support::on_both;

on_both!(
    migrated:
    only_old_events_with_a_position_are_deleted,
    event_stays_until_nats_has_had_it,
    event_stays_until_endpoints_have_had_it,
    deletion_goes_on_where_the_last_turn_stopped,
    end_of_the_deleted_events_is_noted_for_each_account,
    backlog_of_events_is_deleted_in_chunks,
    sequences_go_on_after_the_events_are_deleted,
);

async fn prune(store: &Store, publishes: bool) -> u64 {
    let pruned = store.maintenance().prune_events(DAY, publishes, &mut PruneTurn::lasting(MINUTE)).await.unwrap();
    assert_eq!(pruned, all(pruned.rows));
    pruned.rows
}

async fn only_old_events_with_a_position_are_deleted(database: TestDatabase) {
    let (store, clock) = store(&database).await;
    let old = created(&store, link()).await;
    store.sequence().await.unwrap();
    let unpublished = created(&store, link()).await;
    clock.advance(DAY);
    assert_eq!(prune(&store, false).await, 0, "it is not older than a day yet");
    clock.advance(std::time::Duration::from_micros(1));
    assert_eq!(prune(&store, false).await, 1);
    assert_eq!(story(&store, unpublished.id).await, ["created"], "it has no position");
    let query = invitation_service::store::EventQuery::of(old.id, 10);
    assert_eq!(
        store.primary().list_events(&reach(), &query).await.unwrap(),
        Some(Vec::new()),
        "its invitation is there"
    );
    let young = created(&store, link()).await;
    store.sequence().await.unwrap();
    assert_eq!(prune(&store, false).await, 1, "now it has a position");
    assert_eq!(story(&store, young.id).await, ["created"]);
    assert_eq!(read(&store, old.id).await.revision, 1);
}

async fn event_stays_until_nats_has_had_it(database: TestDatabase) {
    let (store, clock) = store(&database).await;
    for _ in 0..3 {
        created(&store, link()).await;
    }
    store.sequence().await.unwrap();
    clock.advance(2 * DAY);
    assert_eq!(prune(&store, true).await, 0, "NATS has had none");
    let holder = Uuid::from_u128(1);
    store.lease(Follower::Nats, holder, Begin::First).await.unwrap().unwrap();
    assert!(store.advance(Follower::Nats, holder, 1).await.unwrap());
    assert_eq!(prune(&store, true).await, 1);
    clock.advance(29 * DAY);
    assert_eq!(prune(&store, false).await, 0, "others have published a month ago");
    clock.advance(2 * DAY);
    assert_eq!(prune(&store, true).await, 0, "however long it is away");
    assert_eq!(prune(&store, false).await, 2, "nobody publishes any more");
}

async fn event_stays_until_endpoints_have_had_it(database: TestDatabase) {
    let (store, clock) = store(&database).await;
    let seed = IdSeed::new(clock.now(), [3; 16]);
    let endpoint = endpoint(&seed, clock.now());
    store.create_webhook_endpoint(&account(), &endpoint, &WriteOnce::default()).await.unwrap().unwrap();
    created(&store, link()).await;
    let foreign = Command { reach: reach_of(&other()), ..command(create(link())) };
    store.executor().execute(foreign, None).await.unwrap();
    store.sequence().await.unwrap();
    clock.advance(2 * DAY);
    assert_eq!(prune(&store, false).await, 0, "no message is written yet");
    while store.dispatch_webhooks(&IdSeed::new(clock.now(), [4; 16])).await.unwrap() {}
    assert_eq!(count(&database, "webhook_message WHERE due_at IS NOT NULL").await, 1);
    assert_eq!(prune(&store, false).await, 1, "no endpoint waits for the other account's event");
    assert_eq!(count(&database, "event").await, 1);
    run(&database, "UPDATE webhook_message SET state = 'sent', due_at = NULL").await;
    assert_eq!(prune(&store, false).await, 1);
}

async fn deletion_goes_on_where_the_last_turn_stopped(database: TestDatabase) {
    let (store, clock) = store(&database).await;
    for _ in 0..3 {
        created(&store, link()).await;
        store.sequence().await.unwrap();
    }
    clock.advance(2 * DAY);
    let position = "00000000000000000000000000000002";
    let id = if database.url().starts_with("sqlite") { format!("x'{position}'") } else { format!("'{position}'") };
    run(&database, &format!("INSERT INTO prune_walk (name, account_id, id) VALUES ('event', '', {id})")).await;
    assert_eq!(prune(&store, false).await, 1);
    assert_eq!(count(&database, "event WHERE position <= 2").await, 2);
    assert_eq!(prune(&store, false).await, 2, "the next turn begins at the beginning");
    assert_eq!(store.kept_events(&account()).await.unwrap().pruned_until, 3);
}

async fn end_of_the_deleted_events_is_noted_for_each_account(database: TestDatabase) {
    let (store, clock) = store(&database).await;
    for _ in 0..2 {
        created(&store, link()).await;
    }
    store.sequence().await.unwrap();
    let foreign = Command { reach: reach_of(&other()), ..command(create(link())) };
    store.executor().execute(foreign, None).await.unwrap();
    store.sequence().await.unwrap();
    assert_eq!(store.oldest_event(&account()).await.unwrap(), Some(NEW_YEAR));
    clock.advance(2 * DAY);
    let young = created(&store, link()).await;
    store.sequence().await.unwrap();
    let until = async |reach: &Reach| {
        let batch = store.events_behind(reach, &EventFilter::default(), 0, 10).await.unwrap();
        assert_eq!(batch.pruned_until, store.kept_events(reach.account()).await.unwrap().pruned_until);
        batch.pruned_until
    };
    assert_eq!((until(&reach()).await, until(&reach_of(&other())).await), (0, 0));
    assert_eq!(prune(&store, false).await, 3);
    assert_eq!((until(&reach()).await, until(&reach_of(&other())).await), (2, 3));
    let none = reach_of(&invitation_service::domain::value::text::AccountId::parse("cora").unwrap());
    assert_eq!(until(&none).await, 0, "it has missed nothing");
    assert_eq!(store.oldest_event(&account()).await.unwrap(), Some(young.created_at));
    assert_eq!(store.oldest_event(&other()).await.unwrap(), None);
    clock.advance(2 * DAY);
    assert_eq!(prune(&store, false).await, 1);
    assert_eq!((until(&reach()).await, until(&reach_of(&other())).await), (4, 3));
    let kept = store.kept_events(&other()).await.unwrap();
    assert_eq!((kept.pruned_until, kept.last), (3, 4), "a token of the last position goes on");
}

async fn backlog_of_events_is_deleted_in_chunks(database: TestDatabase) {
    let (store, clock) = store(&database).await;
    let (id, now) =
        (if database.url().starts_with("sqlite") { "randomblob(16)" } else { "gen_random_uuid()" }, NEW_YEAR);
    // Every third event is too young, also in the middle of the old ones.
    let insert = format!(
        "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 2500)
        INSERT INTO event (account_id, invitation_id, sequence, id, kind, event_type, occurred_at, actor, data, position)
        SELECT CASE n % 2 WHEN 0 THEN 'acme' ELSE 'bert' END, {id}, 1, {id}, 'connection', 'invitation.created',
            CASE n % 3 WHEN 0 THEN {young} ELSE {old} END, 'x', '{{}}', n FROM numbers",
        young = now.micros(),
        old = now.micros() - 1,
    );
    assert_eq!(run(&database, &insert).await, 2_500);
    run(&database, "UPDATE follower SET position = 2490 WHERE name = 'sequencer'").await;
    clock.advance(DAY);
    let mut short = PruneTurn::lasting(std::time::Duration::ZERO);
    let first = store.maintenance().prune_events(DAY, false, &mut short).await.unwrap();
    assert_eq!((first.rows, first.is_done), (667, false), "a turn ends behind a chunk");
    assert_eq!(prune(&store, false).await, 1_660 - 667);
    assert_eq!(count(&database, "event WHERE position <= 2490").await, 830);
    assert_eq!(count(&database, "event").await, 840, "nobody follows positions that are not there yet");
    assert_eq!(prune(&store, false).await, 0);
    let until = [
        store.kept_events(&account()).await.unwrap().pruned_until,
        store.kept_events(&other()).await.unwrap().pruned_until,
    ];
    assert_eq!(until, [2_488, 2_489]);
}

async fn sequences_go_on_after_the_events_are_deleted(database: TestDatabase) {
    let (store, clock) = store(&database).await;
    let made = created(&store, guest("ann@example.org")).await;
    store.executor().execute(command(archive(&made, true)), None).await.unwrap();
    store.sequence().await.unwrap();
    clock.advance(2 * DAY);
    assert_eq!(prune(&store, false).await, 2);
    store.executor().execute(command(archive(&made, false)), None).await.unwrap();
    store.sequence().await.unwrap();
    let batch = store.events_behind(&reach(), &EventFilter::default(), 0, 10).await.unwrap();
    let found: Vec<_> = batch.events.iter().map(|event| (event.event.sequence, event.position)).collect();
    assert_eq!(found, [(3, 3)]);
}
