//! Trouble of PostgreSQL that passes: it costs the calls that meet it, and nothing is left of it soon after.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use invitation_service::clock::Clock;
use invitation_service::domain::group::Group;
use invitation_service::domain::value::id::IdSeed;
use invitation_service::entropy::Entropy;
use invitation_service::store::{AcceptanceQuery, ExecuteError, ExecutorOptions, Pruned, Retention, Store, StoreError};
use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, Statement, TransactionTrait};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use uuid::Uuid;

use crate::support::build::commands::*;
use crate::support::codes::{requested, verification};
use crate::support::database::{NEW_YEAR, TestDatabase};
use crate::support::network::Network;
use crate::support::pace::paced;
use crate::support::postgres::read_schema;
use crate::support::{on_both, pooler};

on_both!(migrated: old_rows_are_deleted_in_turn);

/// The limit on a statement that the configuration has by default.
const LIMIT: Duration = Duration::from_millis(1_500);

fn limited(lanes: usize) -> ExecutorOptions {
    ExecutorOptions { lanes, timeout: LIMIT, ..options(Group::run) }
}

async fn number(connection: &DatabaseConnection, sql: &str) -> i64 {
    let row = connection.query_one_raw(Statement::from_string(DbBackend::Postgres, sql)).await.unwrap();
    row.unwrap().try_get_by_index(0).unwrap()
}

/// Asks until a number is what is wanted.
async fn until(connection: &DatabaseConnection, sql: &str, wanted: impl Fn(i64) -> bool) {
    let reached = async {
        while !wanted(number(connection, sql).await) {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(10), reached).await.unwrap_or_else(|_| panic!("{sql}"));
}

/// Callers that create, and read what they made, until they are stopped.
struct Callers {
    tasks: JoinSet<()>,
    stop: Arc<AtomicBool>,
    done: Arc<AtomicUsize>,
    /// The times at which calls failed.
    failed: Arc<Mutex<Vec<Instant>>>,
}

impl Callers {
    fn start(store: &Store, count: usize) -> Self {
        let (stop, done, failed) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default(), Arc::default());
        let mut tasks = JoinSet::new();
        for _ in 0..count {
            let (store, stop, done) = (store.clone(), Arc::clone(&stop), Arc::clone(&done));
            let failed: Arc<Mutex<Vec<Instant>>> = Arc::clone(&failed);
            tasks.spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let answer = store.executor().execute(command(create(link())), None).await;
                    let is_found = match &answer {
                        Ok(made) => {
                            let id = made.invitation.id;
                            let reach = reach();
                            let read = store.primary().get_invitation(&reach, id, false);
                            timeout(LIMIT, read).await.is_ok_and(|read| read.is_ok_and(|read| read.is_some()))
                        }
                        Err(_) => false,
                    };
                    if is_found {
                        done.fetch_add(1, Ordering::Relaxed);
                    } else {
                        failed.lock().unwrap().push(Instant::now());
                    }
                }
            });
        }
        Self { tasks, stop, done, failed }
    }

    /// Lets them go on for so many calls.
    async fn go_on_for(&self, calls: usize) {
        let goal = self.done.load(Ordering::Relaxed) + calls;
        let reached = async {
            while self.done.load(Ordering::Relaxed) < goal {
                tokio::task::yield_now().await;
            }
        };
        timeout(Duration::from_secs(20), reached).await.expect("calls are answered");
    }

    /// Returns how many calls are answered within a time.
    async fn answered_in(&self, span: Duration) -> usize {
        let before = self.done.load(Ordering::Relaxed);
        sleep(span).await;
        self.done.load(Ordering::Relaxed) - before
    }

    /// Stops them and returns when calls failed.
    async fn stop(self) -> Vec<Instant> {
        self.stop.store(true, Ordering::Relaxed);
        self.tasks.join_all().await;
        self.failed.lock().unwrap().clone()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2, crate = "crate::support::limit")]
async fn silent_connections_cost_only_the_calls_in_flight() {
    let Some(database) = TestDatabase::migrated_postgres().await else { return };
    drop(database.open(&Clock::system()).await);
    // A pooler would keep the few connections of its own for the silent ones, until the server ends their transactions.
    let network = Network::to(database.direct()).await;
    let store = network.store(&Clock::system(), 16, &limited(2));
    let callers = Callers::start(&store, 32);
    callers.go_on_for(500).await;
    let before = network.opened();
    network.silence_present();
    let silenced = Instant::now();
    sleep(LIMIT * 2).await;
    callers.go_on_for(500).await;
    let failed = callers.stop().await;
    assert!(before >= 4, "only {before} connections were in use");
    assert!(!failed.is_empty() && failed.len() <= 64, "{} calls failed", failed.len());
    let last = *failed.iter().max().unwrap() - silenced;
    // A call that was given up at the limit may have waited in the queue of a lane, and been read with a silent connection again.
    assert!(last < LIMIT * 2 + Duration::from_millis(500), "calls failed for {last:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2, crate = "crate::support::limit")]
async fn idle_silent_connections_cost_one_call_and_no_more() {
    let Some(database) = TestDatabase::migrated_postgres().await else { return };
    drop(database.open(&Clock::system()).await);
    let network = Network::to(database.url()).await;
    let store = network.store(&Clock::system(), 16, &limited(1));
    let callers = Callers::start(&store, 16);
    callers.go_on_for(200).await;
    callers.stop().await;
    network.silence_present();
    let mut failed = 0;
    for _ in 0..40 {
        let read = timeout(LIMIT, store.primary().get_invitation(&reach(), made_by_nobody(), false)).await;
        failed += usize::from(!read.is_ok_and(|read| read.is_ok()));
    }
    assert!(failed <= 2, "{failed} of 40 calls met a silent connection, one after another");
}

fn made_by_nobody() -> invitation_service::domain::value::id::InvitationId {
    invitation_service::domain::value::id::InvitationId(Uuid::from_u128(1))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2, crate = "crate::support::limit")]
async fn read_only_sessions_are_closed_and_are_not_ready() {
    let Some(database) = TestDatabase::migrated_postgres().await else { return };
    let clock = Clock::manual(NEW_YEAR);
    let opened = database.open(&clock).await;
    let maintenance = opened.maintenance();
    let store = Store::start(opened, &limited(1));
    let callers = Callers::start(&store, 8);
    callers.go_on_for(100).await;
    callers.stop().await;
    // The operator's own sessions have to take writes.
    let (server, name) = database.direct().rsplit_once('/').unwrap();
    let admin = sea_orm::Database::connect(format!("{server}/postgres")).await.unwrap();
    let end = format!("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = '{name}'");
    for round in 0..3 {
        assert!(maintenance.is_ready().await.unwrap(), "round {round}");
        // New sessions take no writes from now on; those of the service end.
        admin
            .execute_unprepared(&format!("ALTER DATABASE {name} SET default_transaction_read_only = on"))
            .await
            .unwrap();
        assert!(number(&admin, &end).await > 0);
        let refused = async { while maintenance.is_ready().await.is_ok_and(|ready| ready) {} };
        timeout(Duration::from_secs(5), refused).await.expect("it is not ready");
        let text = maintenance.is_ready().await.unwrap_err().to_string();
        assert!(text.contains("takes no writes"), "{text}");
        let answer = store.executor().execute(command(create(link())), None).await.unwrap_err();
        assert_eq!(answer, ExecuteError::Unavailable);
        // Reads go on, by sessions that take no writes.
        for _ in 0..20 {
            store.primary().get_invitation(&reach(), made_by_nobody(), false).await.unwrap();
        }
        admin.execute_unprepared(&format!("ALTER DATABASE {name} RESET default_transaction_read_only")).await.unwrap();
        if pooler::is_pooled() {
            // The operator of a pooler has it connect anew, too.
            number(&admin, &end).await;
        }
        let recovered = async { while !maintenance.is_ready().await.is_ok_and(|ready| ready) {} };
        timeout(Duration::from_secs(5), recovered).await.expect("it is ready");
        for answer in all_at_once((0..50).map(|_| (store.clone(), command(create(link()))))).await {
            answer.expect("no session that takes no writes is left");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2, crate = "crate::support::limit")]
async fn locked_invitation_stalls_only_its_own_commands() {
    let Some(database) = TestDatabase::migrated_postgres().await else { return };
    let store = store_with(&database, &Clock::system(), &limited(2)).await;
    let locked = created(&store, link()).await;
    let callers = Callers::start(&store, 16);
    callers.go_on_for(200).await;
    let span = Duration::from_secs(2);
    let before = callers.answered_in(span).await;
    let admin = database.connect().await;
    let lock = admin.begin().await.unwrap();
    let sql = format!("SELECT 1 FROM invitation WHERE id = '{}' FOR UPDATE", locked.id.0);
    lock.execute_unprepared(&sql).await.unwrap();
    let mut waiting = JoinSet::new();
    for n in 0..10 {
        let accept = command(accept(&locked, &format!("person {n}")));
        let (store, pause) = (store.clone(), Duration::from_millis(150 * n));
        waiting.spawn(async move {
            sleep(pause).await;
            store.executor().execute(accept, None).await
        });
    }
    let beside = callers.answered_in(span).await;
    lock.rollback().await.unwrap();
    let answers = waiting.join_all().await;
    // Other work of the machine begins and ends, so the slower of the spans around the lock is the one to compare with. A lane that
    // waits for the lock answers a tenth of it.
    let free = callers.answered_in(span).await.min(before);
    let failed = callers.stop().await;
    assert_eq!(failed.len(), 0, "others met no lock");
    assert!(beside * 4 >= free, "{beside} calls beside the lock, {free} without it");
    let is_unavailable = |answer: &Answer| matches!(answer, Err(ExecuteError::Unavailable));
    assert!(answers.iter().any(is_unavailable), "{answers:?}");
    assert!(answers.iter().any(Result::is_ok), "those that came late enough outlasted the lock: {answers:?}");
    store.executor().execute(command(accept(&locked, "late")), None).await.expect("nothing is left of it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2, crate = "crate::support::limit")]
async fn commands_that_wait_for_a_lock_keep_their_order() {
    let Some(database) = TestDatabase::migrated_postgres().await else { return };
    let store = store_with(&database, &Clock::system(), &options(Group::run)).await;
    let locked = created(&store, link()).await;
    let admin = database.connect().await;
    let lock = admin.begin().await.unwrap();
    let sql = format!("SELECT 1 FROM invitation WHERE id = '{}' FOR UPDATE", locked.id.0);
    lock.execute_unprepared(&sql).await.unwrap();
    let calls = [accept(&locked, "ann"), accept(&locked, "bob"), revoke(&locked), accept(&locked, "cleo")];
    let mut waiting = Vec::new();
    for action in calls {
        let store = store.clone();
        waiting.push(tokio::spawn(async move { store.executor().execute(command(action), None).await }));
        // Longer than a lane waits for a lock, so that some meet it in the lane and some find others waiting.
        sleep(Duration::from_millis(200)).await;
    }
    created(&store, link()).await;
    lock.rollback().await.unwrap();
    let mut answers = Vec::new();
    for call in waiting {
        answers.push(call.await.unwrap().is_ok());
    }
    assert_eq!(answers, [true, true, true, false]);
    assert_eq!(story(&store, locked.id).await, ["created", "accepted", "accepted", "revoked"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2, crate = "crate::support::limit")]
async fn locks_of_a_silent_process_are_taken_away() {
    let Some(database) = TestDatabase::migrated_postgres().await else { return };
    let beside = store_with(&database, &Clock::system(), &limited(1)).await;
    let made = created(&beside, link()).await;
    let network = Network::to(database.url()).await;
    let silent = network.store(&Clock::system(), 4, &limited(1));
    let admin = database.connect().await;
    let new = || {
        let seed = IdSeed::new(NEW_YEAR, Entropy::system().bytes());
        requested(&verification(&made, seed.nth(1)), &seed.nth(2).to_string(), &seed.nth(3).to_string())
    };
    beside.request_verification(&made, &new()).await.unwrap().unwrap();
    let lock = admin.begin().await.unwrap();
    lock.execute_unprepared("SELECT 1 FROM verification_budget FOR UPDATE").await.unwrap();
    // Its process falls silent while it waits for the lock, gets the lock, and never says another word.
    let call = tokio::spawn({
        let (silent, made, new) = (silent.clone(), Arc::clone(&made), new());
        async move { timeout(Duration::from_secs(30), silent.request_verification(&made, &new)).await }
    });
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";
    until(&admin, waits, |waiting| waiting == 1).await;
    network.silence_present();
    lock.rollback().await.unwrap();
    let freed = Instant::now();
    let asked = async { while !matches!(beside.request_verification(&made, &new()).await, Ok(Ok(_))) {} };
    timeout(Duration::from_secs(10), asked).await.expect("the lock is free again");
    assert!(freed.elapsed() < paced(Duration::from_secs(8)), "{:?}", freed.elapsed());
    let given_up = call.await.unwrap().expect("the silent process gives up by itself");
    assert!(matches!(given_up, Err(StoreError::Slow)), "{given_up:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2, crate = "crate::support::limit")]
async fn slow_lists_leave_connections_to_other_calls() {
    let Some(database) = TestDatabase::migrated_postgres().await else { return };
    drop(database.open(&Clock::system()).await);
    let network = Network::to(database.url()).await;
    let store = network.store(&Clock::system(), 4, &limited(1));
    let made = created(&store, link()).await;
    let admin = database.connect().await;
    let schema = read_schema();
    let slow = format!(
        "ALTER TABLE {schema}.acceptance RENAME TO accepted;
        CREATE VIEW {schema}.acceptance AS SELECT a.* FROM {schema}.accepted a, (SELECT pg_sleep(30)) s;
        GRANT SELECT ON {schema}.acceptance TO public"
    );
    store.executor().execute(command(accept(&made, "ann")), None).await.unwrap();
    admin.execute_unprepared(&slow).await.unwrap();
    let stop = Arc::<AtomicBool>::default();
    let mut lists = JoinSet::new();
    for _ in 0..8 {
        let (store, stop, invitation) = (store.clone(), Arc::clone(&stop), made.id);
        lists.spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                let query = AcceptanceQuery::of(invitation, 10);
                let list =
                    timeout(Duration::from_millis(500), store.primary().list_acceptances(&reach(), &query)).await;
                assert!(!list.is_ok_and(|list| list.is_ok()), "the list is slow");
            }
        });
    }
    let asleep = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state = 'active'
        AND wait_event = 'PgSleep'";
    until(&admin, asleep, |lists| lists >= 2).await;
    let mut longest = Duration::ZERO;
    for _ in 0..100 {
        let asked = Instant::now();
        store.primary().get_invitation(&reach(), made.id, false).await.unwrap().unwrap();
        created(&store, link()).await;
        longest = longest.max(asked.elapsed());
    }
    assert!(longest < Duration::from_millis(400), "a call waited {longest:?} for lists");
    stop.store(true, Ordering::Relaxed);
    lists.join_all().await;
    // Soon after nobody waits for them any more the server works on none of them.
    let stopped = Instant::now();
    until(&admin, asleep, |lists| lists == 0).await;
    assert!(stopped.elapsed() < paced(Duration::from_secs(4)), "{:?}", stopped.elapsed());
}

async fn old_rows_are_deleted_in_turn(database: TestDatabase) {
    let (store, clock) = store(&database).await;
    for n in 0..3 {
        store.executor().execute(retryable("Create", &format!("old {n}"), 1, create(link())), None).await.unwrap();
    }
    clock.advance(Duration::from_secs(48 * 3_600 + 1));
    let (first, second, off) = (Uuid::from_u128(1), Uuid::from_u128(2), Retention::default());
    let rows = |pruned: Option<Pruned>| pruned.map(|pruned| pruned.rows);
    if database.url().starts_with("postgres") {
        let admin = database.connect().await;
        let lock = admin.begin().await.unwrap();
        let sql = "SELECT 1 FROM request WHERE request_id = 'old 1' FOR UPDATE";
        assert_eq!(lock.execute_unprepared(sql).await.unwrap().rows_affected(), 1);
        let pruned = timeout(Duration::from_secs(2), store.prune_in_turn(first, &off)).await;
        assert_eq!(rows(pruned.expect("a locked row is stepped over").unwrap()), Some(2));
        lock.rollback().await.unwrap();
    } else {
        assert_eq!(rows(store.prune_in_turn(first, &off).await.unwrap()), Some(3));
    }
    assert_eq!(store.prune_in_turn(second, &off).await.unwrap(), None, "another replica is at it");
    assert_eq!(store.prune_in_turn(first, &off).await.unwrap(), None, "it has just been done");
    clock.advance(Duration::from_secs(660));
    assert!(store.prune_in_turn(second, &off).await.unwrap().is_some());
    let again = store.executor().execute(retryable("Create", "old 1", 2, create(link())), None).await;
    again.expect("what was deleted can be used anew");
}
