//! The snapshot that a group of commands is decided on. Decisions change it, so that later commands see earlier ones.

mod seats;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use uuid::Uuid;

use super::open::{MAX_RIVALS, OpenIndex};
use crate::domain::command::{Access, Command, OpenSearch, RequestKey, Target};
use crate::domain::delivery::Delivery;
use crate::domain::invitation::Invitation;
use crate::domain::invitation::acceptance::{Acceptance, Subject};
use crate::domain::invitation::recipient::Address;
use crate::domain::invitation::refusal::Refusal;
use crate::domain::invitation::slot::{Slot, SlotKey};
use crate::domain::invitation::state::State;
use crate::domain::kind::Scope;
use crate::domain::quota::{Addition, QuotaCount, QuotaKey};
use crate::domain::reach::person::Person;
use crate::domain::secret::key_ring::BodyDigest;
use crate::domain::secret::token::Claims;
use crate::domain::value::id::{AcceptanceId, InvitationId};
use crate::domain::value::text::AccountId;
use crate::domain::value::time::Timestamp;
use seats::LoadedSeats;

/// The snapshot.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The moment of every decision of the group.
    pub now: Timestamp,
    invitations: HashMap<InvitationId, Arc<Invitation>>,
    acceptances: HashMap<AcceptanceId, Acceptance>,
    by_subject: HashMap<(InvitationId, Subject), AcceptanceId>,
    by_connection: HashMap<(InvitationId, Uuid), AcceptanceId>,
    requests: HashMap<RequestKey, Remembered>,
    slots: HashMap<(AccountId, SlotKey), Slot>,
    deliveries: HashMap<(AccountId, Uuid), Delivery>,
    quotas: HashMap<QuotaKey, QuotaCount>,
    /// The keys of suppressed addresses.
    suppressions: HashSet<(AccountId, String)>,
    seats: LoadedSeats,
    open: OpenIndex,
    /// The most invitations that a search may find.
    max_rivals: usize,
    /// Invitations that this release cannot read.
    unreadable: HashSet<InvitationId>,
}

/// The invitations that a search finds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rivals {
    /// Their ids, the oldest first.
    pub ids: Vec<InvitationId>,
    /// Whether there are more than a command may compare.
    pub is_crowded: bool,
}

/// A request that succeeded, or a call over several invitations that has begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remembered {
    /// The digest of its body.
    pub digest: BodyDigest,
    /// The invitation it was about; nil for a call over several.
    pub invitation: InvitationId,
    /// The acceptance that it created.
    pub acceptance: Option<AcceptanceId>,
    /// The moment of the decision, or of the beginning.
    pub at: Timestamp,
    /// The number of rows it changed, if that is not simply one: 0 for a request that found everything done already,
    /// and the count of a call over several invitations, once it is finished.
    pub changed: Option<i64>,
}

impl Remembered {
    /// Returns whether it changed something.
    pub fn has_changed_something(&self) -> bool {
        self.changed != Some(0)
    }
}

impl Loaded {
    /// Creates an empty snapshot.
    pub fn empty(now: Timestamp) -> Self {
        Self {
            now,
            invitations: HashMap::new(),
            acceptances: HashMap::new(),
            by_subject: HashMap::new(),
            by_connection: HashMap::new(),
            requests: HashMap::new(),
            slots: HashMap::new(),
            deliveries: HashMap::new(),
            quotas: HashMap::new(),
            suppressions: HashSet::new(),
            seats: LoadedSeats::default(),
            open: OpenIndex::default(),
            max_rivals: MAX_RIVALS,
            unreadable: HashSet::new(),
        }
    }

    /// Adds or replaces an invitation.
    pub fn put_invitation(&mut self, invitation: Invitation) -> Arc<Invitation> {
        let invitation = Arc::new(invitation);
        // Its scope never changes, and recipients are only ever added. Those who are gone stay in the index.
        let before = self.invitations.insert(invitation.id, Arc::clone(&invitation));
        if before.is_none_or(|before| before.recipients.len() < invitation.recipients.len()) {
            self.open.add(&invitation);
        }
        invitation
    }

    /// Adds or replaces an acceptance.
    pub fn put_acceptance(&mut self, acceptance: Acceptance) {
        let Acceptance { id, invitation, ref subject, ref created_connection, .. } = acceptance;
        if acceptance.is_undone() {
            self.forget_acceptance(&acceptance);
            self.acceptances.insert(id, acceptance);
            return;
        }
        self.by_subject.insert((invitation, subject.clone()), id);
        if let Some(created) = created_connection {
            self.by_connection.insert((invitation, created.connection.id), id);
        }
        self.acceptances.insert(id, acceptance);
    }

    /// Frees the subject and the connection of an acceptance that was undone, unless another one has them by now.
    fn forget_acceptance(&mut self, undone: &Acceptance) {
        let key = (undone.invitation, undone.subject.clone());
        if self.by_subject.get(&key) == Some(&undone.id) {
            self.by_subject.remove(&key);
        }
        let created = undone.created_connection.as_ref().map(|created| (undone.invitation, created.connection.id));
        if let Some(key) = created.filter(|key| self.by_connection.get(key) == Some(&undone.id)) {
            self.by_connection.remove(&key);
        }
    }

    /// Returns whether a later load shows the invitations that both have unchanged.
    pub fn agrees_with(&self, later: &Self) -> bool {
        let same = |(id, after): (_, &Arc<Invitation>)| {
            self.invitations.get(id).is_none_or(|before| before.revision == after.revision)
        };
        later.invitations.iter().all(same)
    }

    /// Adds the rows of a later load, except those that are known already.
    pub fn add(&mut self, more: Self) {
        for (id, invitation) in more.invitations {
            let known = self.invitations.entry(id).or_insert_with(|| Arc::clone(&invitation));
            // A message is settled without the recipients of its invitation, which a later load may need. An invitation
            // without recipients stays as it is: a later load does not bring its acceptances.
            if known.recipients.is_empty() && !invitation.recipients.is_empty() {
                *known = invitation;
            }
        }
        for (key, slot) in more.slots {
            self.slots.entry(key).or_insert(slot);
        }
        for (key, count) in more.quotas {
            self.quotas.entry(key).or_insert(count);
        }
        self.suppressions.extend(more.suppressions);
        self.seats.add(more.seats);
        self.open.merge(more.open);
        self.unreadable.extend(more.unreadable);
    }

    /// Records an invitation that was found but cannot be read.
    pub fn put_unreadable(&mut self, id: InvitationId) {
        self.unreadable.insert(id);
    }

    /// Returns whether an invitation was found that cannot be read.
    pub fn is_unreadable(&self, id: InvitationId) -> bool {
        self.unreadable.contains(&id)
    }

    /// Returns whether a remembered request or a message is about an invitation.
    pub fn mentions(&self, id: InvitationId) -> bool {
        self.requests.values().any(|request| request.invitation == id)
            || self.deliveries.values().any(|delivery| delivery.message.invitation == id)
    }

    /// Adds or replaces a message.
    pub fn put_delivery(&mut self, account: &AccountId, delivery: Delivery) {
        self.deliveries.insert((account.clone(), delivery.message.id), delivery);
    }

    /// Returns a message of an account, `None` for another account's.
    pub fn delivery(&self, account: &AccountId, id: Uuid) -> Result<&Delivery, Refusal> {
        self.deliveries.get(&(account.clone(), id)).ok_or(Refusal::DeliveryNotFound)
    }

    /// Adds or replaces the holder of a slot.
    pub fn put_slot(&mut self, account: &AccountId, key: SlotKey, slot: Slot) {
        self.slots.insert((account.clone(), key), slot);
    }

    /// Returns the holder of a slot.
    pub fn slot(&self, account: &AccountId, key: &SlotKey) -> Option<Slot> {
        self.slots.get(&(account.clone(), key.clone())).copied()
    }

    /// Adds a suppressed address by its key.
    pub fn put_suppression(&mut self, account: AccountId, key: String) {
        self.suppressions.insert((account, key));
    }

    /// Returns whether any address was found suppressed.
    pub(in crate::domain) fn has_suppressions(&self) -> bool {
        !self.suppressions.is_empty()
    }

    /// Returns whether an address is suppressed that has some keys.
    pub(in crate::domain) fn is_suppressed(&self, account: &AccountId, keys: &[String]) -> bool {
        keys.iter().any(|key| self.suppressions.contains(&(account.clone(), key.clone())))
    }

    /// Adds or replaces a count of a quota.
    pub fn put_quota(&mut self, key: QuotaKey, count: QuotaCount) {
        self.quotas.insert(key, count);
    }

    /// Returns a count of a quota for the period that begins at a moment; of another period nothing is used.
    pub fn quota(&self, key: &QuotaKey, period: Timestamp) -> QuotaCount {
        let known = self.quotas.get(key).filter(|count| count.period == period);
        known.copied().unwrap_or(QuotaCount { period, used: 0, lapsed: 0 })
    }

    /// Adds to a count of a quota.
    pub(in crate::domain) fn add_to_quota(&mut self, addition: &Addition) {
        let mut count = self.quota(&addition.key, addition.period);
        count.used += addition.net;
        self.quotas.insert(addition.key.clone(), count);
    }

    /// Limits what a search may find, for a group in which commands of several callers are decided.
    pub fn limit_rivals(&mut self, max_rivals: usize) {
        self.max_rivals = max_rivals;
    }

    /// Adds the open general invitations to a scope that were found for an address; `is_cut` if there are more.
    pub fn put_found(&mut self, place: (&AccountId, Option<&Scope>, &Address), ids: Vec<InvitationId>, is_cut: bool) {
        self.open.put(place, ids, is_cut);
    }

    /// Returns whether it has the result of any search.
    pub(in crate::domain) fn has_searched(&self) -> bool {
        self.open.is_searched()
    }

    /// Returns the ACTIVE general invitations of an account that a search finds.
    pub fn rivals(&self, account: &AccountId, search: &OpenSearch) -> Rivals {
        let (mut ids, is_cut) = self.open.search(account, search);
        let has_address = |known: &Invitation| {
            // An invitation that was read for a message alone has no recipients here.
            let mut addresses = known.addresses().peekable();
            addresses.peek().is_none()
                || addresses.any(|address| search.addresses.iter().any(|searched| searched.is(address)))
        };
        // An invitation that was found and not read was ACTIVE in the load, for one of the addresses.
        let is_rival = |id: &InvitationId| {
            let known = self.invitations.get(id);
            known.is_none_or(|known| known.state_at(self.now) == State::Active && has_address(known))
        };
        ids.retain(|id| !self.unreadable.contains(id) && is_rival(id));
        Rivals { is_crowded: is_cut || ids.len() > self.max_rivals, ids }
    }

    /// Returns those of some invitations that were found and not read yet, or for a message alone, without their recipients.
    pub(in crate::domain) fn unread(&self, ids: &[InvitationId]) -> Vec<InvitationId> {
        let is_unread = |id: &&InvitationId| self.invitations.get(id).is_none_or(|known| known.recipients.is_empty());
        ids.iter().filter(is_unread).copied().collect()
    }

    /// Returns whether the commands of several callers are decided on the snapshot.
    pub(in crate::domain) fn is_shared(&self) -> bool {
        self.max_rivals < MAX_RIVALS
    }

    /// Adds a remembered request.
    pub fn put_request(&mut self, key: RequestKey, remembered: Remembered) {
        self.requests.insert(key, remembered);
    }

    /// Returns an invitation of an account, `None` for another account's.
    pub fn invitation(&self, account: &AccountId, id: InvitationId) -> Result<&Arc<Invitation>, Refusal> {
        let found = self.invitations.get(&id).filter(|invitation| invitation.account == *account);
        found.ok_or(Refusal::InvitationNotFound)
    }

    /// Returns the invitation that a command's target names, if it has the version that the caller knows.
    pub fn named(&self, command: &Command, target: &Target) -> Result<&Arc<Invitation>, Refusal> {
        let invitation = self.invitation(command.account(), target.id)?;
        if target.kind.is_some_and(|kind| kind != invitation.details.kind()) {
            return Err(Refusal::InvitationNotFound);
        }
        if !self.is_reached(command, invitation) {
            return Err(Refusal::InvitationNotFound);
        }
        // An invitation that its own service deleted still exists for the general service.
        if target.hides_deleted && invitation.deleted_at.is_some() {
            return Err(Refusal::InvitationNotFound);
        }
        invitation.check_etag(target.etag.as_deref())?;
        Ok(invitation)
    }

    /// Returns whether a command may be about an invitation. What a person has accepted stays theirs, also when their address
    /// is another one by now.
    pub fn is_reached(&self, command: &Command, invitation: &Invitation) -> bool {
        let accepted = |person: &Person| self.acceptance_of(invitation.id, &person.subject).is_some();
        command.reaches(invitation) || command.reach.person().is_some_and(accepted)
    }

    /// Returns the invitation that a link or a name leads to.
    pub fn reached(&self, command: &Command, access: &Access) -> Result<&Arc<Invitation>, Refusal> {
        match access {
            Access::Link(link) => self.linked(command, link),
            Access::Name(target) | Access::NameOfInvited(target) => self.named(command, target),
        }
    }

    /// Returns the invitation that a command's link opens.
    pub fn linked(&self, command: &Command, link: &Claims) -> Result<&Arc<Invitation>, Refusal> {
        let invitation = self.invitation(command.account(), link.invitation)?;
        invitation.check_link(link)?;
        Ok(invitation)
    }

    /// Returns an acceptance of an invitation.
    pub fn acceptance(&self, invitation: InvitationId, id: AcceptanceId) -> Option<&Acceptance> {
        self.acceptances.get(&id).filter(|acceptance| acceptance.invitation == invitation)
    }

    /// Returns the acceptances of an invitation that are known, as they are now.
    pub fn acceptances_of(&self, invitation: &Invitation) -> Vec<Acceptance> {
        let read = self.acceptances.values().filter(|read| read.invitation == invitation.id);
        let newest = invitation.acceptances.iter().filter(|newest| !self.acceptances.contains_key(&newest.id));
        let mut all: Vec<_> = read.chain(newest).cloned().collect();
        all.sort_unstable_by_key(|acceptance| acceptance.id);
        all
    }

    /// Returns a subject's acceptance of an invitation.
    pub fn acceptance_of(&self, invitation: InvitationId, subject: &Subject) -> Option<&Acceptance> {
        self.by_subject.get(&(invitation, subject.clone())).and_then(|id| self.acceptances.get(id))
    }

    /// Returns the acceptance of an invitation that created a connection.
    pub fn acceptance_with(&self, invitation: InvitationId, connection: Uuid) -> Option<&Acceptance> {
        self.by_connection.get(&(invitation, connection)).and_then(|id| self.acceptances.get(id))
    }

    /// Returns the remembered request of a request_id.
    pub fn request(&self, key: &RequestKey) -> Option<&Remembered> {
        self.requests.get(key)
    }
}
