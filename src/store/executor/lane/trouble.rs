//! The groups and submissions that a lane cannot save: they wait beside it, run alone, are split, or fail.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt as _;
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

use super::Lane;
use crate::store::executor::ExecuteError;
use crate::store::executor::aside::{invitations, locked_invitations};
use crate::store::executor::submission::Submission;
use crate::store::sql::error::StoreError;
use crate::telemetry::metrics::table::GROUP_RETRIES;

impl Lane {
    /// Sets the submissions aside that need too many rows, and returns the others.
    pub(super) fn without_crowded(&mut self, group: Vec<Submission>) -> Vec<Submission> {
        let crowded = std::mem::take(&mut self.crowded);
        let (alone, rest): (Vec<_>, Vec<_>) = group
            .into_iter()
            .zip(crowded.into_iter().chain(std::iter::repeat(false)))
            .partition(|(_, is_crowded)| *is_crowded);
        let submissions =
            |zipped: Vec<(Submission, bool)>| zipped.into_iter().map(|(submission, _)| submission).collect();
        match &self.queue {
            Some(queue) => queue.put_back(submissions(alone)),
            None => self.fail(submissions(alone), &StoreError::Crowded),
        }
        submissions(rest)
    }

    /// Moves the submissions that meet a lock of another transaction beside the lane, where they wait for it, and runs
    /// the others without them.
    pub(super) async fn step_aside(&mut self, group: Vec<Submission>) {
        let Some(aside) = self.aside.clone() else { return self.fail(group, &StoreError::Locked) };
        let locked = match self.in_time(locked_invitations(&self.database.write, &group)).await {
            Ok(locked) => locked,
            Err(error) => return self.fail(group, &error),
        };
        // If no invitation is locked, the lock is on an unknown row: each submission finds out for itself.
        let meets =
            |submission: &Submission| locked.is_empty() || invitations(submission).any(|id| locked.contains(&id));
        let (waiting, group): (Vec<_>, Vec<_>) = group.into_iter().partition(meets);
        GROUP_RETRIES.count(["locked"]);
        log_event!(
            debug,
            COMMANDS_WAIT,
            submissions = waiting.len(),
            "commands wait beside the lane for a lock of another transaction"
        );
        for submission in waiting {
            let key =
                invitations(&submission).find(|id| locked.contains(id)).or_else(|| invitations(&submission).next());
            aside.put(submission, key, self.beside());
        }
        if !group.is_empty() {
            self.begin();
            Box::pin(self.run_loaded(group, None)).await;
        }
    }

    /// Returns a lane for submissions that wait beside this one, each of which runs alone.
    fn beside(&self) -> Self {
        Self { aside: None, is_alone: true, crowded: Vec::new(), queue: None, ..self.clone() }
    }

    /// Runs a submission that waits for locks until its time is over, if it gets a permit to wait.
    pub(in crate::store) async fn run_patiently(&mut self, submission: Submission) {
        let permits = Arc::clone(&self.database.lock_wait_permits);
        if submission.is_late(Instant::now()) {
            return submission.answer(Err(ExecuteError::DeadlineExceeded));
        }
        self.until = submission.since + self.options.timeout;
        match timeout_at(self.until, permits.acquire()).await {
            Ok(Ok(_permit)) => {
                if AssertUnwindSafe(self.run_loaded(vec![submission], None)).catch_unwind().await.is_err() {
                    self.defect(&"a command that waited for a lock panicked");
                }
            }
            Ok(Err(_)) | Err(_) => submission.answer(Err(ExecuteError::Unavailable)),
        }
    }

    /// Halves a group that the database refuses, that needs a row which cannot be read, or that stays in conflict,
    /// until only the submission that causes it fails: one submission of 256 costs the group 16 more runs.
    pub(super) async fn give_up_or_split(&mut self, mut group: Vec<Submission>, error: &StoreError) {
        if group.len() == 1 {
            return self.fail(group, error);
        }
        GROUP_RETRIES.count(["split"]);
        log_event!(warn, GROUP_HALVED, %error, submissions = group.len(), "retrying the halves of a group");
        let second = group.split_off(group.len() / 2);
        for half in [group, second] {
            self.begin();
            Box::pin(self.run_loaded(half, None)).await;
        }
    }

    pub(super) fn fail(&mut self, group: Vec<Submission>, error: &StoreError) {
        let failure = match error {
            StoreError::Conflict => ExecuteError::Conflict,
            StoreError::Unavailable(_) | StoreError::Slow => {
                // If only this statement met trouble, others were answered meanwhile, also shortly before it was given
                // up.
                let since = Instant::now() - self.step.elapsed() * 3 / 4;
                // A submission that runs alone may be too much work, which says nothing about the database.
                self.is_down = !self.is_alone && !self.database.write.has_answered_since(since.into_std());
                ExecuteError::Unavailable
            }
            StoreError::Locked | StoreError::Busy | StoreError::Crowded => ExecuteError::Unavailable,
            StoreError::Refused(_)
            | StoreError::Forbidden(_)
            | StoreError::Encoding(_)
            | StoreError::Role(_)
            | StoreError::Corrupt { .. } => self.defect(error),
        };
        for submission in group {
            submission.answer(Err(failure.clone()));
        }
    }

    /// Answers submissions whose save may still take effect: UNAVAILABLE, whatever the later error was.
    pub(super) fn fail_unknown(&mut self, group: Vec<Submission>, error: &StoreError) {
        log_event!(debug, COMMIT_UNKNOWN, %error, submissions = group.len(), "commit of a group is unknown; answering UNAVAILABLE");
        self.fail(group, &StoreError::Slow);
    }

    /// Logs an internal error under an id that its caller gets.
    pub(super) fn defect(&self, error: &dyn std::fmt::Display) -> ExecuteError {
        let id = Uuid::from_bytes(self.entropy.bytes()).simple().to_string();
        log_event!(error, COMMAND_FAILED, error_id = %id, %error, "a command failed with an internal error");
        ExecuteError::Internal(id)
    }
}
