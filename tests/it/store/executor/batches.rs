//! Several commands of one caller that run in one group: each for itself, all or none, or only to see.

use std::time::Duration;

use invitation_service::clock::Clock;
use invitation_service::domain::command::{Action, Command, CreateInvitation, OnConflict};
use invitation_service::domain::group::{BatchMode, Group};
use invitation_service::domain::invitation::EngagementType;
use invitation_service::domain::invitation::refusal::Refusal;
use invitation_service::store::{BatchError, ExecuteError, InvitationQuery, Store};
use sea_orm::ConnectionTrait;
use tokio::time::Instant;

use crate::support::build::commands::*;
use crate::support::build::kinds::*;
use crate::support::database::{NEW_YEAR, TestDatabase};
use crate::support::gate::{decide, hold};
use crate::support::on_both;

on_both!(
    migrated:
    empty_batch_is_answered_at_once,
    each_of_a_batch_has_its_own_result,
    atomic_batch_is_done_as_a_whole,
    refused_atomic_batch_changes_nothing,
    dry_run_tells_what_would_happen_and_changes_nothing,
    batches_leave_their_neighbours_alone,
    database_refusal_fails_its_command_or_atomic_batch,
    panic_fails_its_command_or_its_atomic_batch,
    batch_that_hangs_together_is_one_group,
    batch_past_its_deadline_is_not_decided,
);

/// The result of a batch.
type Answers = Result<Vec<Answer>, BatchError>;

async fn gated(database: &TestDatabase) -> Store {
    store_with(database, &Clock::manual(NEW_YEAR), &options(decide)).await
}

async fn run(store: &Store, mode: BatchMode, actions: impl IntoIterator<Item = Action>) -> Answers {
    store.executor().execute_all(actions.into_iter().map(command).collect(), mode, None).await
}

async fn how_many(store: &Store) -> usize {
    let query = InvitationQuery { limit: 2_000, ..InvitationQuery::default() };
    store.primary().list_invitations(&reach(), &query).await.unwrap().len()
}

fn refused(refusal: Refusal) -> ExecuteError {
    ExecuteError::Refused(refusal)
}

async fn empty_batch_is_answered_at_once(database: TestDatabase) {
    let store = gated(&database).await;
    let _held = hold(&store).await;
    for mode in [BatchMode::Independent, BatchMode::Together, BatchMode::Atomic, BatchMode::DryRun] {
        assert!(run(&store, mode, []).await.unwrap().is_empty());
    }
}

async fn each_of_a_batch_has_its_own_result(database: TestDatabase) {
    let store = gated(&database).await;
    let made = created(&store, CreateInvitation { max_uses: Some(1), ..link() }).await;
    let actions =
        [create(user("a@b.org")), accept(&made, "ann"), accept(&made, "bob"), create(user("A@b.org")), revoke(&made)];
    let answers = run(&store, BatchMode::Independent, actions).await.unwrap();
    let first = answers[0].clone().unwrap().invitation;
    assert_eq!(read(&store, first.id).await, *first);
    let errors: Vec<_> = answers.iter().map(|answer| answer.as_ref().err().cloned()).collect();
    let fulfilled = || Some(refused(Refusal::InvitationFulfilled));
    let exists = Some(refused(Refusal::InvitationExists(first.id, first.details.kind())));
    assert_eq!(errors, [None, None, fulfilled(), exists, fulfilled()]);
    assert_eq!(story(&store, made.id).await, ["created", "accepted", "fulfilled"]);
}

async fn atomic_batch_is_done_as_a_whole(database: TestDatabase) {
    let store = gated(&database).await;
    let made = created(&store, link()).await;
    // Commands with a load, without one, and with one for their request_ids alone.
    let changes = vec![create(user("a@b.org")), accept(&made, "ann"), revoke(&made)];
    let creates: Vec<Action> = (0..3).map(|_| create(CreateInvitation { recipients: emails(2), ..link() })).collect();
    for actions in [changes, creates.clone()] {
        for answer in run(&store, BatchMode::Atomic, actions).await.unwrap() {
            let executed = answer.unwrap().invitation;
            assert_eq!(read(&store, executed.id).await.id, executed.id);
        }
    }
    assert_eq!(story(&store, made.id).await, ["created", "accepted", "revoked"]);
    let again =
        || creates.iter().zip(["r1", "r2", "r3"]).map(|(action, id)| retryable("Create", id, 1, action.clone()));
    let before = how_many(&store).await;
    store.executor().execute(again().next_back().unwrap(), None).await.unwrap();
    for _ in 0..2 {
        let answers = store.executor().execute_all(again().collect(), BatchMode::Atomic, None).await.unwrap();
        assert!(answers.iter().all(Result::is_ok));
        assert_eq!(how_many(&store).await, before + 3, "what was done before is returned, the rest is done");
    }
}

async fn refused_atomic_batch_changes_nothing(database: TestDatabase) {
    let store = gated(&database).await;
    let made = created(&store, CreateInvitation { max_uses: Some(1), ..link() }).await;
    let reject = || create(general(team("red"), OnConflict::Reject, &[mail("a@b.org")]));
    let actions = [
        reject(),
        accept(&made, "ann"),
        accept(&made, "bob"),
        create(link()),
        sync("red", &["a.org"]),
        create(user("a@b.org")),
        create(user("a@b.org")),
    ];
    let failed = run(&store, BatchMode::Atomic, actions).await.unwrap_err();
    let BatchError::Refused(errors) = failed else { panic!("{failed:?}") };
    assert_eq!(errors[2], Some(refused(Refusal::InvitationFulfilled)));
    assert_eq!(errors[6], Some(refused(Refusal::InvitationExistsInBatch)), "it names nothing that was taken back");
    assert_eq!(errors.iter().flatten().count(), 2, "{errors:?}");
    assert_eq!(how_many(&store).await, 1);
    assert_eq!(story(&store, made.id).await, ["created"]);
    for table in ["slot", "autojoin_domain"] {
        assert!(texts(&database, &format!("SELECT account_id FROM {table}")).await.is_empty());
    }
    store.executor().execute(command(reject()), None).await.expect("the slot was never taken");
}

async fn dry_run_tells_what_would_happen_and_changes_nothing(database: TestDatabase) {
    let store = gated(&database).await;
    let made = created(&store, CreateInvitation { max_uses: Some(1), ..link() }).await;
    for _ in 0..2 {
        let actions = [
            create(user("a@b.org")),
            create(user("a@b.org")),
            accept(&made, "ann"),
            accept(&made, "bob"),
            create(link()),
        ];
        let answers = run(&store, BatchMode::DryRun, actions).await.unwrap();
        answers[0].clone().unwrap();
        let exists = refused(Refusal::InvitationExistsInBatch);
        assert_eq!(
            answers[1].clone().unwrap_err(),
            exists,
            "later ones see earlier ones, which do not exist afterwards"
        );
        assert_eq!(answers[2].clone().unwrap().invitation.facts.use_count, 1);
        assert_eq!(answers[3].clone().unwrap_err(), refused(Refusal::InvitationFulfilled));
        answers[4].clone().unwrap();
    }
    let only_creates = run(&store, BatchMode::DryRun, [create(link()), create(link())]).await.unwrap();
    assert!(only_creates.iter().all(Result::is_ok));
    assert_eq!((how_many(&store).await, read(&store, made.id).await), (1, (*made).clone()));
    assert_eq!(story(&store, made.id).await, ["created"]);
}

/// Puts batches into the queue of a lane that is held, so that they are one group.
async fn in_one_group(store: &Store, batches: Vec<(BatchMode, Vec<Command>)>) -> Vec<Answers> {
    let held = hold(store).await;
    let calls = batches.into_iter().map(|(mode, commands)| store.executor().execute_all(commands, mode, None));
    once_all_wait(calls, move || drop(held)).await
}

/// Has all futures begin, then does something, then waits for all of them.
async fn once_all_wait<F: Future>(futures: impl Iterator<Item = F>, then: impl FnOnce()) -> Vec<F::Output> {
    let mut futures: Vec<_> = futures.map(Box::pin).collect();
    std::future::poll_fn(|context| {
        for future in &mut futures {
            assert!(future.as_mut().poll(context).is_pending(), "the lane is held, so nothing is answered");
        }
        std::task::Poll::Ready(())
    })
    .await;
    then();
    let mut results = Vec::new();
    for future in futures {
        results.push(future.await);
    }
    results
}

async fn batches_leave_their_neighbours_alone(database: TestDatabase) {
    let store = gated(&database).await;
    let made = created(&store, CreateInvitation { max_uses: Some(2), ..link() }).await;
    let of = |mode, subjects: &[&str]| (mode, subjects.iter().map(|who| command(accept(&made, who))).collect());
    let batches = vec![
        of(BatchMode::DryRun, &["dry 1", "dry 2", "dry 3"]),
        of(BatchMode::Atomic, &["a", "b", "c"]),
        of(BatchMode::Independent, &["ann"]),
        of(BatchMode::Atomic, &["bob"]),
        of(BatchMode::Independent, &["cid", "bob"]),
    ];
    let answers = in_one_group(&store, batches).await;
    let fine: Vec<_> = answers
        .iter()
        .map(|answers| answers.as_ref().map_or(0, |answers| answers.iter().filter(|answer| answer.is_ok()).count()))
        .collect();
    assert_eq!(fine, [2, 0, 1, 1, 1]);
    let last = answers[4].as_ref().unwrap();
    assert!(last[1].as_ref().unwrap().already_accepted);
    let subjects: Vec<_> = read(&store, made.id).await.acceptances.into_iter().map(|who| who.subject.0).collect();
    assert_eq!(subjects.len(), 2, "{subjects:?}");
    assert!(subjects.contains(&"ann".to_owned()) && subjects.contains(&"bob".to_owned()), "{subjects:?}");
    assert_eq!(story(&store, made.id).await, ["created", "accepted", "accepted", "fulfilled"]);
}

async fn database_refusal_fails_its_command_or_atomic_batch(database: TestDatabase) {
    let store = gated(&database).await;
    let made = created(&store, link()).await;
    let poison = || create(CreateInvitation { max_uses: Some(0), ..link() });
    for other in [|| create(link()), || create(user("a@b.org"))] {
        let answers = run(&store, BatchMode::Independent, [other(), poison(), other()]).await.unwrap();
        assert!(matches!(answers[1], Err(ExecuteError::Internal(_))), "{answers:?}");
        assert!(answers[0].is_ok());
        let before = how_many(&store).await;
        let batches = vec![
            (BatchMode::Atomic, vec![command(other()), command(poison())]),
            (BatchMode::Independent, vec![command(accept(&made, "ann"))]),
        ];
        let answers = in_one_group(&store, batches).await;
        // The command that holds the lane makes one.
        assert_eq!(how_many(&store).await, before + 1);
        assert!(answers[0].is_err(), "{answers:?}");
        assert!(answers[1].as_ref().unwrap()[0].is_ok());
    }
}

async fn panic_fails_its_command_or_its_atomic_batch(database: TestDatabase) {
    let store = gated(&database).await;
    let commands = || {
        let mut commands = [(); 3].map(|()| command(create(link()))).to_vec();
        commands[1].actor = "panic".to_owned();
        commands
    };
    let answers = store.executor().execute_all(commands(), BatchMode::Independent, None).await.unwrap();
    assert!(answers[0].is_ok() && answers[2].is_ok());
    assert!(matches!(answers[1], Err(ExecuteError::Internal(_))), "{answers:?}");
    let failed = store.executor().execute_all(commands(), BatchMode::Atomic, None).await.unwrap_err();
    let BatchError::Refused(errors) = failed else { panic!("{failed:?}") };
    assert!(matches!(errors[..], [None, Some(ExecuteError::Internal(_)), None]), "{errors:?}");
    assert_eq!(how_many(&store).await, 2);
}

/// On PostgreSQL every statement is a transaction, so rows of one transaction are rows of one commit.
async fn batch_that_hangs_together_is_one_group(database: TestDatabase) {
    let store = gated(&database).await;
    for mode in [BatchMode::Independent, BatchMode::Together, BatchMode::Atomic] {
        let large = |_| create(CreateInvitation { recipients: emails(10), mails: true, ..link() });
        for answer in run(&store, mode, (0..500).map(large)).await.unwrap() {
            answer.unwrap();
        }
        if database.url().starts_with("postgres") {
            let sql = "SELECT DISTINCT xmin::text FROM invitation";
            let commits = texts(&database, sql).await.len();
            // Commands that do not hang together leave room for others between them.
            assert!(if mode == BatchMode::Independent { commits > 1 } else { commits == 1 }, "{mode:?}: {commits}");
            let clear = "TRUNCATE invitation, recipient, event, outbox";
            database.connect().await.execute_unprepared(clear).await.unwrap();
        }
    }
    let made = created(&store, link()).await;
    let views = (0..300).map(|_| record(&made, EngagementType::View));
    run(&store, BatchMode::Atomic, views).await.unwrap();
    assert_eq!(read(&store, made.id).await.engagement.views, 300);
}

async fn batch_past_its_deadline_is_not_decided(database: TestDatabase) {
    let store = gated(&database).await;
    let two = || vec![command(create(link())), command(create(link()))];
    let late = Some(Instant::now());
    let failed = store.executor().execute_all(two(), BatchMode::Atomic, late).await.unwrap_err();
    assert_eq!(failed, BatchError::Failed(ExecuteError::DeadlineExceeded));
    let answers = store.executor().execute_all(two(), BatchMode::Independent, late).await.unwrap();
    assert!(answers.iter().all(|answer| *answer.as_ref().unwrap_err() == ExecuteError::DeadlineExceeded));
    assert_eq!(how_many(&store).await, 0);
    let far = Some(Instant::now() + Duration::from_secs(3_600));
    store.executor().execute_all(two(), BatchMode::Atomic, far).await.unwrap();
}

/// Another replica keeps changing what the batch rests on: it is decided again as a whole.
#[tokio::test(flavor = "multi_thread", worker_threads = 2, crate = "crate::support::limit")]
async fn atomic_batches_at_once_are_whole_or_not_at_all() {
    let Some(database) = TestDatabase::postgres().await else { return };
    let clock = Clock::manual(NEW_YEAR);
    let stores = [
        store_with(&database, &clock, &options(Group::run)).await,
        store_with(&database, &clock, &options(Group::run)).await,
    ];
    for round in 0..10 {
        let one = created(&stores[0], CreateInvitation { max_uses: Some(1), ..link() }).await;
        let other = created(&stores[0], CreateInvitation { max_uses: Some(1), ..link() }).await;
        let forth = run(&stores[0], BatchMode::Atomic, [accept(&one, "forth"), accept(&other, "forth")]);
        let back = run(&stores[1], BatchMode::Atomic, [accept(&other, "back"), accept(&one, "back")]);
        let (forth, back) = tokio::join!(forth, back);
        assert!(forth.is_ok() != back.is_ok(), "round {round}: {forth:?} {back:?}");
        let subjects = [read(&stores[0], one.id).await, read(&stores[0], other.id).await]
            .map(|found| found.acceptances.into_iter().map(|who| who.subject.0).collect::<Vec<_>>());
        assert_eq!(subjects[0], subjects[1]);
        assert_eq!(subjects[0].len(), 1);
    }
}
