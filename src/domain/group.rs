//! Decides a group of commands one after another on one snapshot and merges their changes into one save.
//!
//! Later commands see what earlier ones changed; the save holds one final row per key, whatever the number of commands.

pub mod erasures;
pub mod loaded;
mod messages;
pub mod open;
pub mod read_set;
mod save;
#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::sync::Arc;

use super::command::{Command, CreateOutcome};
use super::decide::{AcceptanceChange, Affected, Change, Changes, Context, Decided, DomainChange, decide, remembered};
use super::delivery::Delivery;
use super::invitation::acceptance::Acceptance;
use super::invitation::event::NewEvent;
use super::invitation::refusal::{AsRefusal, Refusal};
use super::invitation::{Invitation, NEWEST_ACCEPTANCES};
use super::value::id::{AcceptanceId, InvitationId};
use super::value::text::AccountId;
use super::value::time::Timestamp;
use loaded::{Loaded, Remembered};
pub use save::{Save, SettledDelivery, Update};

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
    /// Whether the command invited people to an invitation that there was, now.
    pub invited: bool,
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
    /// Each command has a result of its own, and those that are not refused take effect together.
    Together,
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
            (BatchMode::Independent | BatchMode::Together, _) | (BatchMode::Atomic, [] | [_]) => None,
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
            Some(AcceptanceChange::Update(_) | AcceptanceChange::Stop(_) | AcceptanceChange::Resume(_)) | None => None,
        };
        let suppressed = changes.deliveries.iter().filter(|new| changes.quotas.suppressed.contains_key(&new.id));
        let suppressed = suppressed.map(|new| new.recipient).collect();
        let invited = changes.events.iter().any(NewEvent::invites);
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
            invited,
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
        let Changes { delivery, suppression, requests, erasure, quotas, seats, freed, removed, .. } = changes;
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
            self.take_in_acceptance(acceptance, Arc::clone(about));
            self.take_in_removed(about, &removed);
            self.free_slots(about, freed);
            erasure.into_iter().for_each(|erasure| self.take_in_erasure(about, erasure));
            for DomainChange { invitation, domain, joins } in domains {
                self.save.domains.insert((invitation, domain), (Arc::clone(about), joins));
            }
        }
        for (key, slot) in slots {
            self.loaded.put_slot(account, key.clone(), slot);
            // Whoever takes a slot over need not wait until its former holder has given it up.
            self.save.erasures.slots.remove(&(account.clone(), key.clone()));
            self.save.slots.entry((account.clone(), key)).or_insert(slot).invitation = slot.invitation;
        }
        self.take_in_deliveries(account, deliveries);
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
        if let Some(seats) = seats {
            self.save.seats.take_in(account, &mut self.loaded, *seats);
        }
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
            before: before.clone(),
            loaded_revision,
            unexpired: false,
            recipients: BTreeSet::new(),
        });
        update.invitation = Arc::clone(&invitation);
        update.unexpired |= unexpired;
        let opens = before.as_ref().is_some_and(|before| before.open_until() != invitation.open_until());
        // New recipients are behind all others, and are saved by themselves.
        let before = before.iter().flat_map(|before| &before.recipients);
        let changed = before.zip(&invitation.recipients).filter(|(before, after)| opens || before != after);
        update.recipients.extend(changed.map(|(_, after)| after.ordinal));
        invitation
    }

    fn take_in_acceptance(&mut self, change: Option<AcceptanceChange>, invitation: Arc<Invitation>) {
        let (acceptance, rows) = match change {
            None => return,
            Some(AcceptanceChange::Create(acceptance)) => (acceptance, &mut self.save.accepted),
            Some(
                AcceptanceChange::Update(acceptance)
                | AcceptanceChange::Stop(acceptance)
                | AcceptanceChange::Resume(acceptance),
            ) => {
                // An acceptance that this group has created is still to be inserted, not updated.
                let is_new = self.save.accepted.contains_key(&acceptance.id);
                (acceptance, if is_new { &mut self.save.accepted } else { &mut self.save.reaccepted })
            }
        };
        rows.insert(acceptance.id, (invitation, acceptance.clone()));
        self.loaded.put_acceptance(acceptance);
    }
}
