//! Reads of invitations by their ids, in groups.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use sea_orm::sea_query::ColumnType::{Integer, Text, Uuid as UuidType};
use sea_orm::{ConnectionTrait, DbBackend, QueryResult, Statement, Value};

use super::groups::{Groups, ReadGroup};
use super::invitations::read_clock;
use crate::domain::value::id::InvitationId;
use crate::domain::value::text::AccountId;
use crate::store::Database;
use crate::store::executor::load::{Extent, invitation_body, newest_acceptances};
use crate::store::sql::error::StoreError;
use crate::store::sql::rows_param::{Columns, RowsParam, statement_clock};

/// The statements at once: enough to keep a database busy while the rows of others are read.
const PLACES: usize = 2;
/// The bytes of rows that a group reads; a row that begins before is read as a whole.
const MAX_BYTES: usize = 1024 * 1024;

/// The name of an invitation that is read, and what is read of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct PointKey {
    /// The account.
    pub(super) account: AccountId,
    /// The invitation.
    pub(super) id: InvitationId,
    /// Whether its newest acceptances are read with it.
    pub(super) newest: bool,
}

/// An invitation as it was read.
#[derive(Clone)]
pub(super) struct PointRow {
    /// The invitation with its parts, as JSON.
    pub(super) body: Arc<str>,
    /// The moment at which it was read, in microseconds.
    pub(super) now: i64,
}

/// The reads of invitations by their ids. Clones share them.
#[derive(Clone)]
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

impl fmt::Debug for Points {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Points")
    }
}

/// The texts of the statements.
pub(in crate::store) struct PointSql {
    /// Reads one invitation; with its newest acceptances at place 1.
    pub(in crate::store) one: [String; 2],
    /// Reads several.
    pub(in crate::store) several: String,
}

impl PointSql {
    pub(in crate::store) fn new(backend: DbBackend) -> Self {
        let one = |acceptances: &str| {
            format!(
                "SELECT {now} AS now, {body} AS body FROM invitation i WHERE i.account_id = $2 AND i.id = $3",
                now = statement_clock(backend, 1),
                body = invitation_body(backend, &Extent { acceptances, ..Extent::PLAIN }),
            )
        };
        let newest = newest_acceptances(backend);
        let one = [one("NULL"), one(&newest)];
        let keys = key_columns();
        let some = format!("CASE WHEN k.newest = 1 THEN {newest} END");
        // The rows are composed once: PostgreSQL would compose them for their size and again for the answer.
        let several = format!(
            "WITH found AS MATERIALIZED (
                SELECT k.place, {body} AS body FROM {keys}
                JOIN invitation i ON i.account_id = k.account_id AND i.id = k.invitation_id
            ), sized AS (
                SELECT place, body, sum(octet_length(body)) OVER (ORDER BY place ROWS UNBOUNDED PRECEDING) - octet_length(body) AS bytes_before
                FROM found
            )
            SELECT {now} AS now, place, CASE WHEN bytes_before < {MAX_BYTES} THEN body END AS body FROM sized ORDER BY place",
            now = statement_clock(backend, 1 + keys.width(backend)),
            body = invitation_body(backend, &Extent { acceptances: &some, ..Extent::PLAIN }),
            keys = keys.keys_of(backend, 1, "k"),
        );
        Self { one, several }
    }
}

fn key_columns() -> Columns {
    Columns::list([("account_id", Text), ("invitation_id", UuidType), ("newest", Integer), ("place", Integer)])
}

struct PointReader {
    database: Database,
    sql: PointSql,
}

impl ReadGroup for PointReader {
    type Key = PointKey;
    type Row = PointRow;

    fn account(key: &PointKey) -> &AccountId {
        &key.account
    }

    async fn one(&self, key: &PointKey) -> Result<Option<PointRow>, StoreError> {
        let sql = &self.sql.one[usize::from(key.newest)];
        let values = [read_clock(&self.database, None).into(), key.account.as_str().into(), key.id.0.into()];
        let statement = Statement::from_sql_and_values(self.database.backend(), sql, values);
        self.database.read.query_one_raw(statement).await?.map(|row| point_row(&row)).transpose()
    }

    async fn late(&self, key: &PointKey) -> Result<Option<PointRow>, StoreError> {
        let _turn = self.database.read_turns.short(&key.account).await?;
        self.one(key).await
    }

    async fn several(&self, keys: &[PointKey]) -> Result<Vec<Option<PointRow>>, StoreError> {
        let backend = self.database.backend();
        // Many may read one invitation, which is read once.
        let mut places: BTreeMap<&PointKey, usize> = BTreeMap::new();
        let wanted: Vec<usize> = keys
            .iter()
            .map(|key| {
                let next = places.len();
                *places.entry(key).or_insert(next)
            })
            .collect();
        let row = |(key, place): (&&PointKey, &usize)| -> [Value; 4] {
            let place = i32::try_from(*place).unwrap_or(i32::MAX);
            [key.account.as_str().into(), key.id.0.into(), i32::from(key.newest).into(), place.into()]
        };
        let mut values = RowsParam::new(key_columns(), places.iter().map(row)).params(backend);
        values.push(read_clock(&self.database, None).into());
        let statement = Statement::from_sql_and_values(backend, &self.sql.several, values);
        let mut found: Vec<Option<PointRow>> = vec![None; places.len()];
        let mut read = found.len();
        for row in self.database.read.query_all_raw(statement).await? {
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
        Ok(wanted.into_iter().take_while(|place| *place < read).map(|place| found[place].clone()).collect())
    }
}

fn point_row(row: &QueryResult) -> Result<PointRow, StoreError> {
    Ok(PointRow { body: row.try_get::<String>("", "body")?.into(), now: row.try_get("", "now")? })
}
