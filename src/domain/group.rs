//! Decides a group of commands one after another on one snapshot and merges their changes into one save.
//!
//! Later commands see what earlier ones changed; the save holds one final row per key, whatever the number of commands.

pub mod erasures;
pub mod loaded;
mod messages;
pub mod open;
pub mod read_set;
#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::command::{Command, CreateOutcome, RequestKey};
use super::decide::{AcceptanceChange, Affected, Change, Changes, Context, Decided, DomainChange, decide, remembered};
use super::delivery::{Delivery, DeliveryState, NewDelivery};
use super::invitation::acceptance::Acceptance;
use super::invitation::event::NewEvent;
use super::invitation::refusal::{AsRefusal, Refusal};
use super::invitation::slot::{Slot, SlotKey};
use super::invitation::{Engagement, Invitation, NEWEST_ACCEPTANCES};
use super::quota::QuotaSave;
use super::suppression::Suppression;
use super::value::id::{AcceptanceId, InvitationId};
use super::value::text::AccountId;
use super::value::time::Timestamp;
use erasures::Erasures;
use loaded::{Loaded, Remembered};
use uuid::Uuid;

/// The answer to the caller of a command once the group is saved.
#[derive(Clone, Debug)]
pub struct Executed {
    /// The moment of the decision.
    pub now: Timestamp,
    /// The moment of the first decision, which is earlier for a replay.
    pub decided_at: Timestamp,
    /// The invitation as the command left it.
    pub invitation: Arc<Invitation>,
    /// The subject's acceptance, for an accept.
    pub acceptance: Option<Acceptance>,
    /// The acceptance that the command created, now.
    pub new_acceptance: Option<AcceptanceId>,
    /// The message, for a command about one.
    pub delivery: Option<Delivery>,
    /// Whether the subject had accepted before.
    pub already_accepted: bool,
    /// Whether the command changed something, now or when it was first sent.
    pub happened: bool,
    /// Whether the command created the invitation, now.
    pub created: bool,
    /// The outcome of a create; `None` for another command.
    pub outcome: Option<CreateOutcome>,
    /// Whether the caller made the invitation's present link by this command, and so may see it.
    pub made_link: bool,
    /// The ordinals of the recipients who are not mailed because of their addresses, if the command would have mailed them, now.
    pub suppressed: Vec<u16>,
    /// Whether nothing was saved: names of what was created lead to nothing.
    pub dry_run: bool,
}

/// The way in which several commands of one caller belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchMode {
    /// Each command has a result of its own.
    Independent,
    /// Either all commands take effect or none: if one is refused, nothing changes.
    Atomic,
    /// No command changes anything; the results show what each would do.
    DryRun,
}

/// A snapshot and the changes of the group's commands so far.
#[derive(Clone, Debug)]
pub struct Group {
    loaded: Loaded,
    save: Save,
}

/// The merged changes of a group.
#[derive(Clone, Debug, Default)]
pub struct Save {
    /// New invitations.
    pub created: BTreeMap<InvitationId, Arc<Invitation>>,
    /// Changed invitations, in the order in which they are locked.
    pub updated: BTreeMap<InvitationId, Update>,
    /// New acceptances.
    pub accepted: BTreeMap<AcceptanceId, (Arc<Invitation>, Acceptance)>,
    /// Changed acceptances.
    pub reaccepted: BTreeMap<AcceptanceId, (Arc<Invitation>, Acceptance)>,
    /// The sums to add to counters.
    pub engagement: BTreeMap<InvitationId, Engagement>,
    /// The new holders of slots; the version is that of the first command of the group that takes the slot.
    pub slots: BTreeMap<(AccountId, SlotKey), Slot>,
    /// New and removed domains, by invitation: the last change of the group counts.
    pub domains: BTreeMap<(InvitationId, String), (Arc<Invitation>, bool)>,
    /// The events, in order.
    pub events: Vec<NewEvent>,
    /// Messages to be sent, with their invitations.
    pub deliveries: Vec<(Arc<Invitation>, NewDelivery)>,
    /// Those of them that a later one replaces: they are saved as cancelled.
    pub replaced: BTreeSet<Uuid>,
    /// Messages that replace those of the same purpose to the same recipient which are queued, by invitation and recipient.
    pub replacing: BTreeMap<(InvitationId, u16), (AccountId, Uuid)>,
    /// Changed messages, with the state and the lease that they must still have.
    pub settled: BTreeMap<(AccountId, Uuid), SettledDelivery>,
    /// New suppressions of addresses, by their keys.
    pub suppressions: BTreeMap<(AccountId, String), Suppression>,
    /// Requests to be remembered.
    pub requests: BTreeMap<RequestKey, Remembered>,
    /// The data of people to take out of stored rows.
    pub erasures: Erasures,
    /// The use of the quotas.
    pub quotas: QuotaSave,
}

/// A changed invitation, with the conditions of the save.
#[derive(Clone, Debug)]
pub struct Update {
    /// The invitation after the group.
    pub invitation: Arc<Invitation>,
    /// The revision that the decision depends on.
    pub loaded_revision: i64,
    /// Whether it must not have expired by the time of the save.
    pub unexpired: bool,
    /// The recipients whose row changes.
    pub recipients: BTreeSet<u16>,
}

/// A changed message, with the conditions of the save.
#[derive(Clone, Debug)]
pub struct SettledDelivery {
    /// The message after the group.
    pub delivery: Delivery,
    /// The state that the decision depends on.
    pub loaded_state: DeliveryState,
    /// The lease that it had then.
    pub loaded_lease: Option<Uuid>,
}

impl Save {
    /// Returns whether there is nothing to save.
    pub fn is_empty(&self) -> bool {
        // Every change of an invitation has an event; see `decide`.
        self.events.is_empty() && self.requests.is_empty()
    }

    /// Returns whether it only adds new invitations, which cannot collide with anything but a request_id.
    pub fn only_creates(&self) -> bool {
        self.updated.is_empty()
            && self.accepted.is_empty()
            && self.reaccepted.is_empty()
            && self.engagement.is_empty()
            && self.slots.is_empty()
            && self.domains.is_empty()
            && self.settled.is_empty()
            && self.quotas.additions.is_empty()
    }
}

impl Group {
    /// Creates a group of a snapshot without changes.
    pub fn new(loaded: Loaded) -> Self {
        Self { loaded, save: Save::default() }
    }

    /// Returns the changes of the group so far.
    pub fn save(&self) -> &Save {
        &self.save
    }

    /// Ends the group and returns its changes.
    pub fn into_save(self) -> Save {
        self.save
    }

    /// Decides several commands with `decide`; later ones see the changes of earlier ones. Returns all their results,
    /// also if the group is reset because one of them is refused or because of the mode of the batch.
    pub fn run_batch<E: AsRefusal>(
        &mut self,
        commands: &[Command],
        mode: BatchMode,
        decide: impl Fn(&mut Self, &Command) -> Result<Executed, E>,
    ) -> Vec<Result<Executed, E>> {
        let before = match (mode, commands) {
            // A refused command has changed nothing.
            (BatchMode::Independent, _) | (BatchMode::Atomic, [] | [_]) => None,
            (BatchMode::Atomic | BatchMode::DryRun, _) => Some(self.clone()),
        };
        let dry_run = mode == BatchMode::DryRun;
        let mut results = Vec::with_capacity(commands.len());
        for command in commands {
            results.push(decide(self, command).map(|executed| match &before {
                Some(before) if dry_run => self.as_dry_run(executed, before),
                Some(_) | None => executed,
            }));
        }
        if let Some(before) = before
            && (dry_run || results.iter().any(Result::is_err))
        {
            for refusal in results.iter_mut().filter_map(|result| result.as_mut().err()?.as_refusal()) {
                self.forget_name(refusal, &before);
            }
            *self = before;
        }
        results
    }

    /// Marks what a command of a dry run did. An invitation that an earlier command of it created does not exist either.
    fn as_dry_run(&self, executed: Executed, before: &Self) -> Executed {
        let created = executed.created || self.has_created(executed.invitation.id, before);
        let outcome = executed.outcome.map(|outcome| match outcome {
            CreateOutcome::Replaced(names) => {
                let existing = |name: Option<InvitationId>| name.filter(|id| !self.has_created(*id, before));
                CreateOutcome::Replaced(names.into_iter().map(existing).collect())
            }
            CreateOutcome::Created | CreateOutcome::Existing(_) => outcome,
        });
        Executed { created, dry_run: true, outcome, ..executed }
    }

    /// Returns whether an invitation has been created since the group was as `before`.
    fn has_created(&self, id: InvitationId, before: &Self) -> bool {
        self.save.created.contains_key(&id) && !before.save.created.contains_key(&id)
    }

    /// Takes the name out of a refusal if it leads to an invitation that is taken back.
    fn forget_name(&self, refusal: &mut Refusal, before: &Self) {
        if let Refusal::InvitationExists(id, _) = refusal
            && self.has_created(*id, before)
        {
            *refusal = Refusal::InvitationExistsInBatch;
        }
    }

    /// Decides one more command and, if it is not refused, adds its changes.
    pub fn run(&mut self, command: &Command, context: &Context) -> Result<Executed, Refusal> {
        let replayed = remembered(&self.loaded, command).cloned();
        let Decided { changes, affected } = decide(&self.loaded, command, context)?;
        let happened = replayed.as_ref().map_or(!changes.events.is_empty(), Remembered::has_changed_something);
        let decided_at = replayed.map_or(self.loaded.now, |replayed| replayed.at);
        let created = matches!(changes.invitations.first(), Some(Change::Create(_)));
        let new_acceptance = match &changes.acceptance {
            Some(AcceptanceChange::Create(acceptance)) => Some(acceptance.id),
            Some(AcceptanceChange::Update(_)) | None => None,
        };
        let suppressed = changes.deliveries.iter().filter(|new| changes.quotas.suppressed.contains_key(&new.id));
        let suppressed = suppressed.map(|new| new.recipient).collect();
        self.take_in(command.account(), changes);
        let invitation = self.loaded.invitation(command.account(), affected.invitation)?;
        let invitation = self.as_left(invitation, command.read_set().newest_acceptances);
        let Affected { invitation: id, acceptance, delivery, already_accepted } = affected;
        let acceptance = acceptance.and_then(|acceptance| self.loaded.acceptance(id, acceptance)).cloned();
        let delivery = delivery.map(|id| self.loaded.delivery(command.account(), id).cloned()).transpose()?;
        let now = self.loaded.now;
        let outcome = command.create_outcome(&invitation, happened);
        let made_link = happened && command.made_link(&invitation);
        Ok(Executed {
            now,
            decided_at,
            invitation,
            acceptance,
            new_acceptance,
            delivery,
            already_accepted,
            happened,
            created,
            outcome,
            made_link,
            suppressed,
            dry_run: false,
        })
    }

    /// Returns an invitation with the group's additions beside it: acceptances, if they are shown, and counts.
    ///
    /// This is done for an answer only, since most accepts show neither and a hot link has many in one group.
    fn as_left(&self, invitation: &Arc<Invitation>, newest_acceptances: bool) -> Arc<Invitation> {
        let engaged = self.save.engagement.get(&invitation.id);
        let known = |id| invitation.acceptances.iter().any(|known| known.id == id);
        let accepted = self.save.accepted.values().map(|(_, accepted)| accepted);
        let accepted = accepted.filter(|new| newest_acceptances && new.invitation == invitation.id && !known(new.id));
        let accepted: Vec<_> = accepted.cloned().collect();
        if engaged.is_none() && accepted.is_empty() {
            return Arc::clone(invitation);
        }
        let mut left = Invitation::clone(invitation);
        left.engagement.add(engaged.copied().unwrap_or_default());
        left.acceptances.extend(accepted);
        left.acceptances.sort_by_key(|acceptance| Reverse(acceptance.id));
        left.acceptances.truncate(NEWEST_ACCEPTANCES);
        Arc::new(left)
    }

    fn take_in(&mut self, account: &AccountId, changes: Changes) {
        let Changes { invitations, slots, domains, acceptance, engagement, events, deliveries, .. } = changes;
        let Changes { delivery, suppression, requests, erasure, quotas, .. } = changes;
        let is_update = matches!(invitations.first(), Some(Change::Update { .. }));
        let changed: Vec<_> = invitations
            .into_iter()
            .map(|change| match change {
                Change::Create(invitation) => self.create(invitation),
                Change::Update { invitation, unexpired } => self.update(invitation, unexpired),
            })
            .collect();
        if let Some(about) = changed.first() {
            if is_update {
                self.replace_queued(account, &deliveries, &quotas.suppressed);
            }
            let deliveries = deliveries.into_iter().map(|delivery| (Arc::clone(about), delivery));
            self.save.deliveries.extend(deliveries);
            self.take_in_acceptance(acceptance, Arc::clone(about));
            erasure.into_iter().for_each(|erasure| self.take_in_erasure(about, erasure));
            for DomainChange { invitation, domain, joins } in domains {
                self.save.domains.insert((invitation, domain), (Arc::clone(about), joins));
            }
        }
        for (key, slot) in slots {
            self.loaded.put_slot(account, key.clone(), slot);
            self.save.slots.entry((account.clone(), key)).or_insert(slot).invitation = slot.invitation;
        }
        if let Some(delivery) = delivery {
            self.take_in_delivery(account, delivery);
        }
        if let Some(suppression) = suppression {
            self.loaded.put_suppression(account.clone(), suppression.key.clone());
            self.save.suppressions.insert((account.clone(), suppression.key.clone()), suppression);
        }
        if let Some((id, engagement)) = engagement {
            self.save.engagement.entry(id).or_default().count(engagement);
        }
        self.save.events.extend(events);
        self.save.quotas.take_in(account, &mut self.loaded, quotas);
        for (key, remembered) in requests {
            self.loaded.put_request(key.clone(), remembered.clone());
            self.save.requests.insert(key, remembered);
        }
    }

    fn create(&mut self, invitation: Invitation) -> Arc<Invitation> {
        let invitation = self.loaded.put_invitation(invitation);
        self.save.created.insert(invitation.id, Arc::clone(&invitation));
        invitation
    }

    fn update(&mut self, invitation: Invitation, unexpired: bool) -> Arc<Invitation> {
        let before = self.loaded.invitation(&invitation.account, invitation.id).ok().cloned();
        let invitation = self.loaded.put_invitation(invitation);
        // An invitation that this group has created is still to be inserted, not updated.
        if let Some(created) = self.save.created.get_mut(&invitation.id) {
            *created = Arc::clone(&invitation);
            return invitation;
        }
        let loaded_revision = before.as_ref().map_or(0, |before| before.revision);
        let update = self.save.updated.entry(invitation.id).or_insert_with(|| Update {
            invitation: Arc::clone(&invitation),
            loaded_revision,
            unexpired: false,
            recipients: BTreeSet::new(),
        });
        update.invitation = Arc::clone(&invitation);
        update.unexpired |= unexpired;
        let opens = before.as_ref().is_some_and(|before| before.open_until() != invitation.open_until());
        let before = before.iter().flat_map(|before| &before.recipients);
        let changed = before.zip(&invitation.recipients).filter(|(before, after)| opens || before != after);
        update.recipients.extend(changed.map(|(_, after)| after.ordinal));
        invitation
    }

    fn take_in_acceptance(&mut self, change: Option<AcceptanceChange>, invitation: Arc<Invitation>) {
        let (acceptance, rows) = match change {
            None => return,
            Some(AcceptanceChange::Create(acceptance)) => (acceptance, &mut self.save.accepted),
            // An invitation that this group has created is still to be inserted, not updated.
            Some(AcceptanceChange::Update(acceptance)) if self.save.accepted.contains_key(&acceptance.id) => {
                (acceptance, &mut self.save.accepted)
            }
            Some(AcceptanceChange::Update(acceptance)) => (acceptance, &mut self.save.reaccepted),
        };
        rows.insert(acceptance.id, (invitation, acceptance.clone()));
        self.loaded.put_acceptance(acceptance);
    }
}
