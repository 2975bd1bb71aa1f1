//! A table that is worked off by lease: rows are claimed in one short statement, worked on with no transaction open, and
//! settled by whoever still holds the lease.
//!
//! A row is pending while `due_at` is set: `due_at` is when it may be claimed, and of a claimed row when its lease ends and
//! it may be claimed again. Nothing else has to notice that its holder is gone. The index of pending rows begins with the
//! columns of the partition of a row, followed by `due_at` and `id`.

mod claim_sql;
pub(super) mod outbox;

use std::time::Duration;

use claim_sql::FIRST_OF_PARTITION;
use sea_orm::{ConnectionTrait, EntityTrait, Statement, Value};
use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::executor::load::parse_json;
use super::sql::database::Database;
use super::sql::error::StoreError;
use super::sql::rows_param::statement_clock;
use crate::domain::value::time::Timestamp;

/// A table, and the columns that tell one partition of its rows from another: each partition gets its share of a claim.
#[derive(Clone, Copy, Debug)]
pub(super) struct Queue {
    table: &'static str,
    partition_by: &'static [&'static str],
    /// The number of rows of one partition that may be claimed at the same time, over all processes; `None` for any number.
    at_once: Option<AtOnce>,
    /// Whether a row keeps when it was claimed first, for an attempt may never come to an end.
    notes_first: bool,
}

/// A limit, and an expression for that of partition `step`, which may be lower.
#[derive(Clone, Copy, Debug)]
struct AtOnce {
    most: u32,
    of_partition: &'static str,
}

/// The messages to people, a partition for each account.
pub(super) const OUTBOX: Queue =
    Queue { table: "outbox", partition_by: &["account_id"], at_once: None, notes_first: false };

/// The events to be posted, a partition for each endpoint. One that is slow keeps few of those who post waiting, and one that
/// fails is asked one thing at a time until it answers.
pub(super) const WEBHOOK_MESSAGES: Queue = Queue {
    table: "webhook_message",
    partition_by: &["account_id", "endpoint_id"],
    at_once: Some(AtOnce {
        most: 4,
        of_partition: "CASE WHEN EXISTS (SELECT 1 FROM webhook_endpoint w WHERE w.account_id = step.account_id
            AND w.id = step.endpoint_id AND w.failing_since IS NOT NULL) THEN 1 ELSE 4 END",
    }),
    notes_first: true,
};

/// How soon a row is claimed again that cannot be read: a newer program, of which there may be one beside this, can.
const UNREADABLE: Duration = Duration::from_secs(60);

/// What a claim asks for.
#[derive(Clone, Debug)]
pub(super) struct ClaimRequest {
    /// Names the holder of the rows.
    pub(super) lease: Uuid,
    /// How long nobody else may claim them.
    pub(super) lasts: Duration,
    /// How many rows at most.
    pub(super) limit: u32,
    /// The values of the partition to begin behind: the last partition that was served.
    pub(super) after: Vec<Value>,
}

impl Queue {
    /// Claims due rows, the oldest of each partition first, and reads them. An empty result means that no partition after
    /// `after` has due rows. A short result does not, because shares are rounded down.
    ///
    /// A row that cannot be read, as a newer program may have written it, is put back for a while, so that it stops no other.
    pub(super) async fn claim<E: EntityTrait, T>(
        self,
        database: &Database,
        claim: ClaimRequest,
        read: impl Fn(E::Model) -> Result<T, StoreError>,
    ) -> Result<Vec<T>, StoreError>
    where
        E::Model: DeserializeOwned,
    {
        let backend = database.backend();
        let ClaimRequest { lease, lasts, limit, after } = claim;
        let lasts = i64::try_from(lasts.as_micros()).unwrap_or(i64::MAX);
        let clock = database.clock().map(Timestamp::micros);
        let mut values: Vec<Value> = vec![clock.into(), lease.into(), lasts.into(), i64::from(limit).into()];
        values.extend(after);
        let mut claim = Statement::from_sql_and_values(backend, self.claim_sql::<E>(backend), values.clone());
        loop {
            let rows = database.write.query_all_raw(claim.clone()).await?;
            if rows.is_empty()
                && let Some(stopped) = self.stopped(database, &values).await?
            {
                values.splice(FIRST_OF_PARTITION - 1.., stopped);
                claim = Statement::from_sql_and_values(backend, claim.sql, values.clone());
                continue;
            }
            let (mut claimed, mut unreadable) = (Vec::new(), Vec::<(String, Uuid, StoreError)>::new());
            for row in &rows {
                let body: String = row.try_get("", "body")?;
                match parse_json(&body, self.table).and_then(&read) {
                    Ok(row) => claimed.push(row),
                    Err(error) => unreadable.push((row.try_get("", "account_id")?, row.try_get("", "id")?, error)),
                }
            }
            if let Some((_, _, error)) = unreadable.first() {
                tracing::error!(%error, rows = unreadable.len(), "rows that wait cannot be read");
            }
            let none = claimed.is_empty() && !unreadable.is_empty();
            for (account, id, _) in unreadable {
                self.put_back(database, (&account, id, lease)).await?;
            }
            // Others may wait behind those.
            if !none {
                return Ok(claimed);
            }
        }
    }

    /// Returns the partition at which a claim with these values stopped before it came to the end.
    async fn stopped(self, database: &Database, values: &[Value]) -> Result<Option<Vec<Value>>, StoreError> {
        let backend = database.backend();
        let stop = Statement::from_sql_and_values(backend, self.stop_sql(backend), values.to_vec());
        let Some(row) = database.read.query_one_raw(stop).await? else { return Ok(None) };
        let mut stopped: Vec<Value> = vec![row.try_get::<String>("", "account_id")?.into()];
        for column in &self.partition_by[1..] {
            stopped.push(row.try_get::<Uuid>("", column)?.into());
        }
        Ok(Some(stopped))
    }

    /// Puts a claimed row back for a while as if it had not been claimed, if the lease is still its.
    pub(super) async fn put_back(self, database: &Database, row: (&str, Uuid, Uuid)) -> Result<bool, StoreError> {
        let now = statement_clock(database.backend(), 4);
        let first =
            if self.notes_first { ", first_tried_at = CASE WHEN attempts > 1 THEN first_tried_at END" } else { "" };
        let assignment =
            format!("state = 'queued', due_at = {now} + {}, attempts = attempts - 1{first}", UNREADABLE.as_micros());
        self.settle(database, row, &assignment, vec![database.clock().map(Timestamp::micros).into()]).await
    }

    /// Changes a row that is claimed, by an assignment to its columns, if the lease is still its. Returns whether it was.
    pub(super) async fn settle(
        self,
        database: &Database,
        row: (&str, Uuid, Uuid),
        assignment: &str,
        values: Vec<Value>,
    ) -> Result<bool, StoreError> {
        let (account_id, id, lease) = row;
        let sql = format!(
            "UPDATE {} SET lease = NULL, {assignment} WHERE account_id = $1 AND id = $2 AND lease = $3",
            self.table
        );
        let values = [account_id.into(), id.into(), lease.into()].into_iter().chain(values);
        let settle = Statement::from_sql_and_values(database.backend(), sql, values);
        Ok(database.write.execute_raw(settle).await?.rows_affected() > 0)
    }
}
