//! The caller of an RPC.

use std::sync::Arc;

use uuid::Uuid;

use super::permission::Permission;
use crate::domain::api_key::Powers;
use crate::domain::reach::person::Person;
use crate::domain::value::text::AccountId;
use crate::domain::value::time::Timestamp;

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
    /// The moment from which the credential is refused; `None` for one that does not expire, or that others renew.
    pub expires_at: Option<Timestamp>,
    /// The only roles that new invitations may grant; `None` for any role.
    pub grantable_roles: Option<Arc<[String]>>,
}

/// The kind of a credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    /// No credential is asked for.
    None,
    /// An API key.
    ApiKey,
    /// The certificate of the connection's client.
    ClientCertificate,
    /// A JWT of a service.
    Jwt,
    /// A JWT of a person, who acts as themselves. It has no permission of a service.
    Person(Arc<Person>),
}

impl Caller {
    /// Returns whether they have a permission.
    pub fn may(&self, permission: Permission) -> bool {
        self.permissions.contains(&permission)
    }

    /// Returns the person who calls as themselves, if one does.
    pub fn person(&self) -> Option<&Arc<Person>> {
        match &self.credential {
            Credential::Person(person) => Some(person),
            Credential::None | Credential::ApiKey | Credential::ClientCertificate | Credential::Jwt => None,
        }
    }

    /// Returns everything that the credential lets them do, which is the most that they can give to another.
    pub fn powers(&self) -> Powers {
        Powers {
            permissions: self.permissions.iter().map(|permission| permission.name().to_owned()).collect(),
            grantable_roles: self.grantable_roles.as_ref().map(|roles| roles.to_vec()),
            expires_at: self.expires_at,
        }
    }
}
