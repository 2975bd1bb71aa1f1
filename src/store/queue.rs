//! A table that is worked off by lease: rows are claimed in one short statement, worked on with no transaction open, and
//! settled by whoever still holds the lease.
//!
//! A row is pending while `due_at` is set: `due_at` is when it may be claimed, and of a claimed row when its lease ends and
//! it may be claimed again. Nothing else has to notice that its holder is gone. The index of pending rows begins with the
//! columns of the line a row stands in, followed by `due_at` and `id`.

pub(super) mod outbox;

use std::time::Duration;

use sea_orm::{ConnectionTrait, DbBackend, EntityTrait, Statement, Value};
use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::executor::load::parse_json;
use super::sql::database::Database;
use super::sql::error::StoreError;
use super::sql::rows_param::{Columns, by_index, statement_clock};
use crate::domain::value::time::Timestamp;

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

/// How many more partitions than rows one statement looks at: some have nothing that is due, or as much claimed as they may.
const MORE_PARTITIONS: u32 = 500;

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
    /// Behind which line to begin, as the values of its columns: the last line that was served.
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
                values.splice(FIRST_OF_LINE - 1.., stopped);
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
        for column in &self.line[1..] {
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

    /// The common table expressions of a claim that end with `ready`: the partitions to claim from.
    ///
    /// It steps from partition to partition, and looks at the row of each that is due first, whether it is due or not: so
    /// one step is one look into the index, however many rows wait.
    fn partitions(self, backend: DbBackend) -> String {
        let Self { table, line, at_once, .. } = self;
        let now = statement_clock(backend, CLOCK);
        let columns = line.join(", ");
        let types = if backend == DbBackend::Postgres { ["text) COLLATE \"C\"", "uuid)"] } else { ["text)", "blob)"] };
        let types = types.iter().zip(line).enumerate();
        let start =
            types.map(|(index, (kind, column))| format!("CAST(${} AS {kind} AS {column}", FIRST_OF_LINE + index));
        let start = start.collect::<Vec<_>>().join(", ");
        let free = at_once.map_or("$4".to_owned(), |AtOnce { of_line, .. }| {
            // A row that is claimed is due again when its lease ends.
            let leased = by_index(backend, "leased", "c", "line.account_id");
            format!(
                "{of_line} - (SELECT count(*) FROM {table} c WHERE {leased} AND c.endpoint_id = line.endpoint_id
                    AND c.lease IS NOT NULL AND c.due_at > {now})"
            )
        });
        format!(
            "RECURSIVE line({columns}, due_at, number) AS (
                SELECT {columns}, CAST(NULL AS bigint), 0 FROM (SELECT {start}) AS first
                UNION ALL SELECT {next}),
            ready AS MATERIALIZED (SELECT * FROM (SELECT {columns}, {free} AS free FROM line
                WHERE number > 0 AND account_id IS NOT NULL AND due_at <= {now}) AS due WHERE free > 0)",
            next = self.next(backend),
        )
    }

    /// The step from one partition to the next.
    fn next(self, backend: DbBackend) -> String {
        let Self { table, line, .. } = self;
        let rows = format!("FROM {table} q WHERE q.due_at IS NOT NULL");
        let rest = |alias: &str| line[1..].iter().map(|column| format!(", {alias}.{column}")).collect::<String>();
        let bound = format!("line.number < $4 + {MORE_PARTITIONS}");
        if backend == DbBackend::Postgres {
            let key = |alias: &str| format!("{alias}.account_id || ' pending'{}", rest(alias));
            return format!(
                "n.*, line.number + 1 FROM line CROSS JOIN LATERAL (SELECT q.account_id{rest}, q.due_at {rows}
                    AND ({}) > ({}) ORDER BY {}, q.due_at LIMIT 1) n WHERE {bound}",
                key("q"),
                key("line"),
                key("q"),
                rest = rest("q"),
            );
        }
        let key = |alias: &str| format!("{alias}.account_id{}", rest(alias));
        let first = |column: &str| {
            format!(
                "(SELECT q.{column} {rows} AND ({}) > ({}) ORDER BY {}, q.due_at LIMIT 1)",
                key("q"),
                key("line"),
                key("q")
            )
        };
        let columns = line.iter().map(|column| first(column)).collect::<Vec<_>>().join(", ");
        format!(
            "{columns}, {}, line.number + 1 FROM line WHERE line.account_id IS NOT NULL AND {bound}",
            first("due_at")
        )
    }

    /// The text of a claim: it takes as many rows of each partition that is ready as makes the shares equal. On PostgreSQL
    /// rows that somebody else is claiming at this moment are skipped.
    fn claim_sql<E: EntityTrait>(self, backend: DbBackend) -> String {
        let Self { table, line, at_once, notes_first } = self;
        let postgres = backend == DbBackend::Postgres;
        let now = statement_clock(backend, CLOCK);
        let rest = line[1..].iter().map(|column| format!(" AND t.{column} = ready.{column}")).collect::<String>();
        let own = by_index(backend, "pending", "t", "ready.account_id");
        let waiting = format!("FROM {table} t WHERE {own}{rest} AND t.due_at <= {now} ORDER BY t.due_at, t.id");
        let share = "max(1, $4 / (SELECT max(1, count(*)) FROM ready))";
        let picked = if postgres {
            let share = format!("least(ready.free, {})", share.replace("max(", "greatest("));
            format!(
                "SELECT t.account_id, t.id FROM ready CROSS JOIN LATERAL
                (SELECT t.account_id, t.id {waiting} LIMIT {share} FOR UPDATE SKIP LOCKED) t LIMIT $4"
            )
        } else {
            // A limit cannot name a partition, so what is too many is cut off behind it.
            let share = at_once.map_or(share.to_owned(), |AtOnce { most, .. }| format!("min({most}, {share})"));
            format!(
                "SELECT ready.account_id, unhex(j.value) AS id FROM ready, json_each(
                (SELECT json_group_array(hex(id)) FROM (SELECT t.id {waiting} LIMIT {share}))) j
                WHERE j.key < ready.free LIMIT $4"
            )
        };
        let with = format!("WITH {}, picked AS MATERIALIZED ({picked})", self.partitions(backend));
        let first =
            if notes_first { format!(", first_tried_at = coalesce(t.first_tried_at, {now})") } else { String::new() };
        // PostgreSQL is made to think of one row: see `Columns::keys_of`.
        let keys =
            if postgres { "(SELECT * FROM picked WHERE account_id || '' = account_id) AS p" } else { "picked AS p" };
        let update = format!(
            "UPDATE {table} AS t SET state = 'sending', lease = $2, due_at = {now} + $3, attempts = t.attempts + 1{first}
            FROM {keys} WHERE t.account_id = p.account_id AND t.id = p.id"
        );
        let body = |alias: &str| Columns::of::<E>().json_of(backend, alias);
        if postgres {
            format!(
                "{with}, claimed AS ({update} RETURNING t.*) SELECT account_id, id, ({})::text AS body FROM claimed c",
                body("c")
            )
        } else {
            format!("{with} {update} RETURNING account_id, id, {} AS body", body(table))
        }
    }

    /// The text that tells where a claim stopped that looked at as many partitions as one may; no row if it came to the end.
    fn stop_sql(self, backend: DbBackend) -> String {
        // A statement has to use all of its parameters.
        let types = if backend == DbBackend::Postgres { ("uuid", "bigint") } else { ("blob", "integer") };
        format!(
            "WITH {} SELECT {} FROM line WHERE number = $4 + {MORE_PARTITIONS} AND account_id IS NOT NULL
                AND (CAST($2 AS {}) IS NOT NULL OR CAST($3 AS {}) IS NOT NULL)",
            self.partitions(backend),
            self.line.join(", "),
            types.0,
            types.1,
        )
    }
}
