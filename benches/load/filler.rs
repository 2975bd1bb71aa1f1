//! Invitations that are there besides, as many as a large installation has: copies of one that the service created.
//!
//! They are rows of SQL, because the service would take an hour for ten million. Each has a recipient of its own, and an event with
//! its position. Indexes are dropped and created again, which takes a fraction of the time.

use sea_orm::{ConnectionTrait, Database, DatabaseConnection, DbBackend, QueryResult, Statement};

use crate::Outcome;

/// The time between the creation of one copy and the next, in microseconds.
const AGE: &str = "60000000";

/// The rows of a table that are copied, and the columns in which a copy differs: `{n}` is its number, `{id}` and `{event}` are ids
/// of its own, `{count}` is the number of copies.
struct Copied {
    table: &'static str,
    invitation: &'static str,
    columns: &'static [(&'static str, &'static str)],
}

const TABLES: [Copied; 3] = [
    Copied {
        table: "invitation",
        invitation: "id",
        columns: &[
            ("id", "{id}"),
            ("scope_id", "'filler-' || CAST({n} / 1000 AS text)"),
            ("sort_email", "{address}"),
            ("created_at", "t.created_at - ({count} - {n}) * {age}"),
            ("updated_at", "t.updated_at - ({count} - {n}) * {age}"),
        ],
    },
    Copied {
        table: "recipient",
        invitation: "invitation_id",
        columns: &[
            ("invitation_id", "{id}"),
            ("value", "{address}"),
            ("original", "{address}"),
            ("created_at", "t.created_at - ({count} - {n}) * {age}"),
        ],
    },
    Copied {
        table: "event",
        invitation: "invitation_id",
        columns: &[
            ("invitation_id", "{id}"),
            ("id", "{event}"),
            ("occurred_at", "t.occurred_at - ({count} - {n}) * {age}"),
            ("position", "1000000 + {n}"),
        ],
    },
];

/// Fills the database of a service that has created one invitation and is stopped.
pub(crate) async fn fill(url: &str, count: usize) -> Outcome {
    let database = Database::connect(url).await?;
    let on_postgres = database.get_database_backend() == DbBackend::Postgres;
    if !on_postgres {
        database.execute_unprepared("PRAGMA synchronous = OFF; PRAGMA cache_size = -1000000").await?;
    }
    let indexes = drop_indexes(&database).await?;
    for copied in &TABLES {
        database.execute_unprepared(&copied.sql(&database, count).await?).await?;
    }
    database
        .execute_unprepared(&format!(
            "UPDATE follower SET position = {} WHERE name IN ('sequencer', 'webhooks', 'nats')",
            1_000_000 + count
        ))
        .await?;
    for index in indexes {
        database.execute_unprepared(&index).await?;
    }
    // The service has its own statistics on SQLite.
    if on_postgres {
        for Copied { table, .. } in &TABLES {
            database.execute_unprepared(&format!("VACUUM ANALYZE {table}")).await?;
        }
        database.execute_unprepared("CHECKPOINT").await?;
    }
    Ok(database.close().await?)
}

/// Drops the indexes of the tables that are filled, and returns the statements that create them again.
async fn drop_indexes(database: &DatabaseConnection) -> Outcome<Vec<String>> {
    let sql = match database.get_database_backend() {
        DbBackend::Postgres => {
            "SELECT tablename AS table_name, indexname AS name, indexdef AS sql FROM pg_indexes
            WHERE schemaname = 'public' AND indexname NOT LIKE '%pkey'"
        }
        _ => "SELECT tbl_name AS table_name, name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL",
    };
    let mut indexes = Vec::new();
    for row in rows(database, sql).await? {
        let (table, name): (String, String) = (row.try_get("", "table_name")?, row.try_get("", "name")?);
        if TABLES.iter().any(|copied| copied.table == table) {
            database.execute_unprepared(&format!("DROP INDEX {name}")).await?;
            indexes.push(row.try_get("", "sql")?);
        }
    }
    Ok(indexes)
}

impl Copied {
    async fn sql(&self, database: &DatabaseConnection, count: usize) -> Outcome<String> {
        let Self { table, invitation, columns } = self;
        let first = rows(database, &format!("SELECT * FROM {table} LIMIT 1")).await?;
        let first = first.first().ok_or(format!("the service has written no row of {table}"))?;
        let names = first.column_names();
        let value = |name: &String| match columns.iter().find(|(column, _)| column == name) {
            Some((_, value)) => (*value).to_owned(),
            None => format!("t.{name}"),
        };
        let values = names.iter().map(value).collect::<Vec<_>>().join(", ");
        let on_postgres = database.get_database_backend() == DbBackend::Postgres;
        let hash = "({n} * 2654435761) & 4294967295";
        let (series, id, hash) = if on_postgres {
            (
                format!("generate_series(1::bigint, {count}) AS s(n)"),
                "('{prefix}-0000-7000-8000-' || lpad(to_hex({n}), 12, '0'))::uuid",
                format!("to_hex({hash})"),
            )
        } else {
            (
                format!(
                    "(WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < {count}) SELECT n FROM s) AS s"
                ),
                "unhex(printf('{prefix}000070008000%012x', {n}))",
                format!("printf('%x', {hash})"),
            )
        };
        let values = values
            .replace("{id}", &id.replace("{prefix}", "0170a000"))
            .replace("{event}", &id.replace("{prefix}", "0171a000"))
            .replace("{address}", &format!("'filler-' || {hash} || '@example.org'"))
            .replace("{count}", &count.to_string())
            .replace("{age}", AGE)
            .replace("{n}", "s.n");
        let names = names.join(", ");
        let one = format!("t.{invitation} = (SELECT id FROM invitation ORDER BY created_at LIMIT 1)");
        let from = format!("{series} CROSS JOIN {table} t WHERE {one}");
        Ok(format!("INSERT INTO {table} ({names}) SELECT {values} FROM {from}"))
    }
}

async fn rows(database: &DatabaseConnection, sql: &str) -> Outcome<Vec<QueryResult>> {
    let backend = database.get_database_backend();
    Ok(database.query_all_raw(Statement::from_string(backend, sql)).await?)
}
