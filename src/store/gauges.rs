//! The numbers of the store for metrics: of this process, and of the messages and events of the whole database.

use std::time::Duration;

use sea_orm::{ConnectionTrait, DbBackend, Statement};

use super::sql::database::Database;
use super::sql::error::StoreError;
use super::sql::rows_param::statement_clock;
use super::{Store, within};
use crate::domain::value::time::Timestamp;
use crate::telemetry::metrics::seconds;
use crate::telemetry::metrics::table::{
    COMMANDS_WAITING, CONNECTIONS, CONNECTIONS_MAX, EVENTS_LAG, QUEUE_MESSAGES, QUEUE_OLDEST,
};

/// The longest the count of messages may take.
const COUNT_LIMIT: Duration = Duration::from_secs(10);

/// The queues, and their names in metrics.
const QUEUES: [(&str, &str); 2] = [("mail", "outbox"), ("webhook", "webhook_message")];

/// Counts the messages of each queue that are not sent yet, by the index of pending rows.
pub(super) fn backlog_sql(backend: DbBackend) -> String {
    let now = statement_clock(backend, 1);
    let of_queue = |(name, table): &(&str, &str)| {
        format!(
            "SELECT '{name}' AS queue, {now} AS now, count(*) FILTER (WHERE due_at <= {now}) AS due, count(*) AS pending,
                min(due_at) AS oldest
            FROM {table} WHERE due_at IS NOT NULL"
        )
    };
    QUEUES.each_ref().map(of_queue).join("\n        UNION ALL ")
}

impl Store {
    /// Sets the gauges of this process: its lanes and its connections.
    pub(crate) fn set_gauges(&self) {
        COMMANDS_WAITING.set_count(self.executor.waiting(), []);
        for (name, pool) in self.database.pools() {
            let (open, idle, most) = pool.connections();
            CONNECTIONS.set_count(open.saturating_sub(idle), [name, "busy"]);
            CONNECTIONS.set_count(idle, [name, "idle"]);
            CONNECTIONS_MAX.set_count(most, [name]);
        }
    }

    /// Counts what waits in the database, and sets its gauges.
    pub(crate) async fn set_backlog_gauges(&self) -> Result<(), StoreError> {
        let Database { read, .. } = &self.database;
        let backend = self.database.backend();
        let values = [self.database.clock().map(Timestamp::micros).into()];
        let count = Statement::from_sql_and_values(backend, backlog_sql(backend), values);
        let rows = within(COUNT_LIMIT, async { Ok(read.query_all_raw(count).await?) }).await?;
        for row in rows {
            let name: String = row.try_get("", "queue")?;
            let Some((name, _)) = QUEUES.into_iter().find(|(known, _)| *known == name) else { continue };
            let (now, due, pending): (i64, i64, i64) =
                (row.try_get("", "now")?, row.try_get("", "due")?, row.try_get("", "pending")?);
            let oldest: Option<i64> = row.try_get("", "oldest")?;
            QUEUE_MESSAGES.set_count(usize::try_from(due).unwrap_or_default(), [name, "due"]);
            QUEUE_MESSAGES.set_count(usize::try_from(pending - due).unwrap_or_default(), [name, "delayed"]);
            QUEUE_OLDEST.set(seconds(oldest.map_or(0, |oldest| now - oldest)), [name]);
        }
        let events = within(COUNT_LIMIT, self.unnumbered_events(0)).await?;
        EVENTS_LAG.set(seconds(events.oldest.map_or(0, |oldest| events.now - oldest)), []);
        Ok(())
    }
}
