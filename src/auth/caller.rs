//! The caller of an RPC.

use uuid::Uuid;

use super::permission::Permission;
use crate::domain::value::text::AccountId;

/// The owner of a credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The account whose invitations they see; part of every query.
    pub account: AccountId,
    /// The credential's name, which is shown as `creator` and `actor`.
    pub name: String,
    /// The permissions of the credential.
    pub permissions: Vec<Permission>,
    /// The organization the credential is bound to; `None` for one of the whole account.
    pub organization_id: Option<Uuid>,
    /// Whether the credential is an API key, which identifies no person.
    pub is_key: bool,
}

impl Caller {
    /// Returns whether they have a permission.
    pub fn may(&self, permission: Permission) -> bool {
        self.permissions.contains(&permission)
    }
}
