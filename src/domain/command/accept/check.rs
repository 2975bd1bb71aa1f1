//! The checks of an accept, and the command that reports all that fail.

use super::AcceptInvitation;
use crate::domain::command::{Command, CommandRules, ReadSet, RequestKey};
use crate::domain::decide::{Affected, Changes, Context, Decided, Maker, charge};
use crate::domain::delivery::reminder::Schedules;
use crate::domain::group::loaded::{Loaded, Rivals};
use crate::domain::invitation::Invitation;
use crate::domain::invitation::acceptance::Acceptance;
use crate::domain::invitation::email_rule::{is_meant_for, match_acceptor};
use crate::domain::invitation::refusal::Refusal;
use crate::domain::value::given_email::GivenEmail;
use crate::domain::value::id::InvitationId;
use crate::domain::value::text::AccountId;
use crate::domain::value::time::Timestamp;

/// Decides what would keep a subject from accepting, and changes nothing.
#[derive(Clone, Debug)]
pub struct CheckAcceptance {
    /// The accept that is checked.
    pub accept: AcceptInvitation,
}

impl CommandRules for CheckAcceptance {
    fn read_set(&self) -> ReadSet {
        self.accept.read_set()
    }

    fn second_read_set(&self, invitation: &Invitation, now: Timestamp) -> ReadSet {
        self.accept.second_read_set(invitation, now)
    }

    fn found_to_read(&self, loaded: &Loaded, rivals: &Rivals) -> Vec<InvitationId> {
        self.accept.found_to_read(loaded, rivals)
    }

    fn weight(&self, reminders: &Schedules) -> usize {
        self.accept.weight(reminders)
    }

    fn use_key(&self, account: &AccountId) -> Option<RequestKey> {
        self.accept.use_key(account)
    }

    fn decide(&self, loaded: &Loaded, command: &Command, context: &Context) -> Result<Decided, Refusal> {
        let invitation = loaded.reached(command, &self.accept.access)?;
        let mut blockers = Vec::new();
        match self.accept.answered(loaded, invitation) {
            Ok(Some(affected)) => return Ok(Decided { changes: Changes::default(), affected }),
            // To whoever has accepted, the rest matters no more.
            Err(refusal) => blockers.push(refusal),
            Ok(None) => {
                let mut note = |refusal| {
                    blockers.push(refusal);
                    Ok(())
                };
                let matched = self.accept.check(loaded, command, invitation, &mut note)?;
                // Whether there is a seat depends on all that the accept would take, so it is made as if nothing had failed.
                let maker = Maker::new(loaded, command);
                let mut accepted = self.accept.accepted(maker, invitation, matched, context);
                charge((loaded, command, context), &mut accepted.changes, note)?;
            }
        }
        if blockers.is_empty() { Ok(Decided::unchanged(invitation.id)) } else { Err(Refusal::Blocked(blockers)) }
    }
}

impl AcceptInvitation {
    /// Returns the answer to a subject, or an organization, that has accepted before; `None` if none has. This precedes the check of
    /// the state: an acceptance holds, whatever has happened to the invitation since.
    pub(super) fn answered(&self, loaded: &Loaded, invitation: &Invitation) -> Result<Option<Affected>, Refusal> {
        let again = |acceptance: Option<&Acceptance>| Affected {
            invitation: invitation.id,
            acceptance: acceptance.map(|acceptance| acceptance.id),
            delivery: None,
            already_accepted: true,
        };
        if let Some(acceptance) = loaded.acceptance_of(invitation.id, &self.acceptor.subject) {
            acceptance.require_active(loaded.now)?;
            return Ok(Some(again(Some(acceptance))));
        }
        if self.by_system && is_guest_already(invitation, self) {
            check_guest(loaded, invitation)?;
            return Ok(Some(again(None)));
        }
        Ok(None)
    }

    /// Checks what an accept needs, and returns the recipient and the address that the acceptor was matched with. `refuse` is called
    /// with what fails, one after the other, and says whether the checks end with it.
    pub(super) fn check(
        &self,
        loaded: &Loaded,
        command: &Command,
        invitation: &Invitation,
        mut refuse: impl FnMut(Refusal) -> Result<(), Refusal>,
    ) -> Result<(Option<u16>, Option<GivenEmail>), Refusal> {
        invitation.state_at(loaded.now).require_active().or_else(&mut refuse)?;
        check_proof(loaded, command, invitation, self).or_else(&mut refuse)?;
        let acceptor = &*self.proven_acceptor(invitation, loaded.now);
        // A system needs no address, since it acts for an organization.
        let matched = if self.by_system && invitation.details.admits_systems() {
            Ok((None, None))
        } else {
            match_acceptor(invitation, self.access.recipient(), acceptor)
        };
        let matched = match matched {
            Ok(matched) => {
                if self.access.is_for_invited() && !is_meant_for(invitation, acceptor, &matched) {
                    refuse(Refusal::LinkRequired)?;
                }
                matched
            }
            Err(refusal) => {
                refuse(refusal)?;
                (None, None)
            }
        };
        check_created_connection(loaded, invitation, self).or_else(&mut refuse)?;
        invitation.details.check_guest_organization(self.guest_organization_id).or_else(&mut refuse)?;
        Ok(matched)
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

/// Refuses to answer that an organization is a guest by an acceptance that has ended.
fn check_guest(loaded: &Loaded, invitation: &Invitation) -> Result<(), Refusal> {
    let known = loaded.acceptances_of(invitation);
    known.iter().filter(|known| !known.is_undone()).try_for_each(|known| known.require_active(loaded.now))
}

/// Returns whether a person has accepted for the same organization that a system accepts for.
fn is_guest_already(invitation: &Invitation, accept: &AcceptInvitation) -> bool {
    let guest = invitation.details.guest_organization();
    guest.is_some() && guest == accept.guest_organization_id
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
