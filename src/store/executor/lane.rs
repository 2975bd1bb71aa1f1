//! One lane of the executor: load, decide, save, answer, one group after another.

mod locks;
mod trouble;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use futures_util::FutureExt as _;
use sea_orm::{ConnectionTrait, DbBackend};
use tokio::time::{Instant, timeout_at};

use super::analyze::TableAnalyzer;
use super::aside::Aside;
use super::commit_check::committed_invitations;
use super::lane_queue::{LaneQueue, Taken};
use super::load::{LoadPart, load, load_texts};
use super::save::{create, save};
use super::save_sql::SaveSql;
use super::submission::{Answer, Sent, Submission, answer_all};
use super::{ExecuteError, ExecutorOptions};
use crate::domain::command::Command;
use crate::domain::group::loaded::Loaded;
use crate::domain::group::{Group, Save};
use crate::entropy::Entropy;
use crate::store::events::notifications::{Notifications, Topic};
use crate::store::sql::database::Database;
use crate::store::sql::error::StoreError;
use crate::store::sql::texts::StatementTexts;
use crate::telemetry::metrics::count_to_f64;
use crate::telemetry::metrics::table::{GROUP_RETRIES, GROUP_SECONDS, GROUP_SIZE, MAIL_SUPPRESSED, TRANSITIONS};
use crate::telemetry::traces::Span;
use locks::lock;

/// The number of attempts that load without locks; later attempts lock the invitations first.
const UNLOCKED_ATTEMPTS: usize = 2;
/// The number of attempts before a group fails with a conflict.
const MAX_ATTEMPTS: usize = 6;

/// Runs groups of commands on one database.
#[derive(Clone)]
pub(in crate::store) struct Lane {
    database: Database,
    options: ExecutorOptions,
    /// The id of the key that new links are signed with from the next group on.
    signing_key: Arc<AtomicU8>,
    entropy: Entropy,
    table_analyzer: TableAnalyzer,
    notifications: Notifications,
    statements: Arc<Statements>,
    /// The place of submissions that meet a lock; `None` for a lane that runs such a submission and waits for the lock.
    aside: Option<Aside>,
    /// The moment by which the present group has to be answered.
    until: Instant,
    /// The moment at which the present attempt, or the check of its commit, began.
    step: Instant,
    /// Whether the last group found that the database does not answer.
    is_down: bool,
    /// Whether the present group is a submission that shares it with no other.
    is_alone: bool,
    /// The submissions of the present group that need more rows than a shared group is loaded with.
    crowded: Vec<bool>,
    /// The queue that takes back what is to run alone; `None` for a lane that runs nothing else.
    queue: Option<Arc<LaneQueue>>,
}

/// The texts of the statements, which all lanes share: each connection keeps a plan of every text that it meets.
pub(in crate::store) struct Statements {
    load: StatementTexts<LoadPart>,
    save: SaveSql,
}

impl Statements {
    pub(in crate::store) fn new(backend: DbBackend) -> Self {
        Self { load: load_texts(backend), save: SaveSql::new(backend) }
    }
}

impl Lane {
    pub(in crate::store) fn new(
        database: Database,
        options: ExecutorOptions,
        table_analyzer: TableAnalyzer,
        notifications: Notifications,
        aside: Aside,
        statements: Arc<Statements>,
    ) -> Self {
        Self {
            database,
            signing_key: Arc::new(AtomicU8::new(options.context.signing_key)),
            options,
            entropy: Entropy::system(),
            table_analyzer,
            notifications,
            statements,
            aside: Some(aside),
            until: Instant::now(),
            step: Instant::now(),
            is_down: false,
            is_alone: false,
            crowded: Vec::new(),
            queue: None,
        }
    }

    /// Follows another signing key.
    pub(in crate::store) fn signing_with(self, signing_key: Arc<AtomicU8>) -> Self {
        Self { signing_key, ..self }
    }

    /// Sets the time limit of the next group. All attempts share it, so that every caller is answered in time.
    fn begin(&mut self) {
        self.until = Instant::now() + self.options.timeout;
        self.is_down = false;
        self.options.context.signing_key = self.signing_key.load(Ordering::Relaxed);
    }

    /// Runs until the queue is closed and empty.
    pub(in crate::store) async fn run(mut self, queue: Arc<LaneQueue>) {
        self.queue = Some(Arc::clone(&queue));
        while let Some(Taken { submissions: group, is_alone }) = queue.next().await {
            self.is_alone = is_alone;
            let commands: usize = group.iter().map(|submission| submission.commands.len()).sum();
            // The callers get UNAVAILABLE, since it is unknown how far the group came; the lane continues with the next
            // group. The lane is consistent at every await and at every call that can panic.
            let trace = Span::of_group(group.iter().filter_map(|submission| submission.origin.as_ref()));
            trace.set("invitation.group.size", i64::try_from(commands).unwrap_or(i64::MAX));
            if AssertUnwindSafe(trace.around(self.run_group(group))).catch_unwind().await.is_err() {
                self.defect(&"a group panicked");
            }
            self.table_analyzer.count(commands);
            if self.is_down {
                // Commands queued behind a database that does not answer have waited long enough.
                queue.drain().into_iter().for_each(|submission| submission.answer(Err(ExecuteError::Unavailable)));
            }
        }
    }

    async fn run_group(&mut self, group: Vec<Submission>) {
        let now = Instant::now();
        self.begin();
        let (late, mut group): (Vec<_>, Vec<_>) = group.into_iter().partition(|submission| submission.is_late(now));
        late.into_iter().for_each(|submission| submission.answer(Err(ExecuteError::DeadlineExceeded)));
        if let Some(aside) = &self.aside {
            group = aside.join(group);
        }
        GROUP_SIZE.note(count_to_f64(group.iter().map(|submission| submission.commands.len()).sum()), []);
        let mut sent = None;
        let quotas = &self.options.context.quotas;
        if self.is_postgres() && group.iter().all(|submission| submission.needs_no_load(quotas)) {
            (group, sent) = self.create_without_load(group).await;
        }
        if !group.is_empty() {
            self.run_loaded(group, sent).await;
        }
        GROUP_SECONDS.note(now.elapsed().as_secs_f64(), []);
    }

    /// Creates new invitations in one round trip, without a load. Returns the submissions that need a load, and the
    /// save that was sent for them if its result is unknown.
    async fn create_without_load(&mut self, group: Vec<Submission>) -> (Vec<Submission>, Option<Sent>) {
        let statements = Arc::clone(&self.statements);
        let SaveSql::Postgres { create: texts, .. } = &statements.save else { return (group, None) };
        // The database's time is not known well enough; a load returns it.
        let Some(now) = self.database.clock.database_now() else { return (group, None) };
        let mut decided = Group::new(Loaded::empty(now));
        let answers = self.decide(&mut decided, &group);
        let sent = Sent { answers, save: decided.into_save() };
        match self.in_time(create(&self.database.write, texts, &sent.save)).await {
            Ok(created) => {
                self.notify(&sent.save);
                (sent.settle(group, &created), None)
            }
            Err(StoreError::Unavailable(_) | StoreError::Slow) => (group, Some(sent)),
            Err(error) => {
                log_event!(debug, CREATES_RETRIED, %error, "retrying new invitations with a load");
                (group, None)
            }
        }
    }

    /// Runs a group on a load, and repeats it on conflicts. A save that was `sent` before may have taken effect, or may
    /// still do so: until it is found, its submissions are decided again only where their new save would conflict with
    /// it.
    async fn run_loaded(&mut self, mut group: Vec<Submission>, mut sent: Option<Sent>) {
        let mut last = StoreError::Conflict;
        for attempt in 0..MAX_ATTEMPTS {
            if let Some(unknown) = sent.take() {
                self.step = Instant::now();
                match self.in_time(committed_invitations(&self.database.read, &unknown.save)).await {
                    Ok(committed) if committed.is_empty() => sent = Some(unknown),
                    Ok(committed) => {
                        self.notify(&unknown.save);
                        group = unknown.settle(group, &committed);
                        if group.is_empty() {
                            return;
                        }
                    }
                    Err(error @ StoreError::Unavailable(_)) => {
                        (sent, last) = (Some(unknown), error);
                        continue;
                    }
                    Err(error) => return self.fail_unknown(group, &error),
                }
            }
            let (decided, answers, result) = self.attempt(&group, attempt >= UNLOCKED_ATTEMPTS).await;
            match result {
                // Nothing was saved that would conflict with the save that was sent before: the answers hold only if
                // that save is found.
                Ok(()) if decided.is_none() && sent.as_ref().is_some_and(Sent::changes_something) => {
                    last = StoreError::Slow;
                }
                Ok(()) => {
                    decided.iter().for_each(|save| self.notify(save));
                    return answer_all(group, answers);
                }
                Err(error @ StoreError::Conflict) => {
                    GROUP_RETRIES.count(["conflict"]);
                    last = error;
                }
                Err(error @ (StoreError::Unavailable(_) | StoreError::Slow)) => {
                    let is_slow = matches!(error, StoreError::Slow);
                    last = error;
                    match decided {
                        Some(save) => sent = Some(Sent { answers, save }),
                        // Nothing was sent, and the time is over. After a lost connection another attempt is worth it.
                        None if is_slow => break,
                        None => {}
                    }
                    GROUP_RETRIES.count(["unavailable"]);
                }
                Err(error) if sent.is_some() => return self.fail_unknown(group, &error),
                Err(StoreError::Crowded) => {
                    GROUP_RETRIES.count(["crowded"]);
                    group = self.without_crowded(group);
                    if group.is_empty() {
                        return;
                    }
                }
                Err(StoreError::Locked) => return self.step_aside(group).await,
                Err(error) => return self.give_up_or_split(group, &error).await,
            }
        }
        match last {
            StoreError::Conflict if sent.is_none() => self.give_up_or_split(group, &last).await,
            last if sent.is_some() => self.fail_unknown(group, &last),
            last => self.fail(group, &last),
        }
    }

    /// Loads, decides and saves once. Returns the decided save; `None` if there is none.
    async fn attempt(
        &mut self,
        group: &[Submission],
        locked: bool,
    ) -> (Option<Save>, Vec<Vec<Answer>>, Result<(), StoreError>) {
        let mut decided = None;
        let mut answers = Vec::new();
        self.step = Instant::now();
        let result = match timeout_at(self.until, self.transact(group, locked, &mut decided, &mut answers)).await {
            Ok(result) => result,
            Err(_) => Err(StoreError::Slow),
        };
        (decided, answers, result)
    }

    async fn transact(
        &mut self,
        group: &[Submission],
        locked: bool,
        decided: &mut Option<Save>,
        answers: &mut Vec<Vec<Answer>>,
    ) -> Result<(), StoreError> {
        let waits = self.aside.is_none();
        if !locked && !waits && self.is_postgres() {
            let db = self.database.write.clone();
            return self.load_decide_save(&db, group, decided, answers).await;
        }
        let transaction = self.database.begin_write().await?;
        if waits {
            let left = self.until.saturating_duration_since(Instant::now());
            transaction.set_limits(left, left).await?;
        }
        if self.is_postgres() {
            lock(&transaction, group).await?;
        }
        self.load_decide_save(&transaction, group, decided, answers).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Sends the notifications about the rows that a commit has added, and counts its events.
    fn notify(&self, save: &Save) {
        for event in &save.events {
            TRANSITIONS.count([event.kind.code(), event.event_type.into()]);
        }
        MAIL_SUPPRESSED.add(save.quotas.suppressed.len() as u64, []);
        if !save.deliveries.is_empty() {
            self.notifications.notify(Topic::Outbox);
        }
        if !save.events.is_empty() {
            // Each process numbers events, and this one begins at once: the others would look in vain.
            self.notifications.notify_local(Topic::Event);
        }
    }

    fn is_postgres(&self) -> bool {
        self.database.backend() == DbBackend::Postgres
    }

    async fn load_decide_save<C: ConnectionTrait>(
        &mut self,
        db: &C,
        group: &[Submission],
        decided: &mut Option<Save>,
        answers: &mut Vec<Vec<Answer>>,
    ) -> Result<(), StoreError> {
        let clock = self.database.clock();
        let asked = std::time::Instant::now();
        let commands = group.iter().flat_map(|submission| &submission.commands);
        let quotas = &self.options.context.quotas;
        let loaded = load(db, &self.statements.load, commands, !self.is_alone, quotas, clock).await?;
        self.database.learn(loaded.now, asked);
        if !self.is_alone {
            let outgrows = |command: &Command| command.outgrows_shared_group(&loaded);
            let crowded = group.iter().map(|submission| submission.commands.iter().any(outgrows));
            self.crowded = crowded.collect();
            if self.crowded.contains(&true) {
                return Err(StoreError::Crowded);
            }
        }
        let mut state = Group::new(loaded);
        *answers = self.decide(&mut state, group);
        let changes = state.into_save();
        if changes.is_empty() {
            return Ok(());
        }
        save(db, &self.statements.save, decided.insert(changes), clock).await
    }

    fn decide(&self, state: &mut Group, group: &[Submission]) -> Vec<Vec<Answer>> {
        let decide = |state: &mut Group, command: &Command| {
            // A defect in one command must not fail the other commands, or the lane. Deciding changes nothing before it
            // has succeeded, so the state is consistent after a panic.
            let result =
                catch_unwind(AssertUnwindSafe(|| (self.options.decide)(state, command, &self.options.context)));
            match result {
                Ok(result) => result.map_err(ExecuteError::Refused),
                Err(_) => Err(self.defect(&"a decision panicked")),
            }
        };
        group.iter().map(|submission| state.run_batch(&submission.commands, submission.mode, decide)).collect()
    }

    async fn in_time<T>(&self, step: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        timeout_at(self.until, step).await.map_err(|_| StoreError::Slow)?
    }
}
