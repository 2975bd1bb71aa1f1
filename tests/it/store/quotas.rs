//! Quotas: exact over replicas, given back when invitations end or expire, and counted anew by maintenance.

use std::collections::BTreeMap;
use std::time::Duration;

use invitation_service::clock::Clock;
use invitation_service::domain::command::{Command, CreateInvitation, OnConflict};
use invitation_service::domain::decide::Context;
use invitation_service::domain::group::Group;
use invitation_service::domain::invitation::refusal::Refusal;
use invitation_service::domain::kind::Details;
use invitation_service::domain::kind::connection::ConnectionDetails;
use invitation_service::domain::kind::shared::{Inviter, SharedDetails};
use invitation_service::domain::quota::{Quotas, RecipientQuota, open_key};
use invitation_service::domain::secret::key_ring::KeyRing;
use invitation_service::domain::value::time::Timestamp;
use invitation_service::store::{BatchMode, Database, ExecuteError, ExecutorOptions, PruneTurn, Store};

use crate::store::executor::races::deal;
use crate::support::build::commands::*;
use crate::support::build::kinds::*;
use crate::support::database::{NEW_YEAR, TestDatabase};
use crate::support::on_both;

on_both!(
    migrated:
    exactly_as_many_are_open_as_may_be,
    exactly_as_many_are_mailed_as_may_be,
    open_quota_comes_back_with_the_end_and_the_expiry,
    renewed_invitation_holds_its_part_again,
    refused_atomic_batch_leaves_the_quota_as_it_was,
    nothing_is_written_while_nothing_is_limited,
    maintenance_counts_what_was_opened_and_ended_meanwhile,
    lapsed_holds_are_swept_and_stay_out_of_the_count,
    update_counts_those_whom_it_adds_and_gives_back_the_removed,
    added_recipients_count_for_their_inviter_and_by_address,
);

fn open(limit: u32) -> Quotas {
    Quotas { open_invitations: Some(limit), ..Quotas::NONE }
}

fn per_recipient(limit: u32) -> Quotas {
    let ring = KeyRing::parse(&KeyRing::format_key(7, [7; 32])).unwrap();
    Quotas { per_recipient: Some(RecipientQuota { limit, ring }), ..Quotas::NONE }
}

/// Starts a store beside others of the same process.
fn limited(opened: &Database, quotas: Quotas) -> Store {
    let own = options(Group::run);
    let context = Context { quotas, ..own.context.clone() };
    let lanes = if opened.is_embedded() { 1 } else { 2 };
    Store::start(opened.clone(), &ExecutorOptions { context, lanes, ..own })
}

/// One store on SQLite, two replicas on PostgreSQL.
async fn replicas(database: &TestDatabase, quotas: &Quotas) -> (Vec<Store>, Clock) {
    let clock = Clock::manual(NEW_YEAR);
    let mut stores = vec![limited(&database.open(&clock).await, quotas.clone())];
    if database.url().starts_with("postgres") {
        stores.push(limited(&database.open(&clock).await, quotas.clone()));
    }
    (stores, clock)
}

fn for_an_hour() -> CreateInvitation {
    CreateInvitation { expiry: after(3_600), ..link() }
}

/// Returns the number of open invitees that a decision would find.
async fn used(store: &Store) -> i64 {
    let key = open_key(&account());
    let loaded = store.read_quotas(&account(), std::slice::from_ref(&key)).await.unwrap();
    let count = loaded.quota(&key, Timestamp::from_micros(0));
    count.used - count.lapsed
}

/// Reads numbers from rows.
async fn numbers(database: &TestDatabase, number: &str, rows: &str) -> Vec<i64> {
    let read = texts(database, &format!("SELECT CAST({number} AS text) {rows}")).await;
    read.iter().map(|number| number.parse().unwrap()).collect()
}

fn is_full(answer: &Answer) -> bool {
    matches!(answer, Err(ExecuteError::Refused(Refusal::QuotaExceeded(_))))
}

async fn try_create(store: &Store, new: CreateInvitation) -> Answer {
    store.executor().execute(command(create(new)), None).await
}

async fn exactly_as_many_are_open_as_may_be(database: TestDatabase) {
    let (stores, _) = replicas(&database, &open(50)).await;
    let answers = deal(&stores, (0..300).map(|_| command(create(link())))).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 50);
    assert!(answers.iter().all(|answer| answer.is_ok() || is_full(answer)), "nothing else is refused");
    assert_eq!(used(&stores[0]).await, 50);
    assert_eq!(numbers(&database, "count(*)", "FROM invitation").await, [50]);
    // Ends and creates at once never exceed it either.
    let made: Vec<_> = answers.into_iter().flatten().map(|executed| executed.invitation).collect();
    let mixed = made.iter().take(20).flat_map(|made| [command(revoke(made)), command(create(link()))]);
    let mixed: Vec<Command> = mixed.collect();
    let answers = deal(&stores, mixed).await;
    assert!(answers.iter().all(|answer| answer.is_ok() || is_full(answer)));
    let open = numbers(&database, "count(*)", "FROM invitation WHERE revoked_at IS NULL").await[0];
    assert!((30..=50).contains(&open), "{open}");
    assert_eq!(used(&stores[0]).await, open);
    assert_eq!(numbers(&database, "count(*)", "FROM quota_hold").await, [open]);
}

async fn update_counts_those_whom_it_adds_and_gives_back_the_removed(database: TestDatabase) {
    let (stores, _) = replicas(&database, &open(5)).await;
    let made = created(&stores[0], CreateInvitation { recipients: emails(2), ..for_an_hour() }).await;
    let change = |added: &[&str], removed: &[u16]| {
        let added: Vec<_> = added.iter().map(|name| mail(&format!("{name}@example.org"))).collect();
        command(set_recipients(&made, &added, removed, false))
    };
    for (added, removed, fits, open) in [
        (&["c", "d"][..], &[][..], true, 4),
        (&["e", "f"], &[], false, 4),
        (&[], &[1], true, 3),
        (&["e", "f"], &[2], true, 4),
    ] {
        let answer = stores[0].executor().execute(change(added, removed), None).await;
        assert_eq!((answer.is_ok(), is_full(&answer)), (fits, !fits), "{added:?} {removed:?}");
        assert_eq!(used(&stores[0]).await, open, "{added:?} {removed:?}");
        assert_eq!(numbers(&database, "invitees", "FROM quota_hold").await, [open]);
    }
    let names: Vec<String> = (0..20).map(|n| format!("at-once{n}")).collect();
    let answers = deal(&stores, names.iter().map(|name| change(&[name], &[]))).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
    assert!(answers.iter().all(|answer| answer.is_ok() || is_full(answer)), "nothing else is refused");
    assert_eq!((used(&stores[0]).await, numbers(&database, "invitees", "FROM quota_hold").await), (5, vec![5]));
    // In one group with others, and with another expiry.
    let both = [change(&[], &[3]), command(resend(&made, false, Some(seconds(60)))), change(&["g"], &[4])];
    let answers = stores[0].executor().execute_all(both.into(), BatchMode::Atomic, None).await.unwrap();
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!((used(&stores[0]).await, numbers(&database, "invitees", "FROM quota_hold").await), (4, vec![4]));
    stores[0].executor().execute(command(revoke(&made)), None).await.unwrap();
    assert_eq!((used(&stores[0]).await, numbers(&database, "invitees", "FROM quota_hold").await), (0, vec![]));
}

async fn added_recipients_count_for_their_inviter_and_by_address(database: TestDatabase) {
    let quotas = Quotas { per_inviter: Some(3), ..per_recipient(1) };
    let (stores, _) = replicas(&database, &quotas).await;
    let made = created(&stores[0], CreateInvitation { recipients: emails(1), mails: true, ..link() }).await;
    let add = async |name: &str, mails| {
        let added = [mail(&format!("{name}@example.org"))];
        stores[0].executor().execute(command(set_recipients(&made, &added, &[], mails)), None).await
    };
    add("ann", true).await.unwrap();
    let again = add("bob", true).await.unwrap().invitation;
    let states = texts(&database, "SELECT state FROM outbox ORDER BY recipient").await;
    assert_eq!((states, again.deliveries), (vec!["queued".to_owned(); 3], 3));
    assert!(is_full(&add("cid", true).await), "the inviter has had their three of the day");
    let other = for_an_hour();
    let inviter = Inviter { user_id: "u-2".to_owned(), ..Inviter::default() };
    let Details::Connection(details) = other.details.clone() else { panic!("no connection") };
    let shared = SharedDetails { inviter: Some(inviter), ..SharedDetails::default() };
    let details = Details::Connection(ConnectionDetails { shared, ..details });
    let other = created(&stores[0], CreateInvitation { details, ..other }).await;
    let once_more = set_recipients(&other, &[mail("ann@example.org")], &[], true);
    let answer = stores[0].executor().execute(command(once_more), None).await.unwrap().invitation;
    assert_eq!(answer.first_sent_at, None, "nothing is sent to an address that has had its message of the day");
    let suppressed = texts(&database, "SELECT state FROM outbox WHERE state <> 'queued'").await;
    assert_eq!(suppressed, ["suppressed"]);
}

async fn exactly_as_many_are_mailed_as_may_be(database: TestDatabase) {
    let (stores, clock) = replicas(&database, &per_recipient(5)).await;
    let mailed = || CreateInvitation { mails: true, ..general(None, OnConflict::Allow, &[mail("ann@example.org")]) };
    let answers = deal(&stores, (0..40).map(|_| command(create(mailed())))).await;
    assert!(answers.iter().all(Result::is_ok), "every invitation is made");
    let states = "SELECT state || ' ' || CAST(count(*) AS text) FROM outbox GROUP BY state ORDER BY state";
    assert_eq!(texts(&database, states).await, ["queued 5", "suppressed 35"]);
    clock.advance(Duration::from_secs(86_400));
    created(&stores[0], mailed()).await;
    assert_eq!(texts(&database, states).await, ["queued 6", "suppressed 35"]);
    let keys = texts(&database, "SELECT account_id || key FROM quota").await;
    assert!(keys.len() == 1 && keys[0].starts_with("recipient ") && !keys[0].contains("ann"), "{keys:?}");
}

async fn open_quota_comes_back_with_the_end_and_the_expiry(database: TestDatabase) {
    let (stores, clock) = replicas(&database, &open(4)).await;
    let store = &stores[0];
    let two = |create: CreateInvitation| CreateInvitation {
        recipients: vec![recipient(mail("a@example.org")), recipient(mail("b@example.org"))],
        mails: false,
        ..create
    };
    let first = created(store, two(link())).await;
    created(store, two(for_an_hour())).await;
    assert!(is_full(&try_create(store, link()).await));
    store.executor().execute(command(revoke(&first)), None).await.unwrap();
    assert_eq!(used(store).await, 2);
    created(store, two(link())).await;
    clock.advance(Duration::from_secs(3_599));
    assert!(is_full(&try_create(store, link()).await));
    clock.advance(Duration::from_secs(1));
    // Nothing has noticed the expiry, and nothing has to.
    assert_eq!(used(store).await, 2);
    created(store, two(link())).await;
    assert!(is_full(&try_create(store, link()).await));
}

async fn renewed_invitation_holds_its_part_again(database: TestDatabase) {
    let (stores, clock) = replicas(&database, &open(2)).await;
    let store = &stores[0];
    let made = created(store, for_an_hour()).await;
    let again = |minutes: u64| command(resend(&made, false, Some(seconds(60 * minutes))));
    // A later expiry holds no more than before.
    store.executor().execute(again(120), None).await.unwrap();
    created(store, link()).await;
    assert_eq!(used(store).await, 2);
    clock.advance(Duration::from_secs(2 * 3_600));
    assert_eq!(used(store).await, 1);
    let open = created(store, link()).await;
    assert!(is_full(&store.executor().execute(again(60), None).await));
    store.executor().execute(command(revoke(&open)), None).await.unwrap();
    store.executor().execute(again(60), None).await.unwrap();
    assert_eq!(used(store).await, 2);
    assert!(is_full(&try_create(store, link()).await));
}

async fn refused_atomic_batch_leaves_the_quota_as_it_was(database: TestDatabase) {
    let (stores, _) = replicas(&database, &open(3)).await;
    let batch = || (0..4).map(|_| command(create(link()))).collect::<Vec<_>>();
    let executor = stores[0].executor();
    executor.execute_all(batch(), BatchMode::Atomic, None).await.unwrap_err();
    assert_eq!((used(&stores[0]).await, numbers(&database, "count(*)", "FROM quota_hold").await), (0, vec![0]));
    let results = executor.execute_all(batch(), BatchMode::Independent, None).await.unwrap();
    assert_eq!(results.iter().map(is_full).collect::<Vec<_>>(), [false, false, false, true]);
}

async fn nothing_is_written_while_nothing_is_limited(database: TestDatabase) {
    let (stores, _) = replicas(&database, &Quotas::NONE).await;
    let made = created(&stores[0], link()).await;
    stores[0].executor().execute(command(revoke(&made)), None).await.unwrap();
    let rows = "(SELECT count(*) FROM quota) + (SELECT count(*) FROM quota_hold)";
    assert_eq!(numbers(&database, rows, "").await, [0]);
}

async fn maintenance_counts_what_was_opened_and_ended_meanwhile(database: TestDatabase) {
    let opened = database.open(&Clock::manual(NEW_YEAR)).await;
    let (free, stores) = ([limited(&opened, Quotas::NONE)], [limited(&opened, open(10))]);
    let before: Vec<_> = [created(&free[0], link()).await, created(&free[0], for_an_hour()).await].into();
    let ended = created(&free[0], link()).await;
    free[0].executor().execute(command(revoke(&ended)), None).await.unwrap();
    let counted = created(&stores[0], link()).await;
    free[0].executor().execute(command(revoke(&counted)), None).await.unwrap();
    assert_eq!(used(&stores[0]).await, 1, "one that has ended, and none of those that are open");
    let maintenance = stores[0].maintenance();
    for _ in 0..2 {
        let mut turn = PruneTurn::lasting(Duration::from_secs(60));
        assert!(maintenance.compare_holds(&mut turn).await.unwrap().is_done);
        assert_eq!(used(&stores[0]).await, 2);
    }
    let ends: BTreeMap<_, _> =
        before.iter().map(|made| (made.facts.expire_at.map_or(i64::MAX, Timestamp::micros), 1)).collect();
    let held = numbers(&database, "open_until", "FROM quota_hold ORDER BY open_until").await;
    assert_eq!(held, ends.into_keys().collect::<Vec<_>>());
    stores[0].executor().execute(command(revoke(&before[0])), None).await.unwrap();
    assert_eq!(used(&stores[0]).await, 1);
}

async fn lapsed_holds_are_swept_and_stay_out_of_the_count(database: TestDatabase) {
    let (stores, clock) = replicas(&database, &open(3)).await;
    for _ in 0..3 {
        created(&stores[0], for_an_hour()).await;
    }
    let maintenance = stores[0].maintenance();
    assert_eq!(maintenance.prune_quotas().await.unwrap(), 0);
    clock.advance(Duration::from_secs(3_600 + 61));
    created(&stores[0], for_an_hour()).await;
    assert_eq!(used(&stores[0]).await, 1);
    assert_eq!(maintenance.prune_quotas().await.unwrap(), 3);
    assert_eq!(numbers(&database, "count(*)", "FROM quota_hold").await, [1]);
    assert_eq!(used(&stores[0]).await, 1);
    for _ in 0..2 {
        created(&stores[0], link()).await;
    }
    assert!(is_full(&try_create(&stores[0], link()).await));
}
