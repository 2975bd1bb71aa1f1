//! The tokens that were verified: verifying a signature again at each call would cost more than the call.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::auth::caller::Caller;
use crate::domain::value::time::Timestamp;

/// The most tokens of a generation. There are two of them.
const GENERATION: usize = 4_096;

/// A caller, as long as the token is valid.
#[derive(Clone, Debug)]
pub(super) struct Verified {
    pub(super) caller: Caller,
    /// The first moment at which the token is refused.
    pub(super) until: Timestamp,
}

/// Verified tokens by their SHA-256. A token that is used stays; of the others, the oldest half goes when there are too many.
#[derive(Debug, Default)]
pub(super) struct VerifiedTokens(Mutex<Generations>);

#[derive(Debug, Default)]
struct Generations {
    young: HashMap<[u8; 32], Verified>,
    old: HashMap<[u8; 32], Verified>,
    /// The number of times that everything was forgotten.
    epoch: u64,
}

impl VerifiedTokens {
    /// Returns a token that was verified, also one that has expired since, and the present epoch.
    pub(super) fn get(&self, hash: &[u8; 32]) -> (Option<Verified>, u64) {
        let mut generations = self.lock();
        if let Some(old) = generations.old.remove(hash) {
            generations.insert(*hash, old);
        }
        (generations.young.get(hash).cloned(), generations.epoch)
    }

    /// Keeps a token, unless keys have changed since the epoch in which its verification began: they may be those it was verified by.
    pub(super) fn keep(&self, hash: [u8; 32], verified: Verified, epoch: u64) {
        let mut generations = self.lock();
        if generations.epoch == epoch {
            generations.insert(hash, verified);
        }
    }

    /// Forgets a token.
    pub(super) fn forget(&self, hash: &[u8; 32]) {
        self.lock().young.remove(hash);
    }

    /// Forgets all tokens.
    pub(super) fn clear(&self) {
        let mut generations = self.lock();
        *generations = Generations { epoch: generations.epoch + 1, ..Generations::default() };
    }

    fn lock(&self) -> MutexGuard<'_, Generations> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Generations {
    fn insert(&mut self, hash: [u8; 32], verified: Verified) {
        if self.young.len() >= GENERATION {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(hash, verified);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::caller::Credential;
    use crate::domain::value::text::AccountId;

    fn verified() -> Verified {
        let account = AccountId::parse("acme").unwrap();
        let (name, permissions, credential) = ("issuers/a/subjects/b".to_owned(), Vec::new(), Credential::Jwt);
        let caller = Caller {
            account,
            name,
            permissions,
            organization_id: None,
            credential,
            expires_at: None,
            grantable_roles: None,
        };
        Verified { caller, until: Timestamp::from_micros(1) }
    }

    fn hash(number: usize) -> [u8; 32] {
        std::array::from_fn(|index| number.to_le_bytes().get(index).copied().unwrap_or_default())
    }

    #[test]
    fn tokens_are_bounded_and_those_in_use_stay() {
        let tokens = VerifiedTokens::default();
        for number in 0..20_000 {
            tokens.keep(hash(number), verified(), 0);
            assert!(tokens.get(&hash(0)).0.is_some(), "after {number}");
        }
        let generations = tokens.lock();
        assert!(generations.young.len() + generations.old.len() <= 2 * GENERATION);
        assert!(!generations.young.contains_key(&hash(1)) && !generations.old.contains_key(&hash(1)));
    }

    #[test]
    fn token_that_was_verified_by_earlier_keys_is_not_kept() {
        let tokens = VerifiedTokens::default();
        let (_, epoch) = tokens.get(&hash(1));
        tokens.keep(hash(1), verified(), epoch);
        tokens.clear();
        assert!(tokens.get(&hash(1)).0.is_none());
        tokens.keep(hash(1), verified(), epoch);
        assert!(tokens.get(&hash(1)).0.is_none());
        let (_, epoch) = tokens.get(&hash(1));
        tokens.keep(hash(1), verified(), epoch);
        assert!(tokens.get(&hash(1)).0.is_some());
        tokens.forget(&hash(1));
        assert!(tokens.get(&hash(1)).0.is_none());
    }
}
