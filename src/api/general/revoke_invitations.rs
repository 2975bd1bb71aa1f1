//! `InvitationService.RevokeInvitations`: revokes all invitations that a filter finds, in chunks.

use std::cmp::Reverse;
use std::time::Duration;

use tonic::Status;

use crate::api::convert::count;
use crate::api::execute::{Api, Call};
use crate::api::parse::invitation_filter::invitation_filter;
use crate::api::parse::violations::Violations;
use crate::api::resource::invitation_name;
use crate::domain::command::{Action, Command, Request, RevokeInvitation, Target};
use crate::domain::group::BatchMode;
use crate::domain::invitation::state::State;
use crate::domain::reach::Reach;
use crate::domain::value::id::InvitationId;
use crate::domain::value::rule::{FieldRule, Invalid};
use crate::pb;
use crate::server::status;
use crate::store::{BatchError, ExecuteError, InvitationQuery, KnownCall, ListedName};

/// The number of invitations that one commit revokes: each may have a thousand recipients, which are read and written with it.
const CHUNK_INVITATIONS: u64 = 100;

/// The most names in the answer.
const MAX_NAMES: usize = 20;

/// The least time before the deadline in which another chunk is begun.
const MIN_TIME: Duration = Duration::from_millis(100);

/// Revokes the ACTIVE and EXPIRED invitations that the filter finds, and returns their number.
pub(crate) async fn revoke_invitations(
    api: &Api,
    call: &Call,
    message: &pb::RevokeInvitationsRequest,
    mut violations: Violations,
) -> Result<pb::RevokeInvitationsResponse, Status> {
    let query = query(&mut violations, message.filter.as_ref());
    let expected = message.expected_count.and_then(|expected| {
        let rule = Invalid::new(FieldRule::OutOfRange, "must not be negative");
        violations.take("expected_count", u64::try_from(expected).map_err(|_| rule))
    });
    let query = violations.finish(Some(query))?;
    let mut query = query;
    let (account, reach) = (&call.caller.account, api.reach(call).await?);
    let request = api.request(call, message, 0);
    // The invitations that an interrupted call has revoked. A dry run reads them before it lists the others, so that nothing
    // that the call itself revokes meanwhile counts twice.
    let mut before = Vec::new();
    if let Some(request) = &request {
        match api.begin_call(call, request, message.validate_only).await? {
            KnownCall::Finished { changed } => {
                // The organizations may have changed since, so that the count is of what the caller reaches now.
                let most = reach.is_whole().then_some(MAX_NAMES as u64);
                let names = api.read(api.store.changed_by_call(&reach, request, most)).await?;
                let count = if most.is_some() { changed } else { names.len() as u64 };
                return Ok(answer(count, names, false));
            }
            KnownCall::Another => return Err(status::request_id_reused()),
            KnownCall::New => {}
            // A retry revokes no invitation that was created after the first call.
            KnownCall::Begun { at } => {
                before = api.read(api.store.changed_by_call(&reach, request, None)).await?;
                query = query.until(at);
            }
        }
    }
    // A call that has revoked some was let through when it began.
    if let Some(expected) = expected.filter(|_| before.is_empty()) {
        query = expect(api, &reach, query, expected, request.as_ref().filter(|_| !message.validate_only)).await?;
    }
    let mode = if message.validate_only { BatchMode::DryRun } else { BatchMode::Atomic };
    let Revoked { ids, failed, more } = revoke((api, call, &reach), request.as_ref(), query, mode).await?;
    // The call is not finished: not all are revoked, and a retry goes on.
    if let Some(failed) = failed {
        return Err(failed.into());
    }
    match &request {
        Some(request) if !message.validate_only => {
            if !more {
                api.read(api.store.finish_call(account, request)).await?;
            }
            let all = api.read(api.store.changed_by_call(&reach, request, None)).await?;
            Ok(answer(all.len() as u64, all, more))
        }
        Some(_) | None => {
            let mut all = [before, ids].concat();
            all.sort_unstable_by_key(|id| Reverse(*id));
            Ok(answer(all.len() as u64, all, more))
        }
    }
}

/// Parses the filter. Only ACTIVE and EXPIRED invitations can be revoked.
fn query(violations: &mut Violations, filter: Option<&pb::InvitationFilter>) -> InvitationQuery {
    if filter.is_none_or(|filter| *filter == pb::InvitationFilter::default()) {
        violations.add("filter", FieldRule::Required, "must have at least one field");
    }
    let query = invitation_filter(violations, filter);
    for (index, state) in filter.iter().flat_map(|filter| &filter.states).enumerate() {
        use pb::InvitationState as Given;
        if let Ok(Given::Revoked | Given::Declined | Given::Fulfilled) = Given::try_from(*state) {
            let field = format!("filter.states[{index}]");
            violations.add(field, FieldRule::NotAllowed, "must be ACTIVE or EXPIRED: others cannot be revoked");
        }
    }
    let states = if query.states.is_empty() { vec![State::Active, State::Expired] } else { query.states };
    InvitationQuery { states, limit: CHUNK_INVITATIONS, ..query }
}

/// Refuses the call if a query finds more invitations than it is expected to, and otherwise restricts the query to those that
/// were counted.
async fn expect(
    api: &Api,
    reach: &Reach,
    query: InvitationQuery,
    expected: u64,
    request: Option<&Request>,
) -> Result<InvitationQuery, Status> {
    let counted = api.read(api.store.primary().count_invitations(reach, &query, expected.saturating_add(1))).await?;
    if counted.found > expected {
        // A refusal is not remembered.
        if let Some(request) = request {
            api.read(api.store.forget_unchanged_call(reach.account(), request)).await?;
        }
        return Err(status::expected_count_exceeded(expected, counted.found));
    }
    Ok(query.until(counted.now))
}

fn answer(revoked: u64, newest_first: Vec<InvitationId>, more: bool) -> pb::RevokeInvitationsResponse {
    let sample_names = newest_first.into_iter().take(MAX_NAMES).map(invitation_name).collect();
    pb::RevokeInvitationsResponse { revoked_count: count(revoked), sample_names, more }
}

/// The revoked invitations, the failure of the first one that cannot be revoked, and whether the time was too short for all.
#[derive(Default)]
struct Revoked {
    ids: Vec<InvitationId>,
    failed: Option<ExecuteError>,
    more: bool,
}

async fn revoke(
    (api, call, reach): (&Api, &Call, &Reach),
    request: Option<&Request>,
    mut query: InvitationQuery,
    mode: BatchMode,
) -> Result<Revoked, Status> {
    let (mut revoked, mut slowest) = (Revoked::default(), Duration::ZERO);
    loop {
        let before = call.deadline.left();
        let found = api.read(api.store.list_names(reach, &query)).await?;
        let command = |found: &ListedName| command((api, call, reach), request, found.id);
        revoke_chunk(api, call, found.iter().map(command).collect(), mode, &mut revoked).await?;
        if (found.len() as u64) < CHUNK_INVITATIONS {
            return Ok(revoked);
        }
        let left = call.deadline.left();
        slowest = slowest.max(before.saturating_sub(left));
        if !is_enough(left, slowest) {
            return Ok(Revoked { more: true, ..revoked });
        }
        query.after = found.last().map(|last| last.cursor.clone());
    }
}

/// Returns whether the time that is left is enough for another chunk and the answer.
fn is_enough(left: Duration, slowest: Duration) -> bool {
    left >= slowest.saturating_mul(2).max(MIN_TIME)
}

fn command((api, call, reach): (&Api, &Call, &Reach), request: Option<&Request>, id: InvitationId) -> Command {
    let target = Target { id, kind: None, hides_deleted: false, etag: None };
    let request = request.map(|request| request.part(id.0));
    api.command(call, reach, request, Action::Revoke(RevokeInvitation { target }))
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
                let happened = results.iter().flatten().filter(|executed| executed.happened);
                revoked.ids.extend(happened.map(|executed| executed.invitation.id));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_chunk_is_begun_only_with_time_for_two() {
        for (left, slowest, enough) in [(1_000, 500, true), (999, 500, false), (100, 0, true), (99, 0, false)] {
            assert_eq!(is_enough(Duration::from_millis(left), Duration::from_millis(slowest)), enough, "{left}");
        }
    }
}
