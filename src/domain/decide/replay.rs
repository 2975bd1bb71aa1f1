//! The results of request_ids: replayed before a command is decided, and remembered with the changes of the command.

use uuid::Uuid;

use super::Affected;
use crate::domain::command::{Command, RequestKey};
use crate::domain::group::loaded::{Loaded, Remembered};
use crate::domain::invitation::refusal::Refusal;
use crate::domain::value::id::InvitationId;

/// Returns the invitation of a remembered request; refuses the request_id if it was used for another request.
pub(in crate::domain) fn replay(loaded: &Loaded, command: &Command) -> Result<Option<Affected>, Refusal> {
    let Some(request) = &command.request else { return Ok(None) };
    // Another call is refused as a whole, even if it has no part in common with this one.
    let call = loaded.request(&request.call_key(command.account()));
    if call.is_some_and(|call| !request.has_digest(&call.digest)) {
        return Err(Refusal::RequestIdReused);
    }
    let Some(remembered) = remembered(loaded, command) else { return Ok(None) };
    // The token stays out of the digest, so the invitation that it opens is compared here.
    let same_invitation = command.invitation().is_none_or(|id| id == remembered.invitation);
    if !request.has_digest(&remembered.digest) || !same_invitation {
        return Err(Refusal::RequestIdReused);
    }
    let found = loaded.invitation(command.account(), remembered.invitation);
    let delivery = command.read_set().delivery;
    if found.is_ok_and(|found| !loaded.is_reached(command, found)) {
        let is_missing = delivery.map_or_else(|| command.rules().not_found(), |_| Refusal::DeliveryNotFound);
        return Err(is_missing);
    }
    let Remembered { invitation, acceptance, .. } = *remembered;
    if let Some(made) = acceptance.and_then(|id| loaded.acceptance(invitation, id)) {
        command.rules().check_replay(made, loaded.now)?;
    }
    let already_accepted = acceptance.is_some() && !remembered.has_changed_something();
    Ok(Some(Affected { invitation, acceptance, delivery, already_accepted }))
}

/// Returns what is remembered of a command's request_id.
pub(in crate::domain) fn remembered<'a>(loaded: &'a Loaded, command: &Command) -> Option<&'a Remembered> {
    let request = command.request.as_ref()?;
    loaded.request(&request.key(command.account()))
}

/// Returns the request of a command to be remembered, also if everything was done already: its retry must not repeat
/// changes that others have undone meanwhile.
pub(in crate::domain) fn remember(
    loaded: &Loaded,
    command: &Command,
    affected: &Affected,
    changed: bool,
) -> Vec<(RequestKey, Remembered)> {
    let Some(request) = &command.request else { return Vec::new() };
    let Some(digest) = request.digests.first().copied() else { return Vec::new() };
    let Affected { invitation, acceptance, .. } = *affected;
    let own = Remembered { digest, invitation, acceptance, at: loaded.now, changed: (!changed).then_some(0) };
    let (own_key, call_key) = (request.key(command.account()), request.call_key(command.account()));
    let begins_call = own_key != call_key && loaded.request(&call_key).is_none();
    // A call over several invitations is about none of them.
    let call = || Remembered { invitation: InvitationId(Uuid::nil()), acceptance: None, changed: None, ..own.clone() };
    let call = begins_call.then(|| (call_key, call()));
    [(own_key, own)].into_iter().chain(call).collect()
}
