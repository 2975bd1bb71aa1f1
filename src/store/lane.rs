//! One lane of the executor: load, decide, save, answer, one group after another.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use sea_orm::{ConnectionTrait, DbBackend, SqliteTransactionMode, Statement, TransactionOptions, TransactionTrait};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

use super::database::Database;
use super::error::StoreError;
use super::executor::{ExecuteError, ExecutorOptions};
use super::growth::Growth;
use super::load::{load, load_sql};
use super::outcome::saved;
use super::save::{create, save};
use super::save_sql::SaveSql;
use crate::domain::command::{Action, Command};
use crate::domain::group::{Executed, Group, Save};
use crate::domain::id::InvitationId;
use crate::domain::loaded::Loaded;
use crate::domain::time::Timestamp;
use crate::entropy::Entropy;
use crate::panic::caught;

/// The most rows a group may write, so that one group does not hold its locks for long.
const MAX_ROWS: usize = 5_000;
/// How often a group is decided again on what it then finds, before it locks first and loads then.
const OPTIMISTIC: usize = 2;
/// How often in all.
const ATTEMPTS: usize = 6;

/// A command that waits, and who waits for it.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) command: Command,
    pub(super) deadline: Option<Instant>,
    pub(super) reply: oneshot::Sender<Result<Executed, ExecuteError>>,
}

type Answer = Result<Executed, ExecuteError>;

/// A save that was sent, and what its commands are to be told if it has taken effect.
struct Sent {
    answers: Vec<Answer>,
    save: Save,
}

impl Sent {
    /// Answers the commands that `saved` bears out and returns the others. Only new invitations can be left out of a save;
    /// if any was, what was refused may have rested on it.
    fn settle(self, group: Vec<Job>, saved: &BTreeSet<InvitationId>) -> Vec<Job> {
        let complete = self.save.created.keys().all(|id| saved.contains(id));
        let mut others = Vec::new();
        for (job, result) in group.into_iter().zip(self.answers) {
            if complete || result.as_ref().is_ok_and(|executed| saved.contains(&executed.invitation.id)) {
                answer(job, result);
            } else {
                others.push(job);
            }
        }
        others
    }
}

/// Runs groups of commands on one database.
pub(super) struct Lane {
    database: Database,
    options: ExecutorOptions,
    entropy: Entropy,
    growth: Growth,
    load_sql: String,
    save_sql: SaveSql,
    /// When the present group has to have its answer.
    until: Instant,
    /// Whether the last group found that the database does not answer.
    is_down: bool,
    /// How far the database's clock is ahead of the process's, in microseconds, as the last load showed.
    offset: i64,
}

impl Lane {
    pub(super) fn new(database: Database, options: ExecutorOptions, entropy: Entropy, growth: Growth) -> Self {
        let backend = database.backend();
        Self {
            database,
            options,
            entropy,
            growth,
            load_sql: load_sql(backend),
            save_sql: SaveSql::new(backend),
            until: Instant::now(),
            is_down: false,
            offset: 0,
        }
    }

    /// Gives what is run next its time. All attempts share it, so that a caller is answered in time whatever happens.
    fn begin(&mut self) {
        self.until = Instant::now() + self.options.timeout;
        self.is_down = false;
    }

    /// Runs until every sender is gone and the queue is empty.
    pub(super) async fn run(mut self, mut queue: mpsc::Receiver<Job>) {
        while let Some(first) = queue.recv().await {
            let mut rows = first.command.weight();
            let mut group = vec![first];
            while rows < MAX_ROWS
                && let Ok(job) = queue.try_recv()
            {
                rows += job.command.weight();
                group.push(job);
            }
            let commands = group.len();
            // Its callers are told UNAVAILABLE, since nobody knows how far it came; the lane goes on with the next group.
            if caught(self.run_group(group)).await.is_none() {
                self.defect(&"a group panicked");
            }
            self.growth.count(commands);
            if self.is_down {
                // Whoever queued up behind a database that does not answer has waited long enough.
                while let Ok(job) = queue.try_recv() {
                    answer(job, Err(ExecuteError::Unavailable));
                }
            }
        }
    }

    async fn run_group(&mut self, group: Vec<Job>) {
        let now = Instant::now();
        self.begin();
        let (late, mut group): (Vec<_>, Vec<_>) =
            group.into_iter().partition(|job| job.deadline.is_some_and(|deadline| deadline <= now));
        for job in late {
            answer(job, Err(ExecuteError::DeadlineExceeded));
        }
        let only_creates = group.iter().all(|job| matches!(job.command.action, Action::Create(_)));
        let mut sent = None;
        if only_creates && self.database.backend() == DbBackend::Postgres {
            (group, sent) = self.create_unseen(group).await;
        }
        if !group.is_empty() {
            self.run_loaded(group, sent).await;
        }
    }

    /// Makes new invitations in one round trip, without a load. Returns the jobs that have to be decided on one, and what
    /// was sent for them if nobody knows what has become of it.
    async fn create_unseen(&mut self, group: Vec<Job>) -> (Vec<Job>, Option<Sent>) {
        let SaveSql::Postgres { create: sql, .. } = &self.save_sql else { return (group, None) };
        let now = self.database.clock.in_place_of_the_database();
        let now = now.unwrap_or_else(|| Timestamp::from_micros(self.database.clock.now().micros() + self.offset));
        let mut decided = Group::new(Loaded::empty(now));
        let answers = self.decide(&mut decided, &group);
        let sent = Sent { answers, save: decided.into_save() };
        match self.in_time(create(&self.database.write, sql, &sent.save)).await {
            Ok(made) => (sent.settle(group, &made), None),
            Err(StoreError::Unavailable(_)) => (group, Some(sent)),
            Err(error) => {
                tracing::debug!(%error, "new invitations are decided again on a load");
                (group, None)
            }
        }
    }

    /// Runs a group on a load, again and again while others get in the way. What was `sent` before may have been saved.
    async fn run_loaded(&mut self, mut group: Vec<Job>, mut sent: Option<Sent>) {
        let mut last = StoreError::Conflict;
        for attempt in 0..ATTEMPTS {
            if let Some(unknown) = sent.take() {
                match self.in_time(saved(&self.database.write, &unknown.save)).await {
                    // It may still take effect. Then what is sent next conflicts with it, and it is looked for again.
                    Ok(saved) if saved.is_empty() => sent = Some(unknown),
                    Ok(saved) => {
                        group = unknown.settle(group, &saved);
                        if group.is_empty() {
                            return;
                        }
                    }
                    Err(error) => {
                        last = error;
                        break;
                    }
                }
            }
            let (decided, answers, result) = self.attempt(&group, attempt >= OPTIMISTIC).await;
            match result {
                Ok(()) => return answer_all(group, answers),
                Err(error @ StoreError::Conflict) => last = error,
                Err(error @ StoreError::Unavailable(_)) => {
                    last = error;
                    // Nothing was sent yet: there is nothing to find out, and no point in trying on.
                    let Some(save) = decided else { break };
                    sent = Some(Sent { answers, save });
                }
                Err(error) => return self.give_up_or_split(group, &error).await,
            }
        }
        self.fail(group, &last);
    }

    /// Loads, decides and saves once. Returns what was decided, unless it did not come to that.
    async fn attempt(&mut self, group: &[Job], locked: bool) -> (Option<Save>, Vec<Answer>, Result<(), StoreError>) {
        let mut decided = None;
        let mut answers = Vec::new();
        let result = match timeout_at(self.until, self.transact(group, locked, &mut decided, &mut answers)).await {
            Ok(result) => result,
            Err(_) => Err(StoreError::Unavailable("no answer in time".to_owned())),
        };
        (decided, answers, result)
    }

    async fn transact(
        &mut self,
        group: &[Job],
        locked: bool,
        decided: &mut Option<Save>,
        answers: &mut Vec<Answer>,
    ) -> Result<(), StoreError> {
        let db = self.database.write.clone();
        if !locked && self.database.backend() == DbBackend::Postgres {
            return self.load_decide_save(&db, group, decided, answers).await;
        }
        let options = TransactionOptions {
            sqlite_transaction_mode: (!self.is_postgres()).then_some(SqliteTransactionMode::Immediate),
            ..TransactionOptions::default()
        };
        let transaction = db.begin_with_options(options).await?;
        if self.is_postgres() {
            lock(&transaction, group).await?;
        }
        self.load_decide_save(&transaction, group, decided, answers).await?;
        transaction.commit().await?;
        Ok(())
    }

    fn is_postgres(&self) -> bool {
        self.database.backend() == DbBackend::Postgres
    }

    async fn load_decide_save<C: ConnectionTrait>(
        &mut self,
        db: &C,
        group: &[Job],
        decided: &mut Option<Save>,
        answers: &mut Vec<Answer>,
    ) -> Result<(), StoreError> {
        let clock = self.clock();
        let loaded = load(db, &self.load_sql, group.iter().map(|job| &job.command), clock).await?;
        self.offset = loaded.now.micros() - self.database.clock.now().micros();
        let mut state = Group::new(loaded);
        *answers = self.decide(&mut state, group);
        let changes = state.into_save();
        if changes.is_empty() {
            return Ok(());
        }
        save(db, &self.save_sql, decided.insert(changes), clock).await
    }

    /// Returns the moment that takes the place of the database's clock: none on PostgreSQL but for tests.
    fn clock(&self) -> Option<Timestamp> {
        let clock = &self.database.clock;
        if self.is_postgres() { clock.in_place_of_the_database() } else { Some(clock.now()) }
    }

    fn decide(&self, state: &mut Group, group: &[Job]) -> Vec<Answer> {
        let decide = |job: &Job| {
            // A defect in one command must not take its neighbours, or the lane, with it. Deciding changes nothing
            // before it has succeeded, so what a panic leaves behind is whole.
            let result =
                catch_unwind(AssertUnwindSafe(|| (self.options.decide)(state, &job.command, &self.options.context)));
            match result {
                Ok(result) => result.map_err(ExecuteError::Refused),
                Err(_) => Err(self.defect(&"a decision panicked")),
            }
        };
        group.iter().map(decide).collect()
    }

    async fn in_time<T>(&self, step: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        let late = |_| StoreError::Unavailable("no answer in time".to_owned());
        timeout_at(self.until, step).await.map_err(late)?
    }

    /// A group that the database refuses is run one by one, so that only the command that causes it fails.
    async fn give_up_or_split(&mut self, group: Vec<Job>, error: &StoreError) {
        if group.len() == 1 {
            return self.fail(group, error);
        }
        tracing::warn!(%error, commands = group.len(), "a group is run one by one");
        for job in group {
            self.begin();
            Box::pin(self.run_loaded(vec![job], None)).await;
        }
    }

    fn fail(&mut self, group: Vec<Job>, error: &StoreError) {
        let failure = match error {
            StoreError::Conflict => ExecuteError::Conflict,
            StoreError::Unavailable(_) => {
                self.is_down = true;
                ExecuteError::Unavailable
            }
            StoreError::Refused(_) | StoreError::Corrupt { .. } => self.defect(error),
        };
        for job in group {
            answer(job, Err(failure.clone()));
        }
    }

    /// Logs a defect under an id that its caller is told.
    fn defect(&self, error: &dyn std::fmt::Display) -> ExecuteError {
        let id = Uuid::from_bytes(self.entropy.bytes()).simple().to_string();
        tracing::error!(error_id = %id, %error, "a command failed");
        ExecuteError::Internal(id)
    }
}

/// Locks the invitations of a group, in the order of their ids, so that what is loaded next stays as it is.
async fn lock<C: ConnectionTrait>(db: &C, group: &[Job]) -> Result<(), StoreError> {
    let ids: Vec<Uuid> = group.iter().filter_map(|job| job.command.invitation()).map(|id| id.0).collect();
    let accounts: Vec<String> = group.iter().map(|job| job.command.account.as_str().to_owned()).collect();
    let sql = "SELECT 1 FROM invitation WHERE account_id = ANY($1) AND id = ANY($2) ORDER BY id FOR UPDATE";
    db.query_all_raw(Statement::from_sql_and_values(DbBackend::Postgres, sql, [accounts.into(), ids.into()])).await?;
    Ok(())
}

fn answer_all(group: Vec<Job>, answers: Vec<Answer>) {
    for (job, result) in group.into_iter().zip(answers) {
        answer(job, result);
    }
}

/// Whoever no longer waits is not told.
fn answer(job: Job, result: Answer) {
    drop(job.reply.send(result));
}
