//! What a group of commands is decided on: one snapshot of everything they need, changed as they are decided.

use std::collections::HashMap;
use std::sync::Arc;

use uuid::Uuid;

use super::acceptance::{Acceptance, Subject};
use super::command::{Command, RequestKey, Target};
use super::id::{AcceptanceId, InvitationId};
use super::invitation::Invitation;
use super::key_ring::BodyDigest;
use super::refusal::Refusal;
use super::text::AccountId;
use super::time::Timestamp;
use super::token::Claims;

/// The snapshot.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The moment everything in the group is decided at.
    pub now: Timestamp,
    invitations: HashMap<InvitationId, Arc<Invitation>>,
    acceptances: HashMap<AcceptanceId, Acceptance>,
    by_subject: HashMap<(InvitationId, Subject), AcceptanceId>,
    by_connection: HashMap<(InvitationId, Uuid), AcceptanceId>,
    requests: HashMap<RequestKey, Remembered>,
}

/// A request that succeeded and changed something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remembered {
    /// The digest of its body.
    pub digest: BodyDigest,
    /// The invitation it was about.
    pub invitation: InvitationId,
    /// The acceptance it made.
    pub acceptance: Option<AcceptanceId>,
    /// When it was decided.
    pub at: Timestamp,
}

impl Loaded {
    /// Makes a snapshot with nothing in it.
    pub fn empty(now: Timestamp) -> Self {
        Self {
            now,
            invitations: HashMap::new(),
            acceptances: HashMap::new(),
            by_subject: HashMap::new(),
            by_connection: HashMap::new(),
            requests: HashMap::new(),
        }
    }

    /// Adds or replaces an invitation.
    pub fn put_invitation(&mut self, invitation: Invitation) -> Arc<Invitation> {
        let invitation = Arc::new(invitation);
        self.invitations.insert(invitation.id, Arc::clone(&invitation));
        invitation
    }

    /// Adds or replaces an acceptance.
    pub fn put_acceptance(&mut self, acceptance: Acceptance) {
        let Acceptance { id, invitation, ref subject, ref created_connection, .. } = acceptance;
        self.by_subject.insert((invitation, subject.clone()), id);
        if let Some(created) = created_connection {
            self.by_connection.insert((invitation, created.connection.id), id);
        }
        self.acceptances.insert(id, acceptance);
    }

    /// Adds a remembered request.
    pub fn put_request(&mut self, key: RequestKey, remembered: Remembered) {
        self.requests.insert(key, remembered);
    }

    /// Returns an invitation of an account; another account's is as good as none.
    pub fn invitation(&self, account: &AccountId, id: InvitationId) -> Result<&Arc<Invitation>, Refusal> {
        let found = self.invitations.get(&id).filter(|invitation| invitation.account == *account);
        found.ok_or(Refusal::InvitationNotFound)
    }

    /// Returns the invitation that a command's target names, in the version the caller knows.
    pub fn named(&self, command: &Command, target: &Target) -> Result<&Arc<Invitation>, Refusal> {
        let invitation = self.invitation(&command.account, target.id)?;
        if target.kind.is_some_and(|kind| kind != invitation.details.kind()) {
            return Err(Refusal::InvitationNotFound);
        }
        invitation.check_etag(target.etag.as_deref())?;
        Ok(invitation)
    }

    /// Returns the invitation that a command's link opens.
    pub fn linked(&self, command: &Command, link: &Claims) -> Result<&Arc<Invitation>, Refusal> {
        let invitation = self.invitation(&command.account, link.invitation)?;
        invitation.check_link(link)?;
        Ok(invitation)
    }

    /// Returns an acceptance of an invitation.
    pub fn acceptance(&self, invitation: InvitationId, id: AcceptanceId) -> Option<&Acceptance> {
        self.acceptances.get(&id).filter(|acceptance| acceptance.invitation == invitation)
    }

    /// Returns a subject's acceptance of an invitation.
    pub fn acceptance_of(&self, invitation: InvitationId, subject: &Subject) -> Option<&Acceptance> {
        self.by_subject.get(&(invitation, subject.clone())).and_then(|id| self.acceptances.get(id))
    }

    /// Returns the acceptance of an invitation by which a connection was made.
    pub fn acceptance_with(&self, invitation: InvitationId, connection: Uuid) -> Option<&Acceptance> {
        self.by_connection.get(&(invitation, connection)).and_then(|id| self.acceptances.get(id))
    }

    /// Returns what a request_id was used for.
    pub fn request(&self, key: &RequestKey) -> Option<&Remembered> {
        self.requests.get(key)
    }
}
