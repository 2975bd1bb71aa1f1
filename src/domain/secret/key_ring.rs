//! The ring of keys: the first signs, all verify. It can be replaced while it is used, such as when its file has changed. Each purpose has a subkey of its own (HKDF-SHA256, RFC 5869).
//!
//! The content of a token belongs to [`super::token`]; this module knows only bytes.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use data_encoding::{BASE64, BASE64URL_NOPAD, HEXLOWER};
use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use sha2::Sha256;

use super::key_check::KeyFingerprint;

const KEY: usize = 32;
const NONCE: usize = 24;

/// One or more keys with ids 1 to 255. Never printed. Clones share the keys, and get others together.
#[derive(Clone)]
pub struct KeyRing {
    keys: Arc<RwLock<Arc<[Key]>>>,
}

#[derive(Clone)]
struct Key {
    id: u8,
    fingerprint: String,
    token: Hmac<Sha256>,
    request: Hmac<Sha256>,
    address: Hmac<Sha256>,
    client: Hmac<Sha256>,
    recipient: Hmac<Sha256>,
    code: Hmac<Sha256>,
    erased: Hmac<Sha256>,
    file: Hmac<Sha256>,
    page: XChaCha20Poly1305,
    proof: XChaCha20Poly1305,
    webhook: XChaCha20Poly1305,
    receipt: XChaCha20Poly1305,
    visit: XChaCha20Poly1305,
}

/// The types of sealed content: each has a subkey of its own, so that none passes for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sealed {
    /// The place at which a list, or a stream, continues.
    Cursor,
    /// An address that a code has verified.
    EmailProof,
    /// The secret of a webhook endpoint.
    WebhookSecret,
    /// The answer of a person on the page of an invitation.
    Receipt,
    /// The visit of a person to the page of an invitation.
    Visit,
}

/// The reason why a text is not a key ring; it never repeats the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyRingError {
    /// There is no key in it.
    #[error("there must be at least one key")]
    Empty,
    /// An entry is not `id:base64 of 32 bytes`.
    #[error(
        "key number {0} is not `id:base64 of 32 bytes` with an id from 1 to 255; keys are separated by commas or line breaks"
    )]
    Malformed(usize),
    /// Two entries have one id.
    #[error("the key id {0} occurs twice")]
    Repeated(u8),
}

/// A keyed hash of a request's body, with the key of the hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyDigest {
    /// The key's id.
    pub key_id: u8,
    /// HMAC-SHA256.
    pub mac: [u8; 32],
}

impl BodyDigest {
    /// Returns the MAC in hexadecimal.
    pub fn hex(&self) -> String {
        HEXLOWER.encode(&self.mac)
    }
}

impl KeyRing {
    /// Parses `id:base64`, separated by commas or line breaks; the first signs.
    pub fn parse(text: &str) -> Result<Self, KeyRingError> {
        let mut keys: Vec<Key> = Vec::new();
        for (index, entry) in text.split([',', '\n']).map(str::trim).enumerate().filter(|(_, entry)| !entry.is_empty())
        {
            let key = Key::parse(entry).ok_or(KeyRingError::Malformed(index + 1))?;
            if keys.iter().any(|known| known.id == key.id) {
                return Err(KeyRingError::Repeated(key.id));
            }
            keys.push(key);
        }
        if keys.is_empty() { Err(KeyRingError::Empty) } else { Ok(Self::of(keys)) }
    }

    fn of(keys: Vec<Key>) -> Self {
        Self { keys: Arc::new(RwLock::new(keys.into())) }
    }

    /// Returns the present keys. They stay as they are for whoever has them.
    fn keys(&self) -> Arc<[Key]> {
        Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes the keys of another ring, for all clones of this one.
    pub fn replace(&self, other: &KeyRing) {
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = other.keys();
    }

    /// Returns a ring of the same keys in which a key signs; `None` if it is not among them.
    pub fn signing_with(&self, key_id: u8) -> Option<Self> {
        let (first, rest): (Vec<Key>, _) = self.keys().iter().cloned().partition(|key| key.id == key_id);
        (!first.is_empty()).then(|| Self::of(first.into_iter().chain::<Vec<_>>(rest).collect()))
    }

    /// Formats a key for [`KeyRing::parse`].
    pub fn format_key(id: u8, key: [u8; 32]) -> String {
        format!("{id}:{}", BASE64.encode(&key))
    }

    /// Returns the fingerprints of the keys, the signing one first.
    pub fn fingerprints(&self) -> Vec<KeyFingerprint> {
        let of = |key: &Key| KeyFingerprint { key_id: key.id, text: key.fingerprint.clone() };
        self.keys().iter().map(of).collect()
    }

    /// Returns the id of the key that signs.
    pub fn signing_key(&self) -> u8 {
        self.keys()[0].id
    }

    /// Does something with a key, if the ring still has it.
    fn with_key<T>(&self, id: u8, action: impl FnOnce(&Key) -> T) -> Option<T> {
        self.keys().iter().find(|key| key.id == id).map(action)
    }

    /// Returns the MAC of a token's claims under a key, if the ring still has that key.
    pub(crate) fn token_mac(&self, key_id: u8, claims: &[u8]) -> Option<Hmac<Sha256>> {
        self.with_key(key_id, |key| key.token.clone().chain_update(claims))
    }

    /// Returns the digest of a request's body under every key, the signing one first.
    pub fn body_digests(&self, body: &[u8]) -> Vec<BodyDigest> {
        let digest = |key: &Key| BodyDigest {
            key_id: key.id,
            mac: key.request.clone().chain_update(body).finalize().into_bytes().into(),
        };
        self.keys().iter().map(digest).collect()
    }

    /// Returns a name for the content of a file that may hold a weak password, for the log: it is the same for all processes whose
    /// first key is the same, and nobody can try passwords by it.
    pub(crate) fn file_fingerprint(&self, parts: &[&str]) -> String {
        let hash = |mac: Hmac<Sha256>, part: &&str| {
            mac.chain_update((part.len() as u64).to_be_bytes()).chain_update(part.as_bytes())
        };
        let mac = parts.iter().fold(self.keys()[0].file.clone(), hash);
        HEXLOWER.encode(&mac.finalize().into_bytes()[..8])
    }

    /// Returns the hash of a client under every key, the signing one first.
    pub(crate) fn client_macs(&self, client: &[u8]) -> Vec<[u8; 32]> {
        let mac = |key: &Key| key.client.clone().chain_update(client).finalize().into_bytes().into();
        self.keys().iter().map(mac).collect()
    }

    /// Returns the hash of an address under every key, the signing one first.
    pub(crate) fn address_macs(&self, address: &[u8]) -> Vec<[u8; 32]> {
        let mac = |key: &Key| key.address.clone().chain_update(address).finalize().into_bytes().into();
        self.keys().iter().map(mac).collect()
    }

    /// Returns the hash of an erased address under every key, each with the id of its key, the signing one first.
    pub(crate) fn erased_macs(&self, address: &[u8]) -> Vec<(u8, [u8; 32])> {
        let mac = |key: &Key| (key.id, key.erased.clone().chain_update(address).finalize().into_bytes().into());
        self.keys().iter().map(mac).collect()
    }

    /// Returns the hash under which messages to an address are counted, by the signing key.
    pub(crate) fn recipient_mac(&self, address: &[u8]) -> [u8; 32] {
        self.keys()[0].recipient.clone().chain_update(address).finalize().into_bytes().into()
    }

    /// Returns the MAC that a verification code is derived from, if the ring still has its key.
    pub(crate) fn code_mac(&self, key_id: u8, verification: &[u8]) -> Option<[u8; 32]> {
        self.with_key(key_id, |key| key.code.clone().chain_update(verification).finalize().into_bytes().into())
    }

    /// Encrypts and authenticates a cursor, bound to `context` (account, method, query). The nonce has to be random.
    pub fn seal(&self, context: &[u8], cursor: &[u8], nonce: [u8; NONCE]) -> Option<String> {
        self.seal_as(Sealed::Cursor, context, cursor, nonce)
    }

    /// Reverses [`KeyRing::seal`]. Returns `None` unless every bit, and the context, is unchanged.
    pub fn open(&self, context: &[u8], sealed: &str) -> Option<Vec<u8>> {
        self.open_as(Sealed::Cursor, context, sealed)
    }

    /// Encrypts and authenticates content of a type, bound to `context`. The nonce has to be random.
    pub fn seal_as(&self, sealed_type: Sealed, context: &[u8], content: &[u8], nonce: [u8; NONCE]) -> Option<String> {
        let keys = self.keys();
        let key = keys.first()?;
        let payload = Payload { msg: content, aad: context };
        let sealed = key.cipher(sealed_type).encrypt(&XNonce::from(nonce), payload).ok()?;
        Some(BASE64URL_NOPAD.encode(&[&[key.id], nonce.as_slice(), &sealed].concat()))
    }

    /// Reverses [`KeyRing::seal_as`]. Returns `None` unless every bit, the type and the context are unchanged.
    pub fn open_as(&self, sealed_type: Sealed, context: &[u8], sealed: &str) -> Option<Vec<u8>> {
        let bytes = BASE64URL_NOPAD.decode(sealed.as_bytes()).ok()?;
        let (key_id, rest) = bytes.split_first()?;
        let (nonce, msg) = rest.split_at_checked(NONCE)?;
        let nonce: [u8; NONCE] = nonce.try_into().ok()?;
        let open =
            |key: &Key| key.cipher(sealed_type).decrypt(&XNonce::from(nonce), Payload { msg, aad: context }).ok();
        self.with_key(*key_id, open)?
    }

    /// Returns the id of the key that sealed a text, of which the first two characters are enough.
    pub fn sealing_key(sealed: &str) -> Option<u8> {
        let start = format!("{}AA", sealed.get(..2)?);
        BASE64URL_NOPAD.decode(start.as_bytes()).ok()?.first().copied()
    }

    /// Returns whether the signing key has sealed a text.
    pub fn is_sealed_by_signing_key(&self, sealed: &str) -> bool {
        let bytes = BASE64URL_NOPAD.decode(sealed.as_bytes()).unwrap_or_default();
        bytes.first() == Some(&self.signing_key())
    }
}

/// Shows the number of keys and nothing about them.
impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyRing({} keys)", self.keys().len())
    }
}

impl Key {
    fn parse(entry: &str) -> Option<Self> {
        let (id, key) = entry.split_once(':')?;
        let id = id.parse().ok().filter(|id| *id > 0)?;
        // Decoding alone would take several padded texts in a row as well.
        let key = Some(key.as_bytes()).filter(|key| key.len() == BASE64.encode_len(KEY))?;
        let key: [u8; KEY] = BASE64.decode(key).ok()?.try_into().ok()?;
        let derive = Hkdf::<Sha256>::new(None, &key);
        let subkey = |purpose: &str| {
            let mut subkey = [0; 32];
            derive.expand(format!("invitation-service v1 {purpose}").as_bytes(), &mut subkey).ok().map(|()| subkey)
        };
        // 64 bits tell two keys apart, and do not help to find the key.
        let fingerprint = HEXLOWER.encode(&subkey("fingerprint")?[..8]);
        Some(Self {
            id,
            fingerprint,
            token: Hmac::new_from_slice(&subkey("token")?).ok()?,
            request: Hmac::new_from_slice(&subkey("request body")?).ok()?,
            address: Hmac::new_from_slice(&subkey("verified address")?).ok()?,
            client: Hmac::new_from_slice(&subkey("verification client")?).ok()?,
            recipient: Hmac::new_from_slice(&subkey("recipient quota")?).ok()?,
            code: Hmac::new_from_slice(&subkey("verification code")?).ok()?,
            erased: Hmac::new_from_slice(&subkey("erased address")?).ok()?,
            file: Hmac::new_from_slice(&subkey("file fingerprint")?).ok()?,
            page: XChaCha20Poly1305::new(&subkey("page token")?.into()),
            proof: XChaCha20Poly1305::new(&subkey("email proof")?.into()),
            webhook: XChaCha20Poly1305::new(&subkey("webhook secret")?.into()),
            receipt: XChaCha20Poly1305::new(&subkey("receipt")?.into()),
            visit: XChaCha20Poly1305::new(&subkey("page visit")?.into()),
        })
    }

    fn cipher(&self, sealed_type: Sealed) -> &XChaCha20Poly1305 {
        match sealed_type {
            Sealed::Cursor => &self.page,
            Sealed::EmailProof => &self.proof,
            Sealed::WebhookSecret => &self.webhook,
            Sealed::Receipt => &self.receipt,
            Sealed::Visit => &self.visit,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring(ids: &[u8]) -> KeyRing {
        let text: Vec<String> = ids.iter().map(|id| KeyRing::format_key(*id, [*id; 32])).collect();
        KeyRing::parse(&text.join(",")).unwrap()
    }

    #[test]
    fn malformed_rings_are_refused_without_repeating_them() {
        let good = KeyRing::format_key(1, [1; 32]);
        for (text, error) in [
            (String::new(), KeyRingError::Empty),
            (" , ".to_owned(), KeyRingError::Empty),
            ("1:short".to_owned(), KeyRingError::Malformed(1)),
            (format!("{good},secret"), KeyRingError::Malformed(2)),
            (good.replacen('1', "0", 1), KeyRingError::Malformed(1)),
            (good.replacen('1', "256", 1), KeyRingError::Malformed(1)),
            (format!("{good},{good}"), KeyRingError::Repeated(1)),
            // 32 bytes as base64 of one byte each.
            (format!("2:{}", "AA==".repeat(KEY)), KeyRingError::Malformed(1)),
        ] {
            assert_eq!(KeyRing::parse(&text).unwrap_err(), error);
        }
        assert_eq!(format!("{:?}", ring(&[1, 2])), "KeyRing(2 keys)");
    }

    #[test]
    fn clones_of_a_ring_get_other_keys_together() {
        let (ring_of_api, other) = (ring(&[1]), ring(&[2, 1]));
        let ring_of_mail = ring_of_api.clone();
        ring_of_mail.replace(&other);
        other.replace(&ring(&[3]));
        assert_eq!(ring_of_api.fingerprints(), ring(&[2, 1]).fingerprints());
        assert_eq!(ring_of_api.signing_with(1).unwrap().fingerprints(), ring(&[1, 2]).fingerprints());
        assert!(ring_of_api.signing_with(3).is_none());
    }

    #[test]
    fn sealed_cursor_opens_only_in_its_context_and_unchanged() {
        let sealed = ring(&[1]).seal(b"acme ListX", b"cursor", [9; NONCE]).unwrap();
        assert_eq!(ring(&[2, 1]).open(b"acme ListX", &sealed).unwrap(), b"cursor");
        assert_eq!(ring(&[1]).open(b"other ListX", &sealed), None);
        assert_eq!(ring(&[2]).open(b"acme ListX", &sealed), None);
        for index in 0..sealed.len() {
            let mut broken = sealed.clone().into_bytes();
            broken[index] = if broken[index] == b'A' { b'B' } else { b'A' };
            assert_eq!(ring(&[1]).open(b"acme ListX", std::str::from_utf8(&broken).unwrap()), None, "byte {index}");
        }
        assert_eq!(ring(&[1]).open(b"acme ListX", &sealed[..10]), None);
        assert_eq!(ring(&[1]).open(b"acme ListX", ""), None);
        assert_eq!(ring(&[1]).open_as(Sealed::EmailProof, b"acme ListX", &sealed), None, "of another type");
        let proof = ring(&[1]).seal_as(Sealed::EmailProof, b"acme", b"proof", [9; NONCE]).unwrap();
        assert_eq!(ring(&[1]).open(b"acme", &proof), None, "of another type");
    }

    #[test]
    fn fingerprint_tells_keys_apart_and_ids_do_not_matter() {
        let of =
            |id: u8, byte: u8| KeyRing::parse(&KeyRing::format_key(id, [byte; 32])).unwrap().fingerprints().remove(0);
        assert_eq!(of(1, 1).text, of(2, 1).text);
        assert_ne!(of(1, 1).text, of(1, 2).text);
        assert_eq!((of(1, 1).key_id, of(1, 1).text.len()), (1, 16));
    }

    #[test]
    fn fingerprint_of_a_file_depends_on_the_first_key_and_each_part() {
        let of = |ids: &[u8], parts: &[&str]| ring(ids).file_fingerprint(parts);
        assert_eq!((of(&[1, 2], &["a"]), of(&[1], &["a"]).len()), (of(&[1], &["a"]), 16));
        for other in [of(&[2], &["a", "bc"]), of(&[1], &["ab", "c"]), of(&[1], &["a", "bd"])] {
            assert_ne!(of(&[1], &["a", "bc"]), other);
        }
    }

    #[test]
    fn sealing_key_is_known_from_two_characters() {
        for id in [1, 2, 63, 64, 200, 255] {
            for nonce in [0, 9, 255] {
                let sealed = ring(&[id]).seal(b"acme", b"secret", [nonce; NONCE]).unwrap();
                assert_eq!(KeyRing::sealing_key(&sealed[..2]), Some(id));
            }
        }
        assert_eq!((KeyRing::sealing_key(""), KeyRing::sealing_key("**")), (None, None));
    }

    #[test]
    fn content_sealed_as_one_type_opens_as_no_other() {
        let ring = ring(&[1]);
        let sealed = ring.seal_as(Sealed::WebhookSecret, b"acme", b"secret", [9; NONCE]).unwrap();
        assert_eq!(ring.open_as(Sealed::WebhookSecret, b"acme", &sealed).unwrap(), b"secret");
        assert_eq!(ring.open_as(Sealed::Cursor, b"acme", &sealed), None);
    }
}
