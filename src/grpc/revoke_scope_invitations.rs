//! `InvitationService.RevokeScopeInvitations`: ends everything that lets people into a scope, in chunks.

use tonic::Status;

use super::api::{Api, check_request_id};
use super::call::Call;
use super::parse::autojoin::required_scope;
use super::violations::Violations;
use crate::domain::command::{Action, Command, Request, RevokeInvitation, Target};
use crate::domain::group::Bundle;
use crate::domain::id::InvitationId;
use crate::domain::state::State;
use crate::pb;
use crate::store::{BundleError, Cursor, InvitationQuery};

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
    let mut query = InvitationQuery {
        scope: Some(scope),
        states: vec![State::Active, State::Expired],
        include_deleted: true,
        hosts: api.hosts(call, true).await?,
        limit: CHUNK,
        ..InvitationQuery::default()
    };
    let mut revoked = revoke(api, call, message, &mut query).await?;
    if revoked == 0 && !message.request_id.is_empty() {
        // Perhaps it is a retry, and the answer to the first try was lost: then its commands are remembered.
        query = InvitationQuery { states: vec![State::Revoked], after: None, ..query };
        revoked = revoke(api, call, message, &mut query).await?;
    }
    Ok(pb::RevokeScopeInvitationsResponse { revoked_count: i32::try_from(revoked).unwrap_or(i32::MAX) })
}

async fn revoke(
    api: &Api,
    call: &Call,
    message: &pb::RevokeScopeInvitationsRequest,
    query: &mut InvitationQuery,
) -> Result<usize, Status> {
    let mut revoked = 0;
    let request = api.request(message, &message.request_id, 0);
    loop {
        let found = api.read(api.store.list_names(&call.caller.account, query)).await?;
        let commands: Vec<Command> = found.iter().map(|found| command(api, call, request.as_ref(), found.id)).collect();
        revoked += revoke_chunk(api, call, commands).await?;
        let last: Option<Cursor> = found.last().map(|last| last.cursor.clone());
        if (found.len() as u64) < CHUNK {
            return Ok(revoked);
        }
        query.after = last;
    }
}

fn command(api: &Api, call: &Call, request: Option<&Request>, id: InvitationId) -> Command {
    let target = Target { id, kind: None, hosts: None, hides_deleted: false, etag: None };
    let request = request.map(|request| request.part(id.0));
    api.command(call, request, Action::Revoke(RevokeInvitation { target }))
}

/// Revokes a chunk in one commit. What somebody has accepted or declined since it was listed is left out.
async fn revoke_chunk(api: &Api, call: &Call, mut commands: Vec<Command>) -> Result<usize, Status> {
    loop {
        let errors = match api.execute_all(call, commands.clone(), Bundle::Atomic).await {
            Ok(results) => return Ok(results.iter().flatten().filter(|executed| executed.happened).count()),
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
