//! Sets of rows as parameters, and rows as JSON, on both databases: the text of a statement never depends on the number
//! of rows, so it is prepared once.
//!
//! PostgreSQL takes a set as one array per column, which it reads several times faster than JSON; SQLite, which has no
//! arrays, as one JSON document. Columns come from the entities, so a new column is written down once.

use sea_orm::sea_query::extension::postgres::PgExpr as _;
use sea_orm::sea_query::{ArrayType, ColumnType, Expr, ExprTrait as _, sea_value_to_json_value};
use sea_orm::{
    ActiveModelTrait as _, ColumnTrait, DbBackend, EntityTrait, IdenStatic, IntoActiveModel, Iterable, ModelTrait,
    Value,
};
use serde_json::Value as Json;

/// One column of a set.
#[derive(Clone, Debug)]
struct Column {
    name: &'static str,
    kind: ColumnType,
    nullable: bool,
}

/// A named list of columns with their types.
#[derive(Clone, Debug)]
pub(in crate::store) struct Columns(Vec<Column>);

impl Columns {
    /// Returns an entity's columns.
    pub(in crate::store) fn of<E: EntityTrait>() -> Self {
        let columns = E::Column::iter().map(|column| {
            let def = column.def();
            Column { name: column.as_str(), kind: def.get_column_type().clone(), nullable: def.is_null() }
        });
        Self(columns.collect())
    }

    /// Returns a list of columns that belongs to no table.
    pub(in crate::store) fn list<const N: usize>(columns: [(&'static str, ColumnType); N]) -> Self {
        Self(Vec::new()).and(columns)
    }

    /// Returns these columns and some more.
    pub(in crate::store) fn and<const N: usize>(mut self, more: [(&'static str, ColumnType); N]) -> Self {
        self.0.extend(more.map(|(name, kind)| Column { name, kind, nullable: false }));
        self
    }

    /// Returns these columns and some more whose values may be missing.
    pub(in crate::store) fn and_nullable<const N: usize>(mut self, more: [(&'static str, ColumnType); N]) -> Self {
        self.0.extend(more.map(|(name, kind)| Column { name, kind, nullable: true }));
        self
    }

    /// Returns the names, for an INSERT or a SELECT.
    pub(in crate::store) fn names(&self) -> String {
        self.0.iter().map(|column| column.name).collect::<Vec<_>>().join(", ")
    }

    /// Returns the names behind a table's alias.
    pub(in crate::store) fn names_of(&self, alias: &str) -> String {
        self.0.iter().map(|column| format!("{alias}.{}", column.name)).collect::<Vec<_>>().join(", ")
    }

    /// Returns the same names with an expression in place of one column.
    pub(in crate::store) fn names_with(&self, alias: &str, column: &str, expression: &str) -> String {
        let name =
            |own: &Column| if own.name == column { expression.to_owned() } else { format!("{alias}.{}", own.name) };
        self.0.iter().map(name).collect::<Vec<_>>().join(", ")
    }

    /// Returns the number of parameters that a set with these columns takes.
    pub(in crate::store) fn width(&self, backend: DbBackend) -> usize {
        if backend == DbBackend::Postgres { self.0.len() } else { 1 }
    }

    /// Returns a table expression, called `alias`, over a set whose first parameter is number `first`.
    pub(in crate::store) fn rows_of(&self, backend: DbBackend, first: usize, alias: &str) -> String {
        self.select(backend, first, alias, "")
    }

    /// Returns the same expression for rows that are looked up in a table, one by one. PostgreSQL expects several rows
    /// in a set: on a plan from the time when the table was small it would read the whole account instead. The
    /// condition, which always holds, makes it expect one row. All such rows have an `account_id`.
    pub(in crate::store) fn keys_of(&self, backend: DbBackend, first: usize, alias: &str) -> String {
        self.select(backend, first, alias, &format!(" WHERE {alias}.account_id || '' = {alias}.account_id"))
    }

    /// Returns such an expression of PostgreSQL that reads some of the columns alone.
    pub(in crate::store) fn some_keys_of(&self, first: usize, alias: &str, names: &[&str]) -> String {
        let (columns, arrays): (Vec<_>, Vec<_>) = self
            .0
            .iter()
            .enumerate()
            .filter_map(|(index, column)| {
                let array = format!("${}::{}[]", first + index, column.postgres_type());
                names.contains(&column.name).then_some((column.name, array))
            })
            .unzip();
        let (columns, arrays) = (columns.join(", "), arrays.join(", "));
        format!(
            "(SELECT {columns} FROM unnest({arrays}) AS {alias}({columns})
            WHERE {alias}.account_id || '' = {alias}.account_id) AS {alias}"
        )
    }

    fn select(&self, backend: DbBackend, first: usize, alias: &str, condition: &str) -> String {
        let list = |column: &dyn Fn(usize, &Column) -> String| {
            self.0.iter().enumerate().map(|(index, it)| column(index, it)).collect::<Vec<_>>().join(", ")
        };
        if backend == DbBackend::Postgres {
            let arrays = list(&|index, column| format!("${}::{}[]", first + index, column.postgres_type()));
            let names = self.names();
            if condition.is_empty() {
                return format!("unnest({arrays}) AS {alias}({names})");
            }
            format!("(SELECT {names} FROM unnest({arrays}) AS {alias}({names}){condition}) AS {alias}")
        } else {
            let values = list(&|index, Column { name, kind, .. }| match kind {
                ColumnType::Uuid => format!("unhex(value->>{index}, '-') AS {name}"),
                ColumnType::Json | ColumnType::JsonBinary => format!("value->{index} AS {name}"),
                _ => format!("value->>{index} AS {name}"),
            });
            format!("(SELECT {values} FROM json_each(${first})) AS {alias}")
        }
    }

    /// Returns an expression for the row called `alias` as a JSON object.
    pub(in crate::store) fn json_of(&self, backend: DbBackend, alias: &str) -> String {
        if backend == DbBackend::Postgres {
            return format!("row_to_json({alias})");
        }
        let pairs = self.0.iter().map(|Column { name, kind, nullable }| match kind {
            ColumnType::Uuid => format!("'{name}', nullif(lower(hex({alias}.{name})), '')"),
            ColumnType::Boolean if *nullable => {
                format!("'{name}', json(CASE {alias}.{name} WHEN 1 THEN 'true' WHEN 0 THEN 'false' END)")
            }
            ColumnType::Boolean => format!("'{name}', json(iif({alias}.{name}, 'true', 'false'))"),
            // A text that is not JSON would fail the whole statement, and so every row of it.
            ColumnType::Json | ColumnType::JsonBinary => {
                format!("'{name}', json(iif(json_valid({alias}.{name}), {alias}.{name}, 'null'))")
            }
            _ => format!("'{name}', {alias}.{name}"),
        });
        format!("json_object({})", pairs.collect::<Vec<_>>().join(", "))
    }
}

impl Column {
    fn postgres_type(&self) -> &'static str {
        match self.kind {
            ColumnType::Uuid => "uuid",
            ColumnType::Integer => "integer",
            ColumnType::BigInteger => "bigint",
            ColumnType::Boolean => "boolean",
            ColumnType::Json | ColumnType::JsonBinary => "jsonb",
            _ => "text",
        }
    }

    fn array(&self, values: Vec<Value>) -> Value {
        let kind = match self.postgres_type() {
            "uuid" => ArrayType::Uuid,
            "integer" => ArrayType::Int,
            "bigint" => ArrayType::BigInt,
            "boolean" => ArrayType::Bool,
            "jsonb" => ArrayType::Json,
            _ => ArrayType::String,
        };
        Value::Array(kind, Some(Box::new(values)))
    }
}

/// Rows that are the parameters of a statement.
#[derive(Debug)]
pub(in crate::store) struct RowsParam {
    columns: Columns,
    /// The values, by column.
    values: Vec<Vec<Value>>,
}

impl RowsParam {
    /// Creates a set of rows; each has a value for every column, in their order.
    pub(in crate::store) fn new<R: IntoIterator<Item = Value>>(
        columns: Columns,
        rows: impl Iterator<Item = R>,
    ) -> Self {
        let mut values = vec![Vec::with_capacity(rows.size_hint().0); columns.0.len()];
        for row in rows {
            for (column, value) in values.iter_mut().zip(row) {
                column.push(value);
            }
        }
        Self { columns, values }
    }

    /// Creates a set without rows.
    pub(in crate::store) fn empty(columns: Columns) -> Self {
        Self::new(columns, std::iter::empty::<[Value; 0]>())
    }

    /// Creates a set of a table's rows.
    pub(in crate::store) fn of<M: Row>(models: impl Iterator<Item = M>) -> Self {
        Self::new(Columns::of::<M::Entity>(), models.map(values_of))
    }

    /// Returns the number of rows.
    pub(in crate::store) fn len(&self) -> usize {
        self.values.first().map_or(0, Vec::len)
    }

    /// Returns a set for each row.
    pub(in crate::store) fn apart(&self) -> Vec<Self> {
        let row = |index: usize| self.values.iter().map(move |column| column[index].clone());
        (0..self.len()).map(|index| Self::new(self.columns.clone(), std::iter::once(row(index)))).collect()
    }

    /// Returns the parameters of the set.
    pub(in crate::store) fn params(self, backend: DbBackend) -> Vec<Value> {
        if backend == DbBackend::Postgres {
            let columns = self.columns.0.iter().zip(self.values);
            return columns.map(|(column, values)| column.array(values)).collect();
        }
        let rows =
            (0..self.len()).map(|row| self.values.iter().map(|column| sea_value_to_json_value(&column[row])).collect());
        vec![Json::Array(rows.collect()).to_string().into()]
    }
}

/// A row whose values can be moved out of it.
pub(in crate::store) trait Row:
    ModelTrait + IntoActiveModel<<Self::Entity as EntityTrait>::ActiveModel>
{
}

impl<M: ModelTrait + IntoActiveModel<<M::Entity as EntityTrait>::ActiveModel>> Row for M {}

/// Returns a row's values in the order of its table's columns.
pub(in crate::store) fn values_of<M: Row>(row: M) -> Vec<Value> {
    let mut row = row.into_active_model();
    // Every column of a whole row has a value.
    let value = |column| row.take(column).into_value().unwrap_or(Value::String(None));
    <M::Entity as EntityTrait>::Column::iter().map(value).collect()
}

/// Returns an expression for a subselect's rows as a JSON array. `from` begins with a table expression.
pub(in crate::store) fn json_array(backend: DbBackend, row: &str, from: &str) -> String {
    if backend == DbBackend::Postgres {
        format!("(SELECT json_agg({row}) FROM {from})")
    } else {
        format!("(SELECT json_group_array({row}) FROM {from})")
    }
}

/// Returns an expression for a JSON object of the given keys and JSON values.
pub(in crate::store) fn json_object(backend: DbBackend, pairs: &[(&str, String)]) -> String {
    let postgres = backend == DbBackend::Postgres;
    let function = if postgres { "json_build_object" } else { "json_object" };
    // SQLite forgets that a subselect's text is JSON; PostgreSQL knows it by its type.
    let value = |value: &String| if postgres { value.clone() } else { format!("json({value})") };
    let pairs = pairs.iter().map(|(key, json)| format!("'{key}', {}", value(json)));
    format!("{function}({})", pairs.collect::<Vec<_>>().join(", "))
}

/// Returns an expression for the present moment in microseconds, unless parameter `param` overrides it.
pub(in crate::store) fn clock(backend: DbBackend, param: usize) -> String {
    clock_of(backend, param, "clock_timestamp()")
}

/// Returns an expression for the moment a statement began, the same for all its rows, unless parameter `param`
/// overrides it.
pub(in crate::store) fn statement_clock(backend: DbBackend, param: usize) -> String {
    clock_of(backend, param, "statement_timestamp()")
}

fn clock_of(backend: DbBackend, param: usize, now: &str) -> String {
    if backend == DbBackend::Postgres {
        format!("coalesce(${param}::bigint, (extract(epoch FROM {now}) * 1000000)::bigint)")
    } else {
        format!("${param}")
    }
}

/// Returns the given moment in microseconds or, if it is `None`, the present moment of PostgreSQL, for a statement that
/// is built.
pub(in crate::store) fn present(moment: Option<i64>) -> Expr {
    match moment {
        Some(moment) => Expr::val(moment),
        None => Expr::cust("(extract(epoch FROM clock_timestamp()) * 1000000)::bigint"),
    }
}

/// Returns the first expression of an index that is looked up under `tag`: see `migration::m20261128_000001_schema`.
pub(in crate::store) fn index_key(backend: DbBackend, tag: &str) -> String {
    if backend == DbBackend::Postgres { format!("(account_id || ' {tag}')") } else { "account_id".to_owned() }
}

/// Returns the condition that row `alias` belongs to an account, written so that on PostgreSQL it fits one index of the
/// table and no other. The account is a parameter or a column.
pub(in crate::store) fn by_index(backend: DbBackend, tag: &str, alias: &str, account: &str) -> String {
    if backend == DbBackend::Postgres {
        format!("{alias}.account_id || ' {tag}' = CAST({account} AS text) || ' {tag}'")
    } else {
        format!("{alias}.account_id = {account}")
    }
}

/// Returns the nil UUID as a literal.
pub(in crate::store) fn nil_uuid(backend: DbBackend) -> &'static str {
    if backend == DbBackend::Postgres { "'00000000-0000-0000-0000-000000000000'::uuid" } else { "zeroblob(16)" }
}

/// Returns the same condition for a statement that is built. `column` is the table's `account_id`.
pub(in crate::store) fn in_index(backend: DbBackend, tag: &str, column: impl ColumnTrait, account: &str) -> Expr {
    if backend == DbBackend::Postgres {
        // The tag is a literal, because a parameter fits no index.
        let tag = || Expr::cust(format!("' {tag}'"));
        Expr::col(column.as_column_ref()).concat(tag()).eq(Expr::val(account).cast_as("text").concat(tag()))
    } else {
        column.eq(account)
    }
}
