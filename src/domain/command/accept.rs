//! Accepts an invitation for one subject: the only way to consume a use.

pub(super) mod check;
#[cfg(test)]
mod tests;
use uuid::Uuid;

use super::{Access, Command, CommandRules, ReadSet, RequestKey};
use crate::domain::decide::{AcceptanceChange, Affected, Change, Changes, Context, Decided, Maker};
use crate::domain::delivery::reminder::Schedules;
use crate::domain::group::loaded::{Loaded, Remembered, Rivals};
use crate::domain::group::open::MAX_RIVALS;
use crate::domain::invitation::Invitation;
use crate::domain::invitation::acceptance::{Acceptance, Acceptor};
use crate::domain::invitation::elsewhere::elsewhere;
use crate::domain::invitation::event::payload::{AcceptedElsewherePayload, AcceptedPayload, FulfilledPayload};
use crate::domain::invitation::event::{EventType, Payload};
use crate::domain::invitation::refusal::Refusal;
use crate::domain::kind::connection::NewConnection;
use crate::domain::kind::general::Usage;
use crate::domain::reach::person::Person;
use crate::domain::secret::key_ring::BodyDigest;
use crate::domain::secret::verification::EmailProof;
use crate::domain::value::given_email::GivenEmail;
use crate::domain::value::id::{AcceptanceId, InvitationId};
use crate::domain::value::text::AccountId;
use crate::domain::value::time::Timestamp;

/// Accepts an invitation for one subject.
#[derive(Clone, Debug)]
pub struct AcceptInvitation {
    /// The invitation.
    pub access: Access,
    /// The acceptor, as the caller knows them; see [`AcceptInvitation::proven_acceptor`].
    pub acceptor: Acceptor,
    /// The proof of their address, if they verified it with a code.
    pub proof: Option<EmailProof>,
    /// The connection that they created.
    pub created_connection: Option<NewConnection>,
    /// The organization that becomes a guest.
    pub guest_organization_id: Option<Uuid>,
    /// Whether a system accepts for the guest organization; then no address is required.
    pub by_system: bool,
}

impl CommandRules for AcceptInvitation {
    fn read_set(&self) -> ReadSet {
        ReadSet {
            // The answer to a system shows the acceptance, whose ever it is.
            newest_acceptances: self.by_system,
            subject: Some(self.acceptor.subject.clone()),
            created_connection: self.created_connection.as_ref().map(|connection| connection.id),
            ..ReadSet::of(self.access.invitation())
        }
    }

    fn second_read_set(&self, invitation: &Invitation, now: Timestamp) -> ReadSet {
        ReadSet { open_search: elsewhere(invitation, self, now), ..ReadSet::default() }
    }

    fn found_to_read(&self, _loaded: &Loaded, rivals: &Rivals) -> Vec<InvitationId> {
        rivals.ids.iter().rev().take(MAX_RIVALS).copied().collect()
    }

    fn weight(&self, _reminders: &Schedules) -> usize {
        7 + usize::from(self.proof.is_some())
    }

    fn use_key(&self, account: &AccountId) -> Option<RequestKey> {
        self.proof.as_ref().map(|proof| proof.use_key(account))
    }

    fn check_replay(&self, made: &Acceptance, now: Timestamp) -> Result<(), Refusal> {
        made.require_active(now)
    }

    fn decide(&self, loaded: &Loaded, command: &Command, context: &Context) -> Result<Decided, Refusal> {
        let invitation = loaded.reached(command, &self.access)?;
        if let Some(affected) = self.answered(loaded, invitation)? {
            return Ok(Decided { changes: Changes::default(), affected });
        }
        let matched = self.check(loaded, command, invitation, Err)?;
        Ok(self.accepted(Maker::new(loaded, command), invitation, matched, context))
    }
}

impl AcceptInvitation {
    /// Returns the changes of an accept by an acceptor who was matched with a recipient and an address.
    fn accepted(
        &self,
        mut maker: Maker<'_>,
        invitation: &Invitation,
        matched: (Option<u16>, Option<GivenEmail>),
        context: &Context,
    ) -> Decided {
        let (loaded, command) = (maker.loaded, maker.command);
        let mut acceptance = new_acceptance(&mut maker, invitation, self, matched);
        let used_proof = used_proof(&maker, invitation, self, &acceptance, context);
        let search = elsewhere(invitation, self, loaded.now);
        let left_over = search.iter().flat_map(|search| loaded.rivals(command.account(), search).ids.into_iter().rev());
        // Beyond the number that a command may change they stay open: a person is not kept out because they were invited often.
        let left_over = left_over.filter_map(|id| loaded.invitation(command.account(), id).ok());
        let left_over = left_over.filter(|other| other.id != invitation.id);
        let invitation = used(&maker, invitation, &acceptance);

        let mut events = vec![maker.event(&invitation, EventType::Accepted, accepted(&invitation, &acceptance))];
        if invitation.facts.remaining_uses() == Some(0) {
            let payload = FulfilledPayload { use_count: invitation.facts.use_count };
            events.push(maker.event(&invitation, EventType::Fulfilled, Payload::Fulfilled(payload)));
        }
        let affected = Affected {
            invitation: invitation.id,
            acceptance: Some(acceptance.id),
            delivery: None,
            already_accepted: false,
        };
        let mut invitations = vec![Change::Update { invitation, unexpired: true }];
        for other in left_over.filter(|other| other.details.usage() == Some(Usage::SingleUse)) {
            let mut closed = maker.touched(other);
            closed.facts.accepted_elsewhere_at = Some(loaded.now);
            acceptance.closed.push(closed.id);
            let payload = AcceptedElsewherePayload { invitation: affected.invitation, acceptance: acceptance.id };
            events.push(maker.event(&closed, EventType::AcceptedElsewhere, Payload::AcceptedElsewhere(payload)));
            invitations.push(Change::Update { invitation: closed, unexpired: false });
        }
        let acceptance = Some(AcceptanceChange::Create(acceptance));
        let requests = used_proof.into_iter().collect();
        let changes = Changes { invitations, acceptance, events, requests, ..Changes::default() };
        Decided { changes, affected }
    }

    /// Returns whether a person accepts as themselves, and brings nothing that is not theirs to say.
    pub(in crate::domain) fn is_by(&self, person: &Person) -> bool {
        let Acceptor { subject, email, email_verified, phone, display_name: _, existing_user } = &self.acceptor;
        let is_them = (subject, email) == (&person.subject, &person.email) && *email_verified == email.is_some();
        let is_plain = phone.is_none() && existing_user.is_none() && self.proof.is_none() && !self.by_system;
        is_them && is_plain && self.created_connection.is_none() && self.guest_organization_id.is_none()
    }
}

/// Returns the use of a proof that counts, to be remembered. Another process that saves the same one has a conflict, and
/// decides again.
fn used_proof(
    maker: &Maker<'_>,
    invitation: &Invitation,
    accept: &AcceptInvitation,
    acceptance: &Acceptance,
    context: &Context,
) -> Option<(RequestKey, Remembered)> {
    let proof = accept.counting_proof(invitation, maker.loaded.now)?;
    let key = proof.use_key(maker.command.account());
    if maker.loaded.request(&key).is_some() {
        return None;
    }
    // No body is compared with it.
    let digest = BodyDigest { key_id: context.signing_key, mac: [0; 32] };
    let (invitation, acceptance, at) = (invitation.id, Some(acceptance.id), maker.loaded.now);
    Some((key, Remembered { digest, invitation, acceptance, at, changed: None }))
}

fn new_acceptance(
    maker: &mut Maker<'_>,
    invitation: &Invitation,
    accept: &AcceptInvitation,
    matched: (Option<u16>, Option<GivenEmail>),
) -> Acceptance {
    let id = AcceptanceId(maker.id());
    let connection = accept.created_connection.clone();
    Acceptance {
        roles: invitation.details.roles().to_vec(),
        grant_expire_at: invitation.details.shared().grant_ttl.map(|ttl| maker.loaded.now.plus(ttl)),
        guest_organization_id: accept.guest_organization_id,
        accepted_by: invitation.details.accepted_by(accept.by_system),
        ..Acceptance::new(id, invitation.id, &accept.acceptor, matched, connection, maker.loaded.now)
    }
}

/// Returns the content of the event of an acceptance, with everything that is to be granted.
fn accepted(invitation: &Invitation, acceptance: &Acceptance) -> Payload {
    let created = acceptance.created_connection.as_ref().map(|created| created.connection.id);
    Payload::Accepted(Box::new(AcceptedPayload {
        acceptance: acceptance.id,
        subject: acceptance.subject.0.clone(),
        roles: acceptance.roles.clone(),
        groups: invitation.details.groups().to_vec(),
        use_count: invitation.facts.use_count,
        recipient: acceptance.recipient,
        guest_organization_id: acceptance.guest_organization_id,
        connection_id: created.or_else(|| invitation.details.resource_id()),
        grant_expire_at: acceptance.grant_expire_at,
    }))
}

/// Returns the invitation with one more use.
fn used(maker: &Maker<'_>, invitation: &Invitation, acceptance: &Acceptance) -> Invitation {
    let now = maker.loaded.now;
    let mut invitation = maker.touched(invitation);
    invitation.facts.use_count += 1;
    invitation.facts.accepted_at.get_or_insert(now);
    for accepted in invitation.recipients.iter_mut().filter(|other| Some(other.ordinal) == acceptance.recipient) {
        accepted.accepted_at.get_or_insert(now);
    }
    invitation.details.note_acceptance(acceptance);
    invitation
}
