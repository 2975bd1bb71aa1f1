//! The decision of a command: a pure function of what was loaded, the command and its context.
//!
//! [`decide`] is the part that all commands have in common: it replays a request_id, or decides and remembers it. The
//! rest is in the file of each command under [`command`](super::command).

pub(super) mod replay;
pub(crate) mod request;
#[cfg(test)]
pub(in crate::domain) mod tests;

use uuid::Uuid;

use super::command::{Command, GIVING_FIELDS, RequestKey, tell_of_opened};
use super::delivery::notice::Notices;
use super::delivery::reminder::{Planned, Schedules};
use super::delivery::{Delivery, NewDelivery, Purpose};
use super::erasure::Erasure;
use super::group::loaded::{Loaded, Remembered};
use super::invitation::acceptance::Acceptance;
use super::invitation::event::payload::DeliveryPayload;
use super::invitation::event::{EventType, NewEvent, Payload};
use super::invitation::recipient::Recipient;
use super::invitation::refusal::Refusal;
use super::invitation::slot::{Slot, SlotKey};
use super::invitation::{EngagementType, Invitation};
use super::quota::{QuotaChanges, Quotas};
use super::seat;
use super::seat::{SeatChanges, Unseated};
use super::suppression::Suppression;
use super::value::grantable_roles::GrantableRoles;
use super::value::id::{AcceptanceId, InvitationId};
pub(super) use replay::remembered;
use replay::{remember, replay};

/// The inputs of a decision beside the loaded snapshot and the command.
#[derive(Clone, Debug)]
pub struct Context {
    /// The id of the key that new links are signed with.
    pub signing_key: u8,
    /// The times at which recipients who have not answered receive reminders.
    pub reminders: Schedules,
    /// The notices that inviters get.
    pub notices: Notices,
    /// The limits that hold over all replicas.
    pub quotas: Quotas,
}

/// The changes of a command, and the answer to its caller.
#[derive(Clone, Debug)]
pub struct Decided {
    /// The changes to save.
    pub changes: Changes,
    /// The rows that the answer shows.
    pub affected: Affected,
}

/// The rows that the answer to a command shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Affected {
    /// The invitation.
    pub invitation: InvitationId,
    /// The acceptance, for an accept.
    pub acceptance: Option<AcceptanceId>,
    /// The message, for a command about one.
    pub delivery: Option<Uuid>,
    /// Whether the subject had accepted before.
    pub already_accepted: bool,
}

/// The changes of a command. All are saved in one commit, or none.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    /// Invitations that are created, or updated: then with a raised revision, unless the change does not concern the
    /// etag. The first is the one that the command is about.
    pub invitations: Vec<Change>,
    /// Slots that are taken, or taken again.
    pub slots: Vec<(SlotKey, Slot)>,
    /// Slots that the invitation gives up, because a recipient is gone.
    pub freed: Vec<SlotKey>,
    /// The recipients of the invitation who are removed: messages to them are cancelled.
    pub removed: Vec<u16>,
    /// The domains of an auto-join that are new or gone.
    pub domains: Vec<DomainChange>,
    /// An acceptance that is new, or changed.
    pub acceptance: Option<AcceptanceChange>,
    /// An engagement to be counted beside the invitation.
    pub engagement: Option<(InvitationId, EngagementType)>,
    /// The events, in order.
    pub events: Vec<NewEvent>,
    /// Messages to be sent.
    pub deliveries: Vec<NewDelivery>,
    /// A message that has changed.
    pub delivery: Option<Delivery>,
    /// An address that nothing is sent to from now on.
    pub suppression: Option<Suppression>,
    /// The request to be remembered, the call that it is a part of, and the use of a proof.
    pub requests: Vec<(RequestKey, Remembered)>,
    /// The person's data to take out of the rows beside the invitation.
    pub erasure: Option<Erasure>,
    /// The use of the quotas.
    pub quotas: QuotaChanges,
    /// The people who give back the seats that acceptances of the invitation have brought them, since those have ended.
    pub unseated: Vec<Unseated>,
    /// The changes of seats, if the scope of a changed invitation counts them.
    pub seats: Option<Box<SeatChanges>>,
}

impl Changes {
    /// Returns the invitation that the command is about, as it is after it, if it changes.
    pub(super) fn about(&self) -> Option<&Invitation> {
        self.invitations.first().map(|(Change::Create(about) | Change::Update { invitation: about, .. })| about)
    }
}

/// A change of an invitation.
#[derive(Clone, Debug)]
pub enum Change {
    /// The invitation is new.
    Create(Invitation),
    /// The invitation is as it was loaded, except for the changes of the command.
    Update {
        /// The invitation after the command.
        invitation: Invitation,
        /// Whether the save has to check that it has not expired meanwhile.
        unexpired: bool,
    },
}

/// A domain that is new, or gone, from an auto-join.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DomainChange {
    /// The auto-join.
    pub invitation: InvitationId,
    /// The domain, in ASCII.
    pub domain: String,
    /// Whether it joins from now on, or no longer.
    pub joins: bool,
}

/// A change of an acceptance.
#[derive(Clone, Debug)]
pub enum AcceptanceChange {
    /// The acceptance is new.
    Create(Acceptance),
    /// The acceptance is as it was loaded, except for the changes of the command, and counts as it did.
    Update(Acceptance),
    /// The acceptance is as it was loaded, except that it counts no longer: whatever it holds goes back.
    Stop(Acceptance),
    /// The acceptance is as it was loaded, except that it counts again: it needs what it held.
    Resume(Acceptance),
}

/// Decides one command: replays a remembered request, or decides anew and remembers the request.
pub fn decide(loaded: &Loaded, command: &Command, context: &Context) -> Result<Decided, Refusal> {
    if !command.is_open_to_its_caller() {
        return Err(Refusal::InvitationNotFound);
    }
    if let Some(affected) = replay(loaded, command)? {
        return Ok(Decided { changes: Changes::default(), affected });
    }
    let mut decided = command.rules().decide(loaded, command, context)?;
    tell_of_opened(loaded, command, &mut decided.changes);
    charge((loaded, command, context), &mut decided.changes, Err)?;
    context.notices.plan(loaded, command, &mut decided.changes);
    let changed = !decided.changes.events.is_empty();
    decided.changes.requests.extend(remember(loaded, command, &decided.affected, changed));
    Ok(decided)
}

/// Checks what a decision gives and what it takes of quotas and seats, and adds that to its changes. `refuse` is called with what fails,
/// one after the other, and says whether the checks end with it.
pub(super) fn charge(
    (loaded, command, context): (&Loaded, &Command, &Context),
    changes: &mut Changes,
    mut refuse: impl FnMut(Refusal) -> Result<(), Refusal>,
) -> Result<(), Refusal> {
    check_roles(&command.grantable_roles, changes).or_else(&mut refuse)?;
    context.quotas.charge(loaded, command, changes).or_else(&mut refuse)?;
    seat::charge(loaded, command, changes).or_else(refuse)
}

/// Refuses to give a role that the caller may not give, by a new invitation, by sending one again, by an update that gives more, or
/// by an acceptance. What was given before the roles were fewer is not taken back.
fn check_roles(grantable: &GrantableRoles, changes: &Changes) -> Result<(), Refusal> {
    let gives = |event: &NewEvent| match &event.payload {
        Payload::Resent(_) => true,
        Payload::Updated(updated) => updated.fields.iter().any(|field| GIVING_FIELDS.contains(&field.as_str())),
        _ => false,
    };
    let is_given_again = changes.events.iter().any(gives);
    let invitation = changes.invitations.first().and_then(|change| match change {
        Change::Create(invitation) => Some(invitation),
        Change::Update { invitation, .. } => Some(invitation).filter(|_| is_given_again),
    });
    let accepted = changes.acceptance.as_ref().and_then(|change| match change {
        AcceptanceChange::Create(acceptance) => Some(acceptance.roles.as_slice()),
        AcceptanceChange::Update(_) | AcceptanceChange::Stop(_) | AcceptanceChange::Resume(_) => None,
    });
    let given = invitation.map(|invitation| invitation.details.roles()).into_iter().chain(accepted);
    match given.into_iter().find_map(|roles| grantable.excess(roles)) {
        Some(role) => Err(Refusal::RoleNotGrantable(role.to_owned())),
        None => Ok(()),
    }
}

impl Decided {
    /// Returns the changes of a command whose work is done already.
    pub(super) fn unchanged(invitation: InvitationId) -> Self {
        let affected = Affected { invitation, acceptance: None, delivery: None, already_accepted: false };
        Self { changes: Changes::default(), affected }
    }

    /// Returns the changes of a message.
    pub(super) fn delivered(delivery: Delivery, changes: Changes) -> Self {
        let unchanged = Self::unchanged(delivery.message.invitation);
        let affected = Affected { delivery: Some(delivery.message.id), ..unchanged.affected };
        Self { changes: Changes { delivery: Some(delivery), ..changes }, affected }
    }

    /// Returns the changes of an invitation.
    pub(super) fn changed(invitation: InvitationId, changes: Changes) -> Self {
        Self { changes, ..Self::unchanged(invitation) }
    }
}

/// Creates the parts of one command, each with the next of the command's ids.
pub(super) struct Maker<'a> {
    pub(super) loaded: &'a Loaded,
    pub(super) command: &'a Command,
    id_count: u32,
}

impl<'a> Maker<'a> {
    pub(super) fn new(loaded: &'a Loaded, command: &'a Command) -> Self {
        Self { loaded, command, id_count: 0 }
    }

    /// Creates parts beside those of the decision: their ids are others.
    pub(super) fn beside(loaded: &'a Loaded, command: &'a Command) -> Self {
        Self { loaded, command, id_count: u32::MAX / 2 }
    }

    pub(super) fn id(&mut self) -> Uuid {
        self.id_count += 1;
        self.command.seed.nth(self.id_count)
    }

    /// Returns an invitation to be changed.
    pub(super) fn touched(&self, invitation: &Invitation) -> Invitation {
        let mut invitation = invitation.clone();
        invitation.touch(&self.command.actor, self.loaded.now);
        invitation
    }

    /// Creates an event of an invitation as it is after the command.
    pub(super) fn event(&mut self, invitation: &Invitation, event_type: EventType, payload: Payload) -> NewEvent {
        let general = invitation.details.general();
        NewEvent {
            id: self.id(),
            account: self.command.account().clone(),
            invitation: invitation.id,
            kind: invitation.details.kind(),
            event_type,
            state: invitation.state_at(self.loaded.now),
            scope: invitation.details.scope(&invitation.account),
            time: self.loaded.now,
            actor: self.command.actor.clone(),
            request_id: self.command.request.as_ref().map(|request| request.id.clone()),
            pass_through: general.and_then(|details| details.caller_data.pass_through.clone()),
            payload,
        }
    }

    /// Creates an event of a message.
    pub(super) fn delivery_event(
        &mut self,
        invitation: &Invitation,
        message: &NewDelivery,
        event_type: EventType,
        detail: Option<&str>,
    ) -> NewEvent {
        let NewDelivery { id, purpose, recipient, .. } = *message;
        let payload = DeliveryPayload {
            delivery: id,
            recipient: Some(recipient).filter(|ordinal| *ordinal > 0),
            purpose: purpose.into(),
            detail: detail.map(str::to_owned),
        };
        self.event(invitation, event_type, Payload::Delivery(payload))
    }

    /// Creates a message to every recipient with an e-mail address who has not answered, if the invitation's links are
    /// mailed at all.
    pub(super) fn deliveries(&mut self, invitation: &Invitation) -> Vec<NewDelivery> {
        let message = |recipient| NewDelivery { recipient, ..self.message(invitation, Purpose::Invitation) };
        mailed(invitation).map(message).collect()
    }

    /// Creates a message to each of some recipients, whether or not the invitation's links are mailed.
    pub(super) fn deliveries_to(&mut self, invitation: &Invitation, ordinals: &[u16]) -> Vec<NewDelivery> {
        let named = invitation.recipients.iter().filter(|recipient| ordinals.contains(&recipient.ordinal));
        let message = |named: &Recipient| NewDelivery {
            recipient: named.ordinal,
            ..self.message(invitation, Purpose::Invitation)
        };
        named.map(message).collect()
    }

    /// Creates the reminders that are planned for the same recipients.
    pub(super) fn reminders(&self, invitation: &Invitation, planned: &[Planned]) -> Vec<NewDelivery> {
        self.reminders_to(invitation, mailed(invitation), planned)
    }

    /// Creates the reminders that are planned for some recipients.
    pub(super) fn reminders_to(
        &self,
        invitation: &Invitation,
        recipients: impl Iterator<Item = u16>,
        planned: &[Planned],
    ) -> Vec<NewDelivery> {
        let to = |recipient| planned.iter().map(move |planned| (recipient, *planned));
        let message = |(recipient, planned): (u16, Planned)| planned.to(recipient).of(invitation.id, self.loaded.now);
        recipients.flat_map(to).map(message).collect()
    }

    /// Creates the reminders that name the expiry, if it has changed, to all recipients but some; those that named the old one are
    /// cancelled when their time comes. An expiry may be moved to where a reminder is due at once, so such moves are limited.
    pub(super) fn reminders_if_moved(
        &self,
        before: &Invitation,
        after: &mut Invitation,
        but: &[u16],
        context: &Context,
    ) -> Result<Vec<NewDelivery>, Refusal> {
        if before.facts.expire_at == after.facts.expire_at {
            return Ok(Vec::new());
        }
        let schedule = context.reminders.get(after.details.kind());
        let planned = schedule.for_moved(after.facts.expire_at, self.loaded.now);
        let reminded = mailed(after).filter(|ordinal| !but.contains(ordinal));
        let reminders = self.reminders_to(after, reminded, &planned);
        if !reminders.is_empty() {
            after.repeats.count_move(self.loaded.now)?;
        }
        Ok(reminders)
    }

    /// Creates a message without a recipient, due now.
    pub(super) fn message(&mut self, invitation: &Invitation, purpose: Purpose) -> NewDelivery {
        NewDelivery {
            id: self.id(),
            invitation: invitation.id,
            purpose,
            recipient: 0,
            address: None,
            about: None,
            moment: None,
            created_at: self.loaded.now,
            due_at: self.loaded.now,
        }
    }
}

/// Returns the recipients whose links are mailed and who have not answered.
pub(super) fn mailed(invitation: &Invitation) -> impl Iterator<Item = u16> {
    let mailed = |recipient: &&Recipient| invitation.mails && recipient.is_open() && recipient.email().is_some();
    invitation.recipients.iter().filter(mailed).map(|recipient| recipient.ordinal)
}
