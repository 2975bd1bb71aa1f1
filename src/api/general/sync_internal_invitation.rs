//! `InvitationService.SyncInternalInvitation`: records an answer that a person gave in the caller's own system.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use tonic::Status;

use super::accept_invitations::accept;
use crate::api::convert::count;
use crate::api::execute::{Api, Call};
use crate::api::parse::violations::Violations;
use crate::api::resource::invitation_name;
use crate::domain::command::{Access, Action, DeclineInvitation, Request, Target};
use crate::domain::group::BatchMode;
use crate::domain::invitation::acceptance::Acceptor;
use crate::domain::invitation::recipient::Address;
use crate::domain::invitation::state::State;
use crate::domain::kind::Kind;
use crate::domain::reach::Reach;
use crate::domain::value::id::InvitationId;
use crate::domain::value::rule::{FieldRule, Invalid};
use crate::domain::value::text;
use crate::pb;
use crate::pb::InternalInvitationAction as Given;
use crate::server::status;
use crate::store::{Cursor, InvitationQuery, KnownCall, ListedName};

/// The most invitations of one inviter to one person that are updated.
const MAX_INVITATIONS: u64 = 1_000;

/// Accepts or declines the invitations of one inviter to one person.
pub(crate) async fn sync_internal_invitation(
    api: &Api,
    call: &Call,
    message: &pb::SyncInternalInvitationRequest,
    mut violations: Violations,
) -> Result<pb::SyncInternalInvitationResponse, Status> {
    let inviter_user_id = violations.required("inviter_user_id", &message.inviter_user_id, text::opaque_id);
    let value = violations.required("target_value", &message.target_value, text::opaque_id);
    let widget = &message.widget_configuration_id;
    let widget_configuration_id = violations.optional("widget_configuration_id", widget, text::opaque_id);
    let accepts = match Given::try_from(message.action) {
        Ok(Given::Accepted) => Ok(true),
        Ok(Given::Declined) => Ok(false),
        Ok(Given::Unspecified) | Err(_) => Err(Invalid::new(FieldRule::UnknownValue, "must be ACCEPTED or DECLINED")),
    };
    let accepts = violations.take("action", accepts);
    let (value, accepts) = violations.finish(value.zip(accepts))?;
    let reach = api.reach(call).await?;
    let query = InvitationQuery {
        kinds: vec![Kind::General],
        states: vec![State::Active],
        target: Some(Address::Internal(value.clone())),
        inviter_user_id,
        widget_configuration_id,
        limit: MAX_INVITATIONS,
        ..InvitationQuery::default()
    };
    let action = |access| action(access, &value, accepts);
    let mode = if message.validate_only { BatchMode::DryRun } else { BatchMode::Independent };
    let processed = match api.request(call, message, 0) {
        None => sync((api, call, &reach), None, &query, action, mode).await?,
        Some(request) => sync_once((api, call, &reach), &request, query, action, mode).await?,
    };
    if processed.is_empty() {
        return Err(status::not_found());
    }
    let names = processed.into_iter().map(invitation_name).collect::<Vec<_>>();
    Ok(pb::SyncInternalInvitationResponse { processed_count: count(names.len()), names })
}

/// Does the same once per request_id, and returns the invitations that the first call and its retries have accepted, or
/// declined.
async fn sync_once(
    (api, call, reach): (&Api, &Call, &Reach),
    request: &Request,
    query: InvitationQuery,
    action: impl Fn(Access) -> Action,
    mode: BatchMode,
) -> Result<Vec<InvitationId>, Status> {
    let (account, store) = (&call.caller.account, &api.store);
    let any = InvitationQuery { limit: 1, ..query.clone() };
    // A call that finds no invitation is refused, and a refusal is not remembered. The same call, at the same time, may
    // have left no invitation to be found.
    if api.read(store.list_names(reach, &any)).await?.is_empty()
        && api.read(store.find_call(account, request)).await? == KnownCall::New
    {
        return Ok(Vec::new());
    }
    match api.begin_call(call, request, mode == BatchMode::DryRun).await? {
        KnownCall::Another => return Err(status::request_id_reused()),
        KnownCall::New => return sync((api, call, reach), Some(request), &query, action, mode).await,
        KnownCall::Finished { .. } => {}
        KnownCall::Begun { at } => {
            let query = InvitationQuery { after: Some(Cursor::until(at)), ..query };
            if mode == BatchMode::DryRun {
                let mut synced: BTreeSet<_> =
                    api.read(store.changed_by_call(reach, request, None)).await?.into_iter().collect();
                synced.extend(sync((api, call, reach), Some(request), &query, action, mode).await?);
                return Ok(synced.into_iter().rev().collect());
            }
            sync((api, call, reach), Some(request), &query, action, mode).await?;
            // A call that changes nothing is refused as one that finds nothing is, and its client cannot tell the two apart: both can
            // be sent again with the request_id once there is something to do.
            api.read(store.forget_unchanged_call(account, request)).await?;
            if api.read(store.changed_by_call(reach, request, None)).await?.is_empty() {
                return Ok(Vec::new());
            }
            api.read(store.finish_call(account, request)).await?;
        }
    }
    api.read(store.changed_by_call(reach, request, None)).await
}

/// Accepts or declines the invitations that a query finds, and returns those that changed, the newest first.
async fn sync(
    (api, call, reach): (&Api, &Call, &Reach),
    request: Option<&Request>,
    query: &InvitationQuery,
    action: impl Fn(Access) -> Action,
    mode: BatchMode,
) -> Result<Vec<InvitationId>, Status> {
    let found = api.read(api.store.list_names(reach, query)).await?;
    let command = |found: &ListedName| {
        let access = Access::Name(Target { id: found.id, kind: None, hides_deleted: false, etag: None });
        let request = request.map(|request| request.part(found.id.0));
        api.command(call, reach, request, action(access))
    };
    let results = api.execute_all(call, found.iter().map(command).collect(), mode).await?;
    let mut changed = Vec::new();
    for (found, result) in found.iter().zip(results) {
        match result {
            Ok(executed) if executed.happened => changed.push(found.id),
            // An invitation that has ended since it was listed, or before, needs no update.
            Ok(_) => {}
            Err(error) if error.is_about_state() => {}
            Err(error) => return Err(error.into()),
        }
    }
    changed.sort_unstable_by_key(|id| Reverse(*id));
    Ok(changed)
}

fn action(access: Access, value: &str, accepts: bool) -> Action {
    if !accepts {
        let addresses = vec![Address::Internal(value.to_owned())];
        return Action::Decline(DeclineInvitation { access, addresses, reason: None });
    }
    Action::Accept(Box::new(accept(access, Acceptor::known_as(value.to_owned()))))
}
