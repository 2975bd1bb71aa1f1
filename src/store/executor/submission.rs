//! What waits in a lane's queue, and what becomes of it: commands that are decided together, and whoever waits for them.

use std::collections::BTreeSet;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::ExecuteError;
use crate::domain::command::{Action, Command, ReadSet};
use crate::domain::delivery::reminder::Schedules;
use crate::domain::group::{BatchMode, Executed, Save};
use crate::domain::value::id::InvitationId;

/// What one command ends with.
pub(in crate::store) type Answer = Result<Executed, ExecuteError>;

/// What a job ends with: an answer for each of its commands, or why there is none for any.
pub(in crate::store) type Answers = Result<Vec<Answer>, ExecuteError>;

/// Commands that wait, and who waits for them. A job is never torn: it is saved, and decided again, as a whole.
#[derive(Debug)]
pub(in crate::store) struct Submission {
    pub(in crate::store) commands: Vec<Command>,
    pub(in crate::store) mode: BatchMode,
    deadline: Option<Instant>,
    /// When it was sent.
    pub(in crate::store) since: Instant,
    reply: oneshot::Sender<Answers>,
}

impl Submission {
    /// Makes a job, and where its answers come out.
    pub(in crate::store) fn new(
        commands: Vec<Command>,
        mode: BatchMode,
        deadline: Option<Instant>,
    ) -> (Self, oneshot::Receiver<Answers>) {
        let (reply, answers) = oneshot::channel();
        (Self { commands, mode, deadline, since: Instant::now(), reply }, answers)
    }

    /// Returns how many rows it may write at most.
    pub(in crate::store) fn weight(&self, reminders: &Schedules) -> usize {
        self.commands.iter().map(|command| command.weight(reminders)).sum()
    }

    /// Returns about how many bytes it occupies.
    pub(in crate::store) fn bytes(&self) -> usize {
        self.commands.iter().map(Command::bytes).sum()
    }

    /// Returns whether its time is over at a moment.
    pub(in crate::store) fn is_late(&self, now: Instant) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= now)
    }

    /// Returns whether it can be saved without a load: it makes invitations that look at no others, and of which none can be
    /// left out because of its request_id if that would tear the job. The call that a command is a part of has to be known.
    pub(in crate::store) fn needs_no_load(&self) -> bool {
        let plain = |command: &Command| {
            let stands_alone = command.request.as_ref().is_none_or(|request| !request.is_part());
            stands_alone && matches!(command.action, Action::Create(_)) && command.read_set() == ReadSet::default()
        };
        let whole = match self.commands.as_slice() {
            [_] => true,
            commands => commands.iter().all(|command| command.request.is_none()),
        };
        self.mode != BatchMode::DryRun && whole && self.commands.iter().all(plain)
    }

    /// Answers. Whoever no longer waits is not told.
    pub(in crate::store) fn answer(self, answers: Answers) {
        drop(self.reply.send(answers));
    }
}

/// Answers jobs, each with its own.
pub(in crate::store) fn answer_all(group: Vec<Submission>, answers: Vec<Vec<Answer>>) {
    for (job, answers) in group.into_iter().zip(answers) {
        job.answer(Ok(answers));
    }
}

/// A save that was sent, and what its jobs are to be told if it has taken effect.
pub(in crate::store) struct Sent {
    /// The answers, job by job.
    pub(in crate::store) answers: Vec<Vec<Answer>>,
    /// The save.
    pub(in crate::store) save: Save,
}

impl Sent {
    /// Returns whether the save does more than remember requests.
    pub(in crate::store) fn changes_something(&self) -> bool {
        !self.save.events.is_empty()
    }

    /// Answers the jobs that `saved` bears out and returns the others. Only new invitations can be left out of a save; if any
    /// was, what was refused may have rested on it.
    pub(in crate::store) fn settle(self, group: Vec<Submission>, saved: &BTreeSet<InvitationId>) -> Vec<Submission> {
        let complete = self.save.created.keys().all(|id| saved.contains(id));
        let is_saved = |answer: &Answer| answer.as_ref().is_ok_and(|executed| saved.contains(&executed.invitation.id));
        let mut others = Vec::new();
        for (job, answers) in group.into_iter().zip(self.answers) {
            if complete || answers.iter().all(is_saved) {
                job.answer(Ok(answers));
            } else {
                others.push(job);
            }
        }
        others
    }
}
