//! A table that is processed by lease: rows are claimed in one short statement, processed with no transaction open, and
//! settled by the process that still holds the lease.
//!
//! A row is pending while `due_at` is set: the moment at which it may be claimed or, if it is claimed, at which its
//! lease ends and it may be claimed again. So no other process has to notice that its holder has crashed. The index of
//! pending rows begins with the columns of a row's partition, followed by `due_at` and `id`.

pub(super) mod backlog;
mod claim_sql;
mod notices;
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

/// A table, and the columns that tell its partitions apart: each account gets its share of a claim, and each of its
/// partitions.
#[derive(Clone, Copy, Debug)]
pub(super) struct Queue {
    table: &'static str,
    partition_by: &'static [&'static str],
    /// The number of rows of one partition that may be claimed at the same time, over all processes; `None` for any number.
    at_once: Option<AtOnce>,
    /// Whether a row keeps the moment of its first claim, since an attempt may never finish.
    notes_first: bool,
}

/// A limit, and an expression for the limit of partition `step` at a moment, which may be lower.
#[derive(Clone, Copy, Debug)]
struct AtOnce {
    most: u32,
    of_partition: fn(now: &str) -> String,
}

/// The messages to people, a partition for each account.
pub(super) const OUTBOX: Queue =
    Queue { table: "outbox", partition_by: &["account_id"], at_once: None, notes_first: false };

/// The events to be posted, a partition for each endpoint. One that fails or answers slowly gets one message at a time, and
/// none while it rests, until it answers well and soon.
pub(super) const WEBHOOK_MESSAGES: Queue = Queue {
    table: "webhook_message",
    partition_by: &["account_id", "endpoint_id"],
    at_once: Some(AtOnce { most: 4, of_partition: at_once_to_endpoint }),
    notes_first: true,
};

fn at_once_to_endpoint(now: &str) -> String {
    format!(
        "coalesce((SELECT CASE WHEN w.rests_until > {now} THEN 0
            WHEN w.failing_since IS NOT NULL OR w.rests_until IS NOT NULL THEN 1 ELSE 4 END
            FROM webhook_endpoint w WHERE w.account_id = step.account_id AND w.id = step.endpoint_id), 4)"
    )
}

/// The delay after which a row that cannot be read is claimed again: a newer release, which may be running beside this
/// one, can read it.
const UNREADABLE_DELAY: Duration = Duration::from_secs(60);

/// The limits of a claim.
#[derive(Clone, Copy, Debug)]
pub struct ClaimLimit {
    /// The most rows.
    pub rows: u32,
    /// The places that are free in this process. An account with rows under way gets no more than leaves some of them free.
    pub free_places: u32,
}

impl ClaimLimit {
    /// Limits a claim to places of a process of which some are free. A single place cannot be shared.
    pub fn of_places(rows: u32, free_places: u32, places: u32) -> Self {
        if places > 1 { Self { rows, free_places } } else { Self::from(rows) }
    }
}

impl From<u32> for ClaimLimit {
    /// Limits the number of rows alone.
    fn from(rows: u32) -> Self {
        Self { rows, free_places: u32::MAX }
    }
}

/// The parameters of a claim.
#[derive(Clone, Debug)]
pub(super) struct ClaimRequest {
    /// The lease, which identifies the holder of the rows.
    pub(super) lease: Uuid,
    /// The duration of the lease.
    pub(super) lasts: Duration,
    /// The most rows.
    pub(super) limit: ClaimLimit,
    /// The values of the partition behind which the claim begins: the last partition that was served.
    pub(super) after: Vec<Value>,
}

/// Returns the account that was served last, if claims go through the accounts in their order, behind `after` at first.
pub(crate) fn last_served<'a>(after: &str, claimed: impl Iterator<Item = &'a str> + Clone) -> String {
    let behind = claimed.clone().filter(|account| *account <= after).max();
    behind.or(claimed.max()).unwrap_or_default().to_owned()
}

impl Queue {
    /// Claims due rows, in turns by account and by partition and the oldest of each partition first, and reads them. A
    /// result that is empty or short may mean that accounts have as many under way as they may.
    ///
    /// A row that cannot be read, since a newer release may have written it, is put back for a while, so that it blocks
    /// no other.
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
        let ClaimLimit { rows, free_places } = limit;
        let limits = [i64::from(rows).into(), i64::from(free_places).into()];
        let mut values: Vec<Value> = [clock.into(), lease.into(), lasts.into()].into_iter().chain(limits).collect();
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
                log_event!(error, QUEUED_ROWS_UNREADABLE, %error, rows = unreadable.len(), "queued rows cannot be read; they are tried again in a minute");
            }
            let none = claimed.is_empty() && !unreadable.is_empty();
            for (account, id, _) in unreadable {
                self.put_back(database, (&account, id, lease)).await?;
            }
            // Readable rows may wait behind those.
            if !none {
                return Ok(claimed);
            }
        }
    }

    /// Returns the partition at which a claim with these values stopped early; `None` if it reached the last one.
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

    /// Puts a claimed row back for a while as if it had not been claimed, if it still has the lease. Returns whether it
    /// had.
    pub(super) async fn put_back(self, database: &Database, row: (&str, Uuid, Uuid)) -> Result<bool, StoreError> {
        let now = statement_clock(database.backend(), 4);
        let first =
            if self.notes_first { ", first_tried_at = CASE WHEN attempts > 1 THEN first_tried_at END" } else { "" };
        let assignment = format!(
            "state = 'queued', due_at = {now} + {}, attempts = attempts - 1{first}",
            UNREADABLE_DELAY.as_micros()
        );
        self.settle(database, row, &assignment, vec![database.clock().map(Timestamp::micros).into()]).await
    }

    /// Updates a claimed row by an assignment to its columns, if it still has the lease. Returns whether it had.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_behind_the_end_of_a_claim_were_served_last() {
        for (after, claimed, wanted) in [
            ("", &["a", "c", "b"][..], "c"),
            ("b", &["c", "d"], "d"),
            ("b", &["c", "a", "b"], "b"),
            ("b", &["c", "a"], "a"),
            ("b", &["b"], "b"),
            ("b", &[], ""),
        ] {
            assert_eq!(last_served(after, claimed.iter().copied()), wanted, "{after} {claimed:?}");
        }
    }
}
