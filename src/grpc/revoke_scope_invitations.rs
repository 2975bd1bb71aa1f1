//! `InvitationService.RevokeScopeInvitations`: ends everything that lets people into a scope, in chunks.

use tonic::Status;
use uuid::Uuid;

use super::api::{Api, check_request_id};
use super::call::Call;
use super::convert::count;
use super::parse::autojoin::required_scope;
use super::status;
use super::violations::Violations;
use crate::domain::command::{Action, Command, Request, RevokeInvitation, Target};
use crate::domain::group::Bundle;
use crate::domain::id::InvitationId;
use crate::domain::state::State;
use crate::pb;
use crate::store::{BundleError, Cursor, InvitationQuery, KnownCall, ListedName};

/// How many invitations are revoked in one commit.
const CHUNK: u64 = 1_000;

/// Revokes what is ACTIVE or EXPIRED and returns how many there were.
pub(super) async fn revoke_scope_invitations(
    api: &Api,
    call: &Call,
    message: &pb::RevokeScopeInvitationsRequest,
) -> Result<pb::RevokeScopeInvitationsResponse, Status> {
    let mut violations = Violations::default();
    check_request_id(&mut violations, &message.request_id);
    let scope = required_scope(&mut violations, message.scope.as_ref());
    let scope = violations.finish(scope)?;
    let request = api.request(call, message, 0);
    let begun = match &request {
        None => None,
        Some(request) => match api.read(api.store.begin_call(&call.caller.account, request)).await? {
            KnownCall::Finished { changed } => return Ok(answer(changed)),
            KnownCall::Begun { at } => Some(at),
            KnownCall::Another => return Err(status::request_id_reused()),
            KnownCall::New => return Err(api.defect(&"a call that has begun is unknown")),
        },
    };
    let query = InvitationQuery {
        scope: Some(scope),
        states: vec![State::Active, State::Expired],
        include_deleted: true,
        hosts: api.hosts(call, true).await?,
        limit: CHUNK,
        // A retry revokes nothing that came after the first call.
        after: begun.map(Cursor::until),
        ..InvitationQuery::default()
    };
    let revoked = revoke(api, call, request.as_ref(), query).await?;
    match &request {
        None => Ok(answer(revoked)),
        Some(request) => Ok(answer(api.read(api.store.finish_call(&call.caller.account, request)).await?)),
    }
}

fn answer(revoked: u64) -> pb::RevokeScopeInvitationsResponse {
    pb::RevokeScopeInvitationsResponse { revoked_count: count(revoked) }
}

async fn revoke(api: &Api, call: &Call, request: Option<&Request>, mut query: InvitationQuery) -> Result<u64, Status> {
    let mut revoked = 0;
    loop {
        let found = api.read(api.store.list_names(&call.caller.account, &query)).await?;
        let command = |found: &ListedName| command(api, call, request, (found.id, query.hosts.clone()));
        revoked += revoke_chunk(api, call, found.iter().map(command).collect()).await?;
        if (found.len() as u64) < CHUNK {
            return Ok(revoked);
        }
        query.after = found.last().map(|last| last.cursor.clone());
    }
}

fn command(
    api: &Api,
    call: &Call,
    request: Option<&Request>,
    (id, hosts): (InvitationId, Option<Vec<Uuid>>),
) -> Command {
    let target = Target { id, kind: None, hosts, hides_deleted: false, etag: None };
    let request = request.map(|request| request.part(id.0));
    api.command(call, request, Action::Revoke(RevokeInvitation { target }))
}

/// Revokes a chunk in one commit. What somebody has accepted or declined since it was listed is left out.
async fn revoke_chunk(api: &Api, call: &Call, mut commands: Vec<Command>) -> Result<u64, Status> {
    loop {
        let errors = match api.execute_all(call, commands.clone(), Bundle::Atomic).await {
            Ok(results) => return Ok(results.iter().flatten().filter(|executed| executed.happened).count() as u64),
            Err(BundleError::Refused(errors)) => errors,
            Err(failed @ BundleError::Failed(_)) => return Err(failed.into()),
        };
        if let Some(error) = errors.iter().flatten().find(|error| !error.is_about_state()) {
            return Err(error.clone().into());
        }
        commands =
            commands.into_iter().zip(errors).filter(|(_, error)| error.is_none()).map(|(left, _)| left).collect();
    }
}
