//! The order of all events: whoever follows it misses nothing and sees nothing twice, while others write.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use invitation_service::background::sequencer;
use invitation_service::domain::invitation::EngagementType;
use invitation_service::domain::invitation::event::EventFilter;
use invitation_service::domain::reach::Reach;
use invitation_service::domain::value::text::AccountId;
use invitation_service::store::Store;
use sea_orm::{ConnectionTrait, TransactionTrait};
use tokio_util::sync::CancellationToken;

use crate::support::build::commands::*;
use crate::support::database::TestDatabase;
use crate::support::on_both;

on_both!(
    migrated:
    followers_see_every_event_once_and_in_order_while_many_write,
    positions_follow_the_clock_and_the_invitations_sequence,
    event_batch_holds_all_positions_of_its_account_only,
);

const WRITERS: usize = 8;
const EACH: usize = 40;

/// Follows until it has seen so many events, and checks what it sees on the way.
async fn follow(store: Store, events: usize) -> Vec<(i64, String)> {
    let mut heard = store.notifications().subscribe(invitation_service::store::Topic::Position);
    let (mut after, mut seen, mut sequences) = (0, Vec::new(), BTreeMap::new());
    while seen.len() < events {
        let batch = store.all_events_behind(after, 7).await.unwrap();
        assert_eq!(batch.after, after);
        for event in &batch.events {
            assert!(event.position > after && event.position <= batch.until);
            after = event.position;
            let sequence = sequences.insert(event.event.event.invitation, event.event.sequence).unwrap_or_default();
            assert_eq!(event.event.sequence, sequence + 1, "no event of an invitation is skipped or early");
            seen.push((event.position, event.event.event.id.to_string()));
        }
        after = batch.until;
        if batch.is_last {
            drop(tokio::time::timeout(Duration::from_millis(50), heard.changed()).await);
        }
    }
    seen
}

async fn followers_see_every_event_once_and_in_order_while_many_write(database: TestDatabase) {
    let (one, clock) = store(&database).await;
    let mut stores = vec![one];
    if database.url().starts_with("postgres") {
        stores.push(store_with(&database, &clock, &options(invitation_service::domain::group::Group::run)).await);
    }
    let stop = CancellationToken::new();
    let sequencers: Vec<_> =
        stores.iter().map(|store| tokio::spawn(sequencer::run(store.clone(), stop.clone()))).collect();
    let events = WRITERS * EACH * 3;
    let followers: Vec<_> = stores.iter().map(|store| tokio::spawn(follow(store.clone(), events))).collect();
    let writers: Vec<_> = (0..WRITERS)
        .map(|n| {
            let store = stores[n % stores.len()].clone();
            tokio::spawn(async move {
                for _ in 0..EACH {
                    let made = created(&store, link()).await;
                    store.executor().execute(command(record(&made, EngagementType::View)), None).await.unwrap();
                    store.executor().execute(command(accept(&made, "ann")), None).await.unwrap();
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    let mut seen = Vec::new();
    for follower in followers {
        seen.push(follower.await.unwrap());
    }
    for seen in &seen {
        assert_eq!(seen.iter().map(|(_, id)| id).collect::<BTreeSet<_>>().len(), events);
        assert_eq!(seen.len(), events, "nothing is seen twice");
    }
    assert!(seen.iter().all(|other| *other == seen[0]), "both see the same order");
    stop.cancel();
    for sequencer in sequencers {
        sequencer.await.unwrap();
    }
    assert_eq!(stores[0].sequence().await.unwrap(), Some(0));
    assert_eq!(stores[0].last_position().await.unwrap(), seen[0][events - 1].0);
}

async fn positions_follow_the_clock_and_the_invitations_sequence(database: TestDatabase) {
    let (store, clock) = store(&database).await;
    let mut made = Vec::new();
    for _ in 0..5 {
        made.push(created(&store, link()).await);
        clock.advance(Duration::from_secs(1));
    }
    for made in made.iter().rev() {
        clock.advance(Duration::from_secs(1));
        store.executor().execute(command(record(made, EngagementType::View)), None).await.unwrap();
    }
    // A clock that was set back takes nothing of an invitation before what came first.
    let connection = database.connect().await;
    let sql = "UPDATE event SET occurred_at = 1 WHERE sequence = 2 AND event_type = 'invitation.viewed'
        AND invitation_id = (SELECT invitation_id FROM event ORDER BY occurred_at DESC LIMIT 1)";
    assert_eq!(connection.execute_unprepared(sql).await.unwrap().rows_affected(), 1);
    assert_eq!(store.sequence().await.unwrap(), Some(10));
    let batch = store.all_events_behind(0, 100).await.unwrap();
    assert!(batch.is_last);
    let order: Vec<_> = batch.events.iter().map(|event| (event.event.event.invitation, event.event.sequence)).collect();
    let mut expected = vec![(made[0].id, 1), (made[0].id, 2)];
    expected.extend(made[1..].iter().map(|made| (made.id, 1)));
    expected.extend(made[1..].iter().rev().map(|made| (made.id, 2)));
    assert_eq!(order, expected);
    let positions: Vec<i64> = batch.events.iter().map(|event| event.position).collect();
    assert_eq!(positions, (1..=10).collect::<Vec<_>>());
}

async fn event_batch_holds_all_positions_of_its_account_only(database: TestDatabase) {
    let (store, _) = store(&database).await;
    let theirs = AccountId::parse("other").unwrap();
    for _ in 0..3 {
        created(&store, link()).await;
        let mut foreign = command(create(link()));
        foreign.reach = Reach::of_account(theirs.clone());
        store.executor().execute(foreign, None).await.unwrap();
    }
    let nothing = store.events_behind(&reach(), &EventFilter::default(), 0, 10).await.unwrap();
    assert_eq!((nothing.until, nothing.is_last, nothing.events.len()), (0, true, 0), "not numbered yet");
    assert_eq!(store.sequence().await.unwrap(), Some(6));
    for (account, more) in [(account(), 2), (theirs, 2)] {
        let reach = Reach::of_account(account.clone());
        let first = store.events_behind(&reach, &EventFilter::default(), 0, 2).await.unwrap();
        assert_eq!((first.events.len(), first.is_last, first.until), (2, false, first.events[1].position));
        let rest = store.events_behind(&reach, &EventFilter::default(), first.until, more).await.unwrap();
        assert_eq!((rest.events.len(), rest.is_last, rest.until), (1, true, 6), "up to the last there is");
        let read = first.events.iter().chain(&rest.events);
        assert!(read.clone().all(|event| event.event.event.account == account && event.host.is_none()));
        assert_eq!(store.events_behind(&reach, &EventFilter::default(), 6, 10).await.unwrap().until, 6);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2, crate = "crate::support::limit")]
async fn while_another_replica_numbers_this_one_waits_without_a_lock() {
    let Some(database) = TestDatabase::postgres().await else { return };
    let (store, _) = store(&database).await;
    created(&store, link()).await;
    let other = database.connect().await;
    let lock = other.begin().await.unwrap();
    lock.execute_unprepared("SELECT 1 FROM follower WHERE name = 'sequencer' FOR UPDATE").await.unwrap();
    assert_eq!(store.sequence().await.unwrap(), None);
    lock.rollback().await.unwrap();
    assert_eq!(store.sequence().await.unwrap(), Some(1));
}
