//! The lines of the log about credentials: one for each that was created, changed or revoked.
//!
//! Their form is stable. `audit` is `api_key.created`, `api_key.updated` or `api_key.revoked`; `api_key` is the name of the key; its
//! powers are those that it has from then on. A list of them that is longer than [`MAX_LIST`] ends with the number of the others, so that
//! a line has a bounded length. The span around a line has the `account` and the `caller`.

use strum::IntoStaticStr;

use super::key_directory::name_of;
use crate::domain::api_key::{ApiKeyRecord, Powers};

/// The most bytes of the entries of a list. All permissions fit.
const MAX_LIST: usize = 2_048;

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
        permissions = list(permissions),
        organization_id = key.organization.map(tracing::field::display),
        expires_at = expires_at.map(tracing::field::display),
        grantable_roles = grantable_roles.as_ref().map(|roles| list(roles)),
        "changed an API key"
    );
}

/// Returns entries as a text, and the number of those that are left out.
fn list(entries: &[String]) -> String {
    let mut length = 0;
    let mut fits = |entry: &&String| {
        length += entry.len() + 1;
        length <= MAX_LIST + 1
    };
    let shown: Vec<_> = entries.iter().map_while(|entry| fits(&entry).then_some(entry.as_str())).collect();
    match entries.len() - shown.len() {
        0 => shown.join(","),
        others => format!("{} and {others} more", shown.join(",")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::permission::Permission;

    #[test]
    fn list_has_every_permission_and_a_bounded_length() {
        let all = Permission::ALL.map(|permission| permission.name().to_owned());
        assert_eq!(list(&all), all.join(","));
        let roles: Vec<_> = (0..1_000).map(|number| format!("role-{number:0>95}")).collect();
        let shown = list(&roles);
        assert!(shown.len() < MAX_LIST + 20 && shown.ends_with(" and 980 more"), "{shown}");
        assert_eq!((list(&[]).as_str(), list(&roles[..1])), ("", roles[0].clone()));
    }
}
