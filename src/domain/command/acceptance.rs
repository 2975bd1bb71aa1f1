//! The commands about an acceptance that was made, each in a file of its own.

pub(super) mod expire;
pub(super) mod release;
#[cfg(test)]
mod tests;
pub(super) mod update;

use std::sync::Arc;

use super::{Command, ReadSet};
use crate::domain::decide::{Affected, Maker};
use crate::domain::group::loaded::Loaded;
use crate::domain::invitation::Invitation;
use crate::domain::invitation::acceptance::Acceptance;
use crate::domain::invitation::event::payload::AcceptancePayload;
use crate::domain::invitation::event::{EventType, NewEvent, Payload};
use crate::domain::invitation::refusal::Refusal;
use crate::domain::value::id::{AcceptanceId, InvitationId};

/// The name of an acceptance, and the version of it that the caller knows.
#[derive(Clone, Debug)]
pub struct AcceptanceTarget {
    /// The invitation.
    pub invitation: InvitationId,
    /// The acceptance.
    pub id: AcceptanceId,
    /// The etag that the acceptance must have.
    pub etag: Option<String>,
}

impl AcceptanceTarget {
    /// Returns the read set of a command about the acceptance. The newest ones beside it show whose answer a recipient has.
    fn read_set(&self) -> ReadSet {
        ReadSet { acceptance: Some(self.id), newest_acceptances: true, ..ReadSet::of(self.invitation) }
    }

    fn not_found(&self) -> Refusal {
        Refusal::AcceptanceNotFound(self.invitation, self.id)
    }

    /// Returns the acceptance with its invitation, if the command may be about it and it has the version that the caller knows.
    fn find<'a>(
        &self,
        loaded: &'a Loaded,
        command: &Command,
    ) -> Result<(&'a Arc<Invitation>, &'a Acceptance), Refusal> {
        let invitation = loaded.invitation(command.account(), self.invitation).map_err(|_| self.not_found())?;
        let acceptance = loaded.acceptance(invitation.id, self.id).ok_or_else(|| self.not_found())?;
        if !command.reaches(invitation) {
            return Err(self.not_found());
        }
        acceptance.check_etag(self.etag.as_deref())?;
        Ok((invitation, acceptance))
    }
}

/// Shows an acceptance as a command leaves it among the newest ones of its invitation.
fn show(invitation: &mut Invitation, changed: &Acceptance) {
    for shown in invitation.acceptances.iter_mut().filter(|shown| shown.id == changed.id) {
        shown.clone_from(changed);
    }
}

/// Returns the rows that the answer to a command about an acceptance shows.
fn affected(acceptance: &Acceptance) -> Affected {
    let (invitation, acceptance) = (acceptance.invitation, Some(acceptance.id));
    Affected { invitation, acceptance, delivery: None, already_accepted: false }
}

/// Creates the event of a change of an acceptance, whose invitation is as it is afterwards.
fn event(
    maker: &mut Maker<'_>,
    event_type: EventType,
    (invitation, acceptance): (&Invitation, &Acceptance),
    reason: Option<String>,
) -> NewEvent {
    let created = acceptance.created_connection.as_ref().map(|created| created.connection.id);
    let payload = AcceptancePayload {
        acceptance: acceptance.id,
        subject: acceptance.subject.0.clone(),
        roles: acceptance.roles.clone(),
        groups: invitation.details.groups().to_vec(),
        use_count: invitation.facts.use_count,
        recipient: acceptance.recipient,
        guest_organization_id: acceptance.guest_organization_id,
        connection_id: created.or_else(|| invitation.details.resource_id()),
        reason,
        grant_expire_at: acceptance.grant_expire_at,
        old_grant_expire_at: None,
    };
    maker.event(invitation, event_type, Payload::Acceptance(Box::new(payload)))
}
