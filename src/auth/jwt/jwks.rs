//! A set of public keys (JWKS, RFC 7517): which algorithm a key is for is decided here, by the key alone.

use std::collections::HashSet;

use data_encoding::BASE64URL_NOPAD;
use ring::signature::{self, RsaPublicKeyComponents, UnparsedPublicKey};
use serde_json::{Map, Value};

use super::strict_json;
use super::token::Algorithm;

/// The largest set, in bytes.
pub(crate) const MAX_BYTES: usize = 256 * 1024;
/// The most keys of a set, those that are of no use included.
const MAX_KEYS: usize = 64;
/// The sizes of RSA keys, in bits.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2_048..=8_192;
/// The most bytes of an RSA key's public exponent.
const EXPONENT_BYTES: usize = 4;
const COORDINATE_BYTES: usize = 32;
/// The sign of a point that is written with both coordinates.
const UNCOMPRESSED: u8 = 4;

/// The usable keys of a set.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct KeySet {
    keys: Vec<Key>,
    /// The number of keys that are of no use here.
    pub(crate) skipped: usize,
}

/// A key that signatures are verified by.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Key {
    kid: Option<String>,
    material: Material,
}

#[derive(Debug, PartialEq, Eq)]
enum Material {
    Rsa { n: Vec<u8>, e: Vec<u8> },
    P256(Vec<u8>),
    Ed25519(Vec<u8>),
}

impl KeySet {
    /// Parses a set. Keys of other algorithms and uses are skipped, as RFC 7517 asks for.
    ///
    /// # Errors
    /// A text for operators: it is too large, no JWKS, ambiguous, has private keys, or has no key of use.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, String> {
        if bytes.len() > MAX_BYTES {
            return Err("is larger than 256 KiB".to_owned());
        }
        let set = strict_json::object(bytes).ok_or("is not a JSON object without duplicate names")?;
        let Some(Value::Array(found)) = set.get("keys") else {
            return Err("is no JWKS: it has no \"keys\"".to_owned());
        };
        if found.len() > MAX_KEYS {
            return Err(format!("has more than {MAX_KEYS} keys"));
        }
        // Everyone who reads the set could sign.
        if found.iter().any(|key| key.get("d").is_some()) {
            return Err("has a private key: it must have public keys alone".to_owned());
        }
        let keys: Vec<Key> = found.iter().filter_map(|key| Key::parse(key.as_object()?)).collect();
        if keys.is_empty() {
            return Err("has no key for RS256 (2048 bits at least), ES256 or EdDSA".to_owned());
        }
        let mut ids = HashSet::new();
        if !keys.iter().all(|key| ids.insert(key.kid.as_deref())) {
            return Err("has two keys with the same \"kid\", or without one".to_owned());
        }
        Ok(Self { skipped: found.len() - keys.len(), keys })
    }

    /// Returns the key of an id. A token without one is for the only key that there is.
    pub(super) fn find(&self, kid: Option<&str>) -> Option<&Key> {
        match (kid, self.keys.as_slice()) {
            (None, [only]) => Some(only),
            (None, _) => None,
            (Some(_), keys) => keys.iter().find(|key| key.kid.as_deref() == kid),
        }
    }

    /// Returns the number of usable keys.
    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }
}

impl Key {
    fn parse(key: &Map<String, Value>) -> Option<Self> {
        let text = |name: &str| key.get(name).and_then(Value::as_str);
        let bytes = |name: &str| BASE64URL_NOPAD.decode(text(name)?.as_bytes()).ok();
        let material = match (text("kty")?, text("crv")) {
            ("RSA", None) => rsa(bytes("n")?, bytes("e")?)?,
            ("EC", Some("P-256")) => {
                let (x, y) = (bytes("x")?, bytes("y")?);
                if x.len() != COORDINATE_BYTES || y.len() != COORDINATE_BYTES {
                    return None;
                }
                Material::P256([&[UNCOMPRESSED][..], &x, &y].concat())
            }
            ("OKP", Some("Ed25519")) => {
                let key = bytes("x")?;
                (key.len() == COORDINATE_BYTES).then_some(Material::Ed25519(key))?
            }
            _ => return None,
        };
        let is_for_signatures = match key.get("use") {
            None => true,
            Some(used) => used == "sig",
        };
        let verifies = match key.get("key_ops") {
            None => true,
            Some(operations) => operations.as_array()?.iter().any(|operation| operation == "verify"),
        };
        let fits = match key.get("alg") {
            None => true,
            Some(name) => Algorithm::from_name(name.as_str()?) == Some(material.algorithm()),
        };
        let kid = match key.get("kid") {
            None => None,
            Some(kid) => Some(kid.as_str()?.to_owned()),
        };
        (is_for_signatures && verifies && fits).then_some(Self { kid, material })
    }

    /// Returns whether a signature is this key's, by this key's algorithm.
    pub(super) fn verifies(&self, algorithm: Algorithm, signed: &[u8], signature: &[u8]) -> bool {
        if algorithm != self.material.algorithm() {
            return false;
        }
        let verified = match &self.material {
            Material::Rsa { n, e } => {
                RsaPublicKeyComponents { n, e }.verify(&signature::RSA_PKCS1_2048_8192_SHA256, signed, signature)
            }
            Material::P256(point) => {
                UnparsedPublicKey::new(&signature::ECDSA_P256_SHA256_FIXED, point).verify(signed, signature)
            }
            Material::Ed25519(key) => UnparsedPublicKey::new(&signature::ED25519, key).verify(signed, signature),
        };
        verified.is_ok()
    }
}

impl Material {
    fn algorithm(&self) -> Algorithm {
        match self {
            Self::Rsa { .. } => Algorithm::Rs256,
            Self::P256(_) => Algorithm::Es256,
            Self::Ed25519(_) => Algorithm::EdDsa,
        }
    }
}

fn rsa(n: Vec<u8>, e: Vec<u8>) -> Option<Material> {
    // Some issuers write the sign of a number that has none.
    let bare = |number: Vec<u8>| number.into_iter().skip_while(|byte| *byte == 0).collect::<Vec<u8>>();
    let (n, e) = (bare(n), bare(e));
    let bits = n.len() * 8 - usize::try_from(n.first()?.leading_zeros()).ok()?;
    let is_exponent = e.len() <= EXPONENT_BYTES && e != [1] && e.last().is_some_and(|byte| byte % 2 == 1);
    (RSA_BITS.contains(&bits) && is_exponent).then_some(Material::Rsa { n, e })
}
