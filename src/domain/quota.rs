//! Quotas: how much of something may be used, over all replicas.
//!
//! The idea behind each of them is one number: a save adds to it, and fails if more of it is used by then than the decision
//! allows. So two replicas never wait for each other while there is room, and together never use more than there is.
//!
//! An open invitation holds a part of its account's quota until a moment, its expiry. What it holds goes back when it ends, and
//! does not count from that moment on, whether or not anything has noticed.

mod inviter;
mod recipient;
mod suppressed;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use uuid::Uuid;

use super::command::Command;
use super::decide::{Change, Changes};
use super::delivery::repeats::ResendLimits;
use super::group::loaded::Loaded;
use super::invitation::Invitation;
use super::invitation::recipient::Recipient;
use super::invitation::refusal::{QuotaExceeded, Refusal};
use super::invitation::state::State;
use super::suppression::SuppressionRule;
use super::value::id::InvitationId;
use super::value::text::AccountId;
use super::value::time::Timestamp;
pub use inviter::{credential_key, inviter_key, user_key};
pub use recipient::RecipientQuota;

/// The invitees of an account's open invitations.
pub const OPEN_INVITATIONS: &str = "open_invitations_per_account";
/// The invitees of one inviter in a day.
pub const PER_INVITER: &str = "invitations_per_inviter_per_day";
/// The messages with a link to one address in a day, over all accounts.
pub const PER_RECIPIENT: &str = "mails_per_recipient_per_day";
/// The API keys of an account that are in force.
pub const API_KEYS: &str = "api_keys_per_account";
/// The key of the count of an account's open invitations.
pub const OPEN_KEY: &str = "open";

/// The time for which an inviter's invitees, and the messages to an address, are counted: a day of UTC.
pub const DAY: Duration = Duration::from_secs(86_400);

/// The quotas; what is `None` is not limited, and not counted.
#[derive(Clone, Debug)]
pub struct Quotas {
    /// The most invitees of an account's open invitations.
    pub open_invitations: Option<u32>,
    /// The most invitees of one inviter in a [`DAY`].
    pub per_inviter: Option<u32>,
    /// The most messages with a link to one address in a [`DAY`], whatever the account.
    pub per_recipient: Option<RecipientQuota>,
    /// The limits on mailing one invitation again.
    pub resends: ResendLimits,
    /// The rule on suppressed addresses; `None` if nobody suppresses any.
    pub suppressions: Option<SuppressionRule>,
}

/// The name of a count.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QuotaKey {
    /// The account; `None` for a count of all accounts.
    pub account: Option<AccountId>,
    /// The name within it.
    pub key: String,
}

/// A count as it was loaded, with what the group has added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuotaCount {
    /// The beginning of the day it is of; 1970 for a count without an end.
    pub period: Timestamp,
    /// The sum of all that was taken, less what was given back.
    pub used: i64,
    /// The part of it that no longer counts, because its time is over.
    pub lapsed: i64,
}

/// The part of the quota that an open invitation holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hold {
    /// The invitation.
    pub invitation: InvitationId,
    /// Its recipients but for those who were removed, at least one: a link that is open to whoever has it counts as one.
    pub invitees: u32,
    /// The moment from which it does not count.
    pub open_until: Timestamp,
}

impl Hold {
    /// Returns the part that an invitation holds at a moment; `None` unless it is ACTIVE.
    pub fn of(invitation: &Invitation, now: Timestamp) -> Option<Self> {
        let open_until = invitation.facts.expire_at.unwrap_or(Timestamp::from_micros(i64::MAX));
        let invitees = invitees(invitation.present_recipients().count());
        let hold = Self { invitation: invitation.id, invitees, open_until };
        (invitation.state_at(now) == State::Active).then_some(hold)
    }
}

/// Returns the number of invitees of an invitation with some recipients: an open link counts as one.
pub fn invitees(recipients: usize) -> u32 {
    u32::try_from(recipients).unwrap_or(u32::MAX).max(1)
}

/// An addition to a count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addition {
    /// The count.
    pub key: QuotaKey,
    /// The beginning of the day it belongs to.
    pub period: Timestamp,
    /// The number that is added, less what is given back.
    pub net: i64,
    /// Whether the save adds the numbers of the holds that it finds instead.
    pub by_holds: bool,
    /// The most that may have been used after the save.
    pub most: i64,
}

/// The use of the quotas by a command.
#[derive(Clone, Debug, Default)]
pub struct QuotaChanges {
    /// Holds that are taken.
    pub taken: Vec<Hold>,
    /// Holds that are given back.
    pub released: Vec<Hold>,
    /// Holds whose numbers change.
    pub resized: Vec<Hold>,
    /// Additions to counts.
    pub additions: Vec<Addition>,
    /// Messages that are not sent, each with the reason: their addresses are suppressed, or have had as many as they may.
    pub suppressed: BTreeMap<Uuid, &'static str>,
    /// The keys of the addresses that messages are sent to.
    pub mailed: Vec<String>,
}

/// The use of the quotas by a group.
#[derive(Clone, Debug, Default)]
pub struct QuotaSave {
    /// Holds that are taken, with their numbers.
    pub taken: BTreeMap<(AccountId, InvitationId, Timestamp), u32>,
    /// Holds that are given back.
    pub released: BTreeSet<(AccountId, InvitationId, Timestamp)>,
    /// Holds that get another number.
    pub resized: BTreeMap<(AccountId, InvitationId, Timestamp), u32>,
    /// Additions to counts.
    pub additions: BTreeMap<QuotaKey, Addition>,
    /// Messages that are saved as suppressed, each with the reason.
    pub suppressed: BTreeMap<Uuid, &'static str>,
    /// The keys of the addresses that messages are sent to.
    pub mailed: BTreeSet<(AccountId, String)>,
}

impl QuotaSave {
    /// Adds the changes of one more command.
    pub(super) fn take_in(&mut self, account: &AccountId, loaded: &mut Loaded, changes: QuotaChanges) {
        let QuotaChanges { taken, released, resized, additions, suppressed, mailed } = changes;
        let key = |hold: &Hold| (account.clone(), hold.invitation, hold.open_until);
        for hold in resized {
            match self.taken.get_mut(&key(&hold)) {
                Some(taken) => *taken = hold.invitees,
                None => drop(self.resized.insert(key(&hold), hold.invitees)),
            }
        }
        for hold in released {
            self.resized.remove(&key(&hold));
            // A hold that this group has taken was never saved.
            if self.taken.remove(&key(&hold)).is_none() {
                self.released.insert(key(&hold));
            }
        }
        for hold in taken {
            // A hold that is given back and taken again in one save stays, with the number that it has by then.
            let held = if self.released.remove(&key(&hold)) { &mut self.resized } else { &mut self.taken };
            held.insert(key(&hold), hold.invitees);
        }
        for addition in additions {
            loaded.add_to_quota(&addition);
            let known = self.additions.entry(addition.key.clone()).or_insert(Addition { net: 0, ..addition.clone() });
            known.net += addition.net;
            known.most = known.most.min(addition.most);
            known.period = known.period.max(addition.period);
        }
        self.suppressed.extend(suppressed);
        self.mailed.extend(mailed.into_iter().map(|key| (account.clone(), key)));
    }
}

impl Quotas {
    /// Nothing is limited but resends.
    pub const NONE: Self = Self {
        open_invitations: None,
        per_inviter: None,
        per_recipient: None,
        resends: ResendLimits::DEFAULT,
        suppressions: None,
    };

    /// Returns the counts that the decision of a command depends on.
    pub fn keys(&self, command: &Command) -> Vec<QuotaKey> {
        let mut keys = Vec::new();
        if self.open_invitations.is_some() && command.rules().may_open() {
            keys.push(open_key(command.account()));
        }
        if let Some(create) = command.rules().create().filter(|_| self.per_inviter.is_some()) {
            keys.push(inviter_key(command.account(), &create.details, &command.actor));
        }
        if let Some(quota) = &self.per_recipient {
            keys.extend(command.mailed().map(|email| quota.key(email)));
        }
        keys
    }

    /// Returns the further counts, which depend on the loaded invitation.
    pub fn second_keys(&self, command: &Command, invitation: &Invitation) -> Vec<QuotaKey> {
        let mut keys = Vec::new();
        if self.per_inviter.is_some() && !command.rules().invited().is_empty() {
            keys.push(inviter_key(command.account(), &invitation.details, &command.actor));
        }
        if let Some(quota) = self.per_recipient.as_ref().filter(|_| command.rules().may_mail_again()) {
            keys.extend(invitation.recipients.iter().filter_map(Recipient::email).map(|email| quota.key(email)));
        }
        keys
    }

    /// Returns the keys by which the addresses are found suppressed that the command itself names and mails.
    pub fn suppression_keys(&self, command: &Command) -> Vec<String> {
        let rule = self.suppressions.as_ref();
        rule.map_or_else(Vec::new, |rule| rule.all_keys(command.account(), command.mailed()))
    }

    /// Returns the keys of the further addresses, which depend on the loaded invitation: those of its recipients if it may be mailed
    /// again, or that of the message whose address may be suppressed.
    pub fn second_suppression_keys(&self, command: &Command, loaded: &Loaded, invitation: &Invitation) -> Vec<String> {
        let Some(rule) = &self.suppressions else { return Vec::new() };
        let rules = command.rules();
        if rules.may_mail_again() {
            let emails = invitation.recipients.iter().filter(|recipient| recipient.is_open());
            return rule.all_keys(command.account(), emails.filter_map(Recipient::email));
        }
        let delivery = rules.may_suppress().and_then(|id| loaded.delivery(command.account(), id).ok());
        let email = delivery.and_then(|delivery| delivery.address(invitation));
        rule.all_keys(command.account(), email.into_iter())
    }

    /// Adds to the changes of a command what they use of the quotas, or refuses the command. A message to an address that is
    /// suppressed, or has had as many as it may, is not sent, and no reminders follow it. A command that would replace a link by a message
    /// beyond the limit of its address is refused; where the address is suppressed the caller has asked for what it gets.
    pub(super) fn charge(&self, loaded: &Loaded, command: &Command, changes: &mut Changes) -> Result<(), Refusal> {
        let mut quotas = QuotaChanges::default();
        if let Some(limit) = self.open_invitations {
            charge_open(limit, loaded, (command, changes), &mut quotas)?;
        }
        if let Some(limit) = self.per_inviter {
            inviter::charge(limit, loaded, (command, changes), &mut quotas)?;
        }
        if let Some((rule, about)) = self.suppressions.as_ref().zip(changes.about()) {
            quotas.suppressed = rule.suppressed(loaded, about, changes);
            quotas.mailed = rule.mailed(about, changes, &quotas.suppressed);
        }
        if let Some(quota) = &self.per_recipient {
            quota.charge(loaded, changes, &mut quotas)?;
        }
        suppressed::show(loaded, command, changes, &quotas.suppressed);
        changes.quotas = quotas;
        Ok(())
    }
}

/// Returns the count of an account's open invitations.
pub fn open_key(account: &AccountId) -> QuotaKey {
    QuotaKey { account: Some(account.clone()), key: OPEN_KEY.to_owned() }
}

/// Returns the beginning of the day of a moment.
pub fn day_of(now: Timestamp) -> Timestamp {
    let day = i64::try_from(DAY.as_micros()).unwrap_or(i64::MAX);
    Timestamp::from_micros(now.micros().div_euclid(day).saturating_mul(day))
}

fn charge_open(
    limit: u32,
    loaded: &Loaded,
    (command, changes): (&Command, &Changes),
    quotas: &mut QuotaChanges,
) -> Result<(), Refusal> {
    let mut net = 0;
    for change in &changes.invitations {
        let (before, after) = match change {
            Change::Create(invitation) => (None, invitation),
            Change::Update { invitation, .. } => (loaded.invitation(command.account(), invitation.id).ok(), invitation),
        };
        let before = before.and_then(|before| Hold::of(before, loaded.now));
        let after = Hold::of(after, loaded.now);
        let numbers = [before, after].map(|hold| hold.map_or(0, |hold| i64::from(hold.invitees)));
        net += numbers[1] - numbers[0];
        match (before, after) {
            (Some(before), Some(after)) if before.open_until == after.open_until => {
                quotas.resized.extend(Some(after).filter(|after| *after != before));
            }
            (before, after) => {
                quotas.released.extend(before);
                quotas.taken.extend(after);
            }
        }
    }
    let key = open_key(command.account());
    let period = Timestamp::from_micros(0);
    let QuotaCount { used, lapsed, .. } = loaded.quota(&key, period);
    let is_limited = net > 0 && !command.rules().never_fails();
    if is_limited {
        check(OPEN_INVITATIONS, limit, (used - lapsed, net), None)?;
    }
    // A command that gives back more than it takes always fits.
    let most = if is_limited { i64::from(limit) + lapsed } else { i64::MAX };
    if net != 0 {
        quotas.additions.push(Addition { key, period, net, by_holds: true, most });
    }
    Ok(())
}

/// Refuses a number that does not fit. One that is larger than the whole quota never will, so there is nothing to wait for.
fn check(name: &'static str, limit: u32, (used, asked): (i64, i64), wait: Option<Duration>) -> Result<(), Refusal> {
    if used + asked <= i64::from(limit) {
        return Ok(());
    }
    let retry_after = wait.filter(|_| asked <= i64::from(limit));
    Err(Refusal::QuotaExceeded(QuotaExceeded { name, limit, used, asked, retry_after }))
}
