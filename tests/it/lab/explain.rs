//! Finds an order of calls, one after another, that explains all their answers and what the database then holds.

use invitation_service::domain::command::{Action, Command};
use invitation_service::domain::decide::Context;
use invitation_service::domain::group::{Executed, Save};
use invitation_service::domain::invitation::refusal::Refusal;
use invitation_service::domain::invitation::{Engagement, Invitation};
use invitation_service::domain::value::time::Timestamp;
use invitation_service::store::{BatchError, BatchMode, ExecuteError};

use super::commands::brief;
use super::model::Model;
use super::rows::{Rows, difference};

/// The end of a call.
#[derive(Clone, Debug)]
pub(super) enum End {
    /// Each command has its answer.
    Answered(Vec<Result<Executed, ExecuteError>>),
    /// A command of an atomic batch was refused, and with it all of them.
    Refused(Vec<Option<ExecuteError>>),
    /// The call failed and must have left no trace.
    Failed(ExecuteError),
    /// All of it has happened, or nothing of it.
    Unknown,
}

/// A call: one command, or several that hang together.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) commands: Vec<Command>,
    pub(super) mode: BatchMode,
    pub(super) end: End,
}

impl End {
    pub(super) fn of_one(answer: Result<Executed, ExecuteError>) -> Self {
        match answer {
            Ok(_) | Err(ExecuteError::Refused(_)) => Self::Answered(vec![answer]),
            Err(ExecuteError::Unavailable) => Self::Unknown,
            Err(failure) => Self::Failed(failure),
        }
    }

    pub(super) fn of_all(answers: Result<Vec<Result<Executed, ExecuteError>>, BatchError>) -> Self {
        match answers {
            Ok(answers) => Self::Answered(answers),
            Err(BatchError::Refused(refused)) => Self::Refused(refused),
            Err(BatchError::Failed(ExecuteError::Unavailable)) => Self::Unknown,
            Err(BatchError::Failed(failure)) => Self::Failed(failure),
        }
    }
}

/// The facts that the calls are held against.
pub(super) struct Evidence<'a> {
    pub(super) context: &'a Context,
    pub(super) now: Timestamp,
    /// The rows of the database afterwards, where the answers alone leave a choice.
    pub(super) rows: Option<&'a Rows>,
    /// Whether there are other calls at the same time. What is counted beside an invitation conflicts with nothing, so the
    /// counts in an answer may then be those of a moment before.
    pub(super) at_once: bool,
}

impl Evidence<'_> {
    /// Returns the model after the calls in an order that explains everything, if there is one.
    pub(super) fn explain(&self, model: &Model, calls: &[Call]) -> Option<Model> {
        self.go_on(&[model], calls)
    }

    /// Goes on from the last of the models that have been passed through.
    fn go_on(&self, passed: &[&Model], calls: &[Call]) -> Option<Model> {
        let [.., model] = passed else { return None };
        if calls.is_empty() {
            return self.rows.is_none_or(|rows| model.rows() == *rows).then(|| Model::clone(model));
        }
        for (index, call) in calls.iter().enumerate() {
            let others: Vec<_> = [&calls[..index], &calls[index + 1..]].concat();
            for save in self.possible(passed, call) {
                let mut after = Model::clone(model);
                after.apply(save);
                let found = self.go_on(&[passed, &[&after]].concat(), &others);
                if found.is_some() {
                    return found;
                }
            }
        }
        None
    }

    /// The saves that a call may have made, if it came next. One that changes no invitation conflicts with no change of it, so it
    /// may have been decided a moment before.
    fn possible(&self, passed: &[&Model], call: &Call) -> Vec<Save> {
        let aside = |command: &Command| {
            use Action::{RecordEngagement, ReportDelivery, SettleDelivery, VerifyEmail};
            matches!(command.action, RecordEngagement(_) | ReportDelivery(_) | SettleDelivery(_) | VerifyEmail(_))
        };
        let decided_on = if call.commands.iter().all(aside) { passed.len() } else { 1 };
        passed.iter().rev().take(decided_on).flat_map(|model| self.saves(model, call)).collect()
    }

    fn saves(&self, model: &Model, call: &Call) -> Vec<Save> {
        let (results, save) = model.run(&call.commands, call.mode, self.context, self.now);
        match &call.end {
            End::Failed(_) => vec![Save::default()],
            End::Unknown if save.is_empty() => vec![Save::default()],
            End::Unknown => vec![save, Save::default()],
            End::Answered(answers) if self.fits(&call.commands, &results, answers) => vec![save],
            End::Refused(refused) if was_refused(&results, refused) => vec![save],
            End::Answered(_) | End::Refused(_) => Vec::new(),
        }
    }

    fn fits(
        &self,
        commands: &[Command],
        results: &[Result<Executed, Refusal>],
        answers: &[Result<Executed, ExecuteError>],
    ) -> bool {
        let pairs = results.iter().zip(answers).zip(commands);
        results.len() == answers.len()
            && pairs.into_iter().all(|((result, answer), command)| match (result, answer) {
                (Ok(should), Ok(is)) => self.difference(command, should, is).is_none(),
                (Err(should), Err(ExecuteError::Refused(is))) => should == is,
                _ => false,
            })
    }

    /// Returns which part of an answer is not what the model says.
    fn difference(&self, command: &Command, should: &Executed, is: &Executed) -> Option<&'static str> {
        let seen = |executed: &Executed| {
            let mut invitation = executed.invitation.as_ref().clone();
            // Acceptances are loaded where they are shown, or where a neighbour shows them.
            if !command.read_set().newest_acceptances {
                invitation.acceptances.clear();
            }
            if self.at_once {
                invitation.engagement = Engagement::default();
                (invitation.deliveries, invitation.latest_delivery) = (0, None);
            }
            invitation
        };
        // A message is settled without looking at the whole of its invitation.
        let settles = matches!(command.action, Action::SettleDelivery(_));
        let delivery = |executed: &Executed| executed.delivery.as_ref().map(|sent| (sent.message.id, sent.state));
        let parts = [
            ("now", should.now == is.now),
            ("invitation id", should.invitation.id == is.invitation.id),
            ("invitation", settles || seen(should) == seen(is)),
            ("acceptance", should.acceptance == is.acceptance),
            ("delivery", delivery(should) == delivery(is)),
            ("already_accepted", should.already_accepted == is.already_accepted),
            ("happened", should.happened == is.happened),
        ];
        parts.into_iter().find(|(_, same)| !same).map(|(part, _)| part)
    }
}

/// Returns whether an atomic batch is refused as it should be.
fn was_refused(results: &[Result<Executed, Refusal>], refused: &[Option<ExecuteError>]) -> bool {
    let should: Vec<_> =
        results.iter().map(|result| result.as_ref().err().cloned().map(ExecuteError::Refused)).collect();
    should == refused && should.iter().any(Option::is_some)
}

/// Says how the answers differ from those that the model gives in the order of the calls.
pub(super) fn complaint(model: &Model, calls: &[Call], evidence: &Evidence<'_>) -> String {
    let (mut model, mut text) = (model.clone(), String::new());
    for call in calls {
        let (results, save) = model.run(&call.commands, call.mode, evidence.context, evidence.now);
        for (index, command) in call.commands.iter().enumerate() {
            text += &format!("{}\n  should: {}\n", brief(command), short(&results[index]));
        }
        text += &match &call.end {
            End::Answered(answers) => {
                let parts = results.iter().zip(answers).zip(&call.commands).filter_map(|((should, is), command)| {
                    evidence.difference(command, should.as_ref().ok()?, is.as_ref().ok()?)
                });
                let parts: Vec<_> = parts.collect();
                let differing: String = results
                    .iter()
                    .zip(answers)
                    .filter_map(|(should, is)| {
                        Some(differing(&should.as_ref().ok()?.invitation, &is.as_ref().ok()?.invitation))
                    })
                    .collect();
                let answers: Vec<_> = answers.iter().map(short).collect();
                format!("  is:     {answers:?}, another {parts:?}\n{differing}")
            }
            other => format!("  is:     {other:?}\n"),
        };
        if !matches!(call.end, End::Failed(_)) {
            model.apply(save);
        }
    }
    text + &evidence.rows.map(|rows| difference(&model.rows(), rows)).unwrap_or_default()
}

/// Returns the lines in which two invitations differ.
fn differing(should: &Invitation, is: &Invitation) -> String {
    let (should, is) = (format!("{should:#?}"), format!("{is:#?}"));
    let only = |one: &str, other: &str, mark: &str| -> String {
        one.lines()
            .filter(|line| !other.lines().any(|same| same == *line))
            .map(|line| format!("  {mark} {line}\n"))
            .collect()
    };
    only(&should, &is, "should") + &only(&is, &should, "is    ")
}

fn short<E: std::fmt::Debug>(result: &Result<Executed, E>) -> String {
    match result {
        Ok(executed) => format!("Ok(revision {})", executed.invitation.revision),
        Err(error) => format!("{error:?}"),
    }
}
