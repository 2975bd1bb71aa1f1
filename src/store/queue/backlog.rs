//! The backlog of the whole database: messages that are not sent yet, and events that nobody sees yet.

use std::time::Duration;

use sea_orm::{ConnectionTrait, DbBackend, Statement};

use crate::domain::value::time::Timestamp;
use crate::store::sql::error::StoreError;
use crate::store::sql::rows_param::statement_clock;
use crate::store::{Store, within};

/// The longest the count of messages may take.
const COUNT_LIMIT: Duration = Duration::from_secs(10);

/// The queues, and their names.
const QUEUES: [(&str, &str); 2] = [("mail", "outbox"), ("webhook", "webhook_message")];

/// The messages of a queue that are not sent yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueBacklog {
    /// The name: `mail` or `webhook`.
    pub queue: &'static str,
    /// The messages that may be sent now.
    pub due: usize,
    /// Those that are under way, or tried again later.
    pub delayed: usize,
    /// The time for which the oldest due one has waited; zero if there is none.
    pub oldest: Duration,
}

/// The followers of the order of events, beside watches, which are of clients.
const FOLLOWERS: [&str; 2] = ["webhooks", "nats"];

/// The lag of a follower of the events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FollowerLag {
    /// The name: `webhooks` or `nats`.
    pub follower: &'static str,
    /// The age of the oldest event that it has not passed; zero if it has passed all, or nobody waits for it.
    pub lag: Duration,
}

/// Counts the messages of each queue that are not sent yet, by the index of pending rows.
pub(in crate::store) fn backlog_sql(backend: DbBackend) -> String {
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

/// Reads the oldest event that each follower has not passed. One that has never begun waits for nothing, and neither does the one that
/// writes messages to endpoints while there is none.
pub(in crate::store) fn follower_lags_sql(backend: DbBackend) -> String {
    format!(
        "SELECT f.name, {now} AS now, CASE
                WHEN f.name = 'nats' AND f.leased_until = 0 THEN NULL
                WHEN f.name = 'webhooks' AND NOT EXISTS (SELECT 1 FROM webhook_endpoint WHERE disabled_at IS NULL) THEN NULL
                ELSE (SELECT e.occurred_at FROM event e WHERE e.position > f.position ORDER BY e.position LIMIT 1)
            END AS oldest
        FROM follower f WHERE f.name IN ('{names}')",
        now = statement_clock(backend, 1),
        names = FOLLOWERS.join("', '"),
    )
}

/// Returns the time between two moments in microseconds; zero if there is no earlier one.
fn age(now: i64, earlier: Option<i64>) -> Duration {
    let micros = earlier.map_or(0, |earlier| now.saturating_sub(earlier));
    Duration::from_micros(micros.max(0).unsigned_abs())
}

impl Store {
    /// Counts the messages that wait. A long queue takes as long as its index is.
    pub async fn backlog(&self) -> Result<Vec<QueueBacklog>, StoreError> {
        let backend = self.database.backend();
        let values = [self.database.clock().map(Timestamp::micros).into()];
        let count = Statement::from_sql_and_values(backend, backlog_sql(backend), values);
        let rows = within(COUNT_LIMIT, async { Ok(self.database.read.query_all_raw(count).await?) }).await?;
        let mut found = Vec::new();
        for row in rows {
            let name: String = row.try_get("", "queue")?;
            let Some((queue, _)) = QUEUES.into_iter().find(|(known, _)| *known == name) else { continue };
            let (due, pending): (i64, i64) = (row.try_get("", "due")?, row.try_get("", "pending")?);
            let oldest = age(row.try_get("", "now")?, row.try_get("", "oldest")?);
            let count = |number: i64| usize::try_from(number).unwrap_or_default();
            found.push(QueueBacklog { queue, due: count(due), delayed: count(pending - due), oldest });
        }
        Ok(found)
    }

    /// Returns the lag of each follower of the events.
    pub async fn follower_lags(&self) -> Result<Vec<FollowerLag>, StoreError> {
        let backend = self.database.backend();
        let values = [self.database.clock().map(Timestamp::micros).into()];
        let read = Statement::from_sql_and_values(backend, follower_lags_sql(backend), values);
        let rows = within(COUNT_LIMIT, async { Ok(self.database.read.query_all_raw(read).await?) }).await?;
        let mut found = Vec::new();
        for row in rows {
            let name: String = row.try_get("", "name")?;
            let Some(follower) = FOLLOWERS.into_iter().find(|known| *known == name) else { continue };
            found.push(FollowerLag { follower, lag: age(row.try_get("", "now")?, row.try_get("", "oldest")?) });
        }
        Ok(found)
    }

    /// Returns the age of the oldest committed event without a position, which nobody sees; zero if there is none.
    pub async fn events_lag(&self) -> Result<Duration, StoreError> {
        let events = within(COUNT_LIMIT, self.unnumbered_events(0)).await?;
        Ok(age(events.now, events.oldest))
    }
}
