//! Calls about several named invitations, of which each is decided, and answered, independently.

use std::collections::BTreeSet;

use tonic::Status;

use crate::api::execute::{Api, Call};
use crate::api::parse::violations::Violations;
use crate::api::requests::Write;
use crate::api::resource::InvitationName;
use crate::domain::command::{Action, Command, Target};
use crate::domain::group::{BatchMode, Executed};
use crate::domain::value::rule::FieldRule;

/// The most invitations that one call may name.
pub(super) const MAX_NAMES: usize = 100;

/// Parses the names of 1 to 100 invitations, each of which may be named once. `list` is the field that has them; `path` is
/// the path of the one at an index.
pub(super) fn targets<'a>(
    violations: &mut Violations,
    list: &str,
    path: impl Fn(usize) -> String,
    names: impl ExactSizeIterator<Item = &'a str>,
) -> Vec<Target> {
    match names.len() {
        0 => violations.add(list, FieldRule::Required, "must have 1 to 100 entries"),
        1..=MAX_NAMES => {}
        _ => {
            violations.add(list, FieldRule::TooMany, "must have at most 100 entries");
            return Vec::new();
        }
    }
    let parse = |(index, name)| InvitationName::required(violations, &path(index), name, None);
    let names: Vec<_> = names.enumerate().filter_map(parse).collect();
    let named: BTreeSet<_> = names.iter().map(|name| name.id().0).collect();
    if named.len() < names.len() {
        violations.add(list, FieldRule::Duplicate, "must not name an invitation twice");
    }
    names.iter().filter_map(|name| name.target(None, violations)).collect()
}

/// Runs one action about each of several invitations and returns their results in that order. A request_id covers the whole call;
/// the actions that succeeded are replayed, and the others are tried again.
pub(super) async fn execute_each<T: Write>(
    api: &Api,
    call: &Call,
    message: &T,
    actions: Vec<Action>,
) -> Result<Vec<Result<Executed, Status>>, Status> {
    let reach = api.reach(call).await?;
    let whole = api.request(call, message, 0);
    let command = |action| {
        let command = api.command(call, &reach, None, action);
        let part = whole.as_ref().zip(command.invitation());
        Command { request: part.map(|(whole, invitation)| whole.part(invitation.0)), ..command }
    };
    let commands: Vec<Command> = actions.into_iter().map(command).collect();
    let mode = if message.validate_only() { BatchMode::DryRun } else { BatchMode::Independent };
    let results = api.execute_all(call, commands, mode).await?;
    Ok(results.into_iter().map(|result| result.map_err(Status::from)).collect())
}
