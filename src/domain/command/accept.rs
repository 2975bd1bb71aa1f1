//! Accepts an invitation for one subject: the only way to consume a use.

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
use crate::domain::invitation::email_rule::{is_meant_for, match_acceptor};
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

    fn bytes(&self) -> usize {
        0
    }

    fn use_key(&self, account: &AccountId) -> Option<RequestKey> {
        self.proof.as_ref().map(|proof| proof.use_key(account))
    }

    fn decide(&self, loaded: &Loaded, command: &Command, context: &Context) -> Result<Decided, Refusal> {
        let invitation = loaded.reached(command, &self.access)?;
        // This precedes the check of the state: an acceptance holds, whatever has happened to the invitation since.
        if let Some(acceptance) = loaded.acceptance_of(invitation.id, &self.acceptor.subject) {
            let affected = Affected {
                invitation: invitation.id,
                acceptance: Some(acceptance.id),
                delivery: None,
                already_accepted: true,
            };
            return Ok(Decided { changes: Changes::default(), affected });
        }
        if self.by_system && is_guest_already(invitation, self) {
            let affected =
                Affected { invitation: invitation.id, acceptance: None, delivery: None, already_accepted: true };
            return Ok(Decided { changes: Changes::default(), affected });
        }
        invitation.state_at(loaded.now).require_active()?;
        check_proof(loaded, command, invitation, self)?;
        let acceptor = &*self.proven_acceptor(invitation, loaded.now);
        // A system needs no address, since it acts for an organization.
        let matched = if self.by_system && invitation.details.admits_systems() {
            (None, None)
        } else {
            match_acceptor(invitation, self.access.recipient(), acceptor)?
        };
        if self.access.is_for_invited() && !is_meant_for(invitation, acceptor, &matched) {
            return Err(Refusal::LinkRequired);
        }
        check_created_connection(loaded, invitation, self)?;
        invitation.details.check_guest_organization(self.guest_organization_id)?;

        let mut maker = Maker::new(loaded, command);
        let acceptance = new_acceptance(&mut maker, invitation, self, matched);
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
            let payload = AcceptedElsewherePayload { invitation: affected.invitation, acceptance: acceptance.id };
            events.push(maker.event(&closed, EventType::AcceptedElsewhere, Payload::AcceptedElsewhere(payload)));
            invitations.push(Change::Update { invitation: closed, unexpired: false });
        }
        let acceptance = Some(AcceptanceChange::Create(acceptance));
        let requests = used_proof.into_iter().collect();
        let changes = Changes { invitations, acceptance, events, requests, ..Changes::default() };
        Ok(Decided { changes, affected })
    }
}

impl AcceptInvitation {
    /// Returns whether a person accepts as themselves, and brings nothing that is not theirs to say.
    pub(in crate::domain) fn is_by(&self, person: &Person) -> bool {
        let Acceptor { subject, email, email_verified, phone, display_name: _, existing_user } = &self.acceptor;
        let is_them = (subject, email) == (&person.subject, &person.email) && *email_verified == email.is_some();
        let is_plain = phone.is_none() && existing_user.is_none() && self.proof.is_none() && !self.by_system;
        is_them && is_plain && self.created_connection.is_none() && self.guest_organization_id.is_none()
    }
}

/// Checks that no other subject has accepted with the proof. A proof that does not count is not looked at.
fn check_proof(
    loaded: &Loaded,
    command: &Command,
    invitation: &Invitation,
    accept: &AcceptInvitation,
) -> Result<(), Refusal> {
    let Some(proof) = accept.counting_proof(invitation, loaded.now) else { return Ok(()) };
    let Some(used) = loaded.request(&proof.use_key(command.account())) else { return Ok(()) };
    let by = used.acceptance.and_then(|id| loaded.acceptance(invitation.id, id));
    if by.is_some_and(|by| by.subject == accept.acceptor.subject) { Ok(()) } else { Err(Refusal::EmailProofUsed) }
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

/// Returns whether a person has accepted for the same organization that a system accepts for.
fn is_guest_already(invitation: &Invitation, accept: &AcceptInvitation) -> bool {
    let guest = invitation.details.guest_organization();
    guest.is_some() && guest == accept.guest_organization_id
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

/// Checks that the connection which the acceptor created fits the invitation and belongs to no other acceptance.
fn check_created_connection(
    loaded: &Loaded,
    invitation: &Invitation,
    accept: &AcceptInvitation,
) -> Result<(), Refusal> {
    let Some(connection) = &accept.created_connection else { return Ok(()) };
    let unfit = |invalid| Refusal::InvalidField { field: "created_connection", invalid };
    invitation.details.check_created_connection().map_err(unfit)?;
    match loaded.acceptance_with(invitation.id, connection.id) {
        Some(_) => Err(Refusal::CreatedConnectionExists(connection.id)),
        None => Ok(()),
    }
}
