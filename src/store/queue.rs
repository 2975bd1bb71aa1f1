//! A table that is worked off by lease: rows are claimed in one short statement, worked on with no transaction open, and
//! settled by whoever still holds the lease.
//!
//! A row is pending while `due_at` is set: `due_at` is when it may be claimed, and of a claimed row when its lease ends and
//! it may be claimed again. Nothing else has to notice that its holder is gone. The index of pending rows begins with the
//! columns of the line a row stands in, followed by `due_at` and `id`.

use std::time::Duration;

use sea_orm::{ConnectionTrait, DbBackend, EntityTrait, Statement, Value};
use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::database::Database;
use super::error::StoreError;
use super::load::parse_json;
use super::set::{Columns, statement_clock};
use crate::domain::time::Timestamp;

/// The parameters of a claim: the clock, the lease, how long it lasts, how many rows at most, and the line to begin behind.
const CLOCK: usize = 1;
const FIRST_OF_LINE: usize = 5;

/// A table, and the columns that tell one line of waiting rows from another: each line gets its share of a claim.
#[derive(Clone, Copy, Debug)]
pub(super) struct Queue {
    table: &'static str,
    line: &'static [&'static str],
    /// How many rows of one line may be claimed at the same time, over all processes; none for any number.
    at_once: Option<AtOnce>,
    /// Whether a row keeps when it was claimed first, for an attempt may never come to an end.
    notes_first: bool,
}

/// A limit, and an expression for that of `line`, which may be lower.
#[derive(Clone, Copy, Debug)]
struct AtOnce {
    most: u32,
    of_line: &'static str,
}

/// The messages to people, a line for each account.
pub(super) const OUTBOX: Queue = Queue { table: "outbox", line: &["account_id"], at_once: None, notes_first: false };

/// The events to be posted, a line for each endpoint. One that is slow keeps few of those who post waiting, and one that
/// fails is asked one thing at a time until it answers.
pub(super) const WEBHOOK_MESSAGES: Queue = Queue {
    table: "webhook_message",
    line: &["account_id", "endpoint_id"],
    at_once: Some(AtOnce {
        most: 4,
        of_line: "CASE WHEN EXISTS (SELECT 1 FROM webhook_endpoint w WHERE w.account_id = line.account_id
            AND w.id = line.endpoint_id AND w.failing_since IS NOT NULL) THEN 1 ELSE 4 END",
    }),
    notes_first: true,
};

/// How many more lines than rows a claim looks at where lines may have as many claimed as they may.
const FULL_LINES: u32 = 500;

/// How soon a row is claimed again that cannot be read: a newer program, of which there may be one beside this, can.
const UNREADABLE: Duration = Duration::from_secs(60);

/// What a claim asks for.
#[derive(Clone, Debug)]
pub(super) struct Claim {
    /// Names the holder of the rows.
    pub(super) lease: Uuid,
    /// How long nobody else may claim them.
    pub(super) lasts: Duration,
    /// How many rows at most.
    pub(super) limit: u32,
    /// Behind which line to begin, as the values of its columns: the last line that was served.
    pub(super) after: Vec<Value>,
}

impl Queue {
    /// Claims due rows, the oldest of each line first, and reads them. Only none means that no line behind `after` has any:
    /// shares are rounded down.
    ///
    /// A row that cannot be read, as a newer program may have written it, is put back for a while, so that it stops no other.
    pub(super) async fn claim<E: EntityTrait, T>(
        self,
        database: &Database,
        claim: Claim,
        read: impl Fn(E::Model) -> Result<T, StoreError>,
    ) -> Result<Vec<T>, StoreError>
    where
        E::Model: DeserializeOwned,
    {
        let backend = database.backend();
        let Claim { lease, lasts, limit, after } = claim;
        let lasts = i64::try_from(lasts.as_micros()).unwrap_or(i64::MAX);
        let clock = database.clock().map(Timestamp::micros);
        let mut values: Vec<Value> = vec![clock.into(), lease.into(), lasts.into(), i64::from(limit).into()];
        values.extend(after);
        let claim = Statement::from_sql_and_values(backend, self.claim_sql::<E>(backend), values);
        loop {
            let rows = database.write.query_all_raw(claim.clone()).await?;
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

    /// The text of a claim.
    ///
    /// It steps from line to line over those that have a due row, as many as rows are wanted, and takes as many of each as
    /// makes the shares equal. A line with nothing due is stepped over inside the index. On PostgreSQL rows that somebody
    /// else is claiming at this moment are skipped.
    fn claim_sql<E: EntityTrait>(self, backend: DbBackend) -> String {
        let Self { table, line, at_once, notes_first } = self;
        let postgres = backend == DbBackend::Postgres;
        let now = statement_clock(backend, CLOCK);
        let of = |alias: &str| line.iter().map(|column| format!("{alias}.{column}")).collect::<Vec<_>>().join(", ");
        let first = |column: &str, after: &str| {
            format!(
                "(SELECT q.{column} FROM {table} q WHERE q.due_at <= {now} AND ({}) > ({after}) ORDER BY {} LIMIT 1)",
                of("q"),
                of("q")
            )
        };
        let step = |after: &str| line.iter().map(|column| first(column, after)).collect::<Vec<_>>().join(", ");
        let types = ["text", "uuid"].iter().zip(line).enumerate().map(|(index, (kind, _))| {
            if postgres { format!("${}::{kind}", FIRST_OF_LINE + index) } else { format!("${}", FIRST_OF_LINE + index) }
        });
        let start = step(&types.collect::<Vec<_>>().join(", "));
        let next = step(&of("line"));
        let columns = line.join(", ");
        let same = |alias: &str| {
            line.iter().map(|column| format!("{alias}.{column} = line.{column}")).collect::<Vec<_>>().join(" AND ")
        };
        let share = "max(1, $4 / (SELECT max(1, count(*)) FROM line WHERE account_id IS NOT NULL))";
        // What is claimed is due again when its lease ends, so it is found among what is due until then.
        let free = at_once.map(|AtOnce { of_line, .. }| {
            format!(
                "max(0, {of_line} - (SELECT count(*) FROM {table} c WHERE {} AND c.due_at > {now} AND c.due_at <= {now} + $3
                AND c.lease IS NOT NULL))",
                same("c")
            )
        });
        let steps = at_once.map_or("$4".to_owned(), |_| format!("$4 + {FULL_LINES}"));
        let waiting = format!("FROM {table} t WHERE {} AND t.due_at <= {now} ORDER BY t.due_at, t.id", same("t"));
        let picked = if postgres {
            let share = free.map_or(share.to_owned(), |free| format!("min({free}, {share})"));
            let share = share.replace("max(", "greatest(").replace("min(", "least(");
            format!(
                "SELECT t.account_id, t.id FROM line CROSS JOIN LATERAL
                (SELECT t.account_id, t.id {waiting} LIMIT {share} FOR UPDATE SKIP LOCKED) t LIMIT $4"
            )
        } else {
            // A limit cannot name a line, so what is too many is cut off behind it.
            let within = free.map(|free| format!("WHERE j.key < {free}")).unwrap_or_default();
            let share = at_once.map_or(share.to_owned(), |AtOnce { most, .. }| format!("min({most}, {share})"));
            format!(
                "SELECT line.account_id, unhex(j.value) AS id FROM line, json_each(
                (SELECT json_group_array(hex(id)) FROM (SELECT t.id {waiting} LIMIT {share}))) j {within} LIMIT $4"
            )
        };
        let with = format!(
            "WITH RECURSIVE line({columns}, number) AS (SELECT {start}, 1
                UNION ALL SELECT {next}, line.number + 1 FROM line WHERE line.account_id IS NOT NULL AND line.number < {steps}),
            picked AS MATERIALIZED ({picked})"
        );
        let first =
            if notes_first { format!(", first_tried_at = coalesce(t.first_tried_at, {now})") } else { String::new() };
        let update = format!(
            "UPDATE {table} AS t SET state = 'sending', lease = $2, due_at = {now} + $3, attempts = t.attempts + 1{first}
            FROM picked p WHERE t.account_id = p.account_id AND t.id = p.id"
        );
        let body = |alias: &str| Columns::of::<E>().json_of(backend, alias);
        if postgres {
            // Everything is in the index of pending rows but the rows themselves, so that is the way the planner takes.
            format!(
                "{with}, claimed AS ({update} RETURNING t.*) SELECT account_id, id, ({})::text AS body FROM claimed c",
                body("c")
            )
        } else {
            format!("{with} {update} RETURNING account_id, id, {} AS body", body(table))
        }
    }
}
