//! The quota of messages with a link to one address, over all accounts.

use std::collections::BTreeSet;

use data_encoding::BASE64URL_NOPAD;

use super::{Addition, DAY, PER_RECIPIENT, QuotaChanges, QuotaKey, day_of};
use crate::domain::decide::{Change, Changes};
use crate::domain::delivery::{DeliveryState, Purpose};
use crate::domain::group::loaded::Loaded;
use crate::domain::invitation::event::Payload;
use crate::domain::invitation::event::payload::{CreatedPayload, ResentPayload};
use crate::domain::invitation::recipient::Recipient;
use crate::domain::invitation::refusal::{QuotaExceeded, Refusal};
use crate::domain::secret::key_ring::KeyRing;
use crate::domain::value::email::Email;
use crate::domain::value::time::Timestamp;

/// The quota of an address, which is counted under a keyed hash: the rows belong to no account, so nobody else may read from
/// them who is invited.
#[derive(Clone, Debug)]
pub struct RecipientQuota {
    /// The most messages.
    pub limit: u32,
    /// The keys of the hash. The signing one counts, so a rotation begins the count anew.
    pub ring: KeyRing,
}

impl RecipientQuota {
    pub(super) fn key(&self, email: &Email) -> QuotaKey {
        let mac = BASE64URL_NOPAD.encode(&self.ring.recipient_mac(email.key().as_bytes()));
        QuotaKey { account: None, key: format!("recipient {mac}") }
    }

    pub(super) fn charge(
        &self,
        loaded: &Loaded,
        changes: &mut Changes,
        quotas: &mut QuotaChanges,
    ) -> Result<(), Refusal> {
        let Some(Change::Create(about) | Change::Update { invitation: about, .. }) = changes.invitations.first() else {
            return Ok(());
        };
        let period = day_of(loaded.now);
        let (mut suppressed, mut sent) = (BTreeSet::new(), 0);
        for delivery in changes.deliveries.iter().filter(|delivery| delivery.purpose == Purpose::Invitation) {
            let Some(email) = about.recipient(delivery.recipient).and_then(Recipient::email) else { continue };
            let key = self.key(email);
            if loaded.quota(&key, period).used < i64::from(self.limit) {
                let most = i64::from(self.limit);
                quotas.additions.push(Addition { key, period, net: 1, by_holds: false, most });
                sent += 1;
            } else {
                quotas.suppressed.push(delivery.id);
                suppressed.insert(delivery.recipient);
            }
        }
        if !suppressed.is_empty() {
            if ends_links(loaded, changes) {
                return Err(self.exceeded(loaded.now));
            }
            let last = changes.deliveries.iter().rfind(|delivery| delivery.purpose == Purpose::Invitation);
            let is_last = last.is_some_and(|last| suppressed.contains(&last.recipient));
            let is_reminder = |purpose, recipient| purpose == Purpose::Reminder && suppressed.contains(&recipient);
            changes.deliveries.retain(|delivery| !is_reminder(delivery.purpose, delivery.recipient));
            show_suppressed(loaded, changes, (suppressed.len(), sent), is_last);
        }
        Ok(())
    }

    /// Refuses a message for the rest of the day. What other accounts have sent is not told.
    fn exceeded(&self, now: Timestamp) -> Refusal {
        let (limit, retry_after) = (self.limit, Some(day_of(now).later(DAY).since(now)));
        Refusal::QuotaExceeded(QuotaExceeded { name: PER_RECIPIENT, limit, used: limit.into(), asked: 1, retry_after })
    }
}

/// Returns whether a command ends a link that people may have: it rotates it, or creates an invitation in the place of others. Without the
/// message that brings the new link they would have none.
fn ends_links(loaded: &Loaded, changes: &Changes) -> bool {
    match changes.invitations.first() {
        Some(Change::Update { invitation, .. }) => {
            let before = loaded.invitation(&invitation.account, invitation.id);
            before.is_ok_and(|before| before.generation != invitation.generation)
        }
        Some(Change::Create(_)) => changes.invitations.len() > 1,
        None => false,
    }
}

/// Takes suppressed messages out of what the invitation and its events say was sent.
fn show_suppressed(loaded: &Loaded, changes: &mut Changes, (suppressed, sent): (usize, usize), is_last: bool) {
    for event in &mut changes.events {
        if let Payload::Created(CreatedPayload { mailed_count, .. })
        | Payload::Resent(ResentPayload { mailed_count, .. }) = &mut event.payload
        {
            *mailed_count = mailed_count.saturating_sub(suppressed);
        }
        if let Payload::Updated(updated) = &mut event.payload {
            updated.mailed_count = updated.mailed_count.saturating_sub(suppressed);
        }
    }
    let Some(Change::Create(about) | Change::Update { invitation: about, .. }) = changes.invitations.first_mut() else {
        return;
    };
    if is_last {
        about.latest_delivery = Some(DeliveryState::Suppressed);
    }
    if sent == 0 {
        let before = loaded.invitation(&about.account, about.id).ok();
        about.first_sent_at = before.and_then(|before| before.first_sent_at);
        about.last_sent_at = before.and_then(|before| before.last_sent_at);
    }
}
