//! The open general invitations of a group, by scope and address: a command finds those of its targets without a look at all
//! that the group has loaded.

use std::collections::{HashMap, HashSet};

use crate::domain::command::OpenSearch;
use crate::domain::invitation::Invitation;
use crate::domain::invitation::recipient::{Address, AddressType};
use crate::domain::kind::{Kind, Scope};
use crate::domain::value::id::InvitationId;
use crate::domain::value::text::AccountId;

/// The most invitations that one command compares, or closes: those that are open, into its scope, for one of its addresses.
pub const MAX_RIVALS: usize = 1_000;
/// The most of them for a command that shares its group with those of others.
pub const MAX_SHARED_RIVALS: usize = 16;

/// An address in a scope, or outside of any, of an account.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Place {
    account: AccountId,
    scope: Option<(String, String)>,
    address_type: AddressType,
    key: String,
}

impl Place {
    fn new(account: &AccountId, scope: Option<&Scope>, address: &Address) -> Self {
        Self {
            account: account.clone(),
            scope: scope.map(|scope| (scope.scope_type.clone(), scope.id.clone())),
            address_type: address.address_type(),
            key: address.key().to_owned(),
        }
    }
}

/// The index. Invitations stay in it when they end, so whoever finds one looks at its state. They are numbered, so that those
/// of several addresses are put together without comparing ids.
#[derive(Clone, Debug, Default)]
pub(super) struct OpenIndex {
    /// The invitations, by number.
    ids: Vec<InvitationId>,
    numbers: HashMap<InvitationId, usize>,
    places: HashMap<Place, Vec<usize>>,
    /// Places for which there are more than were read.
    cut: HashSet<Place>,
    /// Whether it has the result of any search.
    is_searched: bool,
}

impl OpenIndex {
    /// Adds an invitation under each of its addresses, unless it is of a kind that no search covers.
    pub(super) fn add(&mut self, invitation: &Invitation) {
        if invitation.details.kind() != Kind::General {
            return;
        }
        let scope = invitation.details.scope(&invitation.account);
        for address in invitation.addresses().filter(|address| address.names_a_person()) {
            let place = Place::new(&invitation.account, scope.as_ref(), address);
            self.insert(place, [invitation.id]);
        }
    }

    /// Adds what was found for one address; `is_cut` if there is more.
    pub(super) fn put(
        &mut self,
        (account, scope, address): (&AccountId, Option<&Scope>, &Address),
        ids: Vec<InvitationId>,
        is_cut: bool,
    ) {
        let place = Place::new(account, scope, address);
        self.is_searched = true;
        if is_cut {
            self.cut.insert(place.clone());
        }
        self.insert(place, ids);
    }

    fn insert(&mut self, place: Place, ids: impl IntoIterator<Item = InvitationId>) {
        let Self { ids: known, numbers, places, .. } = self;
        let numbered = ids.into_iter().map(|id| {
            *numbers.entry(id).or_insert_with(|| {
                known.push(id);
                known.len() - 1
            })
        });
        places.entry(place).or_default().extend(numbered);
    }

    /// Returns whether it has the result of any search.
    pub(super) fn is_searched(&self) -> bool {
        self.is_searched
    }

    /// Adds the entries of another index.
    pub(super) fn merge(&mut self, more: Self) {
        let Self { ids, places, cut, is_searched, .. } = more;
        self.is_searched |= is_searched;
        for (place, numbers) in places {
            self.insert(place, numbers.into_iter().map(|number| ids[number]));
        }
        self.cut.extend(cut);
    }

    /// Returns the invitations of an account that a search finds, the oldest first, and whether there are more.
    pub(super) fn search(&self, account: &AccountId, search: &OpenSearch) -> (Vec<InvitationId>, bool) {
        let places = search.addresses.iter().map(|address| Place::new(account, search.scope.as_ref(), address));
        let (mut is_found, mut is_cut) = (vec![false; self.ids.len()], false);
        for place in places {
            is_cut |= self.cut.contains(&place);
            for number in self.places.get(&place).into_iter().flatten() {
                is_found[*number] = true;
            }
        }
        let found = self.ids.iter().zip(is_found).filter(|(_, is_found)| *is_found);
        let mut found: Vec<_> = found.map(|(id, _)| *id).collect();
        found.sort_unstable();
        (found, is_cut)
    }
}
