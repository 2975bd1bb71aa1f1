//! API keys: their format, their creation, and the hash that is stored instead of a key.
//!
//! A key is `ivk_`, the base64url of 32 random bytes (43 characters), and a checksum: the first 6 characters of the base64url of
//! the SHA-256 of the 47 characters before. So scanners of secrets recognise a key without asking anybody, and a mistyped one is
//! refused without a look-up. The owner of a key and its permissions are not here. A key has 256 random bits, so a plain SHA-256
//! is enough as its hash: there is nothing to guess, and a slow hash would only slow down callers.

use data_encoding::{BASE64URL_NOPAD, HEXLOWER, HEXLOWER_PERMISSIVE};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use crate::entropy::Entropy;

const PREFIX: &str = "ivk_";
const HASH_PREFIX: &str = "sha256:";
/// The number of characters of the checksum.
const CHECKSUM: usize = 6;
/// The number of first characters that the log shows of a key whose owner is not known.
const SHOWN: usize = 10;

/// A well-formed API key; `Debug` does not show it.
#[derive(Clone, Debug)]
pub struct ApiKey(SecretString);

/// The error for a text that is not an API key; it does not repeat the text, which may be a mistyped key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an API key is `ivk_`, 43 characters of base64url, and a checksum of 6 characters")]
pub struct ApiKeyError;

impl ApiKey {
    /// Creates a new key of 32 random bytes.
    pub fn generate(entropy: &Entropy) -> ApiKey {
        let secret = format!("{PREFIX}{}", BASE64URL_NOPAD.encode(&entropy.bytes::<32>()));
        let checksum = checksum(&secret);
        ApiKey(format!("{secret}{checksum}").into())
    }

    /// Parses exactly the keys that `generate` can create: the prefix, the canonical base64url of 32 bytes, and their checksum.
    pub fn parse(text: &str) -> Result<ApiKey, ApiKeyError> {
        let (secret, given) =
            text.len().checked_sub(CHECKSUM).and_then(|at| text.split_at_checked(at)).ok_or(ApiKeyError)?;
        let bytes = secret.strip_prefix(PREFIX).and_then(|bytes| BASE64URL_NOPAD.decode(bytes.as_bytes()).ok());
        if bytes.is_some_and(|bytes| bytes.len() == 32) && given == checksum(secret) {
            Ok(ApiKey(text.into()))
        } else {
            Err(ApiKeyError)
        }
    }

    /// Computes the hash that is stored instead of this key.
    pub fn hash(&self) -> [u8; 32] {
        hash_api_key(self.expose())
    }

    /// Returns the key as text, for the one time it is handed out.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

/// The first characters of what was sent as an API key: the prefix of all keys, and 36 of the 256 random bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyPrefix([u8; SHOWN]);

impl KeyPrefix {
    /// Returns the beginning of a text; `None` if it does not begin as an API key, and may be any secret.
    pub fn of(text: &str) -> Option<Self> {
        let shown = *text.as_bytes().first_chunk::<SHOWN>()?;
        let is_key = shown.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
        (is_key && text.starts_with(PREFIX)).then_some(Self(shown))
    }

    /// Returns it as text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// Computes the checksum of a key's first characters. It is the start of another hash than the one that is stored.
fn checksum(secret: &str) -> String {
    let mut text = BASE64URL_NOPAD.encode(&Sha256::digest(secret.as_bytes()));
    text.truncate(CHECKSUM);
    text
}

/// Computes the SHA-256 of a whole key, prefix and checksum included.
pub fn hash_api_key(key: &str) -> [u8; 32] {
    Sha256::digest(key.as_bytes()).into()
}

/// Formats a hash as in the API key file: `sha256:` and lower-case hexadecimal digits.
pub fn format_hash(hash: &[u8; 32]) -> String {
    format!("{HASH_PREFIX}{}", HEXLOWER.encode(hash))
}

/// Parses the format of `format_hash`, in either case of the digits.
pub fn parse_hash(text: &str) -> Option<[u8; 32]> {
    let digits = text.strip_prefix(HASH_PREFIX)?;
    HEXLOWER_PERMISSIVE.decode(digits.as_bytes()).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_key_parses_and_is_never_shown_by_debug() {
        let key = ApiKey::generate(&Entropy::system());
        assert_eq!(key.expose().len(), 53);
        let parsed = ApiKey::parse(key.expose()).unwrap();
        assert_eq!(parsed.hash(), key.hash());
        assert!(!format!("{key:?}").contains(&key.expose()[4..]));
    }

    #[test]
    fn text_that_generate_cannot_create_is_not_a_key() {
        let with_checksum = |secret: String| secret.clone() + &checksum(&secret);
        // From `printf ivk_AAA... | sha256sum`, whose first bytes are 7d28e1e181.
        let good = format!("ivk_{}fSjh4Y", "A".repeat(43));
        assert!(ApiKey::parse(&good).is_ok());
        let spare_bit = with_checksum(format!("ivk_{}B", "A".repeat(42)));
        let short = with_checksum(format!("ivk_{}", "A".repeat(42)));
        let umlaut = format!("{}ä{}", &good[..47], &good[48..52]);
        let cases = [
            "",
            "ivk_",
            &good[4..],
            &good[..47],
            &good[..52],
            &good.replace("fSjh4Y", "fSjh4Z"),
            &good.replace("ivk_AA", "ivk_AB"),
            &short,
            &umlaut,
            &format!("{good}A"),
            &format!("{good}="),
            &format!(" {good}"),
            &good.to_uppercase(),
            &spare_bit,
        ];
        for case in cases {
            assert_eq!(ApiKey::parse(case).unwrap_err(), ApiKeyError, "{case:?}");
        }
    }

    #[test]
    fn only_the_beginning_of_a_key_is_shown() {
        let key = ApiKey::generate(&Entropy::system());
        assert_eq!(KeyPrefix::of(key.expose()).unwrap().as_str(), &key.expose()[..10]);
        for other in ["", "ivk_", "ivk_short", "hunter2hunter2", "ivk_äääääää", "ivk_a b c d", "eyJhbGciOiJFUzI1NiJ9"]
        {
            assert_eq!(KeyPrefix::of(other), None, "{other}");
        }
    }

    #[test]
    fn hash_is_sha_256_of_the_whole_key_and_parses_again() {
        // From `printf abc | sha256sum`.
        let written = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(format_hash(&hash_api_key("abc")), written);
        assert_eq!(parse_hash(written), Some(hash_api_key("abc")));
        assert_eq!(parse_hash(&written.to_uppercase().replace("SHA", "sha")), Some(hash_api_key("abc")));
        for case in
            ["", "sha256:", &written[7..], &written[..70], &written.replace('a', "g"), &written.replace("ba", "é")]
        {
            assert_eq!(parse_hash(case), None, "{case:?}");
        }
    }
}
