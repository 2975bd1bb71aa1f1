//! What waits in a queue, and who waits for it.

use std::time::Duration;

use invitation_service::clock::Clock;
use invitation_service::domain::command::{Command, CreateInvitation};
use invitation_service::domain::text::AccountId;
use invitation_service::store::{Bundle, ExecuteError, ExecutorOptions, InvitationQuery};
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
    a_full_queue_has_room_for_another_account,
    big_batches_keep_another_account_waiting_for_one_group,
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

async fn a_full_queue_has_room_for_another_account(database: TestDatabase) {
    let options = ExecutorOptions { queue: 4, ..options(decide) };
    let store = store_with(&database, &Clock::manual(NEW_YEAR), &options).await;
    let held = hold(&store).await;
    let mut waiting = Vec::new();
    for _ in 0..4 {
        waiting.push(send(&store, command(create(link()))).await);
    }
    assert_eq!(store.execute(command(create(link())), None).await.unwrap_err(), ExecuteError::Unavailable);
    let other = || Command { account: AccountId::parse("other").unwrap(), ..command(create(link())) };
    for _ in 0..2 {
        waiting.push(send(&store, other()).await);
    }
    assert_eq!(store.execute(other(), None).await.unwrap_err(), ExecuteError::Unavailable, "its share is taken");
    drop(held);
    for call in waiting {
        call.await.unwrap();
    }
}

async fn big_batches_keep_another_account_waiting_for_one_group(database: TestDatabase) {
    let store = store_with(&database, &Clock::manual(NEW_YEAR), &options(decide)).await;
    let held = hold(&store).await;
    let batch = || async {
        let big = || command(create(CreateInvitation { recipients: emails(10), ..link() }));
        store.execute_all((0..500).map(|_| big()).collect(), Bundle::Each, None).await
    };
    let mut batches: Vec<_> = (0..3).map(|_| Box::pin(batch())).collect();
    std::future::poll_fn(|context| {
        assert!(batches.iter_mut().all(|batch| batch.as_mut().poll(context).is_pending()), "the lane is held");
        std::task::Poll::Ready(())
    })
    .await;
    let small = Command { account: AccountId::parse("other").unwrap(), ..command(create(link())) };
    let small = send(&store, small).await;
    drop(held);
    small.await.unwrap();
    let query = InvitationQuery { limit: 2_000, ..InvitationQuery::default() };
    let made = store.list_invitations(&account(), &query).await.unwrap().len();
    assert!(made < 1_000, "{made} invitations of the big batches were created before the small call");
    for batch in batches {
        assert!(batch.await.unwrap().iter().all(Result::is_ok));
    }
}
