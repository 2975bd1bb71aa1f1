//! Finds the caller of a request by its metadata.

use std::collections::HashMap;
use std::sync::Arc;

use http::HeaderMap;

use super::api_key::hash_api_key;
use super::caller::Caller;
use super::permission::Permission;
use crate::config::AuthConfig;
use crate::domain::value::text::AccountId;

/// The account of callers without credentials, which only a loopback address allows.
const OPEN_ACCOUNT: &str = "default";

/// Finds the caller of every credential.
#[derive(Clone)]
pub struct Authenticator(Arc<Mode>);

enum Mode {
    /// Callers need no credentials.
    Open(Caller),
    /// API keys, found by their hash: comparing hashes of 32 random bytes reveals nothing by its timing.
    ApiKeys(HashMap<[u8; 32], Caller>),
}

/// The metadata contain no credential, more than one, or an unknown one. The error does not reveal the reason.
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
        matches!(*self.0, Mode::ApiKeys(_))
    }

    /// Creates an authenticator of the configured credentials.
    pub fn new(config: &AuthConfig) -> Result<Self, AuthenticatorError> {
        let mode = match config {
            AuthConfig::None => Mode::Open(Caller {
                account: account(OPEN_ACCOUNT, OPEN_ACCOUNT)?,
                name: "anonymous".to_owned(),
                permissions: Permission::ALL.into(),
                organization_id: None,
                is_key: false,
            }),
            AuthConfig::Required { api_keys } => {
                let mut callers = HashMap::new();
                for key in api_keys {
                    let mut permissions = Vec::new();
                    for name in &key.permissions {
                        permissions.extend(Permission::from_name(name).ok_or_else(|| {
                            AuthenticatorError::Permission { key: key.name.clone(), permission: name.clone() }
                        })?);
                    }
                    let account = account(&key.account, &key.name)?;
                    let name = format!("apiKeys/{}", key.name);
                    let organization_id = key.organization_id;
                    let caller = Caller { account, name, permissions, organization_id, is_key: true };
                    callers.insert(key.hash, caller);
                }
                Mode::ApiKeys(callers)
            }
        };
        Ok(Self(Arc::new(mode)))
    }

    /// Returns the caller whose credential the metadata contain. Two credentials count as none: otherwise the caller
    /// would depend on which of them a reader picks.
    pub fn authenticate(&self, metadata: &HeaderMap) -> Result<Caller, Unauthenticated> {
        let callers = match self.0.as_ref() {
            Mode::Open(caller) => return Ok(caller.clone()),
            Mode::ApiKeys(callers) => callers,
        };
        let bearer = metadata.get_all(http::header::AUTHORIZATION).iter().map(|value| {
            let (scheme, credential) = value.to_str().ok()?.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then_some(credential)
        });
        let plain = metadata.get_all("x-api-key").iter().map(|value| value.to_str().ok());
        let mut credentials = bearer.chain(plain);
        match (credentials.next(), credentials.next()) {
            (Some(Some(key)), None) => callers.get(&hash_api_key(key)).cloned().ok_or(Unauthenticated),
            _ => Err(Unauthenticated),
        }
    }
}

fn account(account: &str, key: &str) -> Result<AccountId, AuthenticatorError> {
    AccountId::parse(account).map_err(|_| AuthenticatorError::Account(key.to_owned()))
}
