//! Signatures by Standard Webhooks 1.0: HMAC-SHA256 over id, time and body, one for each secret.

use std::fmt;

use data_encoding::BASE64;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use uuid::Uuid;

use crate::domain::secret::key_ring::{KeyRing, Sealed};
use crate::domain::value::text::AccountId;
use crate::domain::value::time::Timestamp;

const PREFIX: &str = "whsec_";

/// The secret that an endpoint and this service share. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret([u8; 32]);

impl Secret {
    /// Creates a secret of random bytes.
    pub fn new(random: [u8; 32]) -> Self {
        Self(random)
    }

    /// Encrypts the secret, bound to its endpoint. The nonce has to be random.
    pub fn seal(&self, ring: &KeyRing, account: &AccountId, endpoint: Uuid, nonce: [u8; 24]) -> Option<String> {
        ring.seal_as(Sealed::WebhookSecret, &context(account, endpoint), &self.0, nonce)
    }

    /// Reverses [`Secret::seal`]. Returns `None` if the key has left the ring.
    pub fn open(ring: &KeyRing, account: &AccountId, endpoint: Uuid, sealed: &str) -> Option<Self> {
        let bytes = ring.open_as(Sealed::WebhookSecret, &context(account, endpoint), sealed)?;
        bytes.try_into().ok().map(Self)
    }

    /// Seals with the signing key a secret that another key has sealed. Returns `None` if the signing key sealed it, or
    /// the other key has left the ring.
    pub fn reseal(
        ring: &KeyRing,
        account: &AccountId,
        endpoint: Uuid,
        sealed: &str,
        nonce: [u8; 24],
    ) -> Option<String> {
        if ring.is_sealed_by_signing_key(sealed) {
            return None;
        }
        Self::open(ring, account, endpoint, sealed)?.seal(ring, account, endpoint, nonce)
    }

    /// Returns the text that its endpoint is configured with.
    pub fn reveal(&self) -> String {
        format!("{PREFIX}{}", BASE64.encode(&self.0))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret([redacted])")
    }
}

fn context(account: &AccountId, endpoint: Uuid) -> Vec<u8> {
    [account.as_str().as_bytes(), b"\0webhookEndpoints/", endpoint.as_bytes()].concat()
}

/// Returns the moment of an attempt as in the header `webhook-timestamp` and the signature: whole seconds.
pub fn seconds(at: Timestamp) -> i64 {
    at.micros().div_euclid(1_000_000)
}

/// Returns the header `webhook-signature`: a signature by each secret.
pub fn sign(secrets: &[Secret], id: &str, seconds: i64, body: &[u8]) -> String {
    let signature = |secret: &Secret| {
        let mac = Hmac::<Sha256>::new_from_slice(&secret.0).ok()?;
        let mac = mac.chain_update(format!("{id}.{seconds}.")).chain_update(body).finalize();
        Some(format!("v1,{}", BASE64.encode(&mac.into_bytes())))
    };
    secrets.iter().filter_map(signature).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use standardwebhooks::Webhook;

    use super::*;

    /// The signature of the published library.
    fn theirs(secret: &Secret, id: &str, at: i64, body: &[u8]) -> String {
        Webhook::new(&secret.reveal()).unwrap().sign(id, at, body).unwrap()
    }

    #[test]
    fn signatures_equal_those_of_the_published_library() {
        let (new, old) = (Secret::new([7; 32]), Secret::new([2; 32]));
        let (id, at, body) = ("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
        let alone = std::slice::from_ref(&new);
        let one = sign(alone, id, at, body);
        assert_eq!(one, theirs(&new, id, at, body));
        let both = sign(&[new.clone(), old.clone()], id, at, body);
        assert_eq!(both, format!("{one} {}", theirs(&old, id, at, body)));
        for other in [sign(alone, "msg_1", at, body), sign(alone, id, 1, body), sign(alone, id, at, b"")] {
            assert_ne!(other, one);
        }
    }

    #[test]
    fn debug_of_a_secret_does_not_show_it() {
        assert!(!format!("{:?}", Secret::new([7; 32])).contains('7'));
    }

    #[test]
    fn sealed_secret_opens_only_for_its_endpoint() {
        let ring = KeyRing::parse(&KeyRing::format_key(1, [1; 32])).unwrap();
        let (account, endpoint) = (AccountId::parse("acme").unwrap(), Uuid::from_u128(1));
        let secret = Secret::new([7; 32]);
        let sealed = secret.seal(&ring, &account, endpoint, [9; 24]).unwrap();
        assert_eq!(Secret::open(&ring, &account, endpoint, &sealed), Some(secret));
        assert_eq!(Secret::open(&ring, &account, Uuid::from_u128(2), &sealed), None);
        assert_eq!(Secret::open(&ring, &AccountId::parse("other").unwrap(), endpoint, &sealed), None);
    }
}
