//! The sources of a page's rows, each read in its order from its own index, so that nothing sorts a whole list.
//!
//! A list may have filters that no index answers. So that its cost does not depend on how many rows fit, a page looks at a
//! limited number of rows of each source. If it is not full by then, it ends where the look ended: see [`PageSql::end`].

use sea_orm::DbBackend;

use super::filter::{conditions, in_range};
use super::query::{InvitationQuery, Order};
use super::{ACCOUNT, Params, direction};
use crate::domain::invitation::recipient::Address;
use crate::domain::kind::{ACCOUNT_SCOPE, Kind, Scope, organization_scope};
use crate::domain::reach::{Extent, Reach};
use crate::store::sql::rows_param::by_index;

/// The most organizations whose invitations are read each from its own source.
const MOST_HOSTS: usize = 8;

/// A list that is read in order.
#[derive(Clone, Copy, Debug)]
pub(super) enum Source<'a> {
    /// The account's invitations.
    Age,
    /// The account's user invitations.
    Users,
    /// The guest invitations of a host, in any order.
    Guests(&'a Scope),
    /// The same, whatever scope is asked for.
    Hosted(&'a Scope),
    /// The invitations whose own scope is this one.
    Scope(&'a Scope),
    /// The invitations that have a scope among their groups.
    Group(&'a Scope),
    /// The invitations by an inviting person.
    Inviter(&'a str),
    /// The invitations about a resource.
    Resource(uuid::Uuid),
    /// The invitations with a label.
    Label(&'a str, &'a str),
    /// The invitations to an address; `open` leaves out those that have an answer from it.
    Recipient { address: &'a Address, open: bool },
    /// The auto-joins of a domain.
    Domain(&'a str),
}

/// The statements that a page is composed of.
pub(super) struct PageSql {
    /// The common table expressions.
    pub(super) with: String,
    /// A statement for the rows, `invitation.*`.
    pub(super) rows: String,
    /// A statement for the place, `key` and `id`, up to which the rows are complete. It has no row if all are. `None`
    /// if any number of rows is looked at.
    pub(super) end: Option<String>,
}

/// The table that a source is read from, as `s`, with the conditions of its rows and their order.
struct Index {
    table: &'static str,
    conditions: String,
    key: &'static str,
    id: &'static str,
}

impl<'a> Source<'a> {
    /// Returns the sources of a list. A row that two of them have is in the list once. `hosts` has the scopes of the organizations
    /// that a caller is bound to: among the rows of all others, theirs may be few, and a look ends after a number of rows.
    pub(super) fn of_page(query: &'a InvitationQuery, hosts: &'a [Scope]) -> Vec<Self> {
        // Tables beside the invitations are sorted by the creation of the invitation only.
        let by_age = query.order == Order::CreateTime;
        if let Some(address) = query.target.as_ref().filter(|_| by_age) {
            return vec![Self::Recipient { address, open: false }];
        }
        if let Some(id) = query.resource_id.filter(|_| by_age) {
            return vec![Self::Resource(id)];
        }
        if by_age && (1..=MOST_HOSTS).contains(&hosts.len()) {
            return hosts.iter().map(Self::Hosted).collect();
        }
        if let Some(inviter) = query.inviter_user_id.as_ref().filter(|_| by_age) {
            return vec![Self::Inviter(inviter)];
        }
        if let Some((key, value)) = query.labels.first_key_value().filter(|_| by_age) {
            return vec![Self::Label(key, value)];
        }
        match &query.scope {
            Some(scope) if by_age && may_have_groups(query) => vec![Self::Scope(scope), Self::Group(scope)],
            _ => vec![Self::of_whole(query)],
        }
    }

    /// Returns the one source that has every row, whatever the order.
    fn of_whole(query: &'a InvitationQuery) -> Self {
        let by_age = query.order == Order::CreateTime;
        match &query.scope {
            Some(scope) if query.kinds == [Kind::Guest] => Self::Guests(scope),
            Some(scope) if by_age && !may_have_groups(query) => Self::Scope(scope),
            None if by_age && query.kinds == [Kind::User] => Self::Users,
            _ => Self::Age,
        }
    }

    /// Returns whether each of its rows is in the scope that is asked for.
    pub(super) fn is_in_scope(self) -> bool {
        matches!(self, Self::Scope(_) | Self::Group(_) | Self::Guests(_))
    }

    fn index(self, backend: DbBackend, order: Order, params: &mut Params) -> Index {
        let own = |tag, rest: String| {
            let conditions = by_index(backend, tag, "i", ACCOUNT) + &rest;
            Index { table: "invitation i", conditions, key: order.sql(), id: "i.id" }
        };
        let other = |table, conditions| Index { table, conditions, key: "s.created_at", id: "s.invitation_id" };
        match self {
            Self::Age => own("age", String::new()),
            // Their scope is the account, and the index by scope is sorted as the one by age is.
            Self::Users => own("scope", format!(" AND i.scope_type = '{ACCOUNT_SCOPE}' AND i.scope_id = {ACCOUNT}")),
            Self::Scope(scope) => own("scope", in_scope("i", scope, params)),
            Self::Guests(scope) | Self::Hosted(scope) => {
                let tag = match order {
                    Order::Email => "guest-email",
                    Order::FirstSent => "guest-sent",
                    _ => "guest-age",
                };
                own(tag, format!(" AND i.kind = 'guest'{}", in_scope("i", scope, params)))
            }
            Self::Inviter(inviter) => own("inviter", format!(" AND i.inviter_user_id = {}", params.push(inviter))),
            Self::Resource(id) => own("resource", format!(" AND i.resource_id = {}", params.push(id))),
            Self::Group(scope) => {
                other("invitation_group s", format!("s.account_id = {ACCOUNT}{}", in_scope("s", scope, params)))
            }
            Self::Label(key, value) => {
                let (key, value) = (params.push(key), params.push(value));
                let label = by_index(backend, "label", "s", ACCOUNT);
                other("label s", format!("{label} AND s.key = {key} AND s.value = {value}"))
            }
            Self::Recipient { address, open } => {
                let open = if open { " AND s.accepted_at IS NULL AND s.declined_at IS NULL" } else { "" };
                let (kind, value) = (address.address_type().code(), params.push(address.key()));
                let own = by_index(backend, "address", "s", ACCOUNT);
                other("recipient s", format!("{own} AND s.recipient_type = '{kind}' AND s.value = {value}{open}"))
            }
            Self::Domain(domain) => {
                other("autojoin_domain s", format!("s.account_id = {ACCOUNT} AND s.domain = {}", params.push(domain)))
            }
        }
    }

    /// Returns a statement for the first rows of this source, and one for the place at which the look at it ended, which
    /// depends on `LIMIT`.
    fn sql(
        self,
        backend: DbBackend,
        (reach, query): (&Reach, &InvitationQuery),
        params: &mut Params,
        (columns, limit, scan): (&str, &str, Option<&str>),
    ) -> (String, String) {
        let Index { table, conditions: mut looked_at, key, id } = self.index(backend, query.order, params);
        let (compare, order) = direction(!query.ascending);
        if query.order == Order::CreateTime {
            // The index is left where the span ends.
            looked_at.extend(in_range(key, query.created, params).into_iter().map(|end| format!(" AND {end}")));
        }
        if let Some(cursor) = &query.after {
            let (last_key, last_id) = (params.push(cursor.key.clone()), params.push(cursor.id));
            looked_at += &format!(" AND ({key}, {id}) {compare} ({last_key}, {last_id})");
        }
        let order = format!("ORDER BY {key} {order}, {id} {order}");
        let looked_at = format!("FROM {table} WHERE {looked_at} {order}");
        let mut all = conditions(backend, (reach, query), self, params);
        all.push("true".to_owned());
        let all = all.join(" AND ");
        let end = format!("SELECT {key} AS key, {id} AS id {looked_at}");
        let scan = scan.map(|scan| format!(" LIMIT {scan}")).unwrap_or_default();
        // SQLite does not know that rows which it takes one by one are in order, and would take all of them to sort
        // them.
        let order = if backend == DbBackend::Postgres || scan.is_empty() { order } else { String::new() };
        let found = format!("i.account_id = {ACCOUNT} AND i.id = s.invitation_id AND {all}");
        let rows = if table == "invitation i" {
            format!("SELECT {columns} FROM (SELECT i.* {looked_at}{scan}) i WHERE {all} {order} {limit}")
        } else if backend == DbBackend::Postgres {
            // The LIMIT keeps PostgreSQL from reading the invitations of the account for a hash join.
            format!(
                "SELECT {columns} FROM (SELECT s.* {looked_at}{scan}) s
                CROSS JOIN LATERAL (SELECT i.* FROM invitation i WHERE {found} LIMIT 1) i {order} {limit}"
            )
        } else {
            // CROSS JOIN has SQLite read the tables in this order.
            format!(
                "SELECT {columns} FROM (SELECT s.* {looked_at}{scan}) s CROSS JOIN invitation i WHERE {found} {order} {limit}"
            )
        };
        (rows, end)
    }
}

fn in_scope(alias: &str, scope: &Scope, params: &mut Params) -> String {
    let (kind, id) = (params.push(scope.scope_type.as_str()), params.push(scope.id.as_str()));
    format!(" AND {alias}.scope_type = {kind} AND {alias}.scope_id = {id}")
}

/// Returns the statements for a page: the ids of its rows, their sort keys, and their sizes by an expression. The rest of a row is
/// read once it is known to be in the page.
pub(super) fn page_sql(
    backend: DbBackend,
    (reach, query): (&Reach, &InvitationQuery),
    sources: &[Source<'_>],
    (size, params): (&str, &mut Params),
) -> PageSql {
    let columns = format!("i.id AS id, {} AS sort_key, {size} AS bytes", query.order.sql());
    let (limit, skip) = (query.limit.cast_signed(), query.skip.cast_signed());
    let page = format!("LIMIT {} OFFSET {}", params.push(limit), params.push(skip));
    // Any row of the page may come from any source, and so may any that is skipped.
    let most = params.push(limit.saturating_add(skip));
    let scan = query.scan.map(|scan| (params.push(scan.cast_signed()), params.push(scan.cast_signed() - 1)));
    let (mut with, mut rows, mut ends) = (Vec::new(), Vec::new(), Vec::new());
    for (number, source) in sources.iter().enumerate() {
        let looked_at = scan.as_ref().map(|(scan, _)| scan.as_str());
        let (part, end) = source.sql(backend, (reach, query), params, (&columns, &format!("LIMIT {most}"), looked_at));
        with.push(format!("part_{number} AS MATERIALIZED ({part})"));
        rows.push(format!("SELECT * FROM part_{number}"));
        if let Some((_, last)) = &scan {
            let short = format!("CASE WHEN (SELECT count(*) FROM part_{number}) < {most} THEN 1 ELSE 0 END");
            ends.push(format!("SELECT * FROM ({end} LIMIT {short} OFFSET {last}) AS end_{number}"));
        }
    }
    let (_, order) = direction(!query.ascending);
    let rows = format!("SELECT i.* FROM ({}) i ORDER BY i.sort_key {order}, i.id {order} {page}", rows.join(" UNION "));
    let first = |ends: Vec<String>| {
        format!("SELECT key, id FROM ({}) e ORDER BY key {order}, id {order} LIMIT 1", ends.join(" UNION ALL "))
    };
    PageSql { with: with.join(", "), rows, end: (!ends.is_empty()).then(|| first(ends)) }
}

/// Returns a statement for the ids of the first rows of a whole list, wherever a page of it begins. Their order does not
/// matter, so they are read in the one that has the most indexes.
pub(super) fn ids_sql(
    backend: DbBackend,
    (reach, query): (&Reach, &InvitationQuery),
    most: u64,
    params: &mut Params,
) -> String {
    let query = InvitationQuery { order: Order::CreateTime, after: None, ..query.clone() };
    let limit = format!("LIMIT {}", params.push(most.cast_signed()));
    let hosts = host_scopes(reach);
    let sources = Source::of_page(&query, &hosts).into_iter().enumerate();
    let parts = sources.map(|(number, source)| {
        let (rows, _) = source.sql(backend, (reach, &query), params, ("i.id", &limit, None));
        format!("SELECT id FROM ({rows}) part_{number}")
    });
    format!("SELECT id FROM ({}) i {limit}", parts.collect::<Vec<_>>().join(" UNION "))
}

/// Returns the scopes of the organizations that a caller is bound to; empty for a caller who is bound to none.
pub(super) fn host_scopes(reach: &Reach) -> Vec<Scope> {
    match reach.extent() {
        Extent::Hosts(hosts) => hosts.iter().map(|host| organization_scope(*host)).collect(),
        Extent::Account | Extent::Person(..) => Vec::new(),
    }
}

/// Returns whether the listed invitations can have groups: general invitations alone do.
fn may_have_groups(query: &InvitationQuery) -> bool {
    query.kinds.is_empty() || query.kinds.contains(&Kind::General)
}
