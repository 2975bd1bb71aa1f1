//! Lists over all invitations of an account, by time: their messages, acceptances, events and recipients.
//!
//! A page is read in the order of one index, so that it costs the page. Where a filter may let few rows through, or the caller
//! sees the invitations of some organizations alone, a page looks at a limited number of rows, and ends where the look ended.

mod acceptances;
mod deliveries;
mod events;
mod recipients;

use sea_orm::{DbBackend, QueryResult, Statement, Value};
use uuid::Uuid;

use super::unreadable::skip_unreadable;
use super::{Cursor, Params, SortKey, direction};
use crate::domain::kind::Kind;
use crate::domain::reach::{Extent, Reach};
use crate::store::Reads;
use crate::store::sql::error::StoreError;
use crate::store::sql::rows_param::by_index;
pub use acceptances::AccountAcceptances;
pub use deliveries::{AccountDeliveries, ListedDelivery};
pub use events::AccountEvents;
pub use recipients::AccountRecipients;

/// The most rows that a page looks at in search of those that its filters let through.
const MAX_LOOK: u64 = 5_000;

/// The parameter that every predicate has.
const OWN: &str = "$1";

/// The requested part of a list.
#[derive(Clone, Debug, Default)]
pub struct AccountPage {
    /// Whether the oldest come first, instead of the newest.
    pub ascending: bool,
    /// The most rows.
    pub limit: u64,
    /// The place behind which the list continues.
    pub after: Option<Cursor>,
}

/// A page of a list, in its order.
#[derive(Clone, Debug)]
pub struct AccountRows<T> {
    /// The rows, each with the place behind it.
    pub rows: Vec<(Cursor, T)>,
    /// The cursor of the next page, if there may be one behind these rows.
    pub goes_on: Option<Cursor>,
}

/// A column of an order, by the part of a cursor that has its value.
#[derive(Clone, Copy, Debug)]
enum Key {
    Number(&'static str),
    Id(&'static str),
}

impl Key {
    fn column(self) -> &'static str {
        match self {
            Self::Number(column) | Self::Id(column) => column,
        }
    }

    fn value_in(self, cursor: &Cursor) -> Value {
        match self {
            Self::Number(_) => cursor.key.clone().into(),
            Self::Id(_) => cursor.id.into(),
        }
    }
}

/// The rows `t` of a table that a list follows in the order of one of its indexes.
struct Look<'a> {
    table: &'static str,
    /// The columns that name a row, beside the account.
    names: &'static [&'static str],
    tag: &'static str,
    order: &'static [Key],
    /// The conditions that bound the part of the index.
    span: Vec<String>,
    /// The conditions of the rows that are shown.
    chosen: Vec<String>,
    /// Whether these may be few among many.
    may_be_few: bool,
    /// A further column of a row that is shown; empty if there is none.
    more: &'a str,
}

impl Look<'_> {
    /// Returns the most rows that are looked at.
    fn scan(&self, page: &AccountPage) -> u64 {
        if self.may_be_few { MAX_LOOK.max(page.limit) } else { page.limit }
    }

    /// Returns the statement. Its first row has the number of rows that were looked at and the place of the last of them, also if
    /// none is shown.
    fn sql(&self, backend: DbBackend, page: &AccountPage, params: &mut Params) -> String {
        let (compare, direction) = direction(!page.ascending);
        let (_, backwards) = super::direction(page.ascending);
        let columns: Vec<_> = self.order.iter().map(|key| key.column()).collect();
        let sorted = |alias: &str, direction: &str| {
            let columns = columns.iter().map(|column| format!("{alias}.{column} {direction}"));
            columns.collect::<Vec<_>>().join(", ")
        };
        let mut all = vec![by_index(backend, self.tag, "t", OWN)];
        all.extend(self.span.iter().cloned());
        if let Some(cursor) = &page.after {
            let values: Vec<_> = self.order.iter().map(|key| params.push(key.value_in(cursor))).collect();
            let columns: Vec<_> = columns.iter().map(|column| format!("t.{column}")).collect();
            all.push(format!("({}) {compare} ({})", columns.join(", "), values.join(", ")));
        }
        let chosen = if self.chosen.is_empty() { "true".to_owned() } else { self.chosen.join(" AND ") };
        let mut kept: Vec<_> = self.names.to_vec();
        kept.extend(columns.iter().filter(|column| !self.names.contains(column)));
        let kept: Vec<_> = kept.into_iter().map(|column| format!("t.{column}")).collect();
        let ends = columns.iter().enumerate().map(|(number, column)| {
            let last = sorted("l", backwards);
            format!("(SELECT l.{column} FROM looked l ORDER BY {last} LIMIT 1) AS end_{number}")
        });
        format!(
            "WITH looked AS MATERIALIZED (
                SELECT {kept}, CASE WHEN {chosen} THEN 1 ELSE 0 END AS chosen FROM {table} t WHERE {all}
                ORDER BY {by_row} LIMIT {scan}),
            picked AS MATERIALIZED (SELECT l.* FROM looked l WHERE l.chosen = 1 ORDER BY {by_looked} LIMIT {limit})
            SELECT (SELECT count(*) FROM looked) AS looked, {ends}, t.* FROM (SELECT 1 AS one) o
            LEFT JOIN (SELECT t.*{more} FROM picked p {joined}) t ON 1 = 1 ORDER BY {by_row}",
            kept = kept.join(", "),
            table = self.table,
            all = all.join(" AND "),
            by_row = sorted("t", direction),
            by_looked = sorted("l", direction),
            scan = params.push(self.scan(page).cast_signed()),
            limit = params.push(page.limit.cast_signed()),
            ends = ends.collect::<Vec<_>>().join(", "),
            more = self.more,
            joined = self.joined(backend),
        )
    }

    /// Returns the join of picked rows `p` to their rows `t`, each of which is looked up.
    fn joined(&self, backend: DbBackend) -> String {
        let names = self.names.iter().map(|name| format!(" AND t.{name} = p.{name}")).collect::<String>();
        let (table, own) = (self.table, format!("t.account_id = {OWN}{names}"));
        if backend == DbBackend::Postgres {
            format!("CROSS JOIN LATERAL (SELECT t.* FROM {table} t WHERE {own} LIMIT 1) t")
        } else {
            format!("CROSS JOIN {table} t ON {own}")
        }
    }

    fn cursor(&self, row: &QueryResult, column: impl Fn(usize, Key) -> String) -> Result<Cursor, StoreError> {
        let mut cursor = Cursor::of_id(Uuid::nil());
        for (number, key) in self.order.iter().enumerate() {
            let column = column(number, *key);
            match key {
                Key::Number(_) => cursor.key = SortKey::Number(row.try_get("", &column)?),
                Key::Id(_) => cursor.id = row.try_get("", &column)?,
            }
        }
        Ok(cursor)
    }
}

/// Begins the parameters of a statement.
fn params_of(reach: &Reach) -> Params {
    Params(vec![reach.account().as_str().into()])
}

/// Returns the condition for the invitation of row `t` to be within a reach, beyond that of its account; `None` if all are.
fn reached(reach: &Reach, params: &mut Params) -> Option<String> {
    let hosts = match reach.extent() {
        Extent::Account => return None,
        Extent::Hosts(hosts) => hosts,
        // A person is shown nothing that belongs to an invitation beside it.
        Extent::Person(..) => return Some("1 = 0".to_owned()),
    };
    let hosts = params.list(hosts.iter().map(ToString::to_string));
    Some(format!(
        "(SELECT true FROM invitation i WHERE i.account_id = {OWN} AND i.id = t.invitation_id
            AND i.kind = '{guest}' AND i.scope_id IN ({hosts}) LIMIT 1)",
        guest = Kind::Guest.code(),
    ))
}

impl Reads {
    /// Reads a page. `read` returns `None` for a row that is not to be shown after all.
    async fn look<T>(
        &self,
        reach: &Reach,
        (look, page): (&Look<'_>, &AccountPage),
        mut params: Params,
        read: impl Fn(&QueryResult) -> Result<Option<T>, StoreError>,
    ) -> Result<AccountRows<T>, StoreError> {
        let backend = self.database.backend();
        let sql = look.sql(backend, page, &mut params);
        let found = self.database.list(reach, Statement::from_sql_and_values(backend, sql, params.0)).await?;
        let (mut rows, mut last, mut picked) = (Vec::new(), None, 0);
        for row in &found {
            if row.try_get::<Option<Uuid>>("", "id")?.is_none() {
                continue;
            }
            let cursor = look.cursor(row, |_, key| key.column().to_owned())?;
            let shown = skip_unreadable(read(row))?.flatten();
            rows.extend(shown.map(|shown| (cursor.clone(), shown)));
            (last, picked) = (Some(cursor), picked + 1);
        }
        let looked: i64 = found.first().map(|row| row.try_get("", "looked")).transpose()?.unwrap_or_default();
        let goes_on = match found.first() {
            _ if picked >= page.limit => last,
            Some(row) if looked.cast_unsigned() >= look.scan(page) => {
                Some(look.cursor(row, |number, _| format!("end_{number}"))?)
            }
            Some(_) | None => None,
        };
        Ok(AccountRows { rows, goes_on })
    }
}

/// Returns the statements, with titles, for snapshots.
#[cfg(test)]
pub(in crate::store) fn texts(backend: DbBackend) -> Vec<(String, String)> {
    let account = crate::domain::value::text::AccountId::parse("acme");
    let reach = Reach::of_account(account.unwrap_or_else(|_| unreachable!()));
    let page = AccountPage { limit: 51, after: Some(Cursor::of_id(Uuid::nil())), ..AccountPage::default() };
    let texts = [
        ("messages of an account", deliveries::tests::sql(backend, &reach, &page)),
        ("acceptances of an account", acceptances::tests::sql(backend, &reach, &page)),
        ("events of an account", events::tests::sql(backend, &reach, &page)),
        ("recipients of an account", recipients::tests::sql(backend, &reach, &page)),
    ];
    texts.map(|(title, sql)| (title.to_owned(), sql)).into()
}
