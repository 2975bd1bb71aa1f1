//! The arguments of a statement, as PostgreSQL's driver takes them.
//!
//! The library that does so for every other statement refuses an array with a NULL in it.

use sea_orm::sea_query::{ArrayType, Nullable, ValueType};
use sea_orm::sqlx::error::BoxDynError;
use sea_orm::sqlx::postgres::{PgArguments, PgHasArrayType};
use sea_orm::sqlx::types::Json;
use sea_orm::sqlx::{Arguments as _, Encode, IntoArguments, Postgres, Type};
use sea_orm::{Value, Values};
use sea_query_sqlx::SqlxValues;
use uuid::Uuid;

/// Returns the arguments of a statement. Beside arrays it may have numbers, texts, booleans, uuids and JSON.
pub(super) fn postgres_arguments(values: Values) -> Result<PgArguments, BoxDynError> {
    if !values.0.iter().any(|value| matches!(value, Value::Array(..))) {
        return Ok(IntoArguments::<Postgres>::into_arguments(SqlxValues(values)));
    }
    let mut arguments = PgArguments::default();
    for value in values.0 {
        add(&mut arguments, value)?;
    }
    Ok(arguments)
}

fn add(arguments: &mut PgArguments, value: Value) -> Result<(), BoxDynError> {
    match value {
        Value::Array(kind, values) => add_any_array(arguments, &kind, values.map(|values| *values)),
        Value::Bool(value) => arguments.add(value),
        Value::Int(value) => arguments.add(value),
        Value::BigInt(value) => arguments.add(value),
        Value::String(value) => arguments.add(value),
        Value::Uuid(value) => arguments.add(value),
        Value::Json(value) => arguments.add(value.map(|value| Json(*value))),
        other => Err(format!("beside an array, {other:?} is no argument").into()),
    }
}

fn add_any_array(arguments: &mut PgArguments, kind: &ArrayType, values: Option<Vec<Value>>) -> Result<(), BoxDynError> {
    match kind {
        ArrayType::Bool => add_array::<bool>(arguments, values),
        ArrayType::Int => add_array::<i32>(arguments, values),
        ArrayType::BigInt => add_array::<i64>(arguments, values),
        ArrayType::String => add_array::<String>(arguments, values),
        ArrayType::Uuid => add_array::<Uuid>(arguments, values),
        ArrayType::Json => {
            let wrap = |values: Vec<Option<_>>| values.into_iter().map(|value| value.map(Json)).collect::<Vec<_>>();
            arguments.add(optional::<serde_json::Value>(values)?.map(wrap))
        }
        other => Err(format!("an array of {other:?} is no argument").into()),
    }
}

fn add_array<T>(arguments: &mut PgArguments, values: Option<Vec<Value>>) -> Result<(), BoxDynError>
where
    T: ValueType + Nullable + PgHasArrayType + Type<Postgres> + for<'q> Encode<'q, Postgres> + Send + 'static,
{
    arguments.add(optional::<T>(values)?)
}

type Optional<T> = Option<Vec<Option<T>>>;

fn optional<T: ValueType + Nullable>(values: Option<Vec<Value>>) -> Result<Optional<T>, BoxDynError> {
    let one = |value| <Option<T> as ValueType>::try_from(value).map_err(Into::into);
    values.map(|values| values.into_iter().map(one).collect()).transpose()
}
