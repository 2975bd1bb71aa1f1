//! `InvitationService.RevokeScopeInvitations`: revokes all invitations to a scope, in chunks.

use tonic::Status;
use uuid::Uuid;

use super::parse::scope;
use crate::api::convert::count;
use crate::api::execute::{Api, Call};
use crate::api::parse::violations::Violations;
use crate::domain::command::{Action, Command, Request, RevokeInvitation, Target};
use crate::domain::group::BatchMode;
use crate::domain::invitation::state::State;
use crate::domain::value::id::InvitationId;
use crate::pb;
use crate::server::status;
use crate::store::{BatchError, Cursor, ExecuteError, InvitationQuery, KnownCall, ListedName};

/// The number of invitations that one commit revokes.
const CHUNK_INVITATIONS: u64 = 1_000;

/// Revokes the ACTIVE and EXPIRED invitations and returns their number.
pub(crate) async fn revoke_scope_invitations(
    api: &Api,
    call: &Call,
    message: &pb::RevokeScopeInvitationsRequest,
    mut violations: Violations,
) -> Result<pb::RevokeScopeInvitationsResponse, Status> {
    let empty = pb::Scope::default();
    let scope = scope(&mut violations, "scope", message.scope.as_ref().unwrap_or(&empty));
    let scope = violations.finish(scope)?;
    let request = api.request(call, message, 0);
    let begun = match &request {
        None => None,
        Some(request) => match api.begin_call(call, request, message.validate_only).await? {
            KnownCall::Finished { changed } => return Ok(answer(changed)),
            KnownCall::Begun { at } => Some(at),
            KnownCall::Another => return Err(status::request_id_reused()),
            KnownCall::New => None,
        },
    };
    let query = InvitationQuery {
        scope: Some(scope),
        states: vec![State::Active, State::Expired],
        include_deleted: true,
        hosts: api.hosts(call).await?,
        limit: CHUNK_INVITATIONS,
        // A retry revokes no invitation that was created after the first call.
        after: begun.map(Cursor::until),
        ..InvitationQuery::default()
    };
    // A dry run counts the parts of an interrupted call as well. They are read before the others are listed, so that nothing that
    // the call itself revokes meanwhile counts twice.
    let before = match request.as_ref().filter(|_| message.validate_only && begun.is_some()) {
        Some(request) => api.read(api.store.changed_by_call(&call.caller.account, request)).await?.len() as u64,
        None => 0,
    };
    let mode = if message.validate_only { BatchMode::DryRun } else { BatchMode::Atomic };
    let Revoked { count: revoked, failed } = revoke(api, call, request.as_ref(), query, mode).await?;
    // The call is not finished: not all of the scope is revoked, and a retry goes on.
    if let Some(failed) = failed {
        return Err(failed.into());
    }
    match &request {
        None => Ok(answer(revoked)),
        Some(_) if message.validate_only => Ok(answer(revoked + before)),
        Some(request) => Ok(answer(api.read(api.store.finish_call(&call.caller.account, request)).await?)),
    }
}

fn answer(revoked: u64) -> pb::RevokeScopeInvitationsResponse {
    pb::RevokeScopeInvitationsResponse { revoked_count: count(revoked) }
}

/// The number of revoked invitations, and the failure of the first one that cannot be revoked.
#[derive(Default)]
struct Revoked {
    count: u64,
    failed: Option<ExecuteError>,
}

async fn revoke(
    api: &Api,
    call: &Call,
    request: Option<&Request>,
    mut query: InvitationQuery,
    mode: BatchMode,
) -> Result<Revoked, Status> {
    let mut revoked = Revoked::default();
    loop {
        let found = api.read(api.store.list_names(&call.caller.account, &query)).await?;
        let command = |found: &ListedName| command(api, call, request, (found.id, query.hosts.clone()));
        revoke_chunk(api, call, found.iter().map(command).collect(), mode, &mut revoked).await?;
        if (found.len() as u64) < CHUNK_INVITATIONS {
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
    let target = Target { id, kind: None, hides_deleted: false, etag: None };
    let request = request.map(|request| request.part(id.0));
    api.command(call, hosts, request, Action::Revoke(RevokeInvitation { target }))
}

/// Revokes a chunk in one commit. An invitation that somebody has accepted or declined since it was listed is left out. Where one
/// cannot be revoked at all, as one that a newer release has written, the halves of the chunk are revoked by themselves.
async fn revoke_chunk(
    api: &Api,
    call: &Call,
    chunk: Vec<Command>,
    mode: BatchMode,
    revoked: &mut Revoked,
) -> Result<(), Status> {
    let mut waiting = vec![chunk];
    while let Some(mut commands) = waiting.pop() {
        match api.execute_all(call, commands.clone(), mode).await {
            Ok(results) => {
                revoked.count += results.iter().flatten().filter(|executed| executed.happened).count() as u64;
                // Only a dry run has results that are errors.
                let failed = results.into_iter().filter_map(Result::err).find(|error| !error.is_about_state());
                revoked.failed = revoked.failed.take().or(failed);
            }
            Err(BatchError::Refused(errors)) => {
                if let Some(error) = errors.iter().flatten().find(|error| !error.is_about_state()) {
                    return Err(error.clone().into());
                }
                let left = commands.into_iter().zip(errors).filter(|(_, error)| error.is_none());
                waiting.push(left.map(|(command, _)| command).collect());
            }
            Err(BatchError::Failed(error @ ExecuteError::Internal(_))) if commands.len() <= 1 => {
                revoked.failed.get_or_insert(error);
            }
            Err(BatchError::Failed(ExecuteError::Internal(_))) => {
                let second = commands.split_off(commands.len() / 2);
                waiting.extend([second, commands]);
            }
            Err(failed @ BatchError::Failed(_)) => return Err(failed.into()),
        }
    }
    Ok(())
}
