//! The rules that the operator has for accounts, whoever calls for them.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use crate::config::AccountEntry;
use crate::domain::policy::AccountPolicy;
use crate::domain::value::text::AccountId;

/// The rules of accounts. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Accounts(Arc<RwLock<Table>>);

#[derive(Debug, Default)]
struct Table {
    named: HashMap<AccountId, Rules>,
    /// The rules of accounts that have no entry of their own.
    others: Rules,
}

#[derive(Clone, Debug, Default)]
struct Rules {
    grantable_roles: Option<Arc<[String]>>,
    policy: AccountPolicy,
}

impl Accounts {
    /// Replaces all rules.
    pub(crate) fn replace(&self, entries: &[AccountEntry]) {
        let mut table = Table::default();
        for AccountEntry { account, grantable_roles, invite, redirects } in entries {
            let grantable_roles = grantable_roles.as_deref().map(Into::into);
            let redirects = redirects.clone().map(Arc::new);
            let policy = AccountPolicy { invite: Arc::new(invite.clone()), redirects };
            let rules = Rules { grantable_roles, policy };
            match account {
                Some(account) => drop(table.named.insert(account.clone(), rules)),
                None => table.others = rules,
            }
        }
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = table;
    }

    /// Returns the only roles that invitations of an account may give; `None` for any.
    pub(crate) fn grantable_roles(&self, account: &AccountId) -> Option<Arc<[String]>> {
        let table = self.0.read().unwrap_or_else(PoisonError::into_inner);
        table.named.get(account).unwrap_or(&table.others).grantable_roles.clone()
    }

    /// Returns the part of the server's policy that an account may use.
    pub(crate) fn policy(&self, account: &AccountId) -> AccountPolicy {
        let table = self.0.read().unwrap_or_else(PoisonError::into_inner);
        table.named.get(account).unwrap_or(&table.others).policy.clone()
    }
}
