//! The lines of the log about credentials: one for each that was created, changed or revoked.
//!
//! Their form is stable: `docs/logs.md`. A list that is longer than [`MAX_LIST`] ends with the number of the others, so that a line has a
//! bounded length. The span around a line has the `account` and the `caller`.

use tracing::field::display;

use super::key_directory::name_of;
use crate::domain::api_key::{ApiKeyRecord, Powers};

/// The most bytes of the entries of a list. All permissions fit.
const MAX_LIST: usize = 2_048;

/// A change of an API key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyEvent {
    /// The key was created.
    Created,
    /// The key was changed.
    Updated,
    /// The key was revoked.
    Revoked,
}

/// Logs a change of a key. Nothing of the key itself is in the line, not even its hash.
pub fn audit(event: KeyEvent, key: &ApiKeyRecord) {
    let Powers { permissions, grantable_roles, expires_at } = &key.powers;
    let (api_key, permissions) = (name_of(&key.key_id), list(permissions));
    let organization_id = key.organization.map(display);
    let expires_at = expires_at.map(display);
    let grantable_roles = grantable_roles.as_ref().map(|roles| list(roles));
    macro_rules! log {
        ($event:ident) => {
            log_event!(
                info,
                $event,
                api_key,
                permissions,
                organization_id,
                expires_at,
                grantable_roles,
                "changed an API key"
            )
        };
    }
    match event {
        KeyEvent::Created => log!(API_KEY_CREATED),
        KeyEvent::Updated => log!(API_KEY_UPDATED),
        KeyEvent::Revoked => log!(API_KEY_REVOKED),
    }
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
