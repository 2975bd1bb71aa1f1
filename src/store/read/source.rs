//! Where the rows of a page are read from, each source in its order from its own index, so that nothing sorts a whole list.

use sea_orm::DbBackend;

use super::filter::conditions;
use super::query::{InvitationQuery, Order};
use super::{ACCOUNT, Params, direction};
use crate::domain::details::{Kind, Scope};
use crate::domain::recipient::Address;

/// What is read in order.
#[derive(Clone, Copy, Debug)]
pub(super) enum Source<'a> {
    /// The account's invitations.
    All,
    /// Those whose own scope is the one asked for.
    Scope,
    /// Those that have a scope among their groups.
    Group(&'a Scope),
    /// Those meant for an address; `open` means that nobody has answered with it.
    Recipient { address: &'a Address, open: bool },
    /// The auto-joins of a domain.
    Domain(&'a str),
}

impl<'a> Source<'a> {
    /// Returns the sources of a list. A row that two of them have is in the list once.
    pub(super) fn of_page(query: &'a InvitationQuery) -> Vec<Self> {
        // What is beside the invitations is sorted by their creation only.
        let by_age = query.order == Order::CreateTime;
        match (&query.target, &query.scope) {
            (Some(address), _) if by_age => vec![Self::Recipient { address, open: false }],
            (_, Some(scope)) if by_age && may_have_groups(query) => vec![Self::Scope, Self::Group(scope)],
            _ => vec![Self::of_whole(query)],
        }
    }

    /// Returns the one source that has everything, whatever the order.
    pub(super) fn of_whole(query: &'a InvitationQuery) -> Self {
        match &query.scope {
            Some(_) if !may_have_groups(query) => Self::Scope,
            _ => Self::All,
        }
    }

    /// Returns the table, called `s`, that leads to the invitations, and what has to hold of its rows.
    fn index(self, params: &mut Params) -> Option<(&'static str, String)> {
        let (table, condition) = match self {
            Self::All | Self::Scope => return None,
            Self::Group(scope) => {
                let (kind, id) = (params.push(scope.scope_type.as_str()), params.push(scope.id.as_str()));
                ("invitation_group", format!("s.scope_type = {kind} AND s.scope_id = {id}"))
            }
            Self::Recipient { address, open } => {
                let open = if open { " AND s.accepted_at IS NULL AND s.declined_at IS NULL" } else { "" };
                let value = params.push(address.key());
                ("recipient", format!("s.recipient_type = '{}' AND s.value = {value}{open}", address.sort().code()))
            }
            Self::Domain(domain) => ("autojoin_domain", format!("s.domain = {}", params.push(domain))),
        };
        Some((table, condition))
    }

    /// Returns a statement for the first rows of this source, `invitation.*`.
    fn sql(self, backend: DbBackend, query: &InvitationQuery, params: &mut Params, limit: &str) -> String {
        let mut all = Vec::new();
        let (from, key, id) = match self.index(params) {
            None => ("invitation i".to_owned(), query.order.sql(), "i.id"),
            Some((table, condition)) => {
                all.push(format!("s.account_id = {ACCOUNT} AND {condition} AND i.id = s.invitation_id"));
                // CROSS JOIN has SQLite read the tables in this order; to PostgreSQL it is any join.
                (format!("{table} s CROSS JOIN invitation i"), "s.created_at", "s.invitation_id")
            }
        };
        all.extend(conditions(backend, query, self, params));
        let (compare, order) = direction(!query.ascending);
        if let Some(cursor) = &query.after {
            let (last_key, last_id) = (params.push(cursor.key.clone()), params.push(cursor.id));
            all.push(format!("({key}, {id}) {compare} ({last_key}, {last_id})"));
        }
        let all = all.join(" AND ");
        format!("SELECT i.* FROM {from} WHERE {all} ORDER BY {key} {order}, {id} {order} {limit}")
    }
}

/// Returns a statement for the rows of a page, `invitation.*`.
pub(super) fn page_sql(
    backend: DbBackend,
    query: &InvitationQuery,
    sources: &[Source<'_>],
    params: &mut Params,
) -> String {
    let (limit, skip) = (query.limit.cast_signed(), query.skip.cast_signed());
    let page = format!("LIMIT {} OFFSET {}", params.push(limit), params.push(skip));
    if let [source] = sources {
        return source.sql(backend, query, params, &page);
    }
    // Any row of the page may come from any source, and so may any that is skipped.
    let most = format!("LIMIT {}", params.push(limit.saturating_add(skip)));
    let parts = sources.iter().enumerate().map(|(number, source)| {
        let part = source.sql(backend, query, params, &most);
        format!("SELECT * FROM ({part}) AS part_{number}")
    });
    let union = parts.collect::<Vec<_>>().join(" UNION ");
    format!("SELECT * FROM ({union}) i ORDER BY {} {page}", order_by(query))
}

/// Returns the order of the invitations called `i`.
pub(super) fn order_by(query: &InvitationQuery) -> String {
    let (_, order) = direction(!query.ascending);
    format!("{} {order}, i.id {order}", query.order.sql())
}

/// Whether what is looked for can have groups: general invitations alone do.
fn may_have_groups(query: &InvitationQuery) -> bool {
    query.kinds.is_empty() || query.kinds.contains(&Kind::General)
}
