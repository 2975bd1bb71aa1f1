//! The invitations that a caller reaches.

use std::sync::Arc;

use uuid::Uuid;

use crate::domain::value::text::AccountId;

/// The invitations of an account that a caller may be told of: all, or those that some organizations host.
///
/// Every read of invitations, and of what belongs to one, takes a reach, so none can forget the organizations. A call has one way
/// to a reach: `Api::reach`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reach {
    account: AccountId,
    hosts: Option<Arc<[Uuid]>>,
}

impl Reach {
    /// Returns the reach of a caller who acts for the whole account.
    pub fn of_account(account: AccountId) -> Self {
        Self { account, hosts: None }
    }

    /// Returns the reach of a caller who acts for some organizations.
    pub fn of_hosts(account: AccountId, hosts: Vec<Uuid>) -> Self {
        Self { account, hosts: Some(hosts.into()) }
    }

    /// Returns the account.
    pub fn account(&self) -> &AccountId {
        &self.account
    }

    /// Returns the organizations whose invitations it includes; `None` for all invitations of the account.
    pub fn hosts(&self) -> Option<&[Uuid]> {
        self.hosts.as_deref()
    }

    /// Returns whether it includes the account's invitations of a host, or those of none.
    pub fn includes(&self, host: Option<Uuid>) -> bool {
        self.hosts.as_ref().is_none_or(|hosts| host.is_some_and(|host| hosts.contains(&host)))
    }
}
