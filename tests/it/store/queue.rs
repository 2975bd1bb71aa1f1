//! What waits in a queue, and who waits for it.

use std::time::Duration;

use invitation_service::clock::Clock;
use invitation_service::store::{ExecuteError, ExecutorOptions};
use tokio::time::Instant;

use super::gate::{actor, decide, gate, hold, send, send_until};
use super::make::*;
use crate::harness::database::{NEW_YEAR, TestDatabase};
use crate::harness::on_both;

on_both!(
    migrated:
    a_full_queue_is_answered_unavailable_at_once,
    a_command_whose_deadline_passed_while_it_waited_is_not_decided,
    a_caller_that_goes_away_does_not_stop_its_command,
    closing_finishes_what_waits,
);

async fn a_full_queue_is_answered_unavailable_at_once(database: TestDatabase) {
    let options = ExecutorOptions { queue: 2, ..options(decide) };
    let store = store_with(&database, &Clock::manual(NEW_YEAR), &options).await;
    let held = hold(&store).await;
    let waiting = [send(&store, command(create(link()))).await, send(&store, command(create(link()))).await];
    // Nothing moves while the lane is held, so an answer is an answer at once.
    let turned_away = store.execute(command(create(link())), None).await;
    assert_eq!(turned_away.unwrap_err(), ExecuteError::Unavailable);
    drop(held);
    for call in waiting {
        call.await.unwrap();
    }
    store.execute(command(create(link())), None).await.expect("there is room again");
}

async fn a_command_whose_deadline_passed_while_it_waited_is_not_decided(database: TestDatabase) {
    let store = store_with(&database, &Clock::manual(NEW_YEAR), &options(decide)).await;
    let made = created(&store, link()).await;
    let held = hold(&store).await;
    let late = send_until(&store, command(accept(&made, "late")), Some(Instant::now())).await;
    let far = Some(Instant::now() + Duration::from_secs(3_600));
    let early = send_until(&store, command(accept(&made, "early")), far).await;
    drop(held);
    assert_eq!(late.await.unwrap_err(), ExecuteError::DeadlineExceeded);
    early.await.unwrap();
    let found = read(&store, made.id).await;
    assert_eq!(found.facts.use_count, 1);
    assert_eq!(found.acceptances[0].subject.0, "early");
}

async fn a_caller_that_goes_away_does_not_stop_its_command(database: TestDatabase) {
    let store = store_with(&database, &Clock::manual(NEW_YEAR), &options(decide)).await;
    let made = created(&store, link()).await;
    let mut deciding = command(accept(&made, "deciding"));
    deciding.actor = actor();
    let mut held = gate(&deciding.actor);
    let first = send(&store, deciding).await;
    assert!(held.decided().await);
    let second = send(&store, command(accept(&made, "waiting"))).await;
    drop((first, second));
    drop(held);
    store.execute(command(accept(&made, "staying")), None).await.unwrap();
    assert_eq!(story(&store, made.id).await, ["created", "accepted", "accepted", "accepted"]);
}

async fn closing_finishes_what_waits(database: TestDatabase) {
    let clock = Clock::manual(NEW_YEAR);
    let store = store_with(&database, &clock, &options(decide)).await;
    let made = created(&store, link()).await;
    let held = hold(&store).await;
    let waiting = tokio::spawn(send(&store, command(accept(&made, "ann"))).await);
    let closing = tokio::spawn(store.close());
    drop(held);
    waiting.await.unwrap().unwrap();
    closing.await.unwrap();
    let store = store_with(&database, &clock, &options(decide)).await;
    assert_eq!(story(&store, made.id).await, ["created", "accepted"]);
}
