//! Strong entity tags (AIP-154) of rows with a revision.

use data_encoding::BASE64URL_NOPAD;
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// The bytes of a hash that an etag shows: two revisions of a row practically never share them.
const SHOWN: usize = 12;

/// The error for an etag that is not the present one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StaleEtag;

/// Returns the etag of a revision of a row. It is a hash, so that no client counts with it.
pub fn of(id: Uuid, revision: i64) -> String {
    let hash = Sha256::new().chain_update(id.as_bytes()).chain_update(revision.to_be_bytes()).finalize();
    let shown = hash.get(..SHOWN).unwrap_or_default();
    format!("\"{}\"", BASE64URL_NOPAD.encode(shown))
}

/// Checks the etag, if the caller sent one, against the present revision.
pub fn check(etag: Option<&str>, id: Uuid, revision: i64) -> Result<(), StaleEtag> {
    if etag.is_none_or(|etag| etag == of(id, revision)) { Ok(()) } else { Err(StaleEtag) }
}
