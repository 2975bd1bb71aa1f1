//! Makes a user invitation invisible to its own service. The general one still shows it, and the audit trail stays.

use super::revoke::revoked;
use super::{Command, DeleteInvitation};
use crate::domain::decide::{Change, Changes, Decided, Maker};
use crate::domain::group::loaded::Loaded;
use crate::domain::invitation::event::EventType;
use crate::domain::invitation::refusal::Refusal;
use crate::domain::invitation::state::State;

pub(in crate::domain) fn decide(
    loaded: &Loaded,
    command: &Command,
    delete: &DeleteInvitation,
) -> Result<Decided, Refusal> {
    let invitation = loaded.named(command, &delete.target)?;
    let mut maker = Maker::new(loaded, command);
    let (mut change, event) = match invitation.state_at(loaded.now) {
        State::Active | State::Expired => revoked(&mut maker, invitation),
        State::Revoked | State::Declined | State::Fulfilled => {
            let invitation = maker.touched(invitation);
            let event = maker.event(&invitation, EventType::Updated, [("deleted", true.into())]);
            (Change::Update { invitation, unexpired: false }, event)
        }
    };
    let (Change::Create(deleted) | Change::Update { invitation: deleted, .. }) = &mut change;
    deleted.deleted_at = Some(loaded.now);
    Ok(Decided::changed(
        invitation.id,
        Changes { invitations: vec![change], events: vec![event], ..Changes::default() },
    ))
}
