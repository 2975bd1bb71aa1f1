//! The texts of a claim, for each database. Both step from partition to partition, and look first at the oldest row of
//! each, whether it is due or not: so one step is one look into the index, however many rows wait. Of each partition
//! that is ready they then claim as many rows as makes the shares equal.

use sea_orm::{DbBackend, EntityTrait};

use super::{AtOnce, Queue};
use crate::store::sql::rows_param::{Columns, by_index, statement_clock};

/// The parameters of a claim, in this order: the clock, the lease, its duration, the most rows, and the columns of the
/// partition to begin behind.
const CLOCK: usize = 1;
pub(super) const FIRST_OF_PARTITION: usize = 5;

/// The number of partitions that one statement looks at beyond the number of rows: some have nothing that is due, or as
/// much claimed as they may.
const MORE_PARTITIONS: u32 = 500;

/// Returns the columns of a partition in one of the tables of a claim.
fn columns(partition: &[&str], alias: &str) -> String {
    partition.iter().map(|column| format!("{alias}.{column}")).collect::<Vec<_>>().join(", ")
}

/// Returns the same columns as in the index of pending rows on PostgreSQL.
fn pending_key(partition: &[&str], alias: &str) -> String {
    let columns = columns(partition, alias);
    columns.replacen("account_id", "account_id || ' pending'", 1)
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

    /// Rows that another process is claiming at this moment are skipped. PostgreSQL is made to expect one row when it
    /// looks the picked rows up: see `Columns::keys_of`.
    fn claim_on_postgres(self, body: &str) -> String {
        format!(
            "WITH {partitions},
            picked AS MATERIALIZED (
                SELECT t.account_id, t.id FROM ready CROSS JOIN LATERAL (
                    SELECT t.account_id, t.id {waiting}
                    LIMIT least(ready.free, greatest(1, $4 / (SELECT greatest(1, count(*)) FROM ready)))
                    FOR UPDATE SKIP LOCKED) t
                LIMIT $4),
            claimed AS (
                {update} FROM (SELECT * FROM picked WHERE account_id || '' = account_id) AS p
                WHERE t.account_id = p.account_id AND t.id = p.id RETURNING t.*)
            SELECT account_id, id, ({body})::text AS body FROM claimed c",
            partitions = self.partitions(DbBackend::Postgres),
            waiting = self.waiting(DbBackend::Postgres),
            update = self.update(DbBackend::Postgres),
        )
    }

    /// A limit cannot name a partition on SQLite, so rows beyond a share are cut off afterwards.
    fn claim_on_sqlite(self, body: &str) -> String {
        let share = "max(1, $4 / (SELECT max(1, count(*)) FROM ready))";
        let share = self.at_once.map_or(share.to_owned(), |AtOnce { most, .. }| format!("min({most}, {share})"));
        format!(
            "WITH {partitions},
            picked AS MATERIALIZED (
                SELECT ready.account_id, unhex(j.value) AS id FROM ready, json_each(
                    (SELECT json_group_array(hex(id)) FROM (SELECT t.id {waiting} LIMIT {share}))) j
                WHERE j.key < ready.free LIMIT $4)
            {update} FROM picked AS p WHERE t.account_id = p.account_id AND t.id = p.id
            RETURNING account_id, id, {body} AS body",
            partitions = self.partitions(DbBackend::Sqlite),
            waiting = self.waiting(DbBackend::Sqlite),
            update = self.update(DbBackend::Sqlite),
        )
    }

    /// Returns the text that finds the partition at which a claim stopped because it had looked at as many partitions
    /// as it may; no row if it came to the end. A statement has to use all of its parameters.
    pub(in crate::store) fn stop_sql(self, backend: DbBackend) -> String {
        let (uuid, integer) = if backend == DbBackend::Postgres { ("uuid", "bigint") } else { ("blob", "integer") };
        format!(
            "WITH {partitions} SELECT {columns} FROM step WHERE number = $4 + {MORE_PARTITIONS} AND account_id IS NOT NULL
                AND (CAST($2 AS {uuid}) IS NOT NULL OR CAST($3 AS {integer}) IS NOT NULL)",
            partitions = self.partitions(backend),
            columns = self.partition_by.join(", "),
        )
    }

    /// Returns the common table expressions that end with `ready`: the partitions to claim from.
    fn partitions(self, backend: DbBackend) -> String {
        let is_postgres = backend == DbBackend::Postgres;
        format!(
            "RECURSIVE step({columns}, due_at, number) AS (
                SELECT {columns}, CAST(NULL AS bigint), 0 FROM (SELECT {first}) AS first
                UNION ALL SELECT {next}),
            ready AS MATERIALIZED (
                SELECT * FROM (
                    SELECT {columns}, {free} AS free FROM step
                    WHERE number > 0 AND account_id IS NOT NULL AND due_at <= {now}) AS due
                WHERE free > 0)",
            columns = self.partition_by.join(", "),
            first = self.first(backend),
            next = if is_postgres { self.next_on_postgres() } else { self.next_on_sqlite() },
            free = self.free(backend),
            now = statement_clock(backend, CLOCK),
        )
    }

    /// Returns the partition to begin behind.
    fn first(self, backend: DbBackend) -> String {
        let types = if backend == DbBackend::Postgres { ["text) COLLATE \"C\"", "uuid)"] } else { ["text)", "blob)"] };
        let parameters = (FIRST_OF_PARTITION..).zip(types).zip(self.partition_by);
        let columns = parameters.map(|((number, kind), column)| format!("CAST(${number} AS {kind} AS {column}"));
        columns.collect::<Vec<_>>().join(", ")
    }

    /// Returns the step from one partition to the next.
    fn next_on_postgres(self) -> String {
        let Self { table, partition_by, .. } = self;
        format!(
            "n.*, step.number + 1 FROM step CROSS JOIN LATERAL (
                SELECT {columns}, q.due_at FROM {table} q WHERE q.due_at IS NOT NULL AND ({key}) > ({last})
                ORDER BY {key}, q.due_at LIMIT 1) n
            WHERE step.number < $4 + {MORE_PARTITIONS}",
            columns = columns(partition_by, "q"),
            key = pending_key(partition_by, "q"),
            last = pending_key(partition_by, "step"),
        )
    }

    /// SQLite has no lateral joins, so each column is looked up by itself.
    fn next_on_sqlite(self) -> String {
        let Self { table, partition_by, .. } = self;
        let (key, last) = (columns(partition_by, "q"), columns(partition_by, "step"));
        let next = partition_by.iter().chain(&["due_at"]).map(|column| {
            format!(
                "(SELECT q.{column} FROM {table} q WHERE q.due_at IS NOT NULL AND ({key}) > ({last})
                ORDER BY {key}, q.due_at LIMIT 1)"
            )
        });
        format!(
            "{next}, step.number + 1 FROM step WHERE step.account_id IS NOT NULL AND step.number < $4 + {MORE_PARTITIONS}",
            next = next.collect::<Vec<_>>().join(", "),
        )
    }

    /// Returns the number of rows of partition `step` that may be claimed.
    fn free(self, backend: DbBackend) -> String {
        let Some(AtOnce { of_partition, .. }) = self.at_once else { return "$4".to_owned() };
        // A row that is claimed is due again when its lease ends.
        format!(
            "{of_partition} - (SELECT count(*) FROM {table} c WHERE {leased} AND c.endpoint_id = step.endpoint_id
                AND c.lease IS NOT NULL AND c.due_at > {now})",
            table = self.table,
            leased = by_index(backend, "leased", "c", "step.account_id"),
            now = statement_clock(backend, CLOCK),
        )
    }

    /// Returns the rows `t` of partition `ready` that are due, the oldest first.
    fn waiting(self, backend: DbBackend) -> String {
        let rest = self.partition_by[1..].iter().map(|column| format!(" AND t.{column} = ready.{column}"));
        format!(
            "FROM {table} t WHERE {own}{rest} AND t.due_at <= {now} ORDER BY t.due_at, t.id",
            table = self.table,
            own = by_index(backend, "pending", "t", "ready.account_id"),
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
