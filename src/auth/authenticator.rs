//! Finds the caller of a request by its metadata.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use http::HeaderMap;

use super::api_key::hash_api_key;
use super::caller::{Caller, Credential};
use super::permission::Permission;
use crate::clock::Clock;
use crate::config::{ApiKeyEntry, AuthConfig};
use crate::domain::value::text::AccountId;
use crate::domain::value::time::Timestamp;

/// The account of callers without credentials, which only a loopback address allows.
const OPEN_ACCOUNT: &str = "default";

/// Finds the caller of every credential.
#[derive(Clone)]
pub struct Authenticator(Arc<Mode>);

enum Mode {
    /// Callers need no credentials.
    Open(Caller),
    /// API keys, which may be replaced by others.
    ApiKeys(RwLock<Keys>, Clock),
}

/// API keys, found by their hash: comparing hashes of 32 random bytes reveals nothing by its timing.
type Keys = HashMap<[u8; 32], Key>;

/// An API key that is accepted until it expires.
struct Key {
    caller: Caller,
    expires_at: Option<Timestamp>,
    /// Whether the log has told that it expired.
    told: AtomicBool,
}

impl Key {
    fn caller(&self, clock: &Clock) -> Option<&Caller> {
        let Some(expires_at) = self.expires_at.filter(|expires_at| *expires_at <= clock.now()) else {
            return Some(&self.caller);
        };
        if !self.told.swap(true, Ordering::Relaxed) {
            tracing::warn!(caller = %self.caller.name, %expires_at, "an API key has expired and is refused");
        }
        None
    }
}

/// The metadata contain no credential, more than one, an unknown one, or one that has expired. The error does not reveal the reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unauthenticated;

/// The reason why the configured credentials cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AuthenticatorError {
    /// A permission that does not exist.
    #[error("API key {key}: there is no permission {permission}")]
    Permission {
        /// The key's name.
        key: String,
        /// The name that is not a permission.
        permission: String,
    },
    /// An account whose name is too long or empty.
    #[error("API key {0}: the account must have 1 to 200 characters")]
    Account(String),
}

impl Authenticator {
    /// Returns whether a call needs a credential.
    pub fn needs_credential(&self) -> bool {
        matches!(*self.0, Mode::ApiKeys(..))
    }

    /// Creates an authenticator of the configured credentials, which expire by a clock.
    pub fn new(config: &AuthConfig, clock: Clock) -> Result<Self, AuthenticatorError> {
        let mode = match config {
            AuthConfig::None => Mode::Open(Caller {
                account: account(OPEN_ACCOUNT, OPEN_ACCOUNT)?,
                name: "anonymous".to_owned(),
                permissions: Permission::ALL.into(),
                organization_id: None,
                credential: Credential::None,
            }),
            AuthConfig::Required { api_keys } => Mode::ApiKeys(RwLock::new(keys_of(api_keys)?), clock),
        };
        Ok(Self(Arc::new(mode)))
    }

    /// Replaces all API keys; those of before are refused from now on, unless they are among the new ones. Nothing changes
    /// where calls need no credential.
    pub(crate) fn replace(&self, api_keys: &[ApiKeyEntry]) -> Result<(), AuthenticatorError> {
        let Mode::ApiKeys(keys, _) = self.0.as_ref() else { return Ok(()) };
        *keys.write().unwrap_or_else(PoisonError::into_inner) = keys_of(api_keys)?;
        Ok(())
    }

    /// Returns the caller whose credential the metadata contain. Two credentials count as none: otherwise the caller
    /// would depend on which of them a reader picks.
    pub fn authenticate(&self, metadata: &HeaderMap) -> Result<Caller, Unauthenticated> {
        let (keys, clock) = match self.0.as_ref() {
            Mode::Open(caller) => return Ok(caller.clone()),
            Mode::ApiKeys(keys, clock) => (keys, clock),
        };
        let bearer = metadata.get_all(http::header::AUTHORIZATION).iter().map(|value| {
            let (scheme, credential) = value.to_str().ok()?.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then_some(credential)
        });
        let plain = metadata.get_all("x-api-key").iter().map(|value| value.to_str().ok());
        let mut credentials = bearer.chain(plain);
        match (credentials.next(), credentials.next()) {
            (Some(Some(key)), None) => {
                let (hash, keys) = (hash_api_key(key), keys.read().unwrap_or_else(PoisonError::into_inner));
                let key = keys.get(&hash).ok_or(Unauthenticated)?;
                key.caller(clock).cloned().ok_or(Unauthenticated)
            }
            _ => Err(Unauthenticated),
        }
    }
}

fn keys_of(api_keys: &[ApiKeyEntry]) -> Result<Keys, AuthenticatorError> {
    let mut keys = HashMap::new();
    for key in api_keys {
        let permissions = permissions_of(&key.name, &key.permissions)?;
        let account = account(&key.account, &key.name)?;
        let name = format!("apiKeys/{}", key.name);
        let organization_id = key.organization_id;
        let caller = Caller { account, name, permissions, organization_id, credential: Credential::ApiKey };
        keys.insert(key.hash, Key { caller, expires_at: key.expires_at, told: AtomicBool::new(false) });
    }
    Ok(keys)
}

/// Returns the permissions of a credential by their names.
pub(super) fn permissions_of(credential: &str, names: &[String]) -> Result<Vec<Permission>, AuthenticatorError> {
    let mut permissions = Vec::new();
    for name in names {
        let unknown = || AuthenticatorError::Permission { key: credential.to_owned(), permission: name.clone() };
        permissions.extend(Permission::from_name(name).ok_or_else(unknown)?);
    }
    Ok(permissions)
}

fn account(account: &str, key: &str) -> Result<AccountId, AuthenticatorError> {
    AccountId::parse(account).map_err(|_| AuthenticatorError::Account(key.to_owned()))
}
