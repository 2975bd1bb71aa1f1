//! Deletes old attempts and their messages, of all accounts, endpoint by endpoint, since their keys begin with the
//! endpoint.

use std::time::Duration;

use sea_orm::DbBackend;

use crate::domain::value::id::least_id;
use crate::domain::value::time::Timestamp;
use crate::store::Maintenance;
use crate::store::maintenance::Old;
use crate::store::sql::error::StoreError;
use crate::store::sql::rows_param::by_index;

/// The time for which attempts and settled messages are kept.
const RETENTION: Duration = Duration::from_secs(30 * 86_400);

impl Maintenance {
    /// Deletes attempts and messages that are older than 30 days, and returns the number of rows.
    pub async fn prune_webhooks(&self) -> Result<u64, StoreError> {
        let before = self.before(RETENTION).await?;
        let least = least_id(Timestamp::from_micros(before));
        let backend = self.0.backend();
        Ok(self.prune(&attempts(backend), least.into()).await? + self.prune(&messages(backend), before.into()).await?)
    }
}

/// Returns the deletion of attempts, by the least id of those that are kept.
pub(in crate::store) fn attempts(backend: DbBackend) -> Old {
    let rows =
        of_endpoints(backend, "webhook_attempt", "t.account_id = w.account_id AND t.endpoint_id = w.id AND t.id < $1");
    Old { table: "webhook_attempt", key: "account_id, endpoint_id, id", rows, still: "true" }
}

/// Returns the deletion of settled messages.
pub(in crate::store) fn messages(backend: DbBackend) -> Old {
    let own = by_index(backend, "time", "t", "w.account_id");
    let condition = format!("{own} AND t.endpoint_id = w.id AND t.occurred_at < $1 AND t.due_at IS NULL");
    let rows = of_endpoints(backend, "webhook_message", &condition);
    // PostgreSQL checks only the outer condition again on a row that it had to wait for. So the condition that the
    // message is settled stands there too: it may have been queued again meanwhile.
    Old { table: "webhook_message", key: "account_id, id", rows, still: "due_at IS NULL" }
}

/// Returns a source of the rows `t` of a table, endpoint by endpoint.
fn of_endpoints(backend: DbBackend, table: &str, condition: &str) -> String {
    if backend == DbBackend::Postgres {
        // The LIMIT keeps PostgreSQL from reading the whole table for a hash join.
        format!("webhook_endpoint w CROSS JOIN LATERAL (SELECT t.ctid FROM {table} t WHERE {condition} LIMIT $2) t")
    } else {
        // SQLite keeps the order of a CROSS JOIN, and would otherwise walk the whole table.
        format!("webhook_endpoint w CROSS JOIN {table} t ON {condition}")
    }
}
