//! Sets of rows as one JSON parameter, and rows as JSON, on both databases: a statement's text never depends on how many
//! rows it is for, so it is prepared once.
//!
//! Columns come from the entities, so a new column is written down once.

use sea_orm::sea_query::ColumnType;
use sea_orm::{ColumnTrait, DbBackend, EntityTrait, IdenStatic, Iterable};

/// A named list of columns with their types.
pub(super) struct Columns(Vec<(&'static str, ColumnType)>);

impl Columns {
    /// Returns an entity's columns.
    pub(super) fn of<E: EntityTrait>() -> Self {
        Self(E::Column::iter().map(|column| (column.as_str(), column.def().get_column_type().clone())).collect())
    }

    /// Returns a list of columns that is no table's.
    pub(super) fn list<const N: usize>(columns: [(&'static str, ColumnType); N]) -> Self {
        Self(columns.into())
    }

    /// Returns these columns and some more.
    pub(super) fn and<const N: usize>(mut self, more: [(&'static str, ColumnType); N]) -> Self {
        self.0.extend(more);
        self
    }

    /// Returns the names, for an INSERT or a SELECT.
    pub(super) fn names(&self) -> String {
        self.0.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
    }

    /// Returns the names behind a table's alias.
    pub(super) fn names_of(&self, alias: &str) -> String {
        self.0.iter().map(|(name, _)| format!("{alias}.{name}")).collect::<Vec<_>>().join(", ")
    }

    /// Returns a table expression, called `alias`, over the JSON array in parameter `param`.
    pub(super) fn rows_of(&self, backend: DbBackend, param: usize, alias: &str) -> String {
        if backend == DbBackend::Postgres {
            let columns = self.0.iter().map(|(name, kind)| format!("{name} {}", postgres_type(kind)));
            let columns = columns.collect::<Vec<_>>().join(", ");
            format!("json_to_recordset(${param}::text::json) AS {alias}({columns})")
        } else {
            let columns = self.0.iter().map(|(name, kind)| match kind {
                ColumnType::Uuid => format!("unhex(value->>'{name}', '-') AS {name}"),
                ColumnType::Json | ColumnType::JsonBinary => format!("value->'{name}' AS {name}"),
                _ => format!("value->>'{name}' AS {name}"),
            });
            format!("(SELECT {} FROM json_each(${param})) AS {alias}", columns.collect::<Vec<_>>().join(", "))
        }
    }

    /// Returns the same for rows that are to be looked up in a table, one by one. PostgreSQL takes a set for 100 rows: on a
    /// plan made while the table was small it would walk through the whole account instead. The condition, which always
    /// holds, makes it think of one row. All such rows have an `account_id`.
    pub(super) fn keys_of(&self, backend: DbBackend, param: usize, alias: &str) -> String {
        let rows = self.rows_of(backend, param, alias);
        if backend == DbBackend::Postgres {
            format!("(SELECT * FROM {rows} WHERE {alias}.account_id || '' = {alias}.account_id) AS {alias}")
        } else {
            rows
        }
    }

    /// Returns an expression for the row called `alias` as a JSON object.
    pub(super) fn json_of(&self, backend: DbBackend, alias: &str) -> String {
        if backend == DbBackend::Postgres {
            return format!("row_to_json({alias})");
        }
        let pairs = self.0.iter().map(|(name, kind)| match kind {
            ColumnType::Uuid => format!("'{name}', nullif(lower(hex({alias}.{name})), '')"),
            ColumnType::Boolean => format!("'{name}', json(iif({alias}.{name}, 'true', 'false'))"),
            ColumnType::Json | ColumnType::JsonBinary => format!("'{name}', json({alias}.{name})"),
            _ => format!("'{name}', {alias}.{name}"),
        });
        format!("json_object({})", pairs.collect::<Vec<_>>().join(", "))
    }
}

/// Returns an expression for a subselect's rows as a JSON array. `from` begins with a table expression.
pub(super) fn json_array(backend: DbBackend, row: &str, from: &str) -> String {
    if backend == DbBackend::Postgres {
        format!("(SELECT json_agg({row}) FROM {from})")
    } else {
        format!("(SELECT json_group_array({row}) FROM {from})")
    }
}

/// Returns an expression for a JSON object of the given keys and JSON values.
pub(super) fn json_object(backend: DbBackend, pairs: &[(&str, String)]) -> String {
    let postgres = backend == DbBackend::Postgres;
    let function = if postgres { "json_build_object" } else { "json_object" };
    // SQLite forgets that a subselect's text is JSON; PostgreSQL knows it by its type.
    let value = |value: &String| if postgres { value.clone() } else { format!("json({value})") };
    let pairs = pairs.iter().map(|(key, json)| format!("'{key}', {}", value(json)));
    format!("{function}({})", pairs.collect::<Vec<_>>().join(", "))
}

/// Returns an expression for the present moment in microseconds, unless parameter `param` says which one it is to be.
pub(super) fn clock(backend: DbBackend, param: usize) -> String {
    if backend == DbBackend::Postgres {
        format!("coalesce(${param}::bigint, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint)")
    } else {
        format!("${param}")
    }
}

/// Returns an expression for the moment a statement began, the same for all its rows, unless parameter `param` says
/// which one it is to be.
pub(super) fn statement_clock(backend: DbBackend, param: usize) -> String {
    clock(backend, param).replace("clock_timestamp()", "statement_timestamp()")
}

fn postgres_type(kind: &ColumnType) -> &'static str {
    match kind {
        ColumnType::Uuid => "uuid",
        ColumnType::Integer => "integer",
        ColumnType::BigInteger => "bigint",
        ColumnType::Boolean => "boolean",
        ColumnType::Json | ColumnType::JsonBinary => "jsonb",
        _ => "text",
    }
}
