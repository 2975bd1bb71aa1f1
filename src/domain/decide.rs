//! What each command does, one file per command: pure functions of what was loaded, the command and its context.
//!
//! [`decide`] is what all commands have in common: the replay of a request_id before, the remembering after.

mod accept_invitation;
mod claim;
mod create_invitation;
mod decline_invitation;
mod delete_invitation;
mod record_engagement;
mod resend_invitation;
mod revoke_invitation;
mod sync_autojoin;
#[cfg(test)]
mod tests;
mod update_created_connection;
mod update_guest_invitation;

use serde_json::{Map, Value};
use uuid::Uuid;

use super::acceptance::Acceptance;
use super::command::{Action, Command, RequestKey};
use super::event::{EventType, NewEvent};
use super::id::{AcceptanceId, InvitationId};
use super::invitation::{EngagementType, Invitation};
use super::loaded::{Loaded, Remembered};
use super::recipient::Recipient;
use super::refusal::Refusal;
use super::slot::{Slot, SlotKey};
use super::time::Timestamp;

/// What a decision rests on beside the loaded snapshot and the command.
#[derive(Clone, Copy, Debug)]
pub struct Context {
    /// The id of the key that new links are signed with.
    pub signing_key: u8,
}

/// What a command does and what its caller is told.
#[derive(Clone, Debug)]
pub struct Decided {
    /// What is to be saved.
    pub changes: Changes,
    /// What the answer is about.
    pub outcome: Outcome,
}

/// What the answer to a command is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The invitation.
    pub invitation: InvitationId,
    /// The acceptance, for an accept.
    pub acceptance: Option<AcceptanceId>,
    /// Whether the subject had accepted before.
    pub already_accepted: bool,
}

/// What a command changes. All of it is saved in one commit, or none.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    /// Invitations that are new, or changed: then with a raised revision. The first is what the command is about.
    pub invitations: Vec<Change>,
    /// Slots that are taken, or taken again.
    pub slots: Vec<(SlotKey, Slot)>,
    /// The domains of an auto-join that are new or gone.
    pub domains: Vec<DomainChange>,
    /// An acceptance that is new, or changed.
    pub acceptance: Option<AcceptanceChange>,
    /// Something to be counted beside the invitation.
    pub engagement: Option<(InvitationId, EngagementType)>,
    /// What happened, in order.
    pub events: Vec<NewEvent>,
    /// Messages to be sent.
    pub deliveries: Vec<NewDelivery>,
    /// The request as it is to be remembered.
    pub request: Option<(RequestKey, Remembered)>,
}

/// How an invitation changes.
#[derive(Clone, Debug)]
pub enum Change {
    /// It is new.
    Create(Invitation),
    /// It is as loaded but for what the command did.
    Update {
        /// The invitation as it will be.
        invitation: Invitation,
        /// Whether the save has to make sure that it has not expired meanwhile.
        unexpired: bool,
    },
}

/// A domain that is new, or gone, from an auto-join.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DomainChange {
    /// Of which auto-join.
    pub invitation: InvitationId,
    /// The domain, in ASCII.
    pub domain: String,
    /// Whether its addresses join from now on, or no longer.
    pub joins: bool,
}

/// How an acceptance changes.
#[derive(Clone, Debug)]
pub enum AcceptanceChange {
    /// It is new.
    Create(Acceptance),
    /// It is as loaded but for what the command did.
    Update(Acceptance),
}

/// A message to be sent to a recipient of an invitation. Holds no link: that is derived when it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewDelivery {
    /// Names the message for good, over retries.
    pub id: Uuid,
    /// About which invitation.
    pub invitation: InvitationId,
    /// To which recipient.
    pub recipient: u16,
    /// When it was decided.
    pub created_at: Timestamp,
}

/// Decides one command: replays a remembered request, or does what the command says and remembers it.
pub fn decide(loaded: &Loaded, command: &Command, context: &Context) -> Result<Decided, Refusal> {
    if let Some(outcome) = replay(loaded, command)? {
        return Ok(Decided { changes: Changes::default(), outcome });
    }
    let mut decided = match &command.action {
        Action::Create(create) => create_invitation::decide(loaded, command, create, context),
        Action::Accept(accept) => accept_invitation::decide(loaded, command, accept),
        Action::Decline(decline) => decline_invitation::decide(loaded, command, decline),
        Action::Revoke(revoke) => revoke_invitation::decide(loaded, command, revoke),
        Action::Resend(resend) => resend_invitation::decide(loaded, command, resend, context),
        Action::RecordEngagement(record) => record_engagement::decide(loaded, command, record),
        Action::UpdateCreatedConnection(update) => update_created_connection::decide(loaded, command, update),
        Action::UpdateGuest(update) => update_guest_invitation::decide(loaded, command, update),
        Action::Delete(delete) => delete_invitation::decide(loaded, command, delete),
        Action::SyncAutojoin(sync) => sync_autojoin::decide(loaded, command, sync, context),
    }?;
    // Only what changed something is worth remembering: the rest can be decided again.
    if !decided.changes.events.is_empty() {
        decided.changes.request = remember(loaded, command, &decided.outcome);
    }
    Ok(decided)
}

/// Returns what a remembered request was about; refuses the request_id if it was used for something else.
fn replay(loaded: &Loaded, command: &Command) -> Result<Option<Outcome>, Refusal> {
    let Some((request, key)) = command.request.as_ref().zip(command.request_key()) else { return Ok(None) };
    let Some(remembered) = loaded.request(&key) else { return Ok(None) };
    // The token stays out of the digest, so which invitation was meant is compared here.
    let same_body = request.digests.contains(&remembered.digest);
    let same_invitation = command.invitation().is_none_or(|id| id == remembered.invitation);
    if !same_body || !same_invitation {
        return Err(Refusal::RequestIdReused);
    }
    Ok(Some(Outcome { invitation: remembered.invitation, acceptance: remembered.acceptance, already_accepted: false }))
}

fn remember(loaded: &Loaded, command: &Command, outcome: &Outcome) -> Option<(RequestKey, Remembered)> {
    let digest = *command.request.as_ref()?.digests.first()?;
    let Outcome { invitation, acceptance, already_accepted: _ } = *outcome;
    Some((command.request_key()?, Remembered { digest, invitation, acceptance, at: loaded.now }))
}

impl Decided {
    /// Says that nothing is to be done about an invitation.
    fn unchanged(invitation: InvitationId) -> Self {
        let outcome = Outcome { invitation, acceptance: None, already_accepted: false };
        Self { changes: Changes::default(), outcome }
    }

    /// Says what changes about an invitation.
    fn changed(invitation: InvitationId, changes: Changes) -> Self {
        Self { changes, ..Self::unchanged(invitation) }
    }
}

/// Makes what one command creates: each thing with the next of the command's ids.
struct Maker<'a> {
    loaded: &'a Loaded,
    command: &'a Command,
    made: u32,
}

impl<'a> Maker<'a> {
    fn new(loaded: &'a Loaded, command: &'a Command) -> Self {
        Self { loaded, command, made: 0 }
    }

    fn id(&mut self) -> Uuid {
        self.made += 1;
        self.command.seed.nth(self.made)
    }

    /// Returns an invitation as it is about to be changed.
    fn touched(&self, invitation: &Invitation) -> Invitation {
        let mut invitation = invitation.clone();
        invitation.touch(&self.command.actor, self.loaded.now);
        invitation
    }

    fn event<const N: usize>(
        &mut self,
        invitation: &Invitation,
        event_type: EventType,
        data: [(&str, Value); N],
    ) -> NewEvent {
        let kept = invitation.details.general().and_then(|details| details.kept.pass_through.clone());
        let data = data.into_iter().chain([("pass_through", kept.into())]).filter(|(_, value)| !value.is_null());
        NewEvent {
            id: self.id(),
            account: self.command.account.clone(),
            invitation: invitation.id,
            kind: invitation.details.kind(),
            event_type,
            time: self.loaded.now,
            actor: self.command.actor.clone(),
            request_id: self.command.request.as_ref().map(|request| request.id.clone()),
            data: data.map(|(key, value)| (key.to_owned(), value)).collect::<Map<_, _>>(),
        }
    }

    /// Makes a message to every recipient with an e-mail address who has not answered, if the invitation's links are mailed at all.
    fn deliveries(&mut self, invitation: &Invitation) -> Vec<NewDelivery> {
        let mailed = |recipient: &&Recipient| invitation.mails && recipient.is_open() && recipient.email().is_some();
        let open = invitation.recipients.iter().filter(mailed);
        open.map(|recipient| NewDelivery {
            id: self.id(),
            invitation: invitation.id,
            recipient: recipient.ordinal,
            created_at: self.loaded.now,
        })
        .collect()
    }
}
