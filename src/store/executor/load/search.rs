//! The search of the load for open invitations to a scope, by address. What it may cost is limited by the entries of the index
//! that it looks at, whatever they lead to.

use std::collections::BTreeMap;

use sea_orm::sea_query::ColumnType::{Integer, Text};
use sea_orm::{DbBackend, Value};
use serde::Deserialize;

use super::text;
use crate::domain::command::{Command, ReadSet};
use crate::domain::group::open::MAX_SHARED_RIVALS;
use crate::domain::invitation::recipient::Address;
use crate::domain::kind::{Kind, Scope};
use crate::domain::value::id::InvitationId;
use crate::domain::value::text::AccountId;
use crate::store::sql::rows_param::{Columns, RowsParam, by_index, json_array, json_object};

/// The most entries of the index of open invitations that are looked at for one address, whatever their scope.
const MAX_ENTRIES: usize = 10_000;
/// The most of them in a group that callers share.
const MAX_SHARED_ENTRIES: usize = 200;
/// The most of them for all addresses of a load.
const MAX_ENTRIES_IN_ALL: usize = 20_000;
/// The most looks at the database for one group: a command of whose finds some turn out to have ended needs further ones.
pub(super) const MAX_LOOKS: usize = 8;

/// Returns the number of entries that are looked at for each of some addresses.
pub(super) fn entries(addresses: usize, shared: bool) -> usize {
    let most = if shared { MAX_SHARED_ENTRIES } else { MAX_ENTRIES };
    (MAX_ENTRIES_IN_ALL / addresses.max(1)).clamp(MAX_SHARED_RIVALS, most)
}

pub(super) fn open_search_columns() -> Columns {
    let address = [("recipient_type", Text), ("value", Text)];
    Columns::list([("account_id", Text), ("scope_type", Text), ("scope_id", Text)])
        .and(address)
        .and([("place", Integer)])
}

/// Returns an expression for the open invitations to the scope of search `k` that have its address, as JSON: an array of their
/// ids, with NULL for open invitations to other scopes. Parameter `limit` is the number of entries that are looked at. They are
/// looked up by address among the open ones, so that the number of ended ones does not matter.
pub(super) fn found(backend: DbBackend, now: &str, limit: usize) -> String {
    let id = if backend == DbBackend::Postgres { "i.id" } else { "lower(hex(i.id))" };
    let entries = format!(
        "SELECT (SELECT {id} FROM invitation i WHERE i.account_id = k.account_id AND i.id = r.invitation_id
                AND i.kind = '{general}' AND i.scope_type = k.scope_type AND i.scope_id = k.scope_id
                AND i.revoked_at IS NULL AND i.declined_at IS NULL AND i.accepted_elsewhere_at IS NULL
                AND i.emptied_at IS NULL AND (i.max_uses IS NULL OR i.use_count < i.max_uses)
                AND (i.expire_at IS NULL OR i.expire_at > {now})) AS id
            FROM recipient r WHERE {open} AND r.recipient_type = k.recipient_type AND r.value = k.value
                AND r.open_until > {now} LIMIT ${limit}",
        open = by_index(backend, "open", "r", "k.account_id"),
        general = Kind::General.code(),
    );
    let ids = json_array(backend, "f.id", &format!("({entries}) f"));
    text(backend, &json_object(backend, &[("place", "k.place".to_owned()), ("ids", ids)]))
}

/// The invitations that were found for the search at a place of the list; `None` for entries of other scopes.
#[derive(Deserialize)]
pub(super) struct Found {
    pub(super) place: usize,
    pub(super) ids: Option<Vec<Option<InvitationId>>>,
}

/// A search for one address.
#[derive(PartialEq, Eq)]
pub(super) struct Search<'a> {
    pub(super) account: &'a AccountId,
    pub(super) scope: Option<&'a Scope>,
    pub(super) address: &'a Address,
}

impl<'a> Search<'a> {
    /// Returns its row without its place. That of a search outside of scopes has empty texts.
    fn key(&self) -> [&'a str; 5] {
        let scope = self.scope.map(|scope| (scope.scope_type.as_str(), scope.id.as_str())).unwrap_or_default();
        [self.account.as_str(), scope.0, scope.1, self.address.address_type().code(), self.address.key()]
    }
}

/// Returns the searches of some commands, each address of a scope once.
pub(super) fn searches<'a>(read_set: &'a [(&'a Command, ReadSet)]) -> Vec<Search<'a>> {
    let open = read_set.iter().filter_map(|(command, read_set)| Some((command, read_set.open_search.as_ref()?)));
    let searches = open.flat_map(|(command, open)| {
        let (account, scope) = (command.account(), open.scope.as_ref());
        open.addresses.iter().map(move |address| Search { account, scope, address })
    });
    let distinct: BTreeMap<_, _> = searches.map(|search| (search.key(), search)).collect();
    distinct.into_values().collect()
}

pub(super) fn search_keys(searches: &[Search<'_>]) -> RowsParam {
    let row = |(place, search): (usize, &Search<'_>)| {
        let place = i32::try_from(place).unwrap_or(i32::MAX);
        search.key().map(Value::from).into_iter().chain([Value::from(place)]).collect::<Vec<_>>()
    };
    RowsParam::new(open_search_columns(), searches.iter().enumerate().map(row))
}
