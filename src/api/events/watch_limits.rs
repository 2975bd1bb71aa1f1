//! The number of watches: each holds some events for a client that may be slow, and reads of its own.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tonic::Status;

use crate::auth::caller::Caller;
use crate::server::status;

/// The most watches of one credential, of one account, and of the process.
const MOST: [usize; 3] = [50, 100, 500];

/// The watches that are open, by their account and by their credential.
#[derive(Clone, Debug, Default)]
pub(crate) struct WatchLimits(Arc<Mutex<HashMap<Owner, usize>>>);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Owner {
    Credential(String, String),
    Account(String),
    Process,
}

/// The place of a watch, until it is dropped.
#[derive(Debug)]
pub(crate) struct WatchPlace {
    of: WatchLimits,
    owners: [Owner; 3],
}

impl WatchLimits {
    /// Takes a place for a watch, if there are not too many.
    pub(crate) fn take(&self, caller: &Caller) -> Result<WatchPlace, Status> {
        let account = caller.account.as_str().to_owned();
        let owners = [Owner::Credential(account.clone(), caller.name.clone()), Owner::Account(account), Owner::Process];
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_full = owners.iter().zip(MOST).any(|(owner, most)| open.get(owner).is_some_and(|count| *count >= most));
        if is_full {
            let message = "there are as many watches as there may be: end some, or use one for several receivers";
            return Err(status::quota_exceeded("watches", message));
        }
        for owner in &owners {
            *open.entry(owner.clone()).or_default() += 1;
        }
        Ok(WatchPlace { of: self.clone(), owners })
    }
}

impl Drop for WatchPlace {
    fn drop(&mut self) {
        let mut open = self.of.0.lock().unwrap_or_else(PoisonError::into_inner);
        for owner in &self.owners {
            if let Some(count) = open.get_mut(owner) {
                *count -= 1;
            }
            if open.get(owner) == Some(&0) {
                open.remove(owner);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::caller::Credential;
    use crate::domain::value::text::AccountId;

    fn caller(account: &str, name: &str) -> Caller {
        Caller {
            account: AccountId::parse(account).unwrap(),
            name: name.to_owned(),
            permissions: Vec::new(),
            organization_id: None,
            credential: Credential::ApiKey,
            expires_at: None,
            grantable_roles: None,
        }
    }

    fn take_all(limits: &WatchLimits, caller: &Caller) -> Vec<WatchPlace> {
        std::iter::from_fn(|| limits.take(caller).ok()).collect()
    }

    #[test]
    fn watches_are_limited_by_credential_account_and_process() {
        let limits = WatchLimits::default();
        let one = take_all(&limits, &caller("a", "one"));
        let other = take_all(&limits, &caller("a", "other"));
        let third = take_all(&limits, &caller("a", "third"));
        assert_eq!((one.len(), other.len(), third.len()), (50, 50, 0));
        let accounts: Vec<_> =
            (0..20).map(|number| take_all(&limits, &caller(&format!("b{number}"), "one")).len()).collect();
        assert_eq!(accounts, [50; 20], "their places were given back at once");
        let kept: Vec<_> = (0..20).map(|number| take_all(&limits, &caller(&format!("b{number}"), "one"))).collect();
        assert_eq!(kept.iter().map(Vec::len).sum::<usize>(), 400);
        drop((one, other, kept));
        assert!(limits.0.lock().unwrap().is_empty());
    }
}
