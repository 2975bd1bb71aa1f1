//! Calls about all invitations that a filter finds, in chunks: RevokeInvitations and ReassignInvitations.

pub(super) mod reassign_invitations;
pub(super) mod revoke_invitations;

use std::cmp::Reverse;
use std::time::Duration;

use tonic::Status;

use crate::api::execute::{Api, Call};
use crate::api::requests::Write;
use crate::api::resource::invitation_name;
use crate::domain::command::{Action, Command, Request, Target};
use crate::domain::group::BatchMode;
use crate::domain::reach::Reach;
use crate::domain::value::id::InvitationId;
use crate::server::status;
use crate::store::{BatchError, ExecuteError, InvitationQuery, KnownCall};

/// The number of invitations that one commit changes: each may have a thousand recipients, which are read and written with it.
const CHUNK_INVITATIONS: u64 = 100;

/// The most names in the answer.
const MAX_NAMES: usize = 20;

/// The least time before the deadline in which another chunk is begun.
const MIN_TIME: Duration = Duration::from_millis(100);

/// The invitations that a call changes, and how.
pub(super) struct Sweep<F> {
    /// The query that finds them.
    pub(super) query: InvitationQuery,
    /// The number of them that is expected: if there are more, none is changed.
    pub(super) expected: Option<u64>,
    /// The change of one.
    pub(super) action: F,
}

/// The result of a call.
pub(super) struct Swept {
    /// The number of invitations that were changed by this call and those that it continues.
    pub(super) changed: u64,
    /// The names of some of them, the newest first.
    pub(super) sample_names: Vec<String>,
    /// Whether the time was too short for all.
    pub(super) more: bool,
}

impl Swept {
    fn of(changed: u64, newest_first: Vec<InvitationId>, more: bool) -> Self {
        let sample_names = newest_first.into_iter().take(MAX_NAMES).map(invitation_name).collect();
        Self { changed, sample_names, more }
    }
}

/// Changes the invitations that a query finds, once per request_id; with validate_only, only decides it.
pub(super) async fn sweep<T: Write, F: Fn(Target) -> Action>(
    api: &Api,
    call: &Call,
    message: &T,
    sweep: Sweep<F>,
) -> Result<Swept, Status> {
    let Sweep { query, expected, action } = sweep;
    let mut query = InvitationQuery { limit: CHUNK_INVITATIONS, ..query };
    let (account, reach) = (&call.caller.account, api.reach(call).await?);
    let (request, validate_only) = (api.request(call, message, 0), message.validate_only());
    // The invitations that an interrupted call has changed. A dry run reads them before it lists the others, so that nothing
    // that the call itself changes meanwhile counts twice.
    let mut before = Vec::new();
    if let Some(request) = &request {
        match api.begin_call(call, request, validate_only).await? {
            KnownCall::Finished { changed } => {
                // The organizations may have changed since, so that the count is of what the caller reaches now.
                let most = reach.is_whole().then_some(MAX_NAMES as u64);
                let names = api.read(api.store.changed_by_call(&reach, request, most)).await?;
                let count = if most.is_some() { changed } else { names.len() as u64 };
                return Ok(Swept::of(count, names, false));
            }
            KnownCall::Another => return Err(status::request_id_reused()),
            KnownCall::New => {}
            // A retry changes no invitation that was created after the first call.
            KnownCall::Begun { at } => {
                before = api.read(api.store.changed_by_call(&reach, request, None)).await?;
                query = query.until(at);
            }
        }
    }
    // A call that has changed some was let through when it began.
    if let Some(expected) = expected.filter(|_| before.is_empty()) {
        query = expect(api, &reach, query, expected, request.as_ref().filter(|_| !validate_only)).await?;
    }
    let mode = if validate_only { BatchMode::DryRun } else { BatchMode::Atomic };
    let context = Context { api, call, reach: &reach, request: request.as_ref(), mode };
    let Changed { ids, failed, more } = change(&context, query, &action).await?;
    // The call is not finished: not all are changed, and a retry goes on.
    if let Some(failed) = failed {
        return Err(failed.into());
    }
    match &request {
        Some(request) if !validate_only => {
            if !more {
                api.read(api.store.finish_call(account, request)).await?;
            }
            let all = api.read(api.store.changed_by_call(&reach, request, None)).await?;
            Ok(Swept::of(all.len() as u64, all, more))
        }
        Some(_) | None => {
            let mut all = [before, ids].concat();
            all.sort_unstable_by_key(|id| Reverse(*id));
            Ok(Swept::of(all.len() as u64, all, more))
        }
    }
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

/// The call that changes invitations.
struct Context<'a> {
    api: &'a Api,
    call: &'a Call,
    reach: &'a Reach,
    request: Option<&'a Request>,
    mode: BatchMode,
}

impl Context<'_> {
    fn command(&self, id: InvitationId, action: &impl Fn(Target) -> Action) -> Command {
        let target = Target { id, kind: None, hides_deleted: false, etag: None };
        let request = self.request.map(|request| request.part(id.0));
        self.api.command(self.call, self.reach, request, action(target))
    }
}

/// The changed invitations, the failure of the first one that cannot be changed, and whether the time was too short for all.
#[derive(Default)]
struct Changed {
    ids: Vec<InvitationId>,
    failed: Option<ExecuteError>,
    more: bool,
}

async fn change(
    context: &Context<'_>,
    mut query: InvitationQuery,
    action: &impl Fn(Target) -> Action,
) -> Result<Changed, Status> {
    let (mut changed, mut slowest) = (Changed::default(), Duration::ZERO);
    let Context { api, call, reach, .. } = *context;
    loop {
        let before = call.deadline.left();
        let found = api.read(api.store.list_names(reach, &query)).await?;
        let commands = found.iter().map(|found| context.command(found.id, action)).collect();
        change_chunk(context, commands, &mut changed).await?;
        if (found.len() as u64) < CHUNK_INVITATIONS {
            return Ok(changed);
        }
        let left = call.deadline.left();
        slowest = slowest.max(before.saturating_sub(left));
        if !is_enough(left, slowest) {
            return Ok(Changed { more: true, ..changed });
        }
        query.after = found.last().map(|last| last.cursor.clone());
    }
}

/// Returns whether the time that is left is enough for another chunk and the answer.
fn is_enough(left: Duration, slowest: Duration) -> bool {
    left >= slowest.saturating_mul(2).max(MIN_TIME)
}

/// Changes a chunk in one commit. An invitation that somebody has accepted or declined since it was listed is left out. Where one
/// cannot be changed at all, as one that a newer release has written, the halves of the chunk are changed by themselves.
async fn change_chunk(context: &Context<'_>, chunk: Vec<Command>, changed: &mut Changed) -> Result<(), Status> {
    let mut waiting = vec![chunk];
    while let Some(mut commands) = waiting.pop() {
        match context.api.execute_all(context.call, commands.clone(), context.mode).await {
            Ok(results) => {
                let happened = results.iter().flatten().filter(|executed| executed.happened);
                changed.ids.extend(happened.map(|executed| executed.invitation.id));
                // Only a dry run has results that are errors.
                let failed = results.into_iter().filter_map(Result::err).find(|error| !error.is_about_state());
                changed.failed = changed.failed.take().or(failed);
            }
            Err(BatchError::Refused(errors)) => {
                if let Some(error) = errors.iter().flatten().find(|error| !error.is_about_state()) {
                    return Err(error.clone().into());
                }
                let left = commands.into_iter().zip(errors).filter(|(_, error)| error.is_none());
                waiting.push(left.map(|(command, _)| command).collect());
            }
            Err(BatchError::Failed(error @ ExecuteError::Internal(_))) if commands.len() <= 1 => {
                changed.failed.get_or_insert(error);
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
