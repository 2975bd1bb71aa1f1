//! The invitations that a caller reaches.

pub mod person;

use std::sync::Arc;

use uuid::Uuid;

use crate::domain::invitation::Invitation;
use crate::domain::value::text::AccountId;
use person::{Person, Relation};

/// The invitations of an account that a caller may be told of: all, those that some organizations host, or those of a person.
///
/// Every read of invitations, and of what belongs to one, takes a reach, so none can forget the organizations or the person. A call
/// has one way to a reach: `Api::reach`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reach {
    account: AccountId,
    extent: Extent,
}

/// The part of an account's invitations that a reach includes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Extent {
    /// All invitations.
    Account,
    /// The guest invitations that some organizations host.
    Hosts(Arc<[Uuid]>),
    /// The invitations that stand in a relation to a person.
    Person(Arc<Person>, Relation),
}

impl Reach {
    /// Returns the reach of a caller who acts for the whole account.
    pub fn of_account(account: AccountId) -> Self {
        Self { account, extent: Extent::Account }
    }

    /// Returns the reach of a caller who acts for some organizations.
    pub fn of_hosts(account: AccountId, hosts: Vec<Uuid>) -> Self {
        Self { account, extent: Extent::Hosts(hosts.into()) }
    }

    /// Returns the reach of a person who acts as themselves.
    pub fn of_person(account: AccountId, person: Arc<Person>, relation: Relation) -> Self {
        Self { account, extent: Extent::Person(person, relation) }
    }

    /// Returns the account.
    pub fn account(&self) -> &AccountId {
        &self.account
    }

    /// Returns the part of the account's invitations that it includes.
    pub fn extent(&self) -> &Extent {
        &self.extent
    }

    /// Returns whether it includes every invitation of the account.
    pub fn is_whole(&self) -> bool {
        matches!(self.extent, Extent::Account)
    }

    /// Returns the person, if it is that of one.
    pub fn person(&self) -> Option<&Person> {
        match &self.extent {
            Extent::Account | Extent::Hosts(_) => None,
            Extent::Person(person, _) => Some(person),
        }
    }

    /// Returns whether it includes the account's invitations of a host, or those of none. It never does for a person, who is shown
    /// nothing that is read without its invitation.
    pub fn includes(&self, host: Option<Uuid>) -> bool {
        match &self.extent {
            Extent::Account => true,
            Extent::Hosts(hosts) => host.is_some_and(|host| hosts.contains(&host)),
            Extent::Person(..) => false,
        }
    }

    /// Returns whether it includes an invitation of the account, which was read with all of its recipients.
    pub fn includes_invitation(&self, invitation: &Invitation) -> bool {
        match &self.extent {
            Extent::Account | Extent::Hosts(_) => self.includes(invitation.details.host()),
            Extent::Person(person, relation) => relation.holds(person, invitation),
        }
    }
}
