//! The texts of a claim, for each database. Both step from partition to partition, and look first at the oldest row of
//! each, whether it is due or not: so one step is one look into the index, however many rows wait. The steps begin behind
//! the partition that was served last, and go on with the first ones, so that one claim sees them all.
//!
//! The rows that are due are then taken in turns: the next one is of the account of which the fewest are being processed,
//! and of its partition of which the fewest are. An account leaves places free for others, so that one whose rows take
//! long keeps nobody waiting.

use sea_orm::{DbBackend, EntityTrait};

use super::Queue;
use crate::store::sql::rows_param::{Columns, by_index, statement_clock};

/// The parameters of a claim, in this order: the clock, the lease, its duration, the most rows, the places that are free in
/// this process, and the columns of the partition to begin behind.
const CLOCK: usize = 1;
pub(super) const FIRST_OF_PARTITION: usize = 6;

/// The number of partitions that one statement looks at beyond the number of rows: some have nothing that is due, or as
/// much claimed as they may.
const MORE_PARTITIONS: u32 = 500;

/// The number of rows of one account that may be processed, over all processes, for each place that is left free.
const ROWS_PER_FREE: u32 = 3;

/// Returns the columns of a partition in one of the tables of a claim.
fn columns(partition: &[&str], alias: &str) -> String {
    partition.iter().map(|column| format!("{alias}.{column}")).collect::<Vec<_>>().join(", ")
}

/// Returns the same columns as in the index of pending rows.
fn pending_key(backend: DbBackend, columns: &[String]) -> String {
    let tag = if backend == DbBackend::Postgres { " || ' pending'" } else { "" };
    let key = columns.iter().enumerate();
    key.map(|(place, column)| if place == 0 { format!("{column}{tag}") } else { column.clone() })
        .collect::<Vec<_>>()
        .join(", ")
}

/// Returns the types of the columns of a partition.
fn types(backend: DbBackend) -> [&'static str; 2] {
    if backend == DbBackend::Postgres { ["text) COLLATE \"C\"", "uuid)"] } else { ["text)", "blob)"] }
}

impl Queue {
    /// Returns the text of a claim.
    pub(in crate::store) fn claim_sql<E: EntityTrait>(self, backend: DbBackend) -> String {
        let body = |alias: &str| Columns::of::<E>().json_of(backend, alias);
        if backend == DbBackend::Postgres {
            self.claim_on_postgres(&body("c"))
        } else {
            self.claim_on_sqlite(&body(self.table))
        }
    }

    /// Rows that another process is claiming at this moment are skipped, and others of their partition taken instead.
    /// PostgreSQL is made to expect one row when it looks the picked rows up: see `Columns::keys_of`.
    fn claim_on_postgres(self, body: &str) -> String {
        let keys = self.partition_by.join(", ");
        format!(
            "WITH {chosen},
            quota AS MATERIALIZED (SELECT {keys}, count(*) AS quota FROM chosen GROUP BY {keys}),
            picked AS MATERIALIZED (
                SELECT t.account_id, t.id FROM quota r CROSS JOIN LATERAL (
                    SELECT t.account_id, t.id {waiting} LIMIT r.quota FOR UPDATE SKIP LOCKED) t),
            claimed AS (
                {update} FROM (SELECT * FROM picked WHERE account_id || '' = account_id) AS p
                WHERE t.account_id = p.account_id AND t.id = p.id RETURNING t.*)
            SELECT account_id, id, ({body})::text AS body FROM claimed c",
            chosen = self.chosen(DbBackend::Postgres),
            waiting = self.waiting(DbBackend::Postgres),
            update = self.update(DbBackend::Postgres),
        )
    }

    fn claim_on_sqlite(self, body: &str) -> String {
        format!(
            "WITH {chosen}
            {update} FROM chosen AS p WHERE t.account_id = p.account_id AND t.id = p.id
            RETURNING account_id, id, {body} AS body",
            chosen = self.chosen(DbBackend::Sqlite),
            update = self.update(DbBackend::Sqlite),
        )
    }

    /// Returns the text that finds the partition at which a claim stopped because it had looked at as many partitions
    /// as it may; no row if it came to the end. A statement has to use all of its parameters.
    pub(in crate::store) fn stop_sql(self, backend: DbBackend) -> String {
        let (uuid, integer) = if backend == DbBackend::Postgres { ("uuid", "bigint") } else { ("blob", "integer") };
        format!(
            "WITH RECURSIVE {ahead} SELECT {columns} FROM ahead
            WHERE number = $4 + {MORE_PARTITIONS} AND account_id IS NOT NULL AND (CAST($1 AS {integer}) IS NOT NULL
                OR CAST($2 AS {uuid}) IS NOT NULL OR CAST($3 AS {integer}) IS NOT NULL OR CAST($5 AS {integer}) IS NOT NULL)",
            ahead = self.ahead(backend),
            columns = self.partition_by.join(", "),
        )
    }

    /// Returns the common table expressions that end with `chosen`: the rows to be claimed.
    fn chosen(self, backend: DbBackend) -> String {
        let (least, greatest) = if backend == DbBackend::Postgres { ("least", "greatest") } else { ("min", "max") };
        format!(
            "RECURSIVE {ahead}, {behind},
            step AS MATERIALIZED (
                SELECT * FROM ahead WHERE number > 0 UNION ALL SELECT * FROM behind WHERE number > $4 + {MORE_PARTITIONS}),
            ready AS MATERIALIZED (
                SELECT * FROM (
                    SELECT {columns}, number, {under_way} AS under_way, {most} AS most FROM step
                    WHERE account_id IS NOT NULL AND due_at <= {now}) AS due
                WHERE most > under_way),
            busy AS MATERIALIZED (
                SELECT s.account_id, {busy} AS busy FROM (SELECT DISTINCT account_id FROM ready) s),
            share AS MATERIALIZED (
                SELECT account_id, busy, {least}($4, {greatest}(CASE WHEN busy = 0 THEN 1 ELSE 0 END,
                    ({ROWS_PER_FREE} * $5 - busy) / (1 + {ROWS_PER_FREE} * (SELECT count(*) FROM busy)))) AS share FROM busy),
            candidate AS MATERIALIZED ({candidate}),
            placed AS MATERIALIZED (
                SELECT candidate.*, row_number() OVER (PARTITION BY account_id ORDER BY nth, due_at, id) AS place FROM candidate),
            chosen AS MATERIALIZED (
                SELECT * FROM placed WHERE place <= share ORDER BY busy + place, number LIMIT $4)",
            ahead = self.ahead(backend),
            behind = self.behind(backend),
            columns = self.partition_by.join(", "),
            under_way = self.under_way(backend),
            most = self.most(backend),
            now = statement_clock(backend, CLOCK),
            busy = self.leased(backend, "s.account_id", ""),
            candidate = if backend == DbBackend::Postgres {
                self.candidate_on_postgres()
            } else {
                self.candidate_on_sqlite()
            },
        )
    }

    /// Returns the due rows of each partition, no more than may be claimed, numbered with those that are being processed.
    fn candidate_on_postgres(self) -> String {
        format!(
            "SELECT {columns}, r.number, s.busy, s.share, r.under_way + t.nth AS nth, t.due_at, t.id
            FROM ready r JOIN share s ON s.account_id = r.account_id CROSS JOIN LATERAL (
                SELECT w.id, w.due_at, row_number() OVER (ORDER BY w.due_at, w.id) AS nth FROM (
                    SELECT t.id, t.due_at {waiting} LIMIT least(r.most - r.under_way, s.share)) w) t",
            columns = columns(self.partition_by, "r"),
            waiting = self.waiting(DbBackend::Postgres),
        )
    }

    /// A limit cannot name a partition on SQLite, so rows beyond a share are cut off afterwards.
    fn candidate_on_sqlite(self) -> String {
        format!(
            "SELECT {columns}, r.number, s.busy, s.share, r.under_way + 1 + j.key AS nth, j.value->>1 AS due_at,
                unhex(j.value->>0) AS id
            FROM ready r CROSS JOIN share s ON s.account_id = r.account_id CROSS JOIN json_each((
                SELECT json_group_array(json_array(hex(w.id), w.due_at)) FROM (
                    SELECT t.id, t.due_at {waiting} LIMIT {limit}) w)) j
            WHERE j.key < min(r.most - r.under_way, s.share)",
            columns = columns(self.partition_by, "r"),
            waiting = self.waiting(DbBackend::Sqlite),
            limit = self.at_once.map_or("$4".to_owned(), |at_once| at_once.most.to_string()),
        )
    }

    /// Returns the partitions behind the one that was served last, in the order of their keys.
    fn ahead(self, backend: DbBackend) -> String {
        let parameters = (FIRST_OF_PARTITION..).zip(types(backend)).zip(self.partition_by);
        let first = parameters.map(|((number, kind), column)| format!("CAST(${number} AS {kind} AS {column}"));
        let first = first.collect::<Vec<_>>().join(", ");
        self.steps(backend, "ahead", (&first, "0"), "")
    }

    /// Returns the partitions from the first one to the one that was served last.
    fn behind(self, backend: DbBackend) -> String {
        let smallest = if backend == DbBackend::Postgres {
            ["''", "'00000000-0000-0000-0000-000000000000'"]
        } else {
            ["''", "x''"]
        };
        let smallest = smallest.into_iter().zip(types(backend)).zip(self.partition_by);
        let first = smallest.map(|((value, kind), column)| format!("CAST({value} AS {kind} AS {column}"));
        let first = first.collect::<Vec<_>>().join(", ");
        let last = (FIRST_OF_PARTITION..).zip(types(backend)).take(self.partition_by.len());
        let last: Vec<_> = last.map(|(number, kind)| format!("(CAST(${number} AS {kind})")).collect();
        let key: Vec<_> = self.partition_by.iter().map(|column| format!("q.{column}")).collect();
        let until = format!(" AND ({}) <= ({})", pending_key(backend, &key), pending_key(backend, &last));
        self.steps(backend, "behind", (&first, &format!("$4 + {MORE_PARTITIONS}")), &until)
    }

    /// Returns a recursive table expression: the partitions behind `first`, one after the other, numbered from a number on.
    /// SQLite has no lateral joins, so each column is looked up by itself.
    fn steps(self, backend: DbBackend, name: &str, (first, from): (&str, &str), until: &str) -> String {
        let Self { table, partition_by, .. } = self;
        let of = |alias: &str| partition_by.iter().map(|column| format!("{alias}.{column}")).collect::<Vec<_>>();
        let (key, last) = (pending_key(backend, &of("q")), pending_key(backend, &of(name)));
        let rows = format!(
            "FROM {table} q WHERE q.due_at IS NOT NULL AND ({key}) > ({last}){until} ORDER BY {key}, q.due_at LIMIT 1"
        );
        let end = format!("{name}.number < {from} + $4 + {MORE_PARTITIONS}");
        let next = if backend == DbBackend::Postgres {
            format!(
                "n.*, {name}.number + 1 FROM {name} CROSS JOIN LATERAL (SELECT {}, q.due_at {rows}) n WHERE {end}",
                columns(partition_by, "q")
            )
        } else {
            let next = partition_by.iter().chain(&["due_at"]).map(|column| format!("(SELECT q.{column} {rows})"));
            let next = next.collect::<Vec<_>>().join(", ");
            format!("{next}, {name}.number + 1 FROM {name} WHERE {name}.account_id IS NOT NULL AND {end}")
        };
        format!(
            "{name}({columns}, due_at, number) AS (
                SELECT {columns}, CAST(NULL AS bigint), {from} FROM (SELECT {first}) AS first
                UNION ALL SELECT {next})",
            columns = partition_by.join(", "),
        )
    }

    /// Returns the number of rows of partition `step` that are being processed.
    fn under_way(self, backend: DbBackend) -> String {
        if self.at_once.is_none() {
            return "0".to_owned();
        }
        self.leased(backend, "step.account_id", " AND c.endpoint_id = step.endpoint_id")
    }

    /// Returns the number of rows of partition `step` that may be processed at the same time.
    fn most(self, backend: DbBackend) -> String {
        self.at_once.map_or("$4".to_owned(), |at_once| (at_once.of_partition)(&statement_clock(backend, CLOCK)))
    }

    /// Returns the number of an account's rows that are being processed. A row that is claimed is due again when its lease
    /// ends.
    fn leased(self, backend: DbBackend, account: &str, condition: &str) -> String {
        format!(
            "(SELECT count(*) FROM {table} c WHERE {leased}{condition} AND c.lease IS NOT NULL AND c.due_at > {now})",
            table = self.table,
            leased = by_index(backend, "leased", "c", account),
            now = statement_clock(backend, CLOCK),
        )
    }

    /// Returns the rows `t` of partition `r` that are due, the oldest first.
    fn waiting(self, backend: DbBackend) -> String {
        let rest = self.partition_by[1..].iter().map(|column| format!(" AND t.{column} = r.{column}"));
        format!(
            "FROM {table} t WHERE {own}{rest} AND t.due_at <= {now} ORDER BY t.due_at, t.id",
            table = self.table,
            own = by_index(backend, "pending", "t", "r.account_id"),
            rest = rest.collect::<String>(),
            now = statement_clock(backend, CLOCK),
        )
    }

    /// Returns the update of a row that is claimed.
    fn update(self, backend: DbBackend) -> String {
        let now = statement_clock(backend, CLOCK);
        let first = format!(", first_tried_at = coalesce(t.first_tried_at, {now})");
        format!(
            "UPDATE {table} AS t SET state = 'sending', lease = $2, due_at = {now} + $3, attempts = t.attempts + 1{first}",
            table = self.table,
            first = if self.notes_first { first.as_str() } else { "" },
        )
    }
}
