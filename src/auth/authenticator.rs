//! Finds the caller of a request by its metadata.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use http::HeaderMap;

use super::api_key::{ApiKey, KeyPrefix, hash_api_key};
use super::caller::{Caller, Credential};
use super::jwt::{self, JwtVerifier};
use super::key_directory::{Changes, KeyDirectory, LookUp};
use super::permission::Permission;
use super::refused_caller::{RefusalReason, RefusedCaller};
use crate::clock::Clock;
use crate::config::{ApiKeyEntry, AuthConfig};
use crate::domain::value::text::AccountId;
use crate::domain::value::time::Timestamp;

/// The account of callers without credentials, which only a loopback address allows.
const OPEN_ACCOUNT: &str = "default";

/// Finds the caller of every credential.
#[derive(Clone)]
pub struct Authenticator(Arc<Mode>, Option<JwtVerifier>);

enum Mode {
    /// Callers need no credentials.
    Open(Caller),
    /// API keys: those of a file, which may be replaced by others, and those of the database.
    ApiKeys(RwLock<Keys>, KeyDirectory, Clock),
}

/// API keys, found by their hash: comparing hashes of 32 random bytes reveals nothing by its timing.
#[derive(Default)]
struct Keys {
    by_hash: HashMap<[u8; 32], Key>,
    /// The accounts in which a caller has a name, by the name.
    names: HashMap<String, Vec<AccountId>>,
}

impl Keys {
    /// Returns a caller that the database knows, unless a key of the file has its name: what one of them does would be told of the
    /// other, and whoever may make keys would get at what is shown to the maker of an invitation alone.
    fn check_name(&self, caller: Caller) -> Result<Caller, RefusedCaller> {
        let is_taken = self.names.get(&caller.name).is_some_and(|accounts| accounts.contains(&caller.account));
        if is_taken { Err(RefusedCaller::from(RefusalReason::NameTaken).of(&caller)) } else { Ok(caller) }
    }
}

/// An API key that is accepted until it expires.
struct Key {
    caller: Caller,
    /// Whether the log has told that it expired.
    told: AtomicBool,
}

impl Key {
    fn caller(&self, clock: &Clock) -> Result<Caller, RefusedCaller> {
        if has_expired(&self.caller, &self.told, clock) {
            Err(RefusedCaller::from(RefusalReason::ExpiredKey).of(&self.caller))
        } else {
            Ok(self.caller.clone())
        }
    }
}

/// The API key that ends next.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct NextExpiry {
    pub(crate) expires_at: Timestamp,
    pub(crate) account: String,
    pub(crate) api_key: String,
}

impl NextExpiry {
    /// Returns the one of these callers that ends next after a moment.
    pub(super) fn among<'a>(callers: impl Iterator<Item = &'a Caller>, now: Timestamp) -> Option<Self> {
        let ending = callers.filter_map(|caller| Some((caller.expires_at.filter(|at| *at > now)?, caller)));
        let next = ending.min_by(|(one, a), (other, b)| (one, &a.account, &a.name).cmp(&(other, &b.account, &b.name)));
        let of = |(expires_at, caller): (Timestamp, &Caller)| Self {
            expires_at,
            account: caller.account.as_str().to_owned(),
            api_key: caller.name.clone(),
        };
        next.map(of)
    }
}

/// Returns whether a credential has expired, which is logged once.
pub(super) fn has_expired(caller: &Caller, told: &AtomicBool, clock: &Clock) -> bool {
    let Some(expires_at) = caller.expires_at.filter(|expires_at| *expires_at <= clock.now()) else { return false };
    if !told.swap(true, Ordering::Relaxed) {
        log_event!(warn, API_KEY_EXPIRED, api_key = caller.name, %expires_at, "an API key has expired and is refused");
    }
    true
}

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

    /// Creates an authenticator of the configured credentials and of the database's keys, which expire by a clock.
    pub fn new(config: &AuthConfig, directory: KeyDirectory, clock: Clock) -> Result<Self, AuthenticatorError> {
        let mode = match config {
            AuthConfig::None => Mode::Open(Caller {
                account: account(OPEN_ACCOUNT, OPEN_ACCOUNT)?,
                name: "anonymous".to_owned(),
                permissions: Permission::ALL.into(),
                organization_id: None,
                credential: Credential::None,
                expires_at: None,
                grantable_roles: None,
            }),
            AuthConfig::Required { api_keys } => Mode::ApiKeys(RwLock::new(keys_of(api_keys)?), directory, clock),
        };
        Ok(Self(Arc::new(mode), None))
    }

    /// Accepts JWTs too, where calls need a credential.
    pub(crate) fn with_jwt(self, jwt: Option<JwtVerifier>) -> Self {
        Self(self.0, jwt)
    }

    /// Replaces all API keys of the file; those of before are refused from now on, unless they are among the new ones. Nothing
    /// changes where calls need no credential.
    pub(crate) fn replace(&self, api_keys: &[ApiKeyEntry]) -> Result<(), AuthenticatorError> {
        let Mode::ApiKeys(keys, directory, _) = self.0.as_ref() else { return Ok(()) };
        *keys.write().unwrap_or_else(PoisonError::into_inner) = keys_of(api_keys)?;
        directory.tell_change();
        Ok(())
    }

    /// Returns a receiver of the moments at which credentials may have changed; `None` where calls need none.
    pub(crate) fn changes(&self) -> Option<Changes> {
        let Mode::ApiKeys(_, directory, _) = self.0.as_ref() else { return None };
        Some(directory.changes())
    }

    /// Returns the caller whose credential the metadata contain. A key that this process knows is found without waiting; another
    /// one is asked for.
    pub async fn authenticate(&self, metadata: &HeaderMap) -> Result<Caller, RefusedCaller> {
        match self.find(metadata)? {
            Found::Caller(caller) => Ok(caller),
            // Few calls take this way, and the future of all must not have room for it.
            Found::Unknown(hash, prefix, directory, clock) => {
                let asked = Box::pin(directory.ask(hash, clock)).await.map_err(|refused| refused.sent(prefix))?;
                match self.keys_of_file() {
                    Some(keys) => keys.check_name(asked),
                    None => Ok(asked),
                }
            }
        }
    }

    /// Returns the API key that ends next after a moment: of those of the file, and of those of the database that were used within a
    /// day of it.
    pub(crate) fn next_expiry(&self, now: Timestamp) -> Option<NextExpiry> {
        let Mode::ApiKeys(keys, directory, _) = self.0.as_ref() else { return None };
        let of_database = directory.next_expiry(now);
        let keys = keys.read().unwrap_or_else(PoisonError::into_inner);
        let of_file = NextExpiry::among(keys.by_hash.values().map(|key| &key.caller), now);
        of_file.into_iter().chain(of_database).min()
    }

    fn keys_of_file(&self) -> Option<RwLockReadGuard<'_, Keys>> {
        let Mode::ApiKeys(keys, ..) = self.0.as_ref() else { return None };
        Some(keys.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Finds the credential in memory. Two credentials count as none: otherwise the caller would depend on which of them a reader
    /// picks.
    fn find(&self, metadata: &HeaderMap) -> Result<Found<'_>, RefusedCaller> {
        let (keys, directory, clock) = match self.0.as_ref() {
            Mode::Open(caller) => return Ok(Found::Caller(caller.clone())),
            Mode::ApiKeys(keys, directory, clock) => (keys, directory, clock),
        };
        let bearer = metadata.get_all(http::header::AUTHORIZATION).iter().map(|value| {
            let (scheme, credential) = value.to_str().ok()?.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then_some(credential)
        });
        let plain = metadata.get_all("x-api-key").iter().map(|value| value.to_str().ok());
        let mut credentials = bearer.chain(plain);
        let key = match (credentials.next(), credentials.next()) {
            (Some(Some(key)), None) => key,
            (None, _) => return Err(RefusalReason::NoCredential.into()),
            (Some(None), None) => return Err(RefusalReason::MalformedCredential.into()),
            (Some(_), Some(_)) => return Err(RefusalReason::SeveralCredentials.into()),
        };
        if metadata.contains_key(http::header::AUTHORIZATION) && jwt::is_jwt(key) {
            let verifier = self.1.as_ref().ok_or(RefusalReason::NoIssuer)?;
            return verifier.authenticate(key).map(Found::Caller);
        }
        let hash = hash_api_key(key);
        let keys = keys.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(key) = keys.by_hash.get(&hash) {
            return key.caller(clock).map(Found::Caller);
        }
        match directory.look_up(&hash, clock) {
            LookUp::Known(known) => {
                let caller = known.map_err(|refused| refused.sent(KeyPrefix::of(key)))?;
                keys.check_name(caller).map(Found::Caller)
            }
            // A mistyped key, or what is none, is refused without a question.
            LookUp::Unknown if ApiKey::parse(key).is_err() => {
                let prefix = KeyPrefix::of(key);
                let reason = prefix.map_or(RefusalReason::NoApiKey, |_| RefusalReason::MistypedKey);
                Err(RefusedCaller::from(reason).sent(prefix))
            }
            LookUp::Unknown => Ok(Found::Unknown(hash, KeyPrefix::of(key), directory, clock)),
        }
    }
}

/// The result of a look-up in memory.
enum Found<'a> {
    /// The caller.
    Caller(Caller),
    /// A well-formed key that this process has not seen: its hash, its beginning, and where to ask for it.
    Unknown([u8; 32], Option<KeyPrefix>, &'a KeyDirectory, &'a Clock),
}

fn keys_of(api_keys: &[ApiKeyEntry]) -> Result<Keys, AuthenticatorError> {
    let mut keys = Keys::default();
    for key in api_keys {
        let caller = Caller {
            account: account(&key.account, &key.name)?,
            name: format!("apiKeys/{}", key.name),
            permissions: permissions_of(&key.name, &key.permissions)?,
            organization_id: key.organization_id,
            credential: Credential::ApiKey,
            expires_at: key.expires_at,
            grantable_roles: None,
        };
        keys.names.entry(caller.name.clone()).or_default().push(caller.account.clone());
        keys.by_hash.insert(key.hash, Key { caller, told: AtomicBool::new(false) });
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
