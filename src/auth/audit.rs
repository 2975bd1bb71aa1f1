//! The lines of the log about credentials: one for each that was created, changed or revoked.
//!
//! Their form is stable. `audit` is `api_key.created`, `api_key.updated` or `api_key.revoked`; `api_key` is the name of the key; its
//! powers are those that it has from then on. The span around a line has the `account` and the `caller`.

use strum::IntoStaticStr;

use super::key_directory::name_of;
use crate::domain::api_key::{ApiKeyRecord, Powers};

/// A change of an API key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr)]
pub enum KeyEvent {
    /// The key was created.
    #[strum(serialize = "api_key.created")]
    Created,
    /// The key was changed.
    #[strum(serialize = "api_key.updated")]
    Updated,
    /// The key was revoked.
    #[strum(serialize = "api_key.revoked")]
    Revoked,
}

/// Logs a change of a key. Nothing of the key itself is in the line, not even its hash.
pub fn audit(event: KeyEvent, key: &ApiKeyRecord) {
    let Powers { permissions, grantable_roles, expires_at } = &key.powers;
    let audit: &str = event.into();
    tracing::info!(
        audit,
        api_key = name_of(&key.key_id),
        permissions = permissions.join(","),
        organization_id = key.organization.map(tracing::field::display),
        expires_at = expires_at.map(tracing::field::display),
        grantable_roles = grantable_roles.as_ref().map(|roles| roles.join(",")),
        "changed an API key"
    );
}
