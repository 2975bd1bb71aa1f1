//! API keys as the database has them: what each may do, and who may give, change and take it.
//!
//! The key itself is nowhere: a record has its hash. The names of permissions are texts here; the auth module knows them.

#[cfg(test)]
mod tests;

use uuid::Uuid;

use super::value::etag;
use super::value::etag::StaleEtag;
use super::value::rule::{FieldRule, Invalid};
use super::value::time::Timestamp;

/// The most characters of a key's id.
const MAX_ID: usize = 63;

/// Everything that a key lets its holder do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Powers {
    /// The names of its permissions, in alphabetical order.
    pub permissions: Vec<String>,
    /// The roles that its invitations may grant, in alphabetical order; `None` for any role.
    pub grantable_roles: Option<Vec<String>>,
    /// The moment from which it is refused; `None` for a key that does not expire.
    pub expires_at: Option<Timestamp>,
}

/// The power that somebody would give without having it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Excess {
    /// The permission of this name.
    Permission(String),
    /// The role of this name; `None` for the power to grant any role.
    Role(Option<String>),
    /// The time after the expiry of the giver.
    Time,
}

impl Powers {
    /// Checks that a giver has everything that a key gets: all of its powers, or those beyond the ones that it had `before`. A key
    /// that lives longer gets all of its powers for the time that is added.
    pub fn check_gift(&self, before: Option<&Powers>, giver: &Powers) -> Result<(), Excess> {
        let before = before.filter(|before| is_within(self.expires_at, before.expires_at));
        let had = |permission: &String| before.is_some_and(|before| before.permissions.contains(permission));
        let mut added = self.permissions.iter().filter(|permission| !had(permission)).peekable();
        let widens = before.is_none_or(|before| self.role_beyond(before).is_some());
        if added.peek().is_none() && !widens {
            return Ok(());
        }
        if let Some(missing) = added.find(|permission| !giver.permissions.contains(*permission)) {
            return Err(Excess::Permission(missing.clone()));
        }
        if let Some(role) = self.role_beyond(giver) {
            return Err(Excess::Role(role));
        }
        if is_within(self.expires_at, giver.expires_at) { Ok(()) } else { Err(Excess::Time) }
    }

    /// Returns the first role that these powers may grant and others may not; `Some(None)` if these may grant any.
    fn role_beyond(&self, others: &Powers) -> Option<Option<String>> {
        let theirs = others.grantable_roles.as_ref()?;
        let Some(ours) = &self.grantable_roles else { return Some(None) };
        ours.iter().find(|role| !theirs.contains(role)).map(|role| Some(role.clone()))
    }
}

/// Returns whether an expiry is no later than another one; `None` is never.
fn is_within(expiry: Option<Timestamp>, other: Option<Timestamp>) -> bool {
    other.is_none_or(|other| expiry.is_some_and(|expiry| expiry <= other))
}

/// The state of a key at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApiKeyState {
    /// It is accepted.
    Active,
    /// Its expiry has passed.
    Expired,
    /// It was revoked.
    Revoked,
}

/// An API key of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKeyRecord {
    /// Its UUID.
    pub id: Uuid,
    /// The id in its name, unique in the account for ever: see [`parse_id`].
    pub key_id: String,
    /// The name for people; empty if it has none.
    pub display_name: String,
    /// The SHA-256 of the whole key.
    pub hash: [u8; 32],
    /// Everything that it lets its holder do.
    pub powers: Powers,
    /// The only organization that it may act for; `None` for a key of the whole account.
    pub organization: Option<Uuid>,
    /// The moment at which it was revoked, if it was.
    pub revoked_at: Option<Timestamp>,
    /// The hour of its last use; `None` if it was never used.
    pub last_used_at: Option<Timestamp>,
    /// The number of its changes, from 1. Uses do not count.
    pub revision: i64,
    /// The name of the credential that created it.
    pub creator: String,
    /// The moment of its creation.
    pub created_at: Timestamp,
    /// The moment of its last change.
    pub updated_at: Timestamp,
}

/// An update of a key.
#[derive(Clone, Debug, Default)]
pub struct ApiKeyUpdate {
    /// The new name for people; `None` keeps the present one.
    pub display_name: Option<String>,
    /// The new permissions; `None` keeps the present ones.
    pub permissions: Option<Vec<String>>,
    /// The new roles; `None` keeps the present ones.
    pub grantable_roles: Option<Option<Vec<String>>>,
    /// The new expiry; `None` keeps the present one.
    pub expires_at: Option<Option<Timestamp>>,
    /// The organization, if the update repeats it: it cannot be changed.
    pub organization: Option<Uuid>,
}

/// The reason why a key is not changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChangeRefusal {
    /// Its etag is another one.
    Stale,
    /// It was revoked, which is for ever.
    Revoked,
    /// The field of this name cannot be changed.
    Fixed(&'static str),
    /// The caller would give what they do not have.
    Excess(Excess),
}

impl From<StaleEtag> for ChangeRefusal {
    fn from(StaleEtag: StaleEtag) -> Self {
        Self::Stale
    }
}

impl ApiKeyRecord {
    /// Returns its state at a moment.
    pub fn state_at(&self, now: Timestamp) -> ApiKeyState {
        match (self.revoked_at, self.powers.expires_at) {
            (Some(_), _) => ApiKeyState::Revoked,
            (None, Some(expires_at)) if expires_at <= now => ApiKeyState::Expired,
            (None, _) => ApiKeyState::Active,
        }
    }

    /// Returns whether it is accepted at a moment.
    pub fn is_in_force(&self, now: Timestamp) -> bool {
        self.state_at(now) == ApiKeyState::Active
    }

    /// Returns its etag, which changes with every change, and with no use.
    pub fn etag(&self) -> String {
        etag::of(self.id, self.revision)
    }

    /// Decides an update by a caller with some powers; `None` if it changes nothing.
    pub fn update(
        &self,
        update: &ApiKeyUpdate,
        caller: &Powers,
        etag: Option<&str>,
        now: Timestamp,
    ) -> Result<Option<Self>, ChangeRefusal> {
        etag::check(etag, self.id, self.revision)?;
        if self.revoked_at.is_some() {
            return Err(ChangeRefusal::Revoked);
        }
        if update.organization.is_some() && update.organization != self.organization {
            return Err(ChangeRefusal::Fixed("organization_id"));
        }
        let mut after = self.clone();
        let present = &self.powers;
        after.display_name = update.display_name.clone().unwrap_or(after.display_name);
        after.powers = Powers {
            permissions: update.permissions.clone().unwrap_or_else(|| present.permissions.clone()),
            grantable_roles: update.grantable_roles.clone().unwrap_or_else(|| present.grantable_roles.clone()),
            expires_at: update.expires_at.unwrap_or(present.expires_at),
        };
        after.powers.check_gift(Some(present), caller).map_err(ChangeRefusal::Excess)?;
        Ok((after != *self).then(|| Self { revision: self.revision + 1, updated_at: now, ..after }))
    }

    /// Decides a revocation; `None` if it was revoked before. It gives nothing, so whoever may write keys may revoke any.
    pub fn revoke(&self, etag: Option<&str>, now: Timestamp) -> Result<Option<Self>, ChangeRefusal> {
        etag::check(etag, self.id, self.revision)?;
        let is_new = self.revoked_at.is_none();
        Ok(is_new.then(|| Self { revoked_at: Some(now), revision: self.revision + 1, updated_at: now, ..self.clone() }))
    }
}

/// Parses the id of a key: 1 to 63 lower-case letters, digits and hyphens, the first and the last no hyphen (AIP-122). It is shown
/// as `creator` and `actor`, so it never changes and no other key ever has it.
pub fn parse_id(value: &str) -> Result<String, Invalid> {
    const DESCRIPTION: &str =
        "must be 1 to 63 lower-case letters, digits and hyphens, and neither begin nor end with a hyphen";
    if value.len() > MAX_ID {
        return Err(Invalid::new(FieldRule::TooLong, DESCRIPTION));
    }
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if value.is_empty() || !value.bytes().all(fits) || value.starts_with('-') || value.ends_with('-') {
        return Err(Invalid::format(DESCRIPTION));
    }
    Ok(value.to_owned())
}
