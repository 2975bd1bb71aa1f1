//! A database with its stores, the model beside it, and the steps of a history.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use invitation_service::clock::Clock;
use invitation_service::domain::command::Command;
use invitation_service::domain::decide::Context;
use invitation_service::domain::delivery::notice::Notices;
use invitation_service::domain::delivery::reminder::{Schedule, Schedules};
use invitation_service::domain::group::{Executed, Save};
use invitation_service::domain::invitation::refusal::Refusal;
use invitation_service::domain::kind::Kind;
use invitation_service::domain::quota::Quotas;
use invitation_service::domain::secret::key_ring::KeyRing;
use invitation_service::domain::suppression::SuppressionRule;
use invitation_service::domain::value::text::AccountId;
use invitation_service::store::{BatchMode, ClaimedMessage, Database, ExecuteError, ExecutorOptions, Follower, Store};
use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend};
use uuid::Uuid;

use super::commands::{Chooser, Lease, accounts, probe};
use super::faults::Fault;
use super::model::Model;
use super::random::Random;
use super::rows::Rows;
use super::{faults, rows};
use crate::support::build::commands::options;
use crate::support::database::{NEW_YEAR, TestDatabase};
use crate::support::proxy::Proxy;
use crate::support::{gate, postgres};

/// The number of steps that pass before all rows are compared, if nothing goes wrong before.
const WHOLE: usize = 12;

/// Everything a history works on.
pub(super) struct World {
    pub(super) model: Model,
    pub(super) random: Random,
    pub(super) clock: Clock,
    pub(super) stores: Vec<Store>,
    /// A connection past the service.
    pub(super) control: DatabaseConnection,
    pub(super) leases: Vec<Lease>,
    pub(super) told: Told,
    pub(super) cursors: [i64; 2],
    pub(super) claimed_posts: Vec<ClaimedMessage>,
    database: TestDatabase,
    proxy: Option<(Proxy, String)>,
    pub(super) context: Context,
    pub(super) sent: Vec<Command>,
    steps: usize,
}

/// The last steps, which are printed if a check fails.
pub(super) struct Told {
    seed: u64,
    backend: DbBackend,
    last: VecDeque<String>,
}

impl Told {
    pub(super) fn note(&mut self, what: impl Into<String>) {
        if self.last.len() == 12 {
            self.last.pop_front();
        }
        self.last.push_back(what.into());
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let Self { seed, backend, last } = self;
            eprintln!("the history that failed on {backend:?}, to be run again with LAB_SEED={seed} ; its last steps:");
            last.iter().for_each(|step| eprintln!("  {step}"));
        }
    }
}

fn context() -> Context {
    let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
    let schedule = Schedule { after: vec![minutes(1)], before_expiry: vec![minutes(2)] };
    let reminders = Schedules::from_fn(|kind| match kind {
        Kind::Connection | Kind::User => schedule.clone(),
        Kind::Guest | Kind::General => Schedule::NONE,
    });
    let ring = KeyRing::parse(&KeyRing::format_key(7, [7; 32])).unwrap();
    let quotas = Quotas { suppressions: Some(SuppressionRule { ring }), ..Quotas::NONE };
    let notices = Notices { accepted: true, declined: true, failed: true, expired: true };
    Context { signing_key: 7, reminders, notices, quotas }
}

impl World {
    /// One store on SQLite, two on PostgreSQL.
    pub(super) async fn new(database: TestDatabase, seed: u64) -> Self {
        let clock = Clock::manual(NEW_YEAR);
        database.open(&clock).await.close().await;
        let control = database.connect().await;
        faults::install(&control).await;
        let backend = control.get_database_backend();
        let proxy = if backend == DbBackend::Postgres { Some(Proxy::before(&database).await) } else { None };
        let told = Told { seed, backend, last: VecDeque::new() };
        let mut world = Self {
            model: Model::default(),
            random: Random::new(seed),
            clock,
            stores: Vec::new(),
            control,
            leases: Vec::new(),
            told,
            cursors: [0; 2],
            claimed_posts: Vec::new(),
            database,
            proxy,
            context: context(),
            sent: Vec::new(),
            steps: 0,
        };
        let stores = if world.is_postgres() { 2 } else { 1 };
        for _ in 0..stores {
            let store = world.open().await;
            world.stores.push(store);
        }
        world.begin_to_seat().await;
        world
    }

    pub(super) fn is_postgres(&self) -> bool {
        self.proxy.is_some()
    }

    async fn open(&self) -> Store {
        let timeout = Duration::from_secs(10);
        let clock = self.clock.clone();
        let database = match &self.proxy {
            Some((_, url)) => Database::postgres(&postgres::options(url, Some(url), 6, timeout), clock).unwrap(),
            // The lock on the file is free as soon as the lane of the store before has ended.
            None => {
                let path = std::path::PathBuf::from(self.database.url().trim_start_matches("sqlite://"));
                loop {
                    match Database::sqlite(&path, 3, timeout, clock.clone()).await {
                        Ok(database) => break database,
                        Err(invitation_service::store::OpenError::InUse(_)) => tokio::task::yield_now().await,
                        Err(error) => panic!("the database does not open again: {error}"),
                    }
                }
            }
        };
        let decide = gate::decide;
        Store::start(database, &ExecutorOptions { timeout, context: self.context.clone(), ..options(decide) })
    }

    pub(super) fn store(&mut self) -> Store {
        self.random.pick(&self.stores)
    }

    /// Does one random thing, in one of ten cases with a fault, and checks what has come of it.
    pub(super) async fn step(&mut self) {
        self.steps += 1;
        let fault = self.random.chance(15).then(|| Fault::random(&mut self.random, self.told.backend));
        if fault.is_some() {
            self.told.note(format!("fault {fault:?}"));
        }
        match self.random.below(100) {
            0..38 => self.call(fault.as_ref()).await,
            38..46 => self.webhooks(fault.as_ref()).await,
            46..54 => self.several(fault.as_ref()).await,
            54..59 if self.is_postgres() => self.race().await,
            59..60 if self.is_postgres() => self.late_settle().await,
            60..67 => self.sequence(fault.as_ref()).await,
            67..70 => self.follow().await,
            70..77 => self.claim(fault.as_ref()).await,
            77..83 => self.give_back(fault.as_ref()).await,
            83..85 => self.plan(fault.as_ref()).await,
            85..86 => self.replay().await,
            86..89 => self.expire(fault.as_ref()).await,
            89..90 => self.restart().await,
            90..93 => self.lift(fault.as_ref()).await,
            93..96 => self.seats(fault.as_ref()).await,
            _ => {
                let seconds = self.random.pick(&[0, 1, 31, 61, 301]);
                self.told.note(format!("{seconds} s pass"));
                self.clock.advance(Duration::from_millis(1 + 1_000 * seconds));
            }
        }
        self.model.check(self.clock.now());
        if self.steps.is_multiple_of(WHOLE) {
            self.compare().await;
        }
    }

    /// All rows are as the model says.
    pub(super) async fn compare(&mut self) {
        let (should, is) = (self.model.rows(), rows::read(&self.control).await);
        assert!(should == is, "the database is not what was answered:\n{}", rows::difference(&should, &is));
    }

    /// Every event is seen once and in order, whatever happened, by whoever followed from the beginning.
    pub(super) async fn finish(mut self) {
        self.sequence(None).await;
        while self.cursors.iter().any(|cursor| *cursor < self.model.position) {
            self.follow().await;
        }
        self.compare().await;
        self.compare_lists().await;
        for store in std::mem::take(&mut self.stores) {
            store.close().await;
        }
    }

    pub(super) fn chooser(&mut self) -> Chooser<'_> {
        Chooser { random: &mut self.random, model: &self.model, leases: &self.leases, now: self.clock.now() }
    }

    /// Runs something while a fault is on, and returns when nothing of it can take effect any more; `None` if its caller
    /// went away.
    pub(super) async fn under<T>(&mut self, fault: Option<&Fault>, work: impl Future<Output = T>) -> Option<T> {
        let Some(fault) = fault else { return Some(work.await) };
        let result = match fault {
            Fault::Leave(polls) => polled(work, *polls).await,
            Fault::Row { place, how, times } => {
                faults::arm(&self.control, place, how, *times).await;
                let result = work.await;
                faults::disarm(&self.control).await;
                Some(result)
            }
            Fault::Cut(cut, passes) => {
                let Some((proxy, _)) = &self.proxy else { return Some(work.await) };
                drop(proxy.cut_later(*cut, "", *passes));
                let result = work.await;
                proxy.disarm();
                Some(result)
            }
            Fault::Busy => {
                let writer = self.database.connect().await;
                let transaction = sea_orm::TransactionTrait::begin(&writer).await.unwrap();
                transaction.execute_unprepared("DELETE FROM lab_fault").await.unwrap();
                let result = work.await;
                transaction.rollback().await.unwrap();
                Some(result)
            }
        };
        self.settle_down().await;
        result
    }

    /// Waits until what was begun is over. The stores must then work again.
    ///
    /// Each account is asked: one that rests has commands which run after a later command of another.
    async fn settle_down(&mut self) {
        for store in self.stores.clone() {
            for account in accounts() {
                self.settle_account(&store, &account).await;
            }
            // Writes that are no commands use the same connection, one after another.
            store.release(Follower::Nats, Uuid::nil()).await.unwrap();
        }
        if self.is_postgres() {
            faults::until_idle(&self.control).await;
        }
    }

    /// Waits for the commands of an account that are before a new one in a store.
    async fn settle_account(&self, store: &Store, account: &AccountId) {
        for tries in 0.. {
            let answer = store.executor().execute(probe(account, self.clock.now()), None).await;
            if matches!(answer, Err(ExecuteError::Refused(_))) {
                return;
            }
            let read = store.last_position().await;
            assert!(tries < 20, "the store does not work again after the fault: {answer:?}, {read:?}");
            tokio::task::yield_now().await;
        }
    }

    /// Decides commands on the model, each for itself.
    pub(super) fn run(&self, commands: &[Command]) -> (Vec<Result<Executed, Refusal>>, Save) {
        self.model.run(commands, BatchMode::Independent, &self.context, self.clock.now())
    }

    /// Of some models the one whose rows the database holds.
    pub(super) async fn one_of(&mut self, models: Vec<Model>) {
        let is: Rows = rows::read(&self.control).await;
        let found = models.iter().position(|model| model.rows() == is);
        let Some(found) = found else {
            panic!("something between all and nothing:\n{}", rows::difference(&models[0].rows(), &is))
        };
        self.model = models.into_iter().nth(found).unwrap();
    }

    /// A store ends, in good order or at once, and another takes its place.
    async fn restart(&mut self) {
        let index = self.random.below(self.stores.len());
        let store = self.stores.remove(index);
        let orderly = self.random.chance(50);
        self.told.note(format!("restart, in good order: {orderly}"));
        if orderly {
            store.close().await;
        } else {
            drop(store);
        }
        let store = self.open().await;
        self.stores.insert(index, store);
        self.compare().await;
    }
}

/// Polls a future so many times and then drops it.
async fn polled<T>(future: impl Future<Output = T>, polls: usize) -> Option<T> {
    let (mut future, mut left) = (pin!(future), polls);
    poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(result) => Poll::Ready(Some(result)),
        Poll::Pending if left == 0 => Poll::Ready(None),
        Poll::Pending => {
            left -= 1;
            Poll::Pending
        }
    })
    .await
}
