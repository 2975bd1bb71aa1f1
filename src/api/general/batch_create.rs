//! Many creates in one group, independent or atomic: `BatchCreateInvitations` and `BatchCreateUserInvitations`.

use tonic::Status;

use super::each::in_place;
use super::entry_error::entry_error;
use super::fit::{Fit, Named};
use super::parse::to_create;
use crate::api::execute::organization_access::check_new;
use crate::api::execute::rates::invitees_of;
use crate::api::execute::{Api, Call, check_request_id, invites_nobody};
use crate::api::parse::violations::Violations;
use crate::api::requests::{Rpc as _, Write};
use crate::api::resource::Resource;
use crate::api::user;
use crate::domain::command::{Action, Command, CreateInvitation, Request as Remembered};
use crate::domain::group::{BatchMode, Executed};
use crate::domain::reach::Reach;
use crate::domain::value::rule::FieldRule;
use crate::pb;
use crate::server::status::invalid_fields;
use crate::server::violation::Violation;
use crate::store::{BatchError, ExecuteError};

const MAX_REQUESTS: usize = 500;
const MAX_TARGETS: usize = 5_000;

/// A request to create many invitations of one kind.
pub(in crate::api) trait BatchCreate: Write {
    /// The request to create one.
    type Entry: Write;
    /// The message that shows one.
    type Invitation: Resource + Named;
    /// The answer.
    type Response;

    /// Returns the entries, and whether all are created or none.
    fn entries(&self) -> (&[Self::Entry], bool);

    /// Returns the number of targets in all entries.
    fn targets(&self) -> usize;

    /// Parses an entry.
    fn to_create(api: &Api, call: &Call, violations: &mut Violations, entry: &Self::Entry) -> Option<CreateInvitation>;

    /// Returns the answer that has a result for each entry.
    fn response(results: impl Iterator<Item = Result<Self::Invitation, Box<pb::BatchError>>>) -> Self::Response;
}

/// Runs a batch.
pub(in crate::api) async fn batch_create<T: BatchCreate>(
    api: &Api,
    call: &Call,
    message: &T,
    mut violations: Violations,
) -> Result<T::Response, Status> {
    let (entries, atomic) = message.entries();
    check_size(&mut violations, entries.len(), message.targets());
    check_entries(&mut violations, message);
    violations.finish(Some(()))?;
    let reach = api.reach(call).await?;

    // The digest is computed once: a batch may be as large as a message.
    let whole = api.request(call, message, 0);
    let command = |(index, entry)| to_command::<T>((api, call, &reach), entry, whole.as_ref().map(|it| it.part(index)));
    let parsed: Vec<Result<Command, Status>> = entries.iter().enumerate().map(command).collect();
    let mode = match (message.validate_only(), atomic) {
        (true, _) => BatchMode::DryRun,
        (false, true) => BatchMode::Atomic,
        (false, false) => BatchMode::Independent,
    };
    if atomic {
        refuse_all(parsed.iter().map(|parsed| parsed.as_ref().err().cloned()))?;
    }
    let commands: Vec<_> = parsed.iter().filter_map(|parsed| parsed.as_ref().ok()).cloned().collect();
    let invitees: Vec<_> = commands.iter().map(|command| invitees_of(&command.action)).collect();
    let all = if message.validate_only() { 0 } else { invitees.iter().sum() };
    let invited = api.rates.invite(&call.caller, all)?;
    let executed = api.execute_all(call, commands, mode).await;
    if !message.validate_only() {
        invited.give_back(not_invited(&executed, &invitees));
    }
    if let Err(BatchError::Refused(errors)) = &executed {
        refuse_all(errors.iter().map(|error| error.clone().map(Status::from)))?;
    }
    let results = in_place(api, parsed, executed?);
    // An atomic batch fails as a whole with validate_only, too.
    if atomic {
        refuse_all(results.iter().map(|result| result.as_ref().err().cloned()))?;
    }
    let mut fit = Fit::default();
    let results = results.into_iter().map(|result| {
        let shown = result.and_then(|executed| api.executed::<T::Invitation>(call, &executed));
        shown.map(|invitation| fit.show(invitation)).map_err(|status| Box::new(entry_error(&status)))
    });
    Ok(T::response(results))
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

fn check_size(violations: &mut Violations, entries: usize, targets: usize) {
    if entries == 0 {
        violations.add("requests", FieldRule::Required, "must have 1 to 500 entries");
    } else if entries > MAX_REQUESTS {
        violations.add("requests", FieldRule::TooMany, "must have 1 to 500 entries");
    } else if targets > MAX_TARGETS {
        violations.add("requests", FieldRule::TooMany, "must have at most 5,000 targets in all");
    }
}

/// Refuses what the batch has once for all of its entries.
fn check_entries<T: BatchCreate>(violations: &mut Violations, message: &T) {
    let description = "must not be set: the batch has one";
    for (index, entry) in message.entries().0.iter().enumerate() {
        if entry.validate_only() {
            violations.add(format!("requests[{index}].validate_only"), FieldRule::NotAllowed, description);
        }
        if !message.request_id().is_empty() && !entry.request_id().is_empty() {
            violations.add(format!("requests[{index}].request_id"), FieldRule::NotAllowed, description);
        }
    }
}

/// Returns the command of an entry; `part` is that of the batch's request. A retry of the batch finds the results of the entries one
/// by one.
fn to_command<T: BatchCreate>(
    (api, call, reach): (&Api, &Call, &Reach),
    entry: &T::Entry,
    part: Option<Remembered>,
) -> Result<Command, Status> {
    let mut violations = Violations::default();
    check_request_id(&mut violations, entry.request_id());
    let create = T::to_create(api, call, &mut violations, entry);
    api.check_policy(call, &mut violations);
    let create = Action::Create(Box::new(violations.finish(create)?));
    check_new(call, &create)?;
    let remembered = part.or_else(|| api.request(call, entry, 0));
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

impl BatchCreate for pb::BatchCreateInvitationsRequest {
    type Entry = pb::CreateInvitationRequest;
    type Invitation = pb::Invitation;
    type Response = pb::BatchCreateInvitationsResponse;

    fn entries(&self) -> (&[Self::Entry], bool) {
        (&self.requests, self.atomic)
    }

    fn targets(&self) -> usize {
        let targets = self.requests.iter().filter_map(|request| request.invitation.as_ref());
        targets.map(|invitation| invitation.targets.len()).sum()
    }

    fn to_create(api: &Api, _: &Call, violations: &mut Violations, entry: &Self::Entry) -> Option<CreateInvitation> {
        to_create(violations, entry, api.general_ttl)
    }

    fn response(results: impl Iterator<Item = Result<pb::Invitation, Box<pb::BatchError>>>) -> Self::Response {
        use pb::batch_create_invitations_result::Result as Outcome;
        let outcome =
            |result: Result<_, Box<_>>| result.map_or_else(|error| Outcome::Error(*error), Outcome::Invitation);
        let result = |result| pb::BatchCreateInvitationsResult { result: Some(outcome(result)) };
        pb::BatchCreateInvitationsResponse { results: results.map(result).collect() }
    }
}

impl BatchCreate for pb::BatchCreateUserInvitationsRequest {
    type Entry = pb::CreateUserInvitationRequest;
    type Invitation = pb::UserInvitation;
    type Response = pb::BatchCreateUserInvitationsResponse;

    fn entries(&self) -> (&[Self::Entry], bool) {
        (&self.requests, self.atomic)
    }

    fn targets(&self) -> usize {
        self.requests.len()
    }

    fn to_create(_: &Api, call: &Call, violations: &mut Violations, entry: &Self::Entry) -> Option<CreateInvitation> {
        user::parse::to_create(violations, &call.caller, entry)
    }

    fn response(results: impl Iterator<Item = Result<pb::UserInvitation, Box<pb::BatchError>>>) -> Self::Response {
        use pb::batch_create_user_invitations_result::Result as Outcome;
        let outcome =
            |result: Result<_, Box<_>>| result.map_or_else(|error| Outcome::Error(*error), Outcome::UserInvitation);
        let result = |result| pb::BatchCreateUserInvitationsResult { result: Some(outcome(result)) };
        pb::BatchCreateUserInvitationsResponse { results: results.map(result).collect() }
    }
}
