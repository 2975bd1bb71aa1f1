//! A signed JWT in its compact form (RFC 7515, RFC 7519), taken apart. Nothing in it is believed before its signature is verified.

use data_encoding::BASE64URL_NOPAD;
use serde_json::{Map, Value};

use super::strict_json;

/// The longest token, in bytes.
pub(super) const MAX_BYTES: usize = 8 * 1024;
/// The longest id of a key, in bytes.
const MAX_KID: usize = 256;

/// The parts of a header that would choose the key, change what is signed, or wrap another token.
const REFUSED_HEADERS: [&str; 9] = ["jku", "jwk", "x5u", "x5c", "crit", "b64", "zip", "enc", "cty"];
/// The types of tokens that are accesses, and not logouts, events or proofs (RFC 8725, 3.11); in lower case.
const TYPES: [&str; 3] = ["jwt", "at+jwt", "application/at+jwt"];

/// The reason for which a token is refused, in words that quote nothing of it.
pub(super) type Reason = &'static str;

/// A signature algorithm that is accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// Ed25519.
    EdDsa,
}

impl Algorithm {
    /// Returns the algorithm of a name in a header or a key.
    pub(super) fn from_name(name: &str) -> Option<Self> {
        match name {
            "RS256" => Some(Self::Rs256),
            "ES256" => Some(Self::Es256),
            "EdDSA" => Some(Self::EdDsa),
            _ => None,
        }
    }
}

/// The parts of a token.
pub(super) struct Token<'a> {
    /// The algorithm that the header names. It has to be that of the key.
    pub(super) algorithm: Algorithm,
    /// The id of the key, if the header names one.
    pub(super) kid: Option<String>,
    /// The text that is signed.
    pub(super) signed: &'a [u8],
    pub(super) signature: Vec<u8>,
    /// The claims, an object.
    pub(super) claims: Value,
}

/// Takes a token apart.
pub(super) fn parse(text: &str) -> Result<Token<'_>, Reason> {
    if text.len() > MAX_BYTES {
        return Err("it is longer than 8 KiB");
    }
    let (signed, signature) = text.rsplit_once('.').ok_or("it has not three parts")?;
    let (header, claims) = signed.split_once('.').ok_or("it has not three parts")?;
    if claims.contains('.') {
        return Err("it has not three parts");
    }
    // The alphabet has no dot, no white space and no padding, and one text for each sequence of bytes.
    let decode = |part: &str| BASE64URL_NOPAD.decode(part.as_bytes()).map_err(|_| "a part is not base64url");
    let header = strict_json::object(&decode(header)?).ok_or("its header is not a JSON object without duplicates")?;
    let (algorithm, kid) = check_header(&header)?;
    let claims = strict_json::object(&decode(claims)?).ok_or("its claims are not a JSON object without duplicates")?;
    let (signed, signature, claims) = (signed.as_bytes(), decode(signature)?, Value::Object(claims));
    Ok(Token { algorithm, kid, signed, signature, claims })
}

fn check_header(header: &Map<String, Value>) -> Result<(Algorithm, Option<String>), Reason> {
    if REFUSED_HEADERS.iter().any(|name| header.contains_key(*name)) {
        return Err("its header has a parameter that is refused");
    }
    let algorithm = header.get("alg").and_then(Value::as_str).and_then(Algorithm::from_name);
    let algorithm = algorithm.ok_or("its algorithm is none of RS256, ES256 and EdDSA")?;
    let is_access = |kind: &Value| kind.as_str().is_some_and(|kind| TYPES.contains(&kind.to_lowercase().as_str()));
    if !header.get("typ").is_none_or(is_access) {
        return Err("its type is another than JWT");
    }
    match header.get("kid") {
        None => Ok((algorithm, None)),
        Some(Value::String(kid)) if kid.len() <= MAX_KID => Ok((algorithm, Some(kid.clone()))),
        Some(_) => Err("its key id is not a text of at most 256 bytes"),
    }
}
