//! The permission of one organization to act for another.

use uuid::Uuid;

use super::value::time::Timestamp;

/// Allows one organization to act for another, within an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrganizationConnection {
    /// Its id.
    pub id: Uuid,
    /// The organization that may act.
    pub requester: Uuid,
    /// The organization it may act for.
    pub target: Uuid,
    /// The granted permissions.
    pub permissions: Vec<String>,
    /// The name of the credential that created it.
    pub creator: String,
    /// The moment of its creation.
    pub created_at: Timestamp,
}

impl OrganizationConnection {
    /// Returns whether it grants the permission of this name.
    pub fn grants(&self, permission: &str) -> bool {
        self.permissions.iter().any(|granted| granted == permission)
    }
}
