//! `InvitationService.BatchCreateInvitations`: many creates in one group, independent or atomic.

use tonic::Status;

use super::each::in_place;
use super::entry_error::entry_error;
use super::fit::Fit;
use super::parse::to_create;
use crate::api::execute::organization_access::check_new;
use crate::api::execute::rates::invitees_of;
use crate::api::execute::{Api, Call, check_request_id, invites_nobody};
use crate::api::parse::violations::Violations;
use crate::domain::command::{Action, Command, Request as Remembered};
use crate::domain::group::{BatchMode, Executed};
use crate::domain::reach::Reach;
use crate::domain::value::rule::FieldRule;
use crate::pb;
use crate::pb::batch_create_invitations_result::Result as Outcome;
use crate::server::status::invalid_fields;
use crate::server::violation::Violation;
use crate::store::{BatchError, ExecuteError};

const MAX_REQUESTS: usize = 500;
const MAX_TARGETS: usize = 5_000;

/// Runs a batch.
pub(crate) async fn batch_create_invitations(
    api: &Api,
    call: &Call,
    message: &pb::BatchCreateInvitationsRequest,
    mut violations: Violations,
) -> Result<pb::BatchCreateInvitationsResponse, Status> {
    check_size(&mut violations, message);
    check_request_ids(&mut violations, message);
    violations.finish(Some(()))?;
    let reach = api.reach(call).await?;

    // The digest is computed once: a batch may be as large as a message.
    let whole = api.request(call, message, 0);
    let parsed: Vec<Result<Command, Status>> = (0..message.requests.len())
        .map(|index| to_command(api, call, message, (&reach, whole.as_ref()), index))
        .collect();
    let mode = match (message.validate_only, message.atomic) {
        (true, _) => BatchMode::DryRun,
        (false, true) => BatchMode::Atomic,
        (false, false) => BatchMode::Independent,
    };
    if message.atomic {
        refuse_all(parsed.iter().map(|parsed| parsed.as_ref().err().cloned()))?;
    }
    let commands: Vec<_> = parsed.iter().filter_map(|parsed| parsed.as_ref().ok()).cloned().collect();
    let invitees: Vec<_> = commands.iter().map(|command| invitees_of(&command.action)).collect();
    let all = if message.validate_only { 0 } else { invitees.iter().sum() };
    let invited = api.rates.invite(&call.caller, all)?;
    let executed = api.execute_all(call, commands, mode).await;
    if !message.validate_only {
        invited.give_back(not_invited(&executed, &invitees));
    }
    if let Err(BatchError::Refused(errors)) = &executed {
        refuse_all(errors.iter().map(|error| error.clone().map(Status::from)))?;
    }
    let results = in_place(api, parsed, executed?);
    // An atomic batch fails as a whole with validate_only, too.
    if message.atomic {
        refuse_all(results.iter().map(|result| result.as_ref().err().cloned()))?;
    }
    let mut fit = Fit::default();
    let results = results.into_iter().map(|result| {
        let result = match outcome(api, call, result) {
            Outcome::Invitation(invitation) => Outcome::Invitation(fit.show(invitation)),
            error @ Outcome::Error(_) => error,
        };
        pb::BatchCreateInvitationsResult { result: Some(result) }
    });
    Ok(pb::BatchCreateInvitationsResponse { results: results.collect() })
}

/// Returns the number of those whom a batch would have invited, and has not.
fn not_invited(executed: &Result<Vec<Result<Executed, ExecuteError>>, BatchError>, invitees: &[u32]) -> u32 {
    match executed {
        Ok(results) => {
            let nobody = results.iter().zip(invitees).filter(|(result, _)| invites_nobody(result));
            nobody.map(|(_, invitees)| invitees).sum()
        }
        Err(BatchError::Refused(_) | BatchError::Failed(ExecuteError::Refused(_))) => invitees.iter().sum(),
        Err(BatchError::Failed(_)) => 0,
    }
}

fn check_size(violations: &mut Violations, message: &pb::BatchCreateInvitationsRequest) {
    let targets = message.requests.iter().filter_map(|request| request.invitation.as_ref());
    let targets: usize = targets.map(|invitation| invitation.targets.len()).sum();
    if message.requests.is_empty() {
        violations.add("requests", FieldRule::Required, "must have 1 to 500 entries");
    } else if message.requests.len() > MAX_REQUESTS {
        violations.add("requests", FieldRule::TooMany, "must have 1 to 500 entries");
    } else if targets > MAX_TARGETS {
        violations.add("requests", FieldRule::TooMany, "must have at most 5,000 targets in all");
    }
}

fn check_request_ids(violations: &mut Violations, message: &pb::BatchCreateInvitationsRequest) {
    for (index, request) in message.requests.iter().enumerate() {
        if request.validate_only {
            violations.add(
                format!("requests[{index}].validate_only"),
                FieldRule::NotAllowed,
                "must not be set: the batch has one",
            );
        }
        if !message.request_id.is_empty() && !request.request_id.is_empty() {
            violations.add(
                format!("requests[{index}].request_id"),
                FieldRule::NotAllowed,
                "must not be set: the batch has one",
            );
        }
    }
}

/// Returns the command of an entry; `whole` is the request of the batch.
fn to_command(
    api: &Api,
    call: &Call,
    message: &pb::BatchCreateInvitationsRequest,
    (reach, whole): (&Reach, Option<&Remembered>),
    index: usize,
) -> Result<Command, Status> {
    let request = &message.requests[index];
    let mut violations = Violations::default();
    check_request_id(&mut violations, &request.request_id);
    let create = to_create(&mut violations, request, api.general_ttl);
    api.check_domains(call, &mut violations);
    let create = Action::Create(Box::new(violations.finish(create)?));
    check_new(call, &create)?;
    // A retry of the batch finds the results of the entries one by one.
    let remembered = match whole {
        None => api.request(call, request, 0),
        Some(whole) => Some(whole.part(index)),
    };
    Ok(api.command(call, reach, remembered, create))
}

/// Fails if any entry was refused: with the violations of all of them or, if there are none, with the status of the
/// first one.
fn refuse_all(refused: impl Iterator<Item = Option<Status>>) -> Result<(), Status> {
    let (mut first, mut violations) = (None, Vec::new());
    for (index, status) in refused.enumerate() {
        let Some(status) = status else { continue };
        let entry = format!("requests[{index}]");
        violations.extend(Violation::all_of(&status).into_iter().map(|violation| violation.inside(&entry)));
        first.get_or_insert(status);
    }
    match first {
        None => Ok(()),
        Some(_) if !violations.is_empty() => Err(invalid_fields(violations)),
        Some(first) => Err(first),
    }
}

fn outcome(api: &Api, call: &Call, result: Result<Executed, Status>) -> Outcome {
    match result.and_then(|executed| api.executed(call, &executed)) {
        Ok(invitation) => Outcome::Invitation(invitation),
        Err(status) => Outcome::Error(entry_error(&status)),
    }
}
