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
    /// The kind of the credential.
    pub credential: Credential,
}

/// The kind of a credential. None of them identifies a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credential {
    /// No credential is asked for.
    None,
    /// An API key.
    ApiKey,
    /// The certificate of the connection's client.
    ClientCertificate,
}

impl Caller {
    /// Returns whether they have a permission.
    pub fn may(&self, permission: Permission) -> bool {
        self.permissions.contains(&permission)
    }
}
