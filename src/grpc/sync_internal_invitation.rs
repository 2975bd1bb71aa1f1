//! `InvitationService.SyncInternalInvitation`: takes in what a person did in the caller's own system.

use tonic::Status;

use super::accept_invitations::accept;
use super::api::{Api, check_request_id};
use super::call::Call;
use super::name::invitation_name;
use super::status;
use super::violations::Violations;
use crate::domain::acceptance::Acceptor;
use crate::domain::command::{Action, Command, DeclineInvitation, Target, Way};
use crate::domain::details::Kind;
use crate::domain::group::Bundle;
use crate::domain::recipient::Address;
use crate::domain::state::State;
use crate::domain::text::{self, Invalid};
use crate::pb;
use crate::pb::InternalInvitationAction as Given;
use crate::store::InvitationQuery;

/// The most invitations of one inviter to one person that are looked at.
const MOST: u64 = 1_000;

/// Accepts or declines the invitations of one inviter to one person.
pub(super) async fn sync_internal_invitation(
    api: &Api,
    call: &Call,
    message: &pb::SyncInternalInvitationRequest,
) -> Result<pb::SyncInternalInvitationResponse, Status> {
    let mut violations = Violations::default();
    check_request_id(&mut violations, &message.request_id);
    let inviter_user_id = violations.required("creator_user_id", &message.creator_user_id, text::opaque_id);
    let value = violations.required("target_value", &message.target_value, text::opaque_id);
    let widget = &message.widget_configuration_id;
    let widget_configuration_id = violations.optional("widget_configuration_id", widget, text::opaque_id);
    let accepts = match Given::try_from(message.action) {
        Ok(Given::Accepted) => Ok(true),
        Ok(Given::Declined) => Ok(false),
        Ok(Given::Unspecified) | Err(_) => Err(Invalid("must be ACCEPTED or DECLINED")),
    };
    let accepts = violations.take("action", accepts);
    let (value, accepts) = violations.finish(value.zip(accepts))?;
    let query = InvitationQuery {
        kinds: vec![Kind::General],
        hosts: api.hosts(call, true).await?,
        states: vec![State::Active],
        target: Some(Address::Internal(value.clone())),
        inviter_user_id,
        widget_configuration_id,
        limit: MOST,
        ..InvitationQuery::default()
    };
    let mut names = sync(api, call, message, &query, &value, accepts).await?;
    if names.is_empty() && !message.request_id.is_empty() {
        // Perhaps it is a retry, and the answer to the first try was lost: then its commands are remembered.
        let query = InvitationQuery { states: Vec::new(), ..query };
        names = sync(api, call, message, &query, &value, accepts).await?;
    }
    if names.is_empty() {
        return Err(status::not_found());
    }
    let processed_count = i32::try_from(names.len()).unwrap_or(i32::MAX);
    Ok(pb::SyncInternalInvitationResponse { processed_count, names })
}

/// Returns the names of those that were accepted, or declined.
async fn sync(
    api: &Api,
    call: &Call,
    message: &pb::SyncInternalInvitationRequest,
    query: &InvitationQuery,
    value: &str,
    accepts: bool,
) -> Result<Vec<String>, Status> {
    let found = api.read(api.store.list_names(&call.caller.account, query)).await?;
    let whole = api.request(message, &message.request_id, 0);
    let commands = found.iter().map(|found| {
        let way = Way::Name(Target { id: found.id, kind: None, hosts: None, hides_deleted: false, etag: None });
        let request = whole.as_ref().map(|whole| whole.part(found.id.0));
        api.command(call, request, action(way, value, accepts))
    });
    let commands: Vec<Command> = commands.collect();
    let results = api.execute_all(call, commands, Bundle::Each).await?;
    let mut names = Vec::new();
    for (found, result) in found.iter().zip(results) {
        match result {
            Ok(executed) if executed.happened => names.push(invitation_name(found.id)),
            // What has ended since it was listed, or before, has nothing more to take in.
            Ok(_) => {}
            Err(error) if error.is_about_state() => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(names)
}

fn action(way: Way, value: &str, accepts: bool) -> Action {
    if !accepts {
        let address = Some(Address::Internal(value.to_owned()));
        return Action::Decline(DeclineInvitation { way, address, reason: None });
    }
    accept(way, Acceptor::known_as(value.to_owned()))
}
