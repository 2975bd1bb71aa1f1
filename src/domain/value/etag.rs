//! Strong entity tags (AIP-154) of rows with a revision.

/// The error for an etag that is not the present one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StaleEtag;

/// Returns the etag of a revision.
pub fn of(revision: i64) -> String {
    format!("\"{revision}\"")
}

/// Checks the etag, if the caller sent one, against the present revision.
pub fn check(etag: Option<&str>, revision: i64) -> Result<(), StaleEtag> {
    if etag.is_none_or(|etag| etag == of(revision)) { Ok(()) } else { Err(StaleEtag) }
}
