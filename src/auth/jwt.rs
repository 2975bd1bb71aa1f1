//! JWTs of services and of persons: signed by a configured issuer, verified by the keys that it publishes.
//!
//! The issuer is found by the claim `iss`, and nothing but its own keys is asked. The key chooses the algorithm: a header that
//! names another is refused. Keys are put here by others (`serve::jwt`), which read them from files and URLs.

mod claims;
pub(crate) mod jwks;
pub(crate) mod key_cache;
mod strict_json;
#[cfg(test)]
mod tests;
mod token;
mod verified;

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::caller::Caller;
use super::refused_caller::{RefusalReason, RefusedCaller};
use crate::clock::Clock;
use crate::config::{JwksSource, JwtIssuer};
use jwks::KeySet;
use key_cache::{KeyCache, Read};
use token::{Reason, Token};
use verified::{Verified, VerifiedTokens};

/// Returns whether a bearer credential is a JWT, well-formed or not: no API key has a dot.
pub(super) fn is_jwt(credential: &str) -> bool {
    credential.bytes().filter(|byte| *byte == b'.').count() == 2
}

/// Verifies the tokens of all issuers. Clones share everything.
#[derive(Clone)]
pub(crate) struct JwtVerifier(Arc<Inner>);

struct Inner {
    issuers: RwLock<Issuers>,
    verified: VerifiedTokens,
    clock: Clock,
}

/// Issuers by the claim `iss`.
type Issuers = HashMap<String, Arc<Issuer>>;

/// An issuer and its keys.
pub(crate) struct Issuer {
    pub(crate) config: JwtIssuer,
    pub(crate) keys: Arc<KeyCache>,
}

/// The reason why a token has no caller.
enum Refused {
    Unauthenticated(Reason),
    /// It cannot be decided yet.
    Unavailable(Reason),
}

impl From<Reason> for Refused {
    fn from(reason: Reason) -> Self {
        Self::Unauthenticated(reason)
    }
}

impl JwtVerifier {
    /// Creates a verifier of configured issuers, which have no keys yet.
    pub(crate) fn new(issuers: &[JwtIssuer], clock: Clock) -> Self {
        let issuers = RwLock::new(Issuer::all(issuers, &Issuers::new()));
        Self(Arc::new(Inner { issuers, verified: VerifiedTokens::default(), clock }))
    }

    /// Replaces the issuers. Those whose keys come from where they came from keep them.
    pub(crate) fn replace(&self, issuers: &[JwtIssuer]) {
        let mut at_work = self.0.issuers.write().unwrap_or_else(PoisonError::into_inner);
        *at_work = Issuer::all(issuers, &at_work);
        drop(at_work);
        self.0.verified.clear();
    }

    /// Returns the issuers.
    pub(crate) fn issuers(&self) -> Vec<Arc<Issuer>> {
        self.0.issuers.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Returns the age of the oldest keys among those that are fetched from a URL; `None` if none are.
    pub(crate) fn age_of_fetched_keys(&self) -> Option<Duration> {
        self.issuers().iter().filter_map(|issuer| issuer.keys.age()).max()
    }

    /// Puts the keys of an issuer to work, and returns whether they are others than before. Tokens that were verified by the
    /// keys of before are verified anew.
    pub(crate) fn use_keys(&self, cache: &KeyCache, read: Read, keys: KeySet) -> bool {
        let is_new = cache.replace(read, keys);
        if is_new {
            self.0.verified.clear();
        }
        is_new
    }

    /// Gives up the keys of an issuer, and returns whether there were any.
    pub(crate) fn drop_keys(&self, cache: &KeyCache) -> bool {
        let dropped = cache.drop_keys();
        if dropped {
            self.0.verified.clear();
        }
        dropped
    }

    /// Returns the caller of a token.
    pub(super) fn authenticate(&self, text: &str) -> Result<Caller, RefusedCaller> {
        if text.len() > token::MAX_BYTES {
            return Err(refusal(None, "it is longer than 8 KiB".into()));
        }
        let (hash, now) = (Sha256::digest(text.as_bytes()).into(), self.0.clock.now());
        let (known, epoch) = self.0.verified.get(&hash);
        match known {
            Some(Verified { caller, until }) if until > now => return Ok(caller),
            Some(_) => self.0.verified.forget(&hash),
            None => {}
        }
        let token = match token::parse(text) {
            Ok(token) => token,
            Err(reason) => return Err(refusal(None, reason.into())),
        };
        let named = token.claims.get("iss").and_then(Value::as_str);
        let issuers = self.0.issuers.read().unwrap_or_else(PoisonError::into_inner);
        let issuer = named.and_then(|named| issuers.get(named)).cloned();
        drop(issuers);
        let Some(issuer) = issuer else { return Err(refusal(None, "its issuer is not configured".into())) };
        let verified = issuer.verify(&token).and_then(|()| Ok(claims::check(&token.claims, &issuer.config, now)?));
        match verified {
            Ok(verified) => {
                let caller = verified.caller.clone();
                self.0.verified.keep(hash, verified, epoch);
                Ok(caller)
            }
            Err(refused) => Err(refusal(Some(&issuer), refused)),
        }
    }
}

/// Returns why a token is refused, for the log. Neither the token nor anything that it claims is in it.
fn refusal(issuer: Option<&Issuer>, refused: Refused) -> RefusedCaller {
    let (reason, detail) = match refused {
        Refused::Unauthenticated(detail) => (RefusalReason::Jwt, detail),
        Refused::Unavailable(detail) => (RefusalReason::JwtNotJudged, detail),
    };
    let issuer = issuer.map(|issuer| issuer.config.name.clone());
    RefusedCaller { detail: Some(detail), issuer, ..reason.into() }
}

impl Issuer {
    fn all(configs: &[JwtIssuer], before: &Issuers) -> Issuers {
        let create = |config: &JwtIssuer| {
            let kept = before.get(&config.issuer).filter(|before| before.config.keys == config.keys);
            let is_fetched = matches!(config.keys, JwksSource::Url { .. });
            let keys = kept.map_or_else(|| Arc::new(KeyCache::new(is_fetched)), |kept| Arc::clone(&kept.keys));
            Arc::new(Self { config: config.clone(), keys })
        };
        configs.iter().map(|config| (config.issuer.clone(), create(config))).collect()
    }

    fn verify(&self, token: &Token<'_>) -> Result<(), Refused> {
        let Some(keys) = self.keys.keys() else {
            return Err(Refused::Unavailable("the keys of its issuer have not been read"));
        };
        let Some(key) = keys.find(token.kid.as_deref()) else {
            return Err(match &token.kid {
                None => "it names no key, and its issuer has several".into(),
                Some(kid) if self.keys.misses(kid) => "its issuer has no such key".into(),
                Some(_) => Refused::Unavailable("its key is not known, and the keys of its issuer are read again"),
            });
        };
        if key.verifies(token.algorithm, token.signed, &token.signature) {
            Ok(())
        } else {
            Err("its signature is not that of its key".into())
        }
    }
}
