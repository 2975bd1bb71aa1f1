//! The quota of messages with a link to one address, over all accounts.

use data_encoding::BASE64URL_NOPAD;

use super::{Addition, DAY, PER_RECIPIENT, QuotaChanges, QuotaKey, day_of};
use crate::domain::decide::{Change, Changes};
use crate::domain::delivery::{Purpose, SUPPRESSED};
use crate::domain::group::loaded::Loaded;
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

    pub(super) fn charge(&self, loaded: &Loaded, changes: &Changes, quotas: &mut QuotaChanges) -> Result<(), Refusal> {
        let Some(about) = changes.about() else { return Ok(()) };
        let period = day_of(loaded.now);
        let mut is_exceeded = false;
        for delivery in changes.deliveries.iter().filter(|delivery| delivery.purpose == Purpose::Invitation) {
            let Some(email) = about.recipient(delivery.recipient).and_then(Recipient::email) else { continue };
            // A message that is not sent is not counted.
            if quotas.suppressed.contains_key(&delivery.id) {
                continue;
            }
            let key = self.key(email);
            if loaded.quota(&key, period).used < i64::from(self.limit) {
                let most = i64::from(self.limit);
                quotas.additions.push(Addition { key, period, net: 1, by_holds: false, most });
            } else {
                quotas.suppressed.insert(delivery.id, SUPPRESSED);
                is_exceeded = true;
            }
        }
        if is_exceeded && ends_links(loaded, changes) { Err(self.exceeded(loaded.now)) } else { Ok(()) }
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
