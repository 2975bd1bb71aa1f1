//! The permission of one organization to act for another.

use uuid::Uuid;

use super::value::etag;
use super::value::etag::StaleEtag;
use super::value::time::Timestamp;

/// Allows one organization to act for another, within an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrganizationGrant {
    /// Its id.
    pub id: Uuid,
    /// The organization that may act.
    pub requester: Uuid,
    /// The organization it may act for.
    pub target: Uuid,
    /// The granted permissions.
    pub permissions: Vec<String>,
    /// The number of its changes, from 1.
    pub revision: i64,
    /// The name of the credential that created it.
    pub creator: String,
    /// The moment of its creation.
    pub created_at: Timestamp,
    /// The moment of its last update.
    pub updated_at: Timestamp,
}

/// An update of a grant.
#[derive(Clone, Debug, Default)]
pub struct GrantUpdate {
    /// The organization that may act, if the update repeats it: it cannot be changed.
    pub requester: Option<Uuid>,
    /// The organization it may act for, if the update repeats it: it cannot be changed.
    pub target: Option<Uuid>,
    /// The new permissions; `None` keeps the present ones.
    pub permissions: Option<Vec<String>>,
}

/// The reason why a grant is not updated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpdateRefusal {
    /// Its etag is another one.
    Stale,
    /// The field of this name cannot be changed.
    Fixed(&'static str),
}

impl OrganizationGrant {
    /// Returns whether it grants the permission of this name.
    pub fn grants(&self, permission: &str) -> bool {
        self.permissions.iter().any(|granted| granted == permission)
    }

    /// Returns its etag, which changes with every change.
    pub fn etag(&self) -> String {
        etag::of(self.id, self.revision)
    }

    /// Checks the etag, if the caller sent one.
    pub fn check_etag(&self, etag: Option<&str>) -> Result<(), StaleEtag> {
        etag::check(etag, self.id, self.revision)
    }

    /// Decides an update; `None` if it changes nothing.
    pub fn update(
        &self,
        update: &GrantUpdate,
        etag: Option<&str>,
        now: Timestamp,
    ) -> Result<Option<Self>, UpdateRefusal> {
        self.check_etag(etag).map_err(|StaleEtag| UpdateRefusal::Stale)?;
        if update.requester.is_some_and(|id| id != self.requester) {
            return Err(UpdateRefusal::Fixed("requester_organization_id"));
        }
        if update.target.is_some_and(|id| id != self.target) {
            return Err(UpdateRefusal::Fixed("target_organization_id"));
        }
        let changed = update.permissions.as_deref().filter(|permissions| *permissions != self.permissions);
        Ok(changed.map(|permissions| Self {
            permissions: permissions.to_vec(),
            revision: self.revision + 1,
            updated_at: now,
            ..self.clone()
        }))
    }
}
