//! Suppressed addresses, to which nothing is sent: mail to them came back for good, somebody there called it spam, or a caller says so.
//!
//! A suppression is found by its address, or by keyed hashes of it once the address is erased: then nobody can read whose it is, and
//! it holds all the same.

use std::collections::BTreeMap;

use strum::{EnumString, IntoStaticStr, VariantArray};
use uuid::Uuid;

use super::decide::{Changes, Maker};
use super::delivery::{Delivery, Purpose};
use super::erasure::tombstone::AddressMac;
use super::group::loaded::Loaded;
use super::invitation::Invitation;
use super::invitation::event::payload::SuppressionPayload;
use super::invitation::event::{EventType, NewEvent, Payload};
use super::invitation::recipient::Recipient;
use super::secret::key_ring::KeyRing;
use super::value::email::Email;
use super::value::etag;
use super::value::etag::StaleEtag;
use super::value::id::InvitationId;
use super::value::text::AccountId;
use super::value::time::Timestamp;
use super::value::word;

/// The reason for which a message to a suppressed address is not sent.
pub const ADDRESS_SUPPRESSED: &str = "the address is suppressed";

/// The reason why an address is suppressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumString, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum SuppressionReason {
    /// Mail to it came back for good.
    HardBounce,
    /// Its owner called a message spam.
    Complaint,
    /// A caller said so.
    Manual,
}

impl SuppressionReason {
    /// Every reason.
    pub const ALL: [Self; Self::VARIANTS.len()] = word::array(Self::VARIANTS);

    /// Returns the code for it in the database and in events.
    pub fn code(self) -> &'static str {
        self.into()
    }

    /// Reverses [`SuppressionReason::code`].
    pub fn from_code(code: &str) -> Option<Self> {
        code.parse().ok()
    }
}

/// An address that nothing is sent to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suppression {
    /// The id.
    pub id: Uuid,
    /// The key that it is found by: the normalised address, or a keyed hash of it once it is erased.
    pub key: String,
    /// The address with its local part hidden; empty once it is erased.
    pub masked: String,
    /// The reason.
    pub reason: SuppressionReason,
    /// The invitation and the message that led to it.
    pub source: Option<(InvitationId, Uuid)>,
    /// The actor that caused it.
    pub creator: String,
    /// The moment of its creation.
    pub created_at: Timestamp,
}

impl Suppression {
    /// Returns the etag: a suppression is never updated.
    pub fn etag(&self) -> String {
        etag::of(self.id, 1)
    }

    /// Checks that a caller's etag, if there is one, is that of the suppression.
    pub fn check_etag(&self, given: Option<&str>) -> Result<(), StaleEtag> {
        etag::check(given, self.id, 1)
    }
}

/// Returns the keys by which the suppression of an address may be found; `address` is its search key.
pub fn keys_of(ring: &KeyRing, account: &AccountId, address: &str) -> Vec<String> {
    let erased = AddressMac::of(ring, account, address);
    std::iter::once(address.to_owned()).chain(erased.iter().map(erased_key)).collect()
}

/// Returns the key of a suppression whose address is erased. No address is like it: it has no `@`.
pub fn erased_key(mac: &AddressMac) -> String {
    format!("erased {} {}", mac.key_id, mac.mac)
}

/// The rule that nothing is sent to suppressed addresses.
#[derive(Clone, Debug)]
pub struct SuppressionRule {
    /// The keys of the hashes of erased addresses.
    pub ring: KeyRing,
}

impl SuppressionRule {
    /// Returns the keys of an address.
    pub fn keys(&self, account: &AccountId, email: &Email) -> Vec<String> {
        keys_of(&self.ring, account, email.key())
    }

    /// Returns the keys of several addresses.
    pub(super) fn all_keys<'a>(&self, account: &AccountId, emails: impl Iterator<Item = &'a Email>) -> Vec<String> {
        emails.flat_map(|email| self.keys(account, email)).collect()
    }

    fn holds(&self, loaded: &Loaded, account: &AccountId, email: &Email) -> bool {
        loaded.has_suppressions() && loaded.is_suppressed(account, &self.keys(account, email))
    }

    /// Returns the messages with a link that a command would send to suppressed addresses, with the reason.
    pub(super) fn suppressed(
        &self,
        loaded: &Loaded,
        about: &Invitation,
        changes: &Changes,
    ) -> BTreeMap<Uuid, &'static str> {
        let links = changes.deliveries.iter().filter(|delivery| delivery.purpose == Purpose::Invitation);
        let email = |recipient| about.recipient(recipient).and_then(Recipient::email);
        let suppressed =
            links.filter(|link| email(link.recipient).is_some_and(|email| self.holds(loaded, &about.account, email)));
        suppressed.map(|delivery| (delivery.id, ADDRESS_SUPPRESSED)).collect()
    }

    /// Returns the keys of the addresses that a command sends links to. A create without a load is saved only if none of them is
    /// suppressed.
    pub(super) fn mailed(
        &self,
        about: &Invitation,
        changes: &Changes,
        suppressed: &BTreeMap<Uuid, &'static str>,
    ) -> Vec<String> {
        let sent = changes
            .deliveries
            .iter()
            .filter(|delivery| delivery.purpose == Purpose::Invitation && !suppressed.contains_key(&delivery.id));
        let emails = sent.filter_map(|delivery| about.recipient(delivery.recipient)?.email());
        self.all_keys(&about.account, emails)
    }

    /// Suppresses the address of a message, unless it is not known any more or is suppressed already. Returns the suppression and its
    /// event.
    pub(super) fn suppress(
        &self,
        maker: &mut Maker<'_>,
        invitation: &Invitation,
        delivery: &Delivery,
        reason: SuppressionReason,
    ) -> Option<(Suppression, NewEvent)> {
        let email = delivery.address(invitation)?;
        if self.holds(maker.loaded, &invitation.account, email) {
            return None;
        }
        let suppression = Suppression {
            id: maker.id(),
            key: email.key().to_owned(),
            masked: email.masked(),
            reason,
            source: Some((invitation.id, delivery.message.id)),
            creator: maker.command.actor.clone(),
            created_at: maker.loaded.now,
        };
        let payload = SuppressionPayload {
            suppression: suppression.id,
            cause: reason.into(),
            delivery: Some(delivery.message.id),
            recipient: Some(delivery.message.recipient).filter(|ordinal| *ordinal > 0),
        };
        let event = maker.event(invitation, EventType::SuppressionCreated, Payload::Suppression(payload));
        Some((suppression, event))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::fixtures::{account, email};

    #[test]
    fn erased_address_is_found_by_any_key_and_cannot_be_read() {
        let ring = |ids: &[u8]| {
            let keys: Vec<_> = ids.iter().map(|id| KeyRing::format_key(*id, [*id; 32])).collect();
            SuppressionRule { ring: KeyRing::parse(&keys.join(",")).unwrap() }
        };
        let keys = |ids: &[u8], name: &str, address: &str| ring(ids).keys(&account(name), &email(address));
        let one = keys(&[1], "acme", "Ann@example.org");
        assert_eq!(one[0], "ann@example.org");
        assert!(one[1].starts_with("erased 1 ") && !one[1].contains("ann"), "{one:?}");
        assert!(keys(&[2, 1], "acme", "ann@EXAMPLE.org").contains(&one[1]), "after a rotation");
        for other in [keys(&[2], "acme", "ann@example.org"), keys(&[1], "umbrella", "ann@example.org")] {
            assert_ne!(other[1], one[1]);
        }
    }
}
