//! The walks along tables whose key is the account and an id that begins with the moment of its creation.
//!
//! Rows to be deleted of such a table are found without an index of their own: a look steps from account to account, and reads
//! the rows of each up to the ids of a moment. An index over what decides, such as the number of uses, would cost every accept
//! an entry in every index of the table.

use std::collections::VecDeque;

use sea_orm::sea_query::ColumnType::{Text, Uuid as UuidType};
use sea_orm::{ConnectionTrait, DbBackend, QueryResult, Statement, Value};
use uuid::Uuid;

use super::walk::{Place, Step, Walk};
use super::{CHUNK_ROWS, Maintenance, deliveries, ended};
use crate::domain::value::id::least_id;
use crate::domain::value::time::Timestamp;
use crate::store::sql::error::StoreError;
use crate::store::sql::rows_param::{Columns, RowsParam};

/// The number of invitations that one transaction deletes; those with many rows go by themselves.
const CHUNK_INVITATIONS: usize = 50;

/// A row to be deleted, with the number of rows that go with it, itself included.
pub(super) type Due = (Place, i64);

/// A table that is walked along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Table {
    /// Messages to people.
    Messages,
    /// Invitations.
    Invitations,
}

impl Table {
    fn name(self) -> &'static str {
        match self {
            Self::Messages => "outbox",
            Self::Invitations => "invitation",
        }
    }

    /// Returns the most rows of the table that one transaction deletes.
    fn chunk_len(self) -> usize {
        match self {
            Self::Messages => usize::try_from(CHUNK_ROWS).unwrap_or(usize::MAX),
            Self::Invitations => CHUNK_INVITATIONS,
        }
    }

    /// Returns an expression for the number of rows that are deleted with row `i`, itself included: 0 if it is kept. $5 is the
    /// moment before which rows are old.
    fn weight(self, backend: DbBackend) -> String {
        match self {
            Self::Messages => format!("CASE WHEN {} THEN 1 ELSE 0 END", deliveries::old("$5")),
            Self::Invitations => {
                format!("CASE WHEN {} THEN {} ELSE 0 END", ended::ended("$5"), ended::weight(backend, "$4"))
            }
        }
    }

    /// Returns the text of a look at up to $4 rows behind ($1, $2) whose ids come before $3. An account without such rows
    /// counts as one.
    pub(super) fn look_sql(self, backend: DbBackend) -> String {
        let (table, weight) = (self.name(), self.weight(backend));
        let (uuid, nil) = match backend {
            DbBackend::Postgres => ("uuid", format!("CAST('{}' AS uuid)", Uuid::nil())),
            _ => ("blob", "x''".to_owned()),
        };
        let range = format!(
            "i.account_id = a.account_id AND i.id < $3
                AND i.id > CASE WHEN a.account_id = $1 THEN CAST($2 AS {uuid}) ELSE {nil} END"
        );
        let (rows, weight) = if backend == DbBackend::Postgres {
            let rows = format!(
                "LEFT JOIN LATERAL (SELECT i.id, CAST({weight} AS bigint) AS weight FROM {table} i
                    WHERE {range} ORDER BY i.id LIMIT $4) i ON true"
            );
            (rows, "i.weight".to_owned())
        } else {
            (format!("LEFT JOIN {table} i ON {range}"), weight)
        };
        format!(
            "WITH RECURSIVE account AS (
                SELECT f.account_id FROM (
                    SELECT t.account_id FROM {table} t WHERE t.account_id >= $1 ORDER BY t.account_id LIMIT 1) f
                UNION ALL SELECT (
                    SELECT t.account_id FROM {table} t WHERE t.account_id > a.account_id ORDER BY t.account_id LIMIT 1)
                FROM account a WHERE a.account_id IS NOT NULL)
            SELECT a.account_id, i.id, CASE WHEN i.id IS NULL THEN 0 ELSE {weight} END AS weight FROM account a {rows}
            WHERE a.account_id IS NOT NULL LIMIT $4"
        )
    }
}

/// A walk along a table, for rows that are older than a moment in microseconds.
pub(super) struct TableWalk {
    table: Table,
    before: i64,
    /// The chunks of the last look that are still to be deleted.
    chunks: VecDeque<Vec<Due>>,
    /// The place behind which the next look begins; `None` if the last look has reached the end.
    read_on: Option<Place>,
}

impl TableWalk {
    pub(super) fn new(table: Table, before: i64) -> Self {
        Self { table, before, chunks: VecDeque::new(), read_on: None }
    }

    /// Looks at the next rows that were created before the moment, and returns how many of them are kept.
    async fn look(&mut self, maintenance: &Maintenance, after: &Place) -> Result<u64, StoreError> {
        let (backend, least) = (maintenance.0.backend(), least_id(Timestamp::from_micros(self.before)));
        let Place { account_id, id } = after.clone();
        let values: [Value; 5] = [account_id.into(), id.into(), least.into(), CHUNK_ROWS.into(), self.before.into()];
        let look = Statement::from_sql_and_values(backend, self.table.look_sql(backend), values);
        let rows = maintenance.0.read.query_all_raw(look).await?;
        let is_full = rows.len() >= usize::try_from(CHUNK_ROWS).unwrap_or(usize::MAX);
        let (mut due, mut kept) = (Vec::new(), 0);
        self.read_on = None;
        for row in &rows {
            let (place, weight) = due_from(row)?;
            match weight {
                0 => kept += 1,
                weight => due.push((place.clone(), weight)),
            }
            self.read_on = Some(place).filter(|_| is_full);
        }
        self.chunks = chunks(due, self.table.chunk_len());
        Ok(kept)
    }

    /// Deletes a chunk. Returns the number of rows; `None` if the chunk is to be divided first.
    async fn delete(&mut self, maintenance: &Maintenance, chunk: &[Due]) -> Result<Option<u64>, StoreError> {
        let deleted = match self.table {
            Table::Messages => maintenance.delete_messages(chunk, self.before).await,
            Table::Invitations => maintenance.delete_ended(chunk, self.before).await,
        };
        match deleted {
            Ok(deleted) => Ok(Some(deleted)),
            // Nothing can be deleted for now.
            Err(error @ StoreError::Unavailable(_)) => Err(error),
            Err(error) if chunk.len() > 1 && self.table == Table::Invitations => {
                log_event!(debug, OLD_INVITATIONS_RETRIED, %error, invitations = chunk.len(), "deleting old invitations one by one");
                Ok(None)
            }
            // Whatever is wrong with a row, or locks it, holds up no other.
            Err(error) => {
                let (table, rows) = (self.table.name(), chunk.len());
                log_event!(warn, OLD_ROWS_NOT_DELETED, %error, table, rows, "old rows are not deleted yet; they are tried again later");
                Ok(Some(0))
            }
        }
    }
}

impl Walk for TableWalk {
    fn table(&self) -> &'static str {
        self.table.name()
    }

    async fn step(&mut self, maintenance: &Maintenance, after: &Place) -> Result<Step, StoreError> {
        let kept = if self.chunks.is_empty() { self.look(maintenance, after).await? } else { 0 };
        let chunk = self.chunks.pop_front().unwrap_or_default();
        let deleted = if chunk.is_empty() { Some(0) } else { self.delete(maintenance, &chunk).await? };
        let last = chunk.last().map(|(place, _)| place.clone());
        if deleted.is_none() {
            for due in chunk.into_iter().rev() {
                self.chunks.push_front(vec![due]);
            }
            return Ok(Step { deleted: 0, kept, read_on: Some(after.clone()), may_end: false });
        }
        let read_on = if self.chunks.is_empty() { self.read_on.clone() } else { last };
        Ok(Step { deleted: deleted.unwrap_or_default(), kept, read_on, may_end: true })
    }
}

fn due_from(row: &QueryResult) -> Result<Due, StoreError> {
    let id = row.try_get::<Option<Uuid>>("", "id")?;
    // All rows of an account without any are behind it.
    let place = Place { account_id: row.try_get("", "account_id")?, id: id.unwrap_or(Uuid::max()) };
    Ok((place, row.try_get("", "weight")?))
}

/// Divides rows into chunks that take at most [`CHUNK_ROWS`] rows with them, but for one that takes more by itself.
fn chunks(due: Vec<Due>, most: usize) -> VecDeque<Vec<Due>> {
    let (mut chunks, mut rows): (VecDeque<Vec<_>>, _) = (VecDeque::new(), 0_i64);
    for (place, weight) in due {
        rows = rows.saturating_add(weight);
        match chunks.back_mut() {
            Some(chunk) if rows <= CHUNK_ROWS && chunk.len() < most => chunk.push((place, weight)),
            Some(_) | None => {
                chunks.push_back(vec![(place, weight)]);
                rows = weight;
            }
        }
    }
    chunks
}

/// Returns the columns of a set of keys; `id` is the name of the second one.
pub(super) fn key_columns(id: &'static str) -> Columns {
    Columns::list([("account_id", Text), (id, UuidType)])
}

/// Returns a set of keys.
pub(super) fn keys<'a>(columns: Columns, places: impl Iterator<Item = (&'a str, Uuid)>) -> RowsParam {
    RowsParam::new(columns, places.map(|(account, id)| -> [Value; 2] { [account.into(), id.into()] }))
}

/// Returns the keys of rows to be deleted.
pub(super) fn places(due: &[Due]) -> impl Iterator<Item = (&str, Uuid)> {
    due.iter().map(|(place, _)| (place.account_id.as_str(), place.id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunk_has_few_invitations_and_rows_or_is_one() {
        let sizes = |weights: &[i64]| {
            let due = weights.iter().map(|weight| (Place::start(), *weight)).collect();
            chunks(due, 50).iter().map(Vec::len).collect::<Vec<_>>()
        };
        assert_eq!(sizes(&[]), Vec::<usize>::new());
        assert_eq!(sizes(&[1; 120]), [50, 50, 20]);
        assert_eq!(sizes(&[500, 500, 1, i64::MAX, i64::MAX, 1, 999]), [2, 1, 1, 1, 2]);
    }
}
