//! The service in memory: what `Save` says, applied to maps, and plain models of the mechanisms that only the store has.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use invitation_service::domain::command::{Action, Command, ExpireGrant, ExpireInvitation, RequestKey};
use invitation_service::domain::decide::Context;
use invitation_service::domain::delivery::{Delivery, DeliveryState, NewDelivery, Purpose, REMOVED, REPLACED};
use invitation_service::domain::group::loaded::{Loaded, Remembered};
use invitation_service::domain::group::{BatchMode, Executed, Group, Save};
use invitation_service::domain::invitation::acceptance::{Acceptance, AcceptanceState};
use invitation_service::domain::invitation::event::NewEvent;
use invitation_service::domain::invitation::refusal::Refusal;
use invitation_service::domain::invitation::slot::{Slot, SlotKey};
use invitation_service::domain::invitation::state::State;
use invitation_service::domain::invitation::{Engagement, Invitation, NEWEST_ACCEPTANCES};
use invitation_service::domain::reach::Reach;
use invitation_service::domain::suppression::Suppression;
use invitation_service::domain::value::grantable_roles::GrantableRoles;
use invitation_service::domain::value::id::{AcceptanceId, IdSeed, InvitationId};
use invitation_service::domain::value::text::AccountId;
use invitation_service::domain::value::time::Timestamp;
use uuid::Uuid;

use super::seats::Seating;
use super::webhooks::{PostKey, Posted, TemplateMailer};

/// The least time between two notices of one purpose about an invitation.
const HOUR: Duration = Duration::from_secs(3_600);

/// A message, and whether it still waits to be put among those that are due.
#[derive(Clone, Debug)]
pub(super) struct Message {
    pub(super) delivery: Delivery,
    pub(super) planned: bool,
}

/// An event with its place, once it has one.
#[derive(Clone, Debug)]
pub(super) struct Placed {
    pub(super) event: Arc<NewEvent>,
    pub(super) position: Option<i64>,
}

/// The content that a database should have.
#[derive(Clone, Debug, Default)]
pub(super) struct Model {
    pub(super) invitations: BTreeMap<InvitationId, Arc<Invitation>>,
    pub(super) acceptances: BTreeMap<AcceptanceId, (AccountId, Acceptance)>,
    pub(super) engagement: BTreeMap<InvitationId, Engagement>,
    pub(super) requests: BTreeMap<RequestKey, Remembered>,
    pub(super) slots: BTreeMap<(AccountId, SlotKey), Slot>,
    pub(super) domains: BTreeSet<(InvitationId, String)>,
    pub(super) events: BTreeMap<InvitationId, Vec<Placed>>,
    pub(super) outbox: BTreeMap<(AccountId, Uuid), Message>,
    pub(super) suppressions: BTreeMap<(AccountId, String), Suppression>,
    pub(super) seating: Seating,
    pub(super) position: i64,
    pub(super) endpoints: Vec<Posted>,
    pub(super) posts: BTreeMap<PostKey, TemplateMailer>,
    pub(super) attempts: BTreeSet<(Uuid, Uuid, AccountId)>,
    pub(super) dispatched: i64,
}

/// Does what becomes of a message that a later one replaces.
fn cancel(delivery: &mut Delivery, reason: &str) {
    (delivery.state, delivery.due_at) = (DeliveryState::Cancelled, None);
    delivery.last_error = Some(reason.to_owned());
}

impl Model {
    /// Decides commands as the service should, and returns what it should answer and what it should save.
    pub(super) fn run(
        &self,
        commands: &[Command],
        mode: BatchMode,
        context: &Context,
        now: Timestamp,
    ) -> (Vec<Result<Executed, Refusal>>, Save) {
        let mut group = Group::new(self.loaded(now));
        let mut results = group.run_batch(commands, mode, |group, command| group.run(command, context));
        let save = group.into_save();
        if let ([command], BatchMode::Independent) = (commands, mode)
            && let Some(refusal) = self.must_refuse(command)
        {
            results = vec![Err(refusal)];
        }
        (results, save)
    }

    /// Says what has to be refused whatever the domain decides: two guarantees that would be lost if model and service shared
    /// a mistake.
    fn must_refuse(&self, command: &Command) -> Option<Refusal> {
        let key = command.request.as_ref().map(|request| request.key(command.account()));
        let remembered = key.and_then(|key| self.requests.get(&key));
        if let (Some(remembered), Some(request)) = (remembered, &command.request) {
            return (!request.digests.contains(&remembered.digest)).then_some(Refusal::RequestIdReused);
        }
        let Action::SettleDelivery(settle) = &command.action else { return None };
        let message = self.outbox.get(&(command.account().clone(), settle.delivery))?;
        (message.delivery.lease != Some(settle.lease)).then_some(Refusal::LeaseLost)
    }

    fn loaded(&self, now: Timestamp) -> Loaded {
        let mut loaded = Loaded::empty(now);
        let (messages, acceptances) = (self.messages(), self.acceptances_of());
        for id in self.invitations.keys() {
            let messages = messages.get(id).map(Vec::as_slice).unwrap_or_default();
            loaded.put_invitation(self.view_with(*id, messages, acceptances.get(id).cloned()));
        }
        for (_, acceptance) in self.acceptances.values() {
            loaded.put_acceptance(acceptance.clone());
        }
        for (key, remembered) in &self.requests {
            loaded.put_request(key.clone(), remembered.clone());
        }
        for ((account, key), slot) in &self.slots {
            loaded.put_slot(account, key.clone(), *slot);
        }
        for ((account, _), message) in &self.outbox {
            loaded.put_delivery(account, message.delivery.clone());
        }
        for (account, key) in self.suppressions.keys() {
            loaded.put_suppression(account.clone(), key.clone());
        }
        self.seating.load_into(&mut loaded, now);
        loaded
    }

    fn messages(&self) -> BTreeMap<InvitationId, Vec<&Delivery>> {
        let mut messages = BTreeMap::<_, Vec<_>>::new();
        for message in self.outbox.values() {
            messages.entry(message.delivery.message.invitation).or_default().push(&message.delivery);
        }
        messages
    }

    fn acceptances_of(&self) -> BTreeMap<InvitationId, Vec<Acceptance>> {
        let mut acceptances = BTreeMap::<_, Vec<_>>::new();
        for (_, acceptance) in self.acceptances.values() {
            acceptances.entry(acceptance.invitation).or_default().push(acceptance.clone());
        }
        acceptances
    }

    /// The invitation as a reader should see it.
    pub(super) fn view(&self, id: InvitationId) -> Invitation {
        let messages = self.messages().remove(&id).unwrap_or_default();
        self.view_with(id, &messages, self.acceptances_of().remove(&id))
    }

    fn view_with(&self, id: InvitationId, messages: &[&Delivery], acceptances: Option<Vec<Acceptance>>) -> Invitation {
        let mut view = Invitation::clone(&self.invitations[&id]);
        view.engagement = self.engagement.get(&id).copied().unwrap_or_default();
        let brings_link = |delivery: &&&Delivery| match delivery.message.purpose {
            Purpose::Invitation => true,
            Purpose::Reminder => delivery.attempts > 0,
            Purpose::AcceptanceNotice
            | Purpose::VerificationCode
            | Purpose::DeclineNotice
            | Purpose::FailureNotice
            | Purpose::ExpiryNotice => false,
        };
        let messages: Vec<_> = messages.iter().filter(brings_link).collect();
        view.deliveries = u32::try_from(messages.len()).unwrap();
        let stands = messages.into_iter().filter(|delivery| delivery.state != DeliveryState::Cancelled);
        let latest = stands.max_by_key(|delivery| (delivery.message.created_at, delivery.message.id));
        view.latest_delivery = latest.map(|delivery| delivery.state);
        view.acceptances = acceptances.unwrap_or_default();
        view.acceptances.sort_by_key(|acceptance| Reverse(acceptance.id));
        view.acceptances.truncate(NEWEST_ACCEPTANCES);
        view
    }

    /// Does what a save says.
    pub(super) fn apply(&mut self, save: Save) {
        let Save { created, updated, accepted, reaccepted, engagement, .. } = &save;
        for (id, invitation) in created {
            assert!(self.invitations.insert(*id, Arc::clone(invitation)).is_none(), "an invitation is made once");
        }
        for (id, update) in updated {
            self.invitations.insert(*id, Arc::clone(&update.invitation));
        }
        for (id, (invitation, acceptance)) in accepted.iter().chain(reaccepted) {
            self.acceptances.insert(*id, (invitation.account.clone(), acceptance.clone()));
        }
        for (id, more) in engagement {
            self.engagement.entry(*id).or_default().add(*more);
        }
        self.slots.extend(save.slots);
        for (key, holder) in save.erasures.slots {
            if self.slots.get(&key).is_some_and(|slot| slot.invitation == holder) {
                self.slots.remove(&key);
            }
        }
        for ((id, domain), (_, joins)) in save.domains {
            if joins {
                self.domains.insert((id, domain))
            } else {
                self.domains.remove(&(id, domain))
            };
        }
        for event in save.events {
            let placed = Placed { event: Arc::new(event), position: None };
            self.events.entry(placed.event.invitation).or_default().push(placed);
        }
        for (invitation, message) in save.deliveries {
            let planned = message.due_at > message.created_at;
            let due_at = Some(message.due_at);
            let key = (invitation.account.clone(), message.id);
            let cancelled = save.cancelled.get(&message.id).copied();
            let (state, lease, attempts) = (DeliveryState::Queued, None, 0);
            let mut delivery = Delivery { message, state, lease, attempts, last_error: None, sent_at: None, due_at };
            let suppressed = save.quotas.suppressed.get(&delivery.message.id);
            assert!(
                suppressed.is_some() || !self.is_suppressed(&invitation, &delivery),
                "mail to a suppressed address"
            );
            if let Some(reason) = cancelled {
                cancel(&mut delivery, reason);
            } else if let Some(reason) = suppressed {
                (delivery.state, delivery.due_at) = (DeliveryState::Suppressed, None);
                delivery.last_error = Some((*reason).to_owned());
            }
            self.outbox.entry(key).or_insert(Message { delivery, planned });
        }
        let replacing = |message: &Message| {
            let NewDelivery { invitation, recipient, purpose, id, .. } = message.delivery.message;
            let new = save.replacing.get(&(invitation, recipient));
            let is_waiting = purpose == Purpose::Invitation && message.delivery.state == DeliveryState::Queued;
            is_waiting && new.is_some_and(|(_, new)| *new != id)
        };
        for message in self.outbox.values_mut().filter(|message| replacing(message)) {
            cancel(&mut message.delivery, REPLACED);
        }
        let removing = |message: &Message| {
            let NewDelivery { invitation, recipient, .. } = message.delivery.message;
            let is_waiting = message.delivery.state == DeliveryState::Queued;
            is_waiting && save.removed.contains_key(&(invitation, recipient))
        };
        for message in self.outbox.values_mut().filter(|message| removing(message)) {
            cancel(&mut message.delivery, REMOVED);
        }
        for (key, settled) in save.settled {
            self.outbox.insert(key, Message { delivery: settled.delivery, planned: false });
        }
        self.requests.extend(save.requests);
        self.suppressions.extend(save.suppressions);
        self.seating.apply(save.seats);
    }

    fn is_suppressed(&self, invitation: &Invitation, delivery: &Delivery) -> bool {
        let address = delivery.address(invitation).filter(|_| delivery.message.purpose == Purpose::Invitation);
        address.is_some_and(|address| {
            self.suppressions.contains_key(&(invitation.account.clone(), address.key().to_owned()))
        })
    }

    /// Gives every event without a position its place: behind all others, by the clock, an invitation's own in their order.
    pub(super) fn place(&mut self) -> u64 {
        let mut waiting = Vec::new();
        for (id, events) in &self.events {
            let mut at = Timestamp::from_micros(i64::MIN);
            for (index, placed) in events.iter().enumerate().filter(|(_, placed)| placed.position.is_none()) {
                at = at.max(placed.event.time);
                waiting.push((at, placed.event.account.clone(), *id, index));
            }
        }
        waiting.sort();
        for (_, _, id, index) in &waiting {
            self.position += 1;
            self.events.get_mut(id).unwrap()[*index].position = Some(self.position);
        }
        waiting.len() as u64
    }

    /// The ids of all events behind a position, in their order.
    pub(super) fn behind(&self, position: i64) -> Vec<(i64, Uuid)> {
        let events = self.events.values().flatten();
        let mut behind: Vec<_> = events.filter_map(|placed| Some((placed.position?, placed.event.id))).collect();
        behind.retain(|(at, _)| *at > position);
        behind.sort_unstable();
        behind
    }

    /// The commands that tell of what has expired, in the order in which the service walks.
    pub(super) fn untold(&self, now: Timestamp) -> Vec<Command> {
        let expired = self.invitations.values().filter(|invitation| invitation.state_at(now) == State::Expired);
        let untold = expired.filter(|invitation| invitation.expiry_told_at != invitation.facts.expire_at);
        let invitations = untold.map(|invitation| {
            let action = Action::Expire(ExpireInvitation { id: invitation.id });
            (invitation.facts.expire_at.unwrap(), invitation.account.clone(), invitation.id, Uuid::nil(), action)
        });
        let over = self.acceptances.values().filter(|(_, made)| made.state_at(now) == AcceptanceState::Expired);
        let untold = over.filter(|(_, made)| made.grant_told_at != made.grant_expire_at);
        let grants = untold.map(|(account, made)| {
            let action = Action::ExpireGrant(ExpireGrant { invitation: made.invitation, id: made.id });
            (made.grant_expire_at.unwrap(), account.clone(), made.invitation, made.id.0, action)
        });
        let mut untold: Vec<_> = invitations.chain(grants).collect();
        untold.sort_by_key(|(at, account, invitation, acceptance, _)| (*at, account.clone(), *invitation, *acceptance));
        let command = |(at, account, invitation, acceptance, action): (_, _, InvitationId, Uuid, _)| Command {
            reach: Reach::of_account(account),
            actor: "system/expiry".to_owned(),
            grantable_roles: GrantableRoles::default(),
            request: None,
            seed: IdSeed::new(at, *if acceptance.is_nil() { invitation.0 } else { acceptance }.as_bytes()),
            action,
        };
        untold.into_iter().map(command).collect()
    }

    /// Checks what must hold in any model, so that a mistake which the domain shares with the service is noticed.
    pub(super) fn check(&self, now: Timestamp) {
        let mut uses = BTreeMap::<InvitationId, u32>::new();
        for (_, acceptance) in self.acceptances.values().filter(|(_, acceptance)| !acceptance.is_undone()) {
            *uses.entry(acceptance.invitation).or_default() += 1;
        }
        for (key, used) in self.requests.iter().filter(|(key, _)| key.method == "email_proof") {
            let by = used.acceptance.and_then(|id| self.acceptances.get(&id));
            assert!(
                by.is_some_and(|(account, _)| *account == key.account),
                "nobody has accepted with proof {}",
                key.id
            );
        }
        self.seating.check(&self.acceptances);
        let mut subjects = BTreeSet::new();
        for (_, acceptance) in self.acceptances.values().filter(|(_, acceptance)| !acceptance.is_undone()) {
            let is_only = subjects.insert((acceptance.invitation, &acceptance.subject));
            assert!(is_only, "{:?} has two acceptances of {:?}", acceptance.subject, acceptance.invitation);
        }
        self.check_notices();
        let mut holders = BTreeMap::new();
        for (id, invitation) in &self.invitations {
            let used = uses.get(id).copied().unwrap_or_default();
            assert_eq!(invitation.facts.use_count, used, "uses of {} are its acceptances", id.0);
            assert!(invitation.facts.max_uses.is_none_or(|most| used <= most), "{} is used too often", id.0);
            for slot in invitation.slots() {
                if invitation.holds_slots_at(now) {
                    let other = holders.insert((invitation.account.clone(), slot.clone()), *id);
                    assert_eq!(other, None, "two ACTIVE invitations hold {slot:?}; the other is {}", id.0);
                }
            }
        }
    }

    /// Checks that an inviter gets at most one notice for an invitation, a purpose and an hour.
    fn check_notices(&self) {
        let mut last = BTreeMap::<_, Timestamp>::new();
        let notices = self.outbox.values().map(|message| &message.delivery.message);
        let mut notices: Vec<_> = notices.filter(|message| message.purpose.is_notice()).collect();
        notices.sort_by_key(|notice| notice.moment);
        for NewDelivery { invitation, purpose, moment, .. } in notices {
            let moment = moment.unwrap();
            if let Some(before) = last.insert((invitation, purpose.code()), moment) {
                assert!(moment.since(before) >= HOUR, "two {purpose:?} about {} within an hour", invitation.0);
            }
        }
    }
}
