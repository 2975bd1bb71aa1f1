//! Deletes old messages to people that are no longer to be sent.

use std::time::Duration;

use sea_orm::{DbBackend, Statement};

use super::tables::{Due, Table, TableWalk, key_columns, keys, places};
use super::turn::{PruneTurn, Pruned};
use super::{Maintenance, delete_unlocked_sql};
use crate::domain::delivery::DeliveryState;
use crate::store::sql::error::StoreError;
use crate::store::sql::retry::retry;

impl Maintenance {
    /// Deletes messages that were settled and are older than `age` until the turn ends. The id of a reminder begins with the
    /// moment at which it was due.
    pub async fn prune_deliveries(&self, age: Duration, turn: &mut PruneTurn) -> Result<Pruned, StoreError> {
        self.walk(TableWalk::new(Table::Messages, self.before(age).await?), turn).await
    }

    pub(super) async fn delete_messages(&self, due: &[Due], before: i64) -> Result<u64, StoreError> {
        let backend = self.0.backend();
        let mut values = keys(key_columns("id"), places(due)).params(backend);
        values.push(before.into());
        let delete = Statement::from_sql_and_values(backend, delete_sql(backend), values);
        retry(|| self.delete_chunk(delete.clone())).await
    }
}

/// Returns the condition under which message `i` is old: neither pending, leased nor planned, and created and sent before a
/// moment. A message may have been queued again long after it was created, so the moment of its sending counts too. No column
/// has the moment at which a message failed or was cancelled, so one that was tried for days, or queued again in vain, goes that
/// much sooner after its end; the event of the failure has an age of its own.
pub(super) fn old(before: &str) -> String {
    let [queued, sending] = [DeliveryState::Queued, DeliveryState::Sending].map(DeliveryState::code);
    format!(
        "i.due_at IS NULL AND i.planned_at IS NULL AND i.lease IS NULL AND i.state NOT IN ('{queued}', '{sending}')
            AND i.created_at < {before} AND coalesce(i.sent_at, i.created_at) < {before}"
    )
}

/// Returns the text that deletes messages by their keys: a message may have been queued again since it was looked at.
pub(super) fn delete_sql(backend: DbBackend) -> String {
    let columns = key_columns("id");
    let (keys, old) = (columns.keys_of(backend, 1, "k"), old(&format!("${}", 1 + columns.width(backend))));
    if backend == DbBackend::Postgres {
        let rows = format!("{keys} JOIN outbox i ON i.account_id = k.account_id AND i.id = k.id AND {old}");
        delete_unlocked_sql("outbox", "i", &rows, "true")
    } else {
        // The keys are found by a join: SQLite looks a pair of values from JSON up by the first one alone.
        format!(
            "DELETE FROM outbox WHERE (account_id, id) IN (SELECT i.account_id, i.id FROM {keys}
                CROSS JOIN outbox i ON i.account_id = k.account_id AND i.id = k.id WHERE {old})"
        )
    }
}
