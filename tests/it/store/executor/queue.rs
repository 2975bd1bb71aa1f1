//! The commands that wait in a queue, and the callers that wait for them.

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use invitation_service::clock::Clock;
use invitation_service::domain::command::{Command, CreateInvitation};
use invitation_service::domain::invitation::recipient::NewRecipient;
use invitation_service::domain::reach::Reach;
use invitation_service::domain::value::text::AccountId;
use invitation_service::store::{BatchMode, ExecuteError, ExecutorOptions, InvitationQuery, Store};
use tokio::time::Instant;

use crate::support::build::commands::*;
use crate::support::database::{NEW_YEAR, TestDatabase};
use crate::support::gate::{actor, decide, gate, hold, send, send_until};
use crate::support::on_both;

on_both!(
    migrated:
    full_queue_is_answered_unavailable_at_once,
    command_past_its_deadline_is_not_decided,
    caller_that_goes_away_does_not_stop_its_command,
    closing_finishes_what_waits,
    full_queue_has_room_for_another_account,
    big_batches_keep_another_account_waiting_for_one_group,
    calls_that_would_wait_beyond_their_deadline_are_shed,
    queue_is_full_of_bytes_before_it_is_full_of_calls,
);

async fn full_queue_is_answered_unavailable_at_once(database: TestDatabase) {
    let options = ExecutorOptions { queue: 2, ..options(decide) };
    let store = store_with(&database, &Clock::manual(NEW_YEAR), &options).await;
    let held = hold(&store).await;
    let waiting = [send(&store, command(create(link()))).await, send(&store, command(create(link()))).await];
    // Nothing moves while the lane is held, so an answer is an answer at once.
    let turned_away = store.executor().execute(command(create(link())), None).await;
    assert_eq!(turned_away.unwrap_err(), ExecuteError::Unavailable);
    drop(held);
    for call in waiting {
        call.await.unwrap();
    }
    store.executor().execute(command(create(link())), None).await.expect("there is room again");
}

async fn command_past_its_deadline_is_not_decided(database: TestDatabase) {
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

async fn caller_that_goes_away_does_not_stop_its_command(database: TestDatabase) {
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
    store.executor().execute(command(accept(&made, "staying")), None).await.unwrap();
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

async fn full_queue_has_room_for_another_account(database: TestDatabase) {
    let options = ExecutorOptions { queue: 4, ..options(decide) };
    let store = store_with(&database, &Clock::manual(NEW_YEAR), &options).await;
    let held = hold(&store).await;
    let mut waiting = Vec::new();
    for _ in 0..4 {
        waiting.push(send(&store, command(create(link()))).await);
    }
    assert_eq!(store.executor().execute(command(create(link())), None).await.unwrap_err(), ExecuteError::Unavailable);
    let other = || Command { reach: Reach::of_account(AccountId::parse("other").unwrap()), ..command(create(link())) };
    for _ in 0..2 {
        waiting.push(send(&store, other()).await);
    }
    assert_eq!(
        store.executor().execute(other(), None).await.unwrap_err(),
        ExecuteError::Unavailable,
        "its share is taken"
    );
    drop(held);
    for call in waiting {
        call.await.unwrap();
    }
}

async fn big_batches_keep_another_account_waiting_for_one_group(database: TestDatabase) {
    let store = store_with(&database, &Clock::manual(NEW_YEAR), &options(decide)).await;
    let held = hold(&store).await;
    let mut batches = Vec::new();
    for _ in 0..3 {
        batches.push(send_all(&store, batch(500)).await);
    }
    let small = Command { reach: Reach::of_account(AccountId::parse("other").unwrap()), ..command(create(link())) };
    let small = send(&store, small).await;
    drop(held);
    small.await.unwrap();
    let query = InvitationQuery { limit: 2_000, ..InvitationQuery::default() };
    let made = store.primary().list_invitations(&reach(), &query).await.unwrap().len();
    assert!(made < 1_000, "{made} invitations of the big batches were created before the small call");
    for batch in batches {
        batch.await;
    }
}

/// A batch of invitations to ten people each: 23 rows for each invitation.
fn batch(invitations: usize) -> Vec<Command> {
    let big = || command(create(CreateInvitation { recipients: emails(10), ..link() }));
    (0..invitations).map(|_| big()).collect()
}

/// Puts the commands of a call into the queue.
async fn send_all(store: &Store, commands: Vec<Command>) -> impl Future<Output = ()> + use<> {
    let store = store.clone();
    let mut waiting = Box::pin(async move {
        let answers = store.executor().execute_all(commands, BatchMode::Independent, None).await.unwrap();
        assert!(answers.iter().all(Result::is_ok));
    });
    poll_fn(|context| {
        assert!(waiting.as_mut().poll(context).is_pending(), "the lane is held");
        Poll::Ready(())
    })
    .await;
    waiting
}

async fn calls_that_would_wait_beyond_their_deadline_are_shed(database: TestDatabase) {
    let store = store_with(&database, &Clock::manual(NEW_YEAR), &options(decide)).await;
    // A group of some thousand rows that takes over 200 ms tells the queue how slow the lane is.
    let mut slow = batch(100);
    slow[0].actor = actor();
    let mut held = gate(&slow[0].actor);
    let measured = send_all(&store, slow).await;
    let measured = tokio::spawn(measured);
    assert!(held.decided().await);
    tokio::time::sleep(Duration::from_millis(200)).await;
    drop(held);
    measured.await.unwrap();

    let held = hold(&store).await;
    let waiting = send_all(&store, batch(500)).await;
    let soon = || Some(Instant::now() + Duration::from_millis(200));
    let own = command(create(link()));
    assert_eq!(store.executor().execute(own.clone(), soon()).await.unwrap_err(), ExecuteError::Unavailable);
    let patient = send_until(&store, own, Some(Instant::now() + Duration::from_secs(60))).await;
    let other = Command { reach: Reach::of_account(AccountId::parse("other").unwrap()), ..command(create(link())) };
    let other = send_until(&store, other, Some(Instant::now() + Duration::from_secs(60))).await;
    let another = Command { reach: Reach::of_account(AccountId::parse("another").unwrap()), ..command(create(link())) };
    let another = send_until(&store, another, soon()).await;
    drop(held);
    another.await.expect("an account that has nothing waiting has its turn soon");
    other.await.unwrap();
    waiting.await;
    patient.await.unwrap();
}

async fn queue_is_full_of_bytes_before_it_is_full_of_calls(database: TestDatabase) {
    let options = ExecutorOptions { queue: 100, ..options(decide) };
    let store = store_with(&database, &Clock::manual(NEW_YEAR), &options).await;
    let held = hold(&store).await;
    let long = || {
        let text = "x".repeat(1_000_000);
        let recipient = NewRecipient { display_name: Some(text), ..emails(1).remove(0) };
        command(create(CreateInvitation { recipients: vec![recipient], ..link() }))
    };
    let mut waiting = Vec::new();
    for _ in 0..8 {
        waiting.push(send(&store, long()).await);
    }
    assert_eq!(store.executor().execute(long(), None).await.unwrap_err(), ExecuteError::Unavailable);
    waiting.push(send(&store, command(create(link()))).await);
    let other = || Command { reach: Reach::of_account(AccountId::parse("other").unwrap()), ..long() };
    for _ in 0..4 {
        waiting.push(send(&store, other()).await);
    }
    assert_eq!(
        store.executor().execute(other(), None).await.unwrap_err(),
        ExecuteError::Unavailable,
        "its share is taken"
    );
    drop(held);
    for call in waiting {
        call.await.unwrap();
    }
}
