//! The entries of a lane's queue: commands that are decided together, with the channel to their caller.

use std::collections::BTreeSet;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::ExecuteError;
use crate::domain::command::{Action, Command, ReadSet};
use crate::domain::delivery::reminder::Schedules;
use crate::domain::group::{BatchMode, Executed, Save};
use crate::domain::quota::Quotas;
use crate::domain::value::id::InvitationId;
use crate::telemetry::traces::Origin;

/// The result of one command.
pub(in crate::store) type Answer = Result<Executed, ExecuteError>;

/// The result of a submission: an answer for each of its commands, or the error that they all have.
pub(in crate::store) type Answers = Result<Vec<Answer>, ExecuteError>;

/// Commands that wait, with the channel to their caller. A submission is never split: it is saved, and decided again,
/// as a whole.
#[derive(Debug)]
pub(in crate::store) struct Submission {
    pub(in crate::store) commands: Vec<Command>,
    pub(in crate::store) mode: BatchMode,
    deadline: Option<Instant>,
    /// The moment at which it was submitted.
    pub(in crate::store) since: Instant,
    /// The call that submits it, if that is traced.
    pub(in crate::store) origin: Option<Origin>,
    reply: oneshot::Sender<Answers>,
}

impl Submission {
    /// Creates a submission and the channel from which its caller receives the answers.
    pub(in crate::store) fn new(
        commands: Vec<Command>,
        mode: BatchMode,
        deadline: Option<Instant>,
    ) -> (Self, oneshot::Receiver<Answers>) {
        let (reply, answers) = oneshot::channel();
        let (since, origin) = (Instant::now(), Origin::of_present_span());
        (Self { commands, mode, deadline, since, origin, reply }, answers)
    }

    /// Returns the most rows that it may write.
    pub(in crate::store) fn weight(&self, reminders: &Schedules) -> usize {
        self.commands.iter().map(|command| command.weight(reminders)).sum()
    }

    /// Returns the approximate number of bytes that it occupies.
    pub(in crate::store) fn bytes(&self) -> usize {
        self.commands.iter().map(Command::bytes).sum()
    }

    /// Returns whether its deadline has passed at a moment.
    pub(in crate::store) fn is_late(&self, now: Instant) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= now)
    }

    /// Returns whether it can be saved without a load: it creates invitations that depend on no others, and none of
    /// them can be left out because of its request_id if that would split the submission. A command that is part of a
    /// call needs a load, because the call has to be known.
    pub(in crate::store) fn needs_no_load(&self, quotas: &Quotas) -> bool {
        let plain = |command: &Command| {
            let stands_alone = command.request.as_ref().is_none_or(|request| !request.is_part());
            stands_alone
                && matches!(command.action, Action::Create(_))
                && command.read_set_with(quotas) == ReadSet::default()
        };
        let whole = match self.commands.as_slice() {
            [_] => true,
            commands => commands.iter().all(|command| command.request.is_none()),
        };
        self.mode != BatchMode::DryRun && whole && self.commands.iter().all(plain)
    }

    /// Sends the answers. A caller that no longer waits gets none.
    pub(in crate::store) fn answer(self, answers: Answers) {
        drop(self.reply.send(answers));
    }
}

/// Answers submissions, each with its own answers.
pub(in crate::store) fn answer_all(group: Vec<Submission>, answers: Vec<Vec<Answer>>) {
    for (submission, answers) in group.into_iter().zip(answers) {
        submission.answer(Ok(answers));
    }
}

/// A save that was sent, with the answers of its submissions if it has taken effect.
pub(in crate::store) struct Sent {
    /// The answers, by submission.
    pub(in crate::store) answers: Vec<Vec<Answer>>,
    pub(in crate::store) save: Save,
}

impl Sent {
    /// Returns whether the save does more than remember requests.
    pub(in crate::store) fn changes_something(&self) -> bool {
        !self.save.events.is_empty()
    }

    /// Answers the submissions whose invitations were `committed` and returns the others. Only new invitations can be
    /// left out of a save; if any was, a refusal may have depended on it.
    pub(in crate::store) fn settle(
        self,
        group: Vec<Submission>,
        committed: &BTreeSet<InvitationId>,
    ) -> Vec<Submission> {
        let complete = self.save.created.keys().all(|id| committed.contains(id));
        let is_saved =
            |answer: &Answer| answer.as_ref().is_ok_and(|executed| committed.contains(&executed.invitation.id));
        let mut others = Vec::new();
        for (submission, answers) in group.into_iter().zip(self.answers) {
            if complete || answers.iter().all(is_saved) {
                submission.answer(Ok(answers));
            } else {
                others.push(submission);
            }
        }
        others
    }
}
