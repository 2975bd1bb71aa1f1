//! Reads of single invitations, in groups: by id, by the scope of an auto-join, and by a connection.

use std::sync::Arc;

use sea_orm::sea_query::ColumnType::{Integer, Text, Uuid as UuidType};
use sea_orm::{ConnectionTrait, DbBackend, QueryResult, Statement, Value};
use uuid::Uuid;

use super::groups::{Distinct, Groups, PLACES, ReadGroup};
use super::invitations::read_clock;
use crate::domain::invitation::slot::SlotKey;
use crate::domain::value::id::InvitationId;
use crate::domain::value::text::AccountId;
use crate::store::Database;
use crate::store::executor::load::seats::scope_of_invitation;
use crate::store::executor::load::{Extent, invitation_body, newest_acceptances};
use crate::store::sql::database::read_scope::ReadScope;
use crate::store::sql::error::StoreError;
use crate::store::sql::rows_param::{Columns, RowsParam, by_index, statement_clock};

/// The bytes of rows that a group reads; a row that begins before is read as a whole.
const MAX_BYTES: usize = 1024 * 1024;

/// The key by which an invitation is looked up.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum By {
    /// Its id.
    Id(InvitationId),
    /// The slot of a scope's auto-join, which may have been revoked.
    AutoJoin(SlotKey),
    /// A connection: the newest invitation that repairs it, or one of whose acceptors created it.
    Connection(Uuid),
}

/// The name of an invitation that is read, and what is read of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct PointKey {
    /// The rows that its caller may see.
    pub(super) scope: ReadScope,
    /// The key within the account.
    pub(super) by: By,
    /// Whether its newest acceptances are read with it.
    pub(super) newest: bool,
    /// Whether the settings of its scope are read with it.
    pub(super) seats: bool,
}

/// An invitation as it was read.
#[derive(Clone)]
pub(super) struct PointRow {
    /// The invitation with its parts, as JSON.
    pub(super) body: Arc<str>,
    /// The moment at which it was read, in microseconds.
    pub(super) now: i64,
}

/// The reads of single invitations. Clones share them.
#[derive(Clone, Debug)]
pub(in crate::store) struct Points(Groups<PointReader>);

impl Points {
    /// Reads from a database.
    pub(in crate::store) fn new(database: &Database) -> Self {
        let sql = PointSql::new(database.backend());
        Self(Groups::new(PointReader { database: database.clone(), sql }, PLACES))
    }

    pub(super) async fn read(&self, key: PointKey) -> Result<Option<PointRow>, StoreError> {
        self.0.read(key).await
    }
}

/// The texts of the statements.
pub(in crate::store) struct PointSql {
    /// Reads one invitation by its id; with its newest acceptances at place 1.
    pub(in crate::store) one: [String; 2],
    /// Reads one invitation by its id with the settings of its scope.
    pub(in crate::store) seats: String,
    /// Reads one auto-join.
    pub(in crate::store) autojoin: String,
    /// Reads one invitation by a connection.
    pub(in crate::store) connection: String,
    /// Reads several by their ids.
    pub(in crate::store) ids: String,
    /// Reads several by keys of any type.
    pub(in crate::store) any: String,
}

impl PointSql {
    pub(in crate::store) fn new(backend: DbBackend) -> Self {
        let now = statement_clock(backend, 1);
        let with = |extent: &Extent<'_>, id: &str| {
            let body = invitation_body(backend, extent);
            format!("SELECT {now} AS now, {body} AS body FROM invitation i WHERE i.account_id = $2 AND i.id = {id}")
        };
        let one = |acceptances: &str, id: &str| with(&Extent { acceptances, ..Extent::PLAIN }, id);
        let scope = scope_of_invitation(backend, &now);
        let any = format!(
            "coalesce(k.invitation_id, {}, {})",
            id_of_autojoin("k.account_id", "k.slot_key"),
            id_by_connection(backend, "k.account_id", "k.connection_id")
        );
        Self {
            one: [one("NULL", "$3"), one(&newest_acceptances(backend), "$3")],
            seats: with(&Extent { scope: Some(&scope), ..Extent::PLAIN }, "$3"),
            autojoin: one("NULL", &id_of_autojoin("$2", "$3")),
            connection: one("NULL", &id_by_connection(backend, "$2", "$3")),
            ids: several_sql(backend, &id_columns(), "k.invitation_id"),
            any: several_sql(backend, &any_columns(), &any),
        }
    }
}

/// Returns the statement for several invitations with the ids of an expression over their keys, which are called `k`.
fn several_sql(backend: DbBackend, keys: &Columns, id: &str) -> String {
    let acceptances = format!("CASE WHEN k.newest = 1 THEN {} END", newest_acceptances(backend));
    let now = statement_clock(backend, 1 + keys.width(backend));
    let scope = format!("CASE WHEN k.seats = 1 THEN {} END", scope_of_invitation(backend, &now));
    // The rows are composed once: PostgreSQL would compose them for their size and again for the answer.
    format!(
        "WITH found AS MATERIALIZED (
            SELECT k.place, {body} AS body FROM {keys}
            JOIN invitation i ON i.account_id = k.account_id AND i.id = {id}
        ), sized AS (
            SELECT place, body, sum(octet_length(body)) OVER (ORDER BY place ROWS UNBOUNDED PRECEDING) - octet_length(body) AS bytes_before
            FROM found
        )
        SELECT {now} AS now, place, CASE WHEN bytes_before < {MAX_BYTES} THEN body END AS body FROM sized ORDER BY place",
        body = invitation_body(backend, &Extent { acceptances: &acceptances, scope: Some(&scope), ..Extent::PLAIN }),
        keys = keys.keys_of(backend, 1, "k"),
    )
}

/// Returns an expression for the id of the invitation in a slot.
fn id_of_autojoin(account: &str, slot: &str) -> String {
    format!("(SELECT s.invitation_id FROM slot s WHERE s.account_id = {account} AND s.key = {slot})")
}

/// Returns an expression for the id of the newest invitation that knows a connection.
fn id_by_connection(backend: DbBackend, account: &str, connection: &str) -> String {
    let repairs = by_index(backend, "resource", "r", account);
    let created = by_index(backend, "connection", "a", account);
    // SQLite would otherwise walk the invitations of the account in the order of their ids.
    format!(
        "(WITH known AS MATERIALIZED (
            SELECT r.id FROM invitation r WHERE {repairs} AND r.resource_id = {connection}
            UNION ALL
            SELECT a.invitation_id FROM acceptance a WHERE {created} AND a.created_connection_id = {connection}
        ) SELECT known.id FROM known ORDER BY known.id DESC LIMIT 1)"
    )
}

/// Returns the columns of keys that are ids.
fn id_columns() -> Columns {
    let key = Columns::list([("account_id", Text), ("invitation_id", UuidType)]);
    key.and([("newest", Integer), ("seats", Integer), ("place", Integer)])
}

/// Returns the columns of keys of any type.
fn any_columns() -> Columns {
    id_columns().and_nullable([("slot_key", Text), ("connection_id", UuidType)])
}

/// Returns the values of a key in the order of [`any_columns`].
fn row_of((key, place): (&PointKey, i32)) -> [Value; 7] {
    let (id, slot, connection) = match &key.by {
        By::Id(id) => (Some(id.0), None, None),
        By::AutoJoin(slot) => (None, Some(slot.0.as_str()), None),
        By::Connection(connection) => (None, None, Some(*connection)),
    };
    [
        key.scope.account.as_str().into(),
        id.into(),
        i32::from(key.newest).into(),
        i32::from(key.seats).into(),
        place.into(),
        slot.into(),
        connection.into(),
    ]
}

struct PointReader {
    database: Database,
    sql: PointSql,
}

impl ReadGroup for PointReader {
    type Key = PointKey;
    type Row = PointRow;

    fn account(key: &PointKey) -> &AccountId {
        &key.scope.account
    }

    fn stands_alone(&self, key: &PointKey) -> bool {
        key.scope.hosts.is_some() && self.database.has_second_wall()
    }

    async fn one(&self, key: &PointKey) -> Result<Option<PointRow>, StoreError> {
        let (sql, name) = match &key.by {
            By::Id(id) if key.seats => (&self.sql.seats, id.0.into()),
            By::Id(id) => (&self.sql.one[usize::from(key.newest)], id.0.into()),
            By::AutoJoin(slot) => (&self.sql.autojoin, slot.0.as_str().into()),
            By::Connection(connection) => (&self.sql.connection, (*connection).into()),
        };
        let values = [read_clock(&self.database, None).into(), key.scope.account.as_str().into(), name];
        let statement = Statement::from_sql_and_values(self.database.backend(), sql, values);
        let within = self.database.reading_for(key.scope.clone());
        within.query_one_raw(statement).await?.map(|row| point_row(&row)).transpose()
    }

    async fn late(&self, key: &PointKey) -> Result<Option<PointRow>, StoreError> {
        let _turn = self.database.read_turns.short(&key.scope.account).await?;
        self.one(key).await
    }

    async fn several(&self, keys: &[PointKey]) -> Result<Vec<Option<PointRow>>, StoreError> {
        let backend = self.database.backend();
        let are_ids = keys.iter().all(|key| matches!(key.by, By::Id(_)));
        let (columns, sql) = if are_ids { (id_columns(), &self.sql.ids) } else { (any_columns(), &self.sql.any) };
        let keys = Distinct::of(keys);
        let mut values = RowsParam::new(columns, keys.iter().map(row_of)).params(backend);
        values.push(read_clock(&self.database, None).into());
        let statement = Statement::from_sql_and_values(backend, sql, values);
        let mut found: Vec<Option<PointRow>> = vec![None; keys.iter().len()];
        let mut read = found.len();
        let accounts = keys.iter().map(|(key, _)| &key.scope.account);
        for row in self.database.reading_for_accounts(accounts).query_all_raw(statement).await? {
            let place = usize::try_from(row.try_get::<i32>("", "place")?).unwrap_or(usize::MAX);
            match (row.try_get::<Option<String>>("", "body")?, found.get_mut(place)) {
                (Some(body), Some(found)) => {
                    *found = Some(PointRow { body: body.into(), now: row.try_get("", "now")? });
                }
                // The room ends here, and whatever comes later is read with another group.
                (None, _) => read = read.min(place),
                (Some(_), None) => {}
            }
        }
        found.truncate(read);
        Ok(keys.answers(&found))
    }
}

fn point_row(row: &QueryResult) -> Result<PointRow, StoreError> {
    Ok(PointRow { body: row.try_get::<String>("", "body")?.into(), now: row.try_get("", "now")? })
}
