//! Submissions that meet a lock of another transaction wait for it beside their lane, so that the lane continues
//! without them.
//!
//! Submissions about one invitation wait in their order, and later submissions about it join them. Each has its own
//! time limit, counted from the moment at which it was submitted.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sea_orm::{ConnectionTrait, DbBackend, Statement};
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::ExecuteError;
use super::lane::Lane;
use super::submission::Submission;
use crate::domain::command::Command;
use crate::domain::value::id::InvitationId;
use crate::store::sql::Pool;
use crate::store::sql::error::StoreError;

/// The waiting submissions. Clones share them.
#[derive(Clone)]
pub(in crate::store) struct Aside {
    waiting: Arc<Mutex<HashMap<InvitationId, VecDeque<Submission>>>>,
    tasks: TaskTracker,
    /// The number of submissions that may wait for one invitation.
    queue: usize,
}

impl Aside {
    pub(in crate::store) fn new(tasks: TaskTracker, queue: usize) -> Self {
        Self { waiting: Arc::default(), tasks, queue }
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<InvitationId, VecDeque<Submission>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the submissions about an invitation for which others wait already, and returns the rest.
    pub(in crate::store) fn join(&self, group: Vec<Submission>) -> Vec<Submission> {
        let mut waiting = self.waiting();
        if waiting.is_empty() {
            return group;
        }
        let mut rest = Vec::new();
        for submission in group {
            let key = invitations(&submission).find(|id| waiting.contains_key(id));
            match key.and_then(|key| waiting.get_mut(&key)) {
                Some(submissions) if submissions.len() < self.queue => submissions.push_back(submission),
                Some(_) => submission.answer(Err(ExecuteError::Unavailable)),
                None => rest.push(submission),
            }
        }
        rest
    }

    /// Runs a submission beside the lane, after others about the same invitation.
    pub(in crate::store) fn put(&self, submission: Submission, key: Option<InvitationId>, lane: Lane) {
        if let Some(key) = key {
            let mut waiting = self.waiting();
            if let Some(submissions) = waiting.get_mut(&key) {
                submissions.push_back(submission);
                return;
            }
            waiting.insert(key, VecDeque::new());
        }
        let aside = self.clone();
        self.tasks.spawn(async move {
            let (mut lane, mut next) = (lane, Some(submission));
            while let Some(submission) = next {
                lane.run_patiently(submission).await;
                next = key.and_then(|key| aside.next(key));
            }
        });
    }

    /// Returns the next submission about an invitation. If there is none, later ones go to the lane again.
    fn next(&self, key: InvitationId) -> Option<Submission> {
        let mut waiting = self.waiting();
        let submission = waiting.get_mut(&key).and_then(VecDeque::pop_front);
        if submission.is_none() {
            waiting.remove(&key);
        }
        submission
    }
}

/// Returns the invitations that a submission is about.
pub(in crate::store) fn invitations(submission: &Submission) -> impl Iterator<Item = InvitationId> {
    submission.commands.iter().filter_map(Command::invitation)
}

/// Returns the invitations of a group that another transaction has locked.
pub(in crate::store) async fn locked_invitations(
    db: &Pool,
    group: &[Submission],
) -> Result<BTreeSet<InvitationId>, StoreError> {
    let commands = group.iter().flat_map(|submission| &submission.commands);
    let (accounts, ids): (Vec<String>, Vec<Uuid>) =
        commands.filter_map(|command| Some((command.account().as_str().to_owned(), command.invitation()?.0))).unzip();
    let sql = "WITH free AS MATERIALIZED (SELECT i.id FROM invitation i JOIN unnest($1::text[], $2::uuid[]) AS k (account_id, id)
            ON i.account_id = k.account_id AND i.id = k.id FOR NO KEY UPDATE OF i SKIP LOCKED)
        SELECT i.id FROM invitation i JOIN unnest($1::text[], $2::uuid[]) AS k (account_id, id)
            ON i.account_id = k.account_id AND i.id = k.id
        WHERE i.id NOT IN (SELECT id FROM free)";
    let statement = Statement::from_sql_and_values(DbBackend::Postgres, sql, [accounts.into(), ids.into()]);
    let rows = db.query_all_raw(statement).await?;
    let locked = rows.iter().map(|row| row.try_get_by_index::<Uuid>(0).map(InvitationId));
    Ok(locked.collect::<Result<_, _>>()?)
}
