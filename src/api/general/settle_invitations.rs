//! `InvitationService.SettleInvitations`: everything that a person is invited to by name, for the person who came another way.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use tonic::Status;

use super::accept_invitations::accept;
use super::entry_error::entry_error;
use super::fit::{Fit, Named};
use super::redeemable::redeemable;
use super::view::basic;
use crate::api::execute::{Api, Call};
use crate::api::parse::acceptor::acceptor as parse_acceptor;
use crate::api::parse::filter;
use crate::api::parse::violations::Violations;
use crate::api::resource::invitation_name;
use crate::domain::command::{Action, Command, DeclineInvitation, Request, Target};
use crate::domain::group::{BatchMode, Executed};
use crate::domain::invitation::Invitation;
use crate::domain::invitation::acceptance::Acceptor;
use crate::domain::kind::Kind;
use crate::domain::reach::person::Person;
use crate::domain::value::id::InvitationId;
use crate::domain::value::rule::{FieldRule, Invalid};
use crate::pb;
use crate::pb::settle_invitations_result::Result as Outcome;
use crate::server::status;
use crate::store::{AnsweredParts, BatchError, Cursor, ExecuteError, KnownCall, Page, Read};

/// The most invitations that one call settles, in one commit.
const MAX_INVITATIONS: usize = 500;

/// The answer that the invitations get.
enum Settlement {
    Accepted(Acceptor),
    Declined { person: Person, reason: Option<String> },
}

impl Settlement {
    fn action(&self, call: &Call, id: InvitationId) -> Action {
        let access = call.by_name(Target { id, kind: None, hides_deleted: false, etag: None });
        match self {
            Self::Accepted(acceptor) => Action::Accept(Box::new(accept(access, acceptor.clone()))),
            Self::Declined { person, reason } => {
                let (addresses, reason) = (person.addresses(), reason.clone());
                Action::Decline(DeclineInvitation { access, addresses, reason })
            }
        }
    }
}

/// Accepts or declines what is addressed to a person.
pub(crate) async fn settle_invitations(
    api: &Api,
    call: &Call,
    message: &pb::SettleInvitationsRequest,
    violations: Violations,
) -> Result<pb::SettleInvitationsResponse, Status> {
    let (mut page, person, settlement) = asked(call, message, violations)?;
    let reach = api.reach(call).await?;
    let request = api.request(call, message, 0);
    if let Some(request) = &request {
        page.after = begun(api, call, request, message.validate_only).await?;
    }
    let found =
        api.read(api.store.primary().list_addressed_invitations(&reach, &person.addresses(), &page)).await?.rows;
    let found: BTreeMap<_, _> = found.into_iter().map(|read| (read.found.id, read)).collect();
    // Read after the list: an invitation that a parallel retry settles in between is in at least one of the two.
    let before = match &request {
        Some(request) => api.read(api.store.answered_by_call(&call.caller.account, request)).await?,
        None => AnsweredParts::default(),
    };
    // One that the first try has closed by accepting another is open again if the caller has taken that back; this call is done with it.
    let new = found.keys().rev().filter(|id| !before.ids.contains(id) && !before.closed.contains(id));
    let mut ids: Vec<InvitationId> = before.ids.iter().chain(new).copied().collect();
    let more = ids.len() > MAX_INVITATIONS;
    ids.truncate(MAX_INVITATIONS);
    // Their ids are in the order of their creation.
    ids.sort_unstable_by_key(|id| Reverse(*id));
    let command = |id: &InvitationId| {
        let request = request.as_ref().map(|request| request.part(id.0));
        api.command(call, &reach, request, settlement.action(call, *id))
    };
    let results = execute((api, call), ids.iter().map(command).collect(), message.validate_only).await?;
    let mut fit = Fit::default();
    // One that has ended since it was listed, or by an acceptance of this call, needs no answer.
    let has_ended = |result: &Result<_, ExecuteError>| result.as_ref().is_err_and(ExecuteError::is_about_invitation);
    let open = ids.iter().zip(results).filter(|(_, result)| !has_ended(result));
    let shown = open.map(|(id, result)| fit.show(shown((api, call), (*id, found.get(id)), result)));
    Ok(pb::SettleInvitationsResponse { results: shown.collect(), more })
}

/// Parses a request to the page of invitations that it is about, the person, and the answer.
fn asked(
    call: &Call,
    message: &pb::SettleInvitationsRequest,
    mut violations: Violations,
) -> Result<(Page, Person, Settlement), Status> {
    let acceptor = parse_acceptor(&mut violations, call.person(), message.acceptor.as_ref());
    if acceptor.as_ref().is_some_and(|acceptor| acceptor.email.is_some() && !acceptor.email_verified) {
        violations.add(
            "acceptor.email_verified",
            FieldRule::Required,
            "must be true: an address that is not verified is nobody's",
        );
    }
    let mut page = Page {
        kinds: filter::kinds(&mut violations, "kinds", &message.kinds),
        scope: filter::scope(&mut violations, "scope", message.scope.as_ref()),
        first_recipients: Some(0),
        limit: MAX_INVITATIONS as u64 + 1,
        ..Page::default()
    };
    if message.kinds.is_empty() {
        page.kinds = vec![Kind::User, Kind::General];
    }
    let reason = violations.remark("reason", &message.reason);
    let outcome = outcome(&mut violations, message, reason.is_some());
    let (acceptor, accepts) = violations.finish(acceptor.zip(outcome))?;
    let person = Person { subject: acceptor.subject.clone(), email: acceptor.email.clone() };
    let settlement =
        if accepts { Settlement::Accepted(acceptor) } else { Settlement::Declined { person: person.clone(), reason } };
    Ok((page, person, settlement))
}

/// Returns whether the invitations are accepted.
fn outcome(violations: &mut Violations, message: &pb::SettleInvitationsRequest, has_reason: bool) -> Option<bool> {
    use pb::SettleOutcome::{Accepted, Declined, Unspecified};
    let accepts = match pb::SettleOutcome::try_from(message.outcome) {
        Ok(Accepted) => Ok(true),
        Ok(Declined) => Ok(false),
        Ok(Unspecified) => Err(Invalid::new(FieldRule::Required, "is required")),
        Err(_) => Err(Invalid::new(FieldRule::UnknownValue, "must be ACCEPTED or DECLINED")),
    };
    if has_reason && accepts == Ok(true) {
        violations.add("reason", FieldRule::Conflicts, "is for DECLINED alone");
    }
    violations.take("outcome", accepts)
}

/// Remembers a call and returns the place at which its list begins, so that a retry finds nothing that was created after the first
/// try. A call is never finished: what was refused is tried again.
async fn begun(api: &Api, call: &Call, request: &Request, validate_only: bool) -> Result<Option<Cursor>, Status> {
    match api.begin_call(call, request, validate_only).await? {
        KnownCall::New | KnownCall::Finished { .. } => Ok(None),
        KnownCall::Begun { at } => Ok(Some(Cursor::until(at))),
        KnownCall::Another => Err(status::request_id_reused()),
    }
}

/// Runs the commands in one commit. Where the service cannot read one of the invitations, each is settled by itself.
async fn execute(
    (api, call): (&Api, &Call),
    commands: Vec<Command>,
    validate_only: bool,
) -> Result<Vec<Result<Executed, ExecuteError>>, Status> {
    let mode = if validate_only { BatchMode::DryRun } else { BatchMode::Together };
    match api.execute_all(call, commands.clone(), mode).await {
        Err(BatchError::Failed(ExecuteError::Internal(_))) if commands.len() > 1 => {}
        results => return Ok(results?),
    }
    if !validate_only {
        return Ok(api.execute_all(call, commands, BatchMode::Independent).await?);
    }
    let mut results = Vec::with_capacity(commands.len());
    for command in commands {
        match api.execute_all(call, vec![command], mode).await {
            Err(BatchError::Failed(error @ ExecuteError::Internal(_))) => results.push(Err(error)),
            result => results.extend(result?),
        }
    }
    Ok(results)
}

/// Returns the result of an invitation. One that a retry finds settled, and then refused, is known by its id alone.
fn shown(
    (api, call): (&Api, &Call),
    (id, found): (InvitationId, Option<&Read<Invitation>>),
    result: Result<Executed, ExecuteError>,
) -> pb::SettleInvitationsResult {
    match result {
        Ok(executed) => {
            let (acceptance, invitation) = api.accepted(call, &executed);
            let outcome = acceptance.map(Outcome::Acceptance);
            pb::SettleInvitationsResult { result: outcome, ..described(invitation) }
        }
        Err(error) => {
            let outcome = Some(Outcome::Error(entry_error(&Status::from(error))));
            let unknown = pb::Invitation { name: invitation_name(id), ..pb::Invitation::default() };
            let found = found.map_or(unknown, |read| redeemable(call, &read.found, read.now, basic(read)));
            pb::SettleInvitationsResult { result: outcome, ..described(found) }
        }
    }
}

fn described(invitation: pb::Invitation) -> pb::SettleInvitationsResult {
    pb::SettleInvitationsResult {
        name: invitation.name,
        kind: invitation.kind,
        state: invitation.state,
        roles: invitation.roles,
        groups: invitation.groups,
        scope: invitation.scope,
        result: None,
    }
}

impl Named for pb::SettleInvitationsResult {
    fn names_alone(self) -> Self {
        Self { name: self.name, kind: self.kind, state: self.state, ..Self::default() }
    }
}
