//! Calls about several named invitations, of which each is decided, and answered, independently.

use std::collections::BTreeSet;

use tonic::Status;

use crate::api::execute::{Api, Call};
use crate::api::parse::violations::Violations;
use crate::api::requests::Write;
use crate::api::resource::InvitationName;
use crate::domain::command::{Action, Command, Target};
use crate::domain::group::{BatchMode, Executed};
use crate::domain::value::id::InvitationId;
use crate::domain::value::rule::FieldRule;
use crate::store::ExecuteError;

/// The most invitations that one call may name.
const MAX_NAMES: usize = 100;

/// Refuses a call that names no invitation, or more than 100. `list` is the field that has the names.
pub(super) fn check_count(violations: &mut Violations, list: &str, count: usize) {
    match count {
        0 => violations.add(list, FieldRule::Required, "must have 1 to 100 entries"),
        1..=MAX_NAMES => {}
        _ => violations.add(list, FieldRule::TooMany, "must have at most 100 entries"),
    }
}

/// The invitations that the entries of a call have named so far.
#[derive(Default)]
pub(super) struct Named(BTreeSet<InvitationId>);

impl Named {
    /// Parses the name of an entry. An invitation that an earlier entry names is refused, also if that entry is: which of
    /// two entries counts must not depend on their other fields.
    pub(super) fn target(&mut self, violations: &mut Violations, name: &str) -> Option<Target> {
        let parsed = InvitationName::required(violations, "name", name, None)?;
        if !self.0.insert(parsed.id()) {
            violations.add("name", FieldRule::Duplicate, "must not name an invitation that an earlier entry names");
            return None;
        }
        parsed.target(None, violations)
    }
}

/// Runs one action about each of several invitations and returns their results in that order, with the refusal of an entry that
/// is no action in its place. A request_id covers the whole call; the actions that succeeded are replayed, and the others are
/// tried again.
pub(super) async fn execute_each<T: Write>(
    api: &Api,
    call: &Call,
    message: &T,
    entries: Vec<Result<Action, Status>>,
) -> Result<Vec<Result<Executed, Status>>, Status> {
    let reach = api.reach(call).await?;
    let whole = api.request(call, message, 0);
    let command = |action| {
        let command = api.command(call, &reach, None, action);
        let part = whole.as_ref().zip(command.invitation());
        Command { request: part.map(|(whole, invitation)| whole.part(invitation.0)), ..command }
    };
    let parsed: Vec<Result<Command, Status>> = entries.into_iter().map(|entry| entry.map(command)).collect();
    let commands = parsed.iter().filter_map(|parsed| parsed.as_ref().ok()).cloned().collect();
    let mode = if message.validate_only() { BatchMode::DryRun } else { BatchMode::Independent };
    let executed = api.execute_all(call, commands, mode).await?;
    Ok(in_place(api, parsed, executed))
}

/// Returns a result for each entry: the refusal of one that is no command, or what came of its command.
pub(super) fn in_place(
    api: &Api,
    parsed: Vec<Result<Command, Status>>,
    executed: Vec<Result<Executed, ExecuteError>>,
) -> Vec<Result<Executed, Status>> {
    let mut executed = executed.into_iter();
    let mut next = || match executed.next() {
        Some(result) => result.map_err(Status::from),
        None => Err(api.defect(&"a command of a call has no result")),
    };
    parsed.into_iter().map(|parsed| parsed.and_then(|_| next())).collect()
}
