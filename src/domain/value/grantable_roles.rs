//! The roles that a call may give to others.

use std::sync::Arc;

/// The most that a call may give: roles that both its credential and its account allow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GrantableRoles {
    /// The roles of the credential; `None` for any.
    pub of_credential: Option<Arc<[String]>>,
    /// The roles of the account; `None` for any.
    pub of_account: Option<Arc<[String]>>,
}

impl GrantableRoles {
    /// Returns the roles that may be given; `None` for any.
    pub fn all(&self) -> Option<Vec<String>> {
        let some = self.of_credential.as_ref().or(self.of_account.as_ref())?;
        let is_given = |role: &&String| self.excess(std::slice::from_ref(*role)).is_none();
        Some(some.iter().filter(is_given).cloned().collect())
    }

    /// Returns the first of some roles that may not be given.
    pub fn excess<'a>(&self, roles: &'a [String]) -> Option<&'a str> {
        let limits = [&self.of_credential, &self.of_account].into_iter().flatten();
        roles.iter().find(|role| limits.clone().any(|limit| !limit.contains(role))).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_has_to_be_allowed_by_credential_and_account() {
        let roles = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let allowed = |names: Option<&[&str]>| names.map(|names| roles(names).into());
        for (of_credential, of_account, given, excess) in [
            (None, None, &["admin", "viewer"][..], None),
            (Some(&["viewer"][..]), None, &["viewer"], None),
            (Some(&["viewer"]), None, &["viewer", "admin", "owner"], Some("admin")),
            (None, Some(&["viewer"][..]), &["admin"], Some("admin")),
            (Some(&["viewer", "admin"]), Some(&["viewer"]), &["viewer", "admin"], Some("admin")),
            (Some(&["viewer"]), Some(&["admin"]), &["viewer"], Some("viewer")),
            (Some(&[]), None, &["viewer"], Some("viewer")),
            (Some(&[]), Some(&[]), &[], None),
            (None, Some(&["viewer"]), &["Viewer"], Some("Viewer")),
        ] {
            let grantable = GrantableRoles { of_credential: allowed(of_credential), of_account: allowed(of_account) };
            assert_eq!(grantable.excess(&roles(given)), excess, "{grantable:?} {given:?}");
            let beyond = grantable.all().and_then(|all| given.iter().find(|role| !all.contains(&(**role).to_owned())));
            assert_eq!(beyond.copied(), excess, "{grantable:?} {given:?}");
        }
    }
}
