//! The executor: takes commands from bounded queues and hands them to lanes, which run them in groups.
//!
//! The commands that are waiting when a group has been saved are the next group: no timer, no delay when idle, one
//! commit for many commands.

pub(super) mod analyze;
pub(super) mod aside;
pub(super) mod commit_check;
#[cfg(test)]
pub(super) mod guards;
pub(super) mod lane;
pub(super) mod lane_pace;
pub(super) mod lane_queue;
pub(super) mod load;
pub mod measured;
pub(super) mod save;
pub(super) mod save_sql;
pub(super) mod submission;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use super::events::notifications::Notifications;
use super::sql::database::Database;
use crate::domain::command::Command;
use crate::domain::decide::Context;
use crate::domain::group::{BatchMode, Executed, Group};
use crate::domain::invitation::refusal::{AsRefusal, Refusal};
use analyze::TableAnalyzer;
use aside::Aside;
use lane::{Lane, Statements};
use lane_queue::LaneQueue;
use submission::Submission;

/// Decides one command of a group; [`Group::run`] except in tests that need a decision to fail.
pub type Decide = fn(&mut Group, &Command, &Context) -> Result<Executed, Refusal>;

/// The settings of the executor.
#[derive(Clone, Debug)]
pub struct ExecutorOptions {
    /// The number of groups that may run at the same time; 1 on SQLite, which has one writer.
    pub lanes: usize,
    /// The number of calls that may wait in each lane.
    pub queue: usize,
    /// The time that one statement may take before the database counts as unavailable.
    pub timeout: Duration,
    /// The settings that every decision depends on.
    pub context: Context,
    /// The function that decides commands.
    pub decide: Decide,
}

/// The reason why a command has no result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExecuteError {
    /// A rule of the domain refuses the command; nothing has changed.
    Refused(Refusal),
    /// The queue is full, the service stops, or the database does not answer. In the last case the command may have
    /// taken effect.
    Unavailable,
    /// Other transactions kept changing the same invitation.
    Conflict,
    /// The deadline passed while the command was waiting; nothing has changed.
    DeadlineExceeded,
    /// An internal error, with the id under which it is logged.
    Internal(String),
}

impl AsRefusal for ExecuteError {
    fn as_refusal(&mut self) -> Option<&mut Refusal> {
        match self {
            Self::Refused(refusal) => Some(refusal),
            Self::Unavailable | Self::Conflict | Self::DeadlineExceeded | Self::Internal(_) => None,
        }
    }
}

impl ExecuteError {
    /// Returns whether the state of the invitation is the only reason for the refusal.
    pub fn is_about_state(&self) -> bool {
        matches!(self, Self::Refused(refusal) if refusal.is_about_state())
    }

    /// Returns whether the state of the invitation is the only reason.
    pub fn is_about_invitation(&self) -> bool {
        matches!(self, Self::Refused(refusal) if refusal.is_about_invitation())
    }
}

/// The reason why the commands of a batch have no results.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BatchError {
    /// All commands failed for the same reason.
    Failed(ExecuteError),
    /// Some commands of an atomic batch were refused, so nothing has changed. Holds the refusal of each command; `None`
    /// for a command that was not refused.
    Refused(Vec<Option<ExecuteError>>),
}

/// The queues of the lanes. They are closed when the last sender is dropped.
#[derive(Debug)]
struct Lanes(Vec<Arc<LaneQueue>>);

impl Drop for Lanes {
    fn drop(&mut self) {
        self.0.iter().for_each(|queue| queue.close());
    }
}

/// Runs commands. Clones share the queues; the lanes stop when the last clone is dropped.
#[derive(Clone, Debug)]
pub struct Executor {
    lanes: Arc<Lanes>,
    next: Arc<AtomicUsize>,
    /// The id of the key that new links are signed with.
    signing_key: Arc<AtomicU8>,
    tasks: TaskTracker,
}

impl Executor {
    /// Starts the lanes.
    pub fn start(database: &Database, options: &ExecutorOptions, notifications: &Notifications) -> Self {
        let tasks = TaskTracker::new();
        let lanes = if database.is_embedded() { 1 } else { options.lanes.max(1) };
        let (table_analyzer, all_lanes) = (TableAnalyzer::new(database.clone()), Arc::default());
        let statements = Arc::new(Statements::new(database.backend()));
        let signing_key = Arc::new(AtomicU8::new(options.context.signing_key));
        let lanes = (0..lanes).map(|_| {
            let reminders = options.context.reminders.clone();
            let queue = Arc::new(LaneQueue::new(options.queue, reminders, Arc::clone(&all_lanes)));
            let aside = Aside::new(tasks.clone(), options.queue);
            let (options, notifications, statements) =
                (options.clone(), notifications.clone(), Arc::clone(&statements));
            let lane = Lane::new(database.clone(), options, table_analyzer.clone(), notifications, aside, statements);
            let lane = lane.signing_with(Arc::clone(&signing_key));
            tasks.spawn(lane.run(Arc::clone(&queue)));
            queue
        });
        Self { lanes: Arc::new(Lanes(lanes.collect())), next: Arc::default(), signing_key, tasks }
    }

    /// Signs with another key from the next group of commands on.
    pub(super) fn sign_with(&self, key_id: u8) {
        self.signing_key.store(key_id, Ordering::Relaxed);
    }

    /// Runs one command. A caller that stops waiting for the result does not stop the command.
    pub async fn execute(&self, command: Command, deadline: Option<Instant>) -> Result<Executed, ExecuteError> {
        self.execute_in(BatchMode::Independent, command, deadline).await
    }

    /// Decides one command as [`Executor::execute`] would, and changes nothing.
    pub async fn dry_run(&self, command: Command, deadline: Option<Instant>) -> Result<Executed, ExecuteError> {
        self.execute_in(BatchMode::DryRun, command, deadline).await
    }

    async fn execute_in(
        &self,
        mode: BatchMode,
        command: Command,
        deadline: Option<Instant>,
    ) -> Result<Executed, ExecuteError> {
        let (lane, account) = (self.lane_of(&command), command.account().clone());
        let (submission, answers) = Submission::new(vec![command], mode, deadline);
        // A full queue is answered at once: waiting would only move the queue to where nobody counts it.
        lane.push(&account, vec![submission]).map_err(|_| ExecuteError::Unavailable)?;
        let answer = answers.await.unwrap_or(Err(ExecuteError::Unavailable))?.pop();
        answer.unwrap_or(Err(ExecuteError::Unavailable))
    }

    /// Runs several commands of one caller in their order and returns a result for each of them when all have one. They
    /// run in one group, unless they are independent and too many for one. A full queue counts them as one call.
    pub async fn execute_all(
        &self,
        commands: Vec<Command>,
        mode: BatchMode,
        deadline: Option<Instant>,
    ) -> Result<Vec<Result<Executed, ExecuteError>>, BatchError> {
        let Some(first) = commands.first() else { return Ok(Vec::new()) };
        let (lane, account) = (self.lane_of(first), first.account().clone());
        let submission = |commands| Submission::new(commands, mode, deadline);
        // Independent commands are separate submissions, so that none of them can fail another.
        let (submissions, answers): (Vec<_>, Vec<_>) = match mode {
            BatchMode::Independent => commands.into_iter().map(|command| submission(vec![command])).unzip(),
            BatchMode::Together | BatchMode::Atomic | BatchMode::DryRun => [submission(commands)].into_iter().unzip(),
        };
        lane.push(&account, submissions).map_err(|_| BatchError::Failed(ExecuteError::Unavailable))?;
        let mut results = Vec::new();
        for answers in answers {
            match answers.await.unwrap_or(Err(ExecuteError::Unavailable)) {
                Ok(answers) => results.extend(answers),
                Err(failed) if mode == BatchMode::Independent => results.push(Err(failed)),
                Err(failed) => return Err(BatchError::Failed(failed)),
            }
        }
        if mode == BatchMode::Atomic && results.iter().any(Result::is_err) {
            return Err(BatchError::Refused(results.into_iter().map(Result::err).collect()));
        }
        Ok(results)
    }

    /// Returns the number of commands that wait in the lanes.
    pub(super) fn waiting(&self) -> usize {
        self.lanes.0.iter().map(|queue| queue.waiting()).sum()
    }

    /// Commands about one invitation, or about one slot, go to one lane, which avoids conflicts and keeps their order.
    /// The lanes take the others in turn.
    fn lane_of(&self, command: &Command) -> &LaneQueue {
        let read_set = command.read_set();
        let number = match (read_set.invitation, read_set.slots.first()) {
            (Some(id), _) => self.number_of(id),
            (None, Some(slot)) => self.number_of((command.account(), slot)),
            (None, None) => self.next_lane(),
        };
        &self.lanes.0[number]
    }

    /// Returns the lane whose turn it is, or one behind it that is not busy with much work.
    fn next_lane(&self) -> usize {
        let (turn, lanes) = (self.next.fetch_add(1, Ordering::Relaxed), self.lanes.0.len());
        let mut from_turn = (0..lanes).map(|further| turn.wrapping_add(further) % lanes);
        from_turn.find(|number| !self.lanes.0[*number].runs_alone()).unwrap_or(turn % lanes)
    }

    fn number_of(&self, key: impl Hash) -> usize {
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        usize::try_from(hasher.finish() % self.lanes.0.len() as u64).unwrap_or_default()
    }

    /// Accepts no more commands, finishes those that wait, and returns when all are answered.
    pub async fn finish(self) {
        let Self { lanes, next: _, signing_key: _, tasks } = self;
        drop(lanes);
        tasks.close();
        tasks.wait().await;
    }
}
