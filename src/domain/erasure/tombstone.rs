//! The tombstone of an erased address: a keyed hash, by which the address is recognised if a backup brings it back.

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::domain::secret::key_ring::KeyRing;
use crate::domain::value::text::AccountId;
use crate::domain::value::time::Timestamp;

/// A keyed hash of an address in an account. Nobody without the key can tell whose it is, or try addresses on it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AddressMac {
    /// The key's id.
    pub key_id: u8,
    /// HMAC-SHA256 in hexadecimal.
    pub mac: String,
}

impl AddressMac {
    /// Returns the hashes of an address by every key of the ring, the signing one first; `address` is its search key.
    pub fn of(ring: &KeyRing, account: &AccountId, address: &str) -> Vec<Self> {
        // No account contains a control character, so different parts never form the same bytes.
        let bytes = [account.as_str().as_bytes(), b"\0", address.as_bytes()].concat();
        let macs = ring.erased_macs(&bytes).into_iter();
        macs.map(|(key_id, mac)| Self { key_id, mac: HEXLOWER.encode(&mac) }).collect()
    }
}

/// The tombstone of an erasure. Its JSON is a line of `invitation-service erasures`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tombstone {
    /// The account.
    pub account: String,
    /// The id of the erasure.
    pub id: Uuid,
    /// The hash of the address.
    #[serde(flatten)]
    pub address: AddressMac,
    /// The moment of the erasure, in microseconds: older rows with the address are erased.
    pub erased_at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::fixtures::account;

    fn ring(ids: &[u8]) -> KeyRing {
        let keys: Vec<_> = ids.iter().map(|id| KeyRing::format_key(*id, [*id; 32])).collect();
        KeyRing::parse(&keys.join(",")).unwrap()
    }

    #[test]
    fn hash_depends_on_key_account_and_address() {
        let of = |ids: &[u8], name: &str, address: &str| AddressMac::of(&ring(ids), &account(name), address);
        let one = of(&[1], "acme", "ann@example.org");
        assert_eq!((one[0].key_id, one[0].mac.len()), (1, 64));
        assert_eq!(of(&[2, 1], "acme", "ann@example.org")[1], one[0], "an older key still recognises it");
        for other in [
            of(&[2], "acme", "ann@example.org"),
            of(&[1], "acm", "ann@example.org"),
            of(&[1], "acme", "bob@example.org"),
        ] {
            assert_ne!(other[0].mac, one[0].mac);
        }
    }
}
