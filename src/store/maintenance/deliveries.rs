//! Deletes old messages to people that are no longer to be sent.

use std::time::Duration;

use sea_orm::sea_query::ColumnType::{Text, Uuid as UuidType};
use sea_orm::{DbBackend, Statement, Value};

use super::Maintenance;
use super::turn::{PruneTurn, Pruned};
use super::walk::{Place, Walk};
use crate::domain::delivery::DeliveryState;
use crate::store::sql::error::StoreError;
use crate::store::sql::retry::retry;
use crate::store::sql::rows_param::{Columns, RowsParam};

impl Maintenance {
    /// Deletes messages that were settled and are older than `age` until the turn ends. The id of a reminder begins with the
    /// moment at which it was due.
    pub async fn prune_deliveries(&self, age: Duration, turn: &mut PruneTurn) -> Result<Pruned, StoreError> {
        self.walk_along(Walk::Messages, age, turn).await
    }

    pub(super) async fn delete_messages(&self, due: &[(Place, i64)], before: i64) -> Result<u64, StoreError> {
        let backend = self.0.backend();
        let sql = delete_sql(backend);
        retry(|| self.delete_chunk(with_keys(backend, &sql, due.iter().map(|(place, _)| place), before))).await
    }
}

/// Returns the condition under which message `i` is old: neither pending, leased nor planned, and nothing has happened to it
/// since. A message may have been queued again long after it was created, so the moment of its sending counts too.
pub(super) fn old(before: &str) -> String {
    let [queued, sending] = [DeliveryState::Queued, DeliveryState::Sending].map(DeliveryState::code);
    format!(
        "i.due_at IS NULL AND i.planned_at IS NULL AND i.lease IS NULL AND i.state NOT IN ('{queued}', '{sending}')
            AND i.created_at < {before} AND coalesce(i.sent_at, i.created_at) < {before}"
    )
}

pub(super) fn key_columns() -> Columns {
    Columns::list([("account_id", Text), ("id", UuidType)])
}

fn with_keys<'a>(backend: DbBackend, sql: &str, keys: impl Iterator<Item = &'a Place>, before: i64) -> Statement {
    let key = |place: &Place| -> [Value; 2] { [place.account_id.as_str().into(), place.id.into()] };
    let mut values = RowsParam::new(key_columns(), keys.map(key)).params(backend);
    values.push(before.into());
    Statement::from_sql_and_values(backend, sql, values)
}

/// Returns the text that deletes messages by their keys: a message may have been queued again since it was looked at.
pub(super) fn delete_sql(backend: DbBackend) -> String {
    let (keys, old) = (key_columns().keys_of(backend, 1, "k"), old(&format!("${}", 1 + key_columns().width(backend))));
    if backend == DbBackend::Postgres {
        format!(
            "WITH old AS MATERIALIZED (
                SELECT i.ctid FROM {keys} JOIN outbox i ON i.account_id = k.account_id AND i.id = k.id AND {old}
                FOR UPDATE OF i SKIP LOCKED)
            DELETE FROM outbox WHERE ctid = ANY (ARRAY(SELECT ctid FROM old))"
        )
    } else {
        // The keys are found by a join: SQLite looks a pair of values from JSON up by the first one alone.
        format!(
            "DELETE FROM outbox WHERE (account_id, id) IN (SELECT i.account_id, i.id FROM {keys}
                CROSS JOIN outbox i ON i.account_id = k.account_id AND i.id = k.id WHERE {old})"
        )
    }
}
