//! Reads of invitations: one or several by id, and pages of filtered lists.

use std::collections::BTreeSet;

use sea_orm::sea_query::ColumnType::{Text, Uuid as UuidType};
use sea_orm::{DbBackend, QueryResult, Statement, Value};
use uuid::Uuid;

use super::points::{By, PointKey};
use super::query::{InvitationQuery, Order};
use super::source::{PageSql, Source, host_scopes, ids_sql, page_sql};
use super::unreadable::{FullPage, ReadOn};
use super::{ACCOUNT, CLOCK, Cursor, Page, Params, Read, SortKey, direction};
use crate::domain::invitation::Invitation;
use crate::domain::invitation::recipient::Address;
use crate::domain::invitation::slot::SlotKey;
use crate::domain::invitation::state::State;
use crate::domain::kind::Scope;
use crate::domain::reach::Reach;
use crate::domain::seat::ScopeSeats;
use crate::domain::value::id::InvitationId;
use crate::domain::value::time::Timestamp;
use crate::store::executor::load::{Extent, invitation_body, parse_json};
use crate::store::sql::error::StoreError;
use crate::store::sql::row::{InvitationRows, ScopeRows};
use crate::store::sql::rows_param::{Columns, RowsParam, statement_clock};
use crate::store::{Database, Reads, Store};

/// The name of an invitation in a list.
#[derive(Clone, Debug)]
pub struct ListedName {
    /// The invitation's id.
    pub id: InvitationId,
    /// The place behind it, at which the list continues.
    pub cursor: Cursor,
}

/// A page of a list, in its order.
#[derive(Clone, Debug, Default)]
pub struct Listed {
    /// The rows.
    pub rows: Vec<Read<Invitation>>,
    /// The cursor of the next page, if this one ended before it was full.
    pub goes_on: Option<Cursor>,
}

impl std::ops::Deref for Listed {
    type Target = Vec<Read<Invitation>>;

    fn deref(&self) -> &Self::Target {
        &self.rows
    }
}

impl<'a> IntoIterator for &'a Listed {
    type Item = &'a Read<Invitation>;
    type IntoIter = std::slice::Iter<'a, Read<Invitation>>;

    fn into_iter(self) -> Self::IntoIter {
        self.rows.iter()
    }
}

impl IntoIterator for Listed {
    type Item = Read<Invitation>;
    type IntoIter = std::vec::IntoIter<Read<Invitation>>;

    fn into_iter(self) -> Self::IntoIter {
        self.rows.into_iter()
    }
}

/// The reads that decide how a call goes on.
impl Store {
    /// Reads the newest invitation that knows a connection: to repair it, or as one that an acceptor created.
    pub async fn find_by_connection(
        &self,
        reach: &Reach,
        connection: Uuid,
    ) -> Result<Option<Read<Invitation>>, StoreError> {
        self.primary.point(reach, By::Connection(connection), false).await
    }

    /// Reads a page of names only.
    pub async fn list_names(&self, reach: &Reach, query: &InvitationQuery) -> Result<Vec<ListedName>, StoreError> {
        let backend = self.database.backend();
        let (mut query, mut names) = (query.clone(), FullPage::new(query.limit));
        let hosts = host_scopes(reach);
        loop {
            let mut params = self.primary.params(reach, moment_of(&query));
            let sources = Source::of_page(&query, &hosts);
            let PageSql { with, rows, end: _ } = page_sql(backend, (reach, &query), &sources, ("0", &mut params));
            let sql = format!(
                "WITH {with} SELECT {now} AS now, i.id AS id, i.sort_key AS sort_key FROM ({rows}) i
                ORDER BY i.sort_key {order}, i.id {order}",
                now = statement_clock(backend, CLOCK),
                order = direction(!query.ascending).1,
            );
            let rows = self.database.list(reach, Statement::from_sql_and_values(backend, sql, params.0)).await?;
            let found = rows.iter().map(|row| Ok((cursor_from(row, query.order)?, name_from(row, query.order))));
            let found = found.collect::<Result<_, StoreError>>()?;
            let Some(read_on) = names.add(query.limit, found)? else { return Ok(names.into_rows()) };
            query = read_on_behind(query, read_on);
        }
    }
}

impl Reads {
    /// Reads one invitation, with its newest acceptances if they are requested.
    pub async fn get_invitation(
        &self,
        reach: &Reach,
        id: InvitationId,
        newest: bool,
    ) -> Result<Option<Read<Invitation>>, StoreError> {
        self.point(reach, By::Id(id), newest).await
    }

    /// Reads one invitation with the settings of its scope, if there are any.
    pub async fn get_with_scope(
        &self,
        reach: &Reach,
        id: InvitationId,
    ) -> Result<Option<(Read<Invitation>, Option<ScopeSeats>)>, StoreError> {
        let key = PointKey { scope: reach.into(), by: By::Id(id), newest: false, seats: true };
        let Some(row) = self.points.read(key).await? else { return Ok(None) };
        let mut rows: InvitationRows = parse_json(&row.body, "invitation")?;
        let scope = rows.scope.take().map(ScopeRows::parse).transpose()?;
        let read = Read { found: Invitation::try_from(rows)?, now: Timestamp::from_micros(row.now) };
        let is_reached = reach.includes_invitation(&read.found);
        Ok(is_reached.then(|| (read, scope.map(|(_, scope, _)| scope))))
    }

    /// Reads those of some invitations that are within the reach, in any order; `None` if they are too large together.
    pub async fn get_invitations(
        &self,
        reach: &Reach,
        ids: &BTreeSet<InvitationId>,
    ) -> Result<Option<Vec<Read<Invitation>>>, StoreError> {
        let backend = self.database.backend();
        let keys = Columns::list([("account_id", Text), ("invitation_id", UuidType)]);
        let sql = format!(
            "SELECT {now} AS now, CASE WHEN i.all_bytes <= {MAX_TOGETHER} THEN i.body END AS body FROM (
                SELECT i.body, sum(octet_length(i.body)) OVER () AS all_bytes FROM (
                    SELECT {body} AS body FROM {keys}
                    JOIN invitation i ON i.account_id = k.account_id AND i.id = k.invitation_id
                ) i
            ) i",
            now = statement_clock(backend, 1 + keys.width(backend)),
            body = invitation_body(backend, &Extent::PLAIN),
            keys = keys.keys_of(backend, 1, "k"),
        );
        let rows = ids.iter().map(|id| -> [Value; 2] { [reach.account().as_str().into(), id.0.into()] });
        let mut values = RowsParam::new(keys, rows).params(backend);
        values.push(read_clock(&self.database, None).into());
        let rows = self.database.list(reach, Statement::from_sql_and_values(backend, sql, values)).await?;
        let mut found = Vec::with_capacity(rows.len());
        for row in &rows {
            if row.try_get::<Option<String>>("", "body")?.is_none() {
                return Ok(None);
            }
            found.push(invitation_from(row)?);
        }
        found.retain(|read| reach.includes_invitation(&read.found));
        Ok(Some(found))
    }

    /// Reads the auto-join of a scope that is not revoked. It may have no domains.
    pub async fn find_autojoin(&self, reach: &Reach, scope: &Scope) -> Result<Option<Read<Invitation>>, StoreError> {
        let found = self.point(reach, By::AutoJoin(SlotKey::autojoin(scope)), false).await?;
        Ok(found.filter(|read| read.found.facts.revoked_at.is_none()))
    }

    /// Reads a page of invitations, judged at one moment.
    pub async fn list_invitations(&self, reach: &Reach, query: &InvitationQuery) -> Result<Listed, StoreError> {
        self.page(reach, query, &Source::of_page(query, &host_scopes(reach))).await
    }

    /// Reads a page, by age, of the invitations that one invitee can accept: ACTIVE invitations of every kind to one of their
    /// addresses that have no answer from it, and the auto-joins of an e-mail address's domain.
    pub async fn list_open_invitations(
        &self,
        reach: &Reach,
        addresses: &[Address],
        page: &Page,
    ) -> Result<Listed, StoreError> {
        let domains = addresses.iter().filter_map(Address::email).map(|email| Source::Domain(email.domain()));
        self.open_page(reach, addressed_to(addresses).chain(domains).collect(), page).await
    }

    /// Reads a page, by age, of the ACTIVE invitations of every kind to one of some addresses that have no answer from it.
    pub async fn list_addressed_invitations(
        &self,
        reach: &Reach,
        addresses: &[Address],
        page: &Page,
    ) -> Result<Listed, StoreError> {
        self.open_page(reach, addressed_to(addresses).collect(), page).await
    }

    async fn open_page(&self, reach: &Reach, sources: Vec<Source<'_>>, page: &Page) -> Result<Listed, StoreError> {
        let query = InvitationQuery {
            kinds: page.kinds.clone(),
            states: vec![State::Active],
            scope: page.scope.clone(),
            first_recipients: page.first_recipients,
            include_deleted: true,
            ascending: page.ascending,
            limit: page.limit,
            scan: page.scan,
            after: page.after.clone(),
            ..InvitationQuery::default()
        };
        self.page(reach, &query, &sources).await
    }

    /// Counts a whole list, wherever a page of it begins, up to a number of rows. The moment of the count can be passed to
    /// the list ([`InvitationQuery::at`]).
    pub async fn count_invitations(
        &self,
        reach: &Reach,
        query: &InvitationQuery,
        most: u64,
    ) -> Result<Read<u64>, StoreError> {
        let backend = self.database.backend();
        let mut params = self.params(reach, moment_of(query));
        let sql = format!(
            "SELECT {now} AS now, counted.rows AS rows FROM (SELECT count(*) AS rows FROM ({ids}) i) counted",
            now = statement_clock(backend, CLOCK),
            ids = ids_sql(backend, (reach, query), most, &mut params),
        );
        let rows = self.database.list(reach, Statement::from_sql_and_values(backend, sql, params.0)).await?;
        let row = rows.into_iter().next().ok_or_else(|| StoreError::Refused("a count without a row".to_owned()))?;
        let found = row.try_get::<i64>("", "rows")?.cast_unsigned();
        Ok(Read { found, now: Timestamp::from_micros(row.try_get("", "now")?) })
    }

    async fn point(&self, reach: &Reach, by: By, newest: bool) -> Result<Option<Read<Invitation>>, StoreError> {
        let key = PointKey { scope: reach.into(), by, newest, seats: false };
        let Some(row) = self.points.read(key).await? else { return Ok(None) };
        let read = invitation_of(&row.body, row.now)?;
        Ok(Some(read).filter(|read| reach.includes_invitation(&read.found)))
    }

    async fn page(&self, reach: &Reach, query: &InvitationQuery, sources: &[Source<'_>]) -> Result<Listed, StoreError> {
        let backend = self.database.backend();
        let (mut query, mut page) = (query.clone(), FullPage::new(query.limit));
        loop {
            let mut params = self.params(reach, moment_of(&query));
            let sql = list_sql(backend, (reach, &query), sources, &mut params);
            let rows = self.database.list(reach, Statement::from_sql_and_values(backend, sql, params.0)).await?;
            let Look { found, end, is_cut } = look_from(&query, &rows)?;
            if is_cut {
                let goes_on = found.last().map(|(cursor, _)| cursor.clone());
                page.add(query.limit, found)?;
                return Ok(Listed { rows: page.into_rows(), goes_on });
            }
            let is_short = (found.len() as u64) < query.limit;
            let Some(read_on) = page.add(query.limit, found)? else {
                let goes_on = end.filter(|_| is_short && !page.is_full());
                return Ok(Listed { rows: page.into_rows(), goes_on });
            };
            query = read_on_behind(query, read_on);
        }
    }

    fn params(&self, reach: &Reach, moment: Option<i64>) -> Params {
        Params::new(read_clock(&self.database, moment), reach.account())
    }
}

/// Returns the sources of the invitations to some addresses that have no answer from them.
fn addressed_to(addresses: &[Address]) -> impl Iterator<Item = Source<'_>> {
    addresses.iter().map(|address| Source::Recipient { address, open: true })
}

/// The most bytes of the rows of several invitations that are read by their ids.
const MAX_TOGETHER: usize = 4 * 1024 * 1024;

/// The usual bytes of a recipient, and of an invitation without its details and its recipients.
const RECIPIENT_BYTES: usize = 300;
const ROW_BYTES: usize = 700;

/// The bytes of the rows of a page that are read; a row that begins before is read as a whole.
const MAX_PAGE_BYTES: usize = 2 * 1024 * 1024;

/// The page is cut out first, so that the parts of an invitation are read only for its rows and not for those that are
/// skipped. A row without a body holds the place at which the look ended.
fn list_sql(
    backend: DbBackend,
    (reach, query): (&Reach, &InvitationQuery),
    sources: &[Source<'_>],
    params: &mut Params,
) -> String {
    let size = size_sql(query);
    let PageSql { with, rows, end } = page_sql(backend, (reach, query), sources, (&size, params));
    let now = statement_clock(backend, CLOCK);
    let end =
        end.map(|end| format!(" UNION ALL SELECT {now}, e.id, e.key, NULL, NULL FROM ({end}) e")).unwrap_or_default();
    // Each row is looked up by its key: PostgreSQL might read the invitations of the account for a join, and SQLite in another order.
    let whole = format!("invitation i WHERE i.account_id = {ACCOUNT} AND i.id = p.id");
    let whole = if backend == DbBackend::Postgres {
        format!("CROSS JOIN LATERAL (SELECT i.* FROM {whole} LIMIT 1) i WHERE true")
    } else {
        format!("CROSS JOIN {whole}")
    };
    format!(
        "WITH {with} SELECT {now} AS now, p.id AS id, p.sort_key AS sort_key, {body} AS body, p.page_rows AS page_rows FROM (
            SELECT i.*, count(*) OVER () AS page_rows,
                sum(i.bytes) OVER (ORDER BY i.sort_key {order}, i.id {order} ROWS UNBOUNDED PRECEDING) AS read_bytes
            FROM ({rows}) i
        ) p {whole} AND p.read_bytes - p.bytes < {MAX_PAGE_BYTES}{end}",
        order = direction(!query.ascending).1,
        body = invitation_body(backend, &Extent { first_recipients: query.first_recipients, ..Extent::PLAIN }),
    )
}

/// Returns an expression for the approximate size of invitation `i` as it is read, in bytes: a row is not composed to learn that
/// there is no room for it.
fn size_sql(query: &InvitationQuery) -> String {
    let recipients = match query.first_recipients {
        Some(first) => first.to_string(),
        None => {
            "(SELECT count(*) FROM recipient t WHERE t.account_id = i.account_id AND t.invitation_id = i.id)".to_owned()
        }
    };
    format!("octet_length(CAST(i.details AS TEXT)) + {recipients} * {RECIPIENT_BYTES} + {ROW_BYTES}")
}

/// The rows that one look at a list found, in order, and the place at which the look ended before it had found enough.
struct Look {
    found: Vec<(Cursor, Result<Read<Invitation>, StoreError>)>,
    end: Option<Cursor>,
    /// Whether the page has more rows than were read, since those are large enough.
    is_cut: bool,
}

/// Rows behind the end are dropped: only up to the end are they complete.
fn look_from(query: &InvitationQuery, rows: &[QueryResult]) -> Result<Look, StoreError> {
    let (mut found, mut end, mut page_rows) = (Vec::new(), None, 0);
    for row in rows {
        let cursor = cursor_from(row, query.order)?;
        match row.try_get::<Option<i64>>("", "page_rows")? {
            Some(all) => {
                page_rows = all;
                found.push((cursor, invitation_from(row)));
            }
            None => end = Some(cursor),
        }
    }
    let is_cut = (found.len() as u64) < page_rows.cast_unsigned();
    // The union has no order of its own.
    let place = |cursor: &Cursor| (cursor.key.clone(), cursor.id);
    found.sort_by_key(|(cursor, _)| place(cursor));
    if !query.ascending {
        found.reverse();
    }
    if let Some(last) = end.as_ref().map(place) {
        found.retain(|(cursor, _)| if query.ascending { place(cursor) <= last } else { place(cursor) >= last });
    }
    Ok(Look { found, end, is_cut })
}

/// Returns the moment at which a list is judged, in microseconds; `None` for the present moment.
fn moment_of(query: &InvitationQuery) -> Option<i64> {
    query.after.as_ref().map(|cursor| cursor.frozen).or(query.at.map(Timestamp::micros))
}

/// Overrides the database's clock: with the moment of the first page, of a test, or of SQLite's process.
pub(in crate::store) fn read_clock(database: &Database, frozen: Option<i64>) -> Option<i64> {
    let own = database.clock();
    frozen.or(own.map(Timestamp::micros))
}

pub(in crate::store) fn invitation_from(row: &QueryResult) -> Result<Read<Invitation>, StoreError> {
    invitation_of(&row.try_get::<String>("", "body")?, row.try_get("", "now")?)
}

fn invitation_of(body: &str, now: i64) -> Result<Read<Invitation>, StoreError> {
    let rows: InvitationRows = parse_json(body, "invitation")?;
    Ok(Read { found: Invitation::try_from(rows)?, now: Timestamp::from_micros(now) })
}

/// Returns the query for the rows behind a part of its page.
fn read_on_behind(query: InvitationQuery, ReadOn { after, limit }: ReadOn) -> InvitationQuery {
    InvitationQuery { after: Some(after), limit, skip: 0, ..query }
}

fn cursor_from(row: &QueryResult, order: Order) -> Result<Cursor, StoreError> {
    let key = match order {
        Order::Email => SortKey::Text(row.try_get("", "sort_key")?),
        _ => SortKey::Number(row.try_get("", "sort_key")?),
    };
    Ok(Cursor { key, frozen: row.try_get("", "now")?, ..Cursor::of_id(row.try_get("", "id")?) })
}

fn name_from(row: &QueryResult, order: Order) -> Result<ListedName, StoreError> {
    let id: Uuid = row.try_get("", "id")?;
    Ok(ListedName { id: InvitationId(id), cursor: cursor_from(row, order)? })
}
