//! Reads of single rows of a table by their account and some ids, in groups.

use std::marker::PhantomData;
use std::sync::Arc;

use sea_orm::sea_query::ColumnType::{Integer, Text, Uuid as UuidType};
use sea_orm::{ConnectionTrait, DbBackend, EntityTrait, IdenStatic as _, Statement, Value};
use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::groups::{Distinct, Groups, PLACES, ReadGroup};
use crate::domain::value::text::AccountId;
use crate::store::Database;
use crate::store::executor::load::parse_json;
use crate::store::sql::database::read_scope::ReadScope;
use crate::store::sql::error::StoreError;
use crate::store::sql::rows_param::{Columns, RowsParam, by_index};

/// The columns by which rows of a table are looked up, and the part of a row that is read.
pub(in crate::store) struct Lookup<const N: usize> {
    /// The table.
    pub(in crate::store) table: &'static str,
    /// The columns of the ids.
    pub(in crate::store) columns: [&'static str; N],
    /// The tag of the index that begins with them; `None` for the primary key.
    pub(in crate::store) tag: Option<&'static str>,
    /// The expression for the part of row `t` that is read, as JSON.
    pub(in crate::store) body: String,
}

impl<const N: usize> Lookup<N> {
    /// Looks up whole rows in the primary key.
    pub(in crate::store) fn of<E: EntityTrait + Default>(backend: DbBackend, columns: [E::Column; N]) -> Self {
        let (table, columns) = (E::default().table_name(), columns.map(|column| column.as_str()));
        Self { table, columns, tag: None, body: Columns::of::<E>().json_of(backend, "t") }
    }

    /// Returns the statement for one row.
    pub(in crate::store) fn one_sql(&self, backend: DbBackend) -> String {
        let places: [String; N] = std::array::from_fn(|index| format!("${}", index + 2));
        let Self { table, body, .. } = self;
        format!("SELECT CAST({body} AS text) AS body FROM {table} t WHERE {}", self.condition(backend, "$1", &places))
    }

    /// Returns the statement for several rows.
    pub(in crate::store) fn several_sql(&self, backend: DbBackend) -> String {
        let ids = self.columns.map(|column| format!("k.{column}"));
        let Self { table, body, .. } = self;
        format!(
            "SELECT k.place, CAST({body} AS text) AS body FROM {keys} JOIN {table} t ON {condition}",
            keys = self.keys().keys_of(backend, 1, "k"),
            condition = self.condition(backend, "k.account_id", &ids),
        )
    }

    fn condition(&self, backend: DbBackend, account: &str, ids: &[String; N]) -> String {
        let own = match self.tag {
            Some(tag) => by_index(backend, tag, "t", account),
            None => format!("t.account_id = {account}"),
        };
        self.columns.iter().zip(ids).fold(own, |all, (column, id)| format!("{all} AND t.{column} = {id}"))
    }

    fn keys(&self) -> Columns {
        Columns::list([("account_id", Text), ("place", Integer)]).and(self.columns.map(|column| (column, UuidType)))
    }
}

/// The reads of rows by `N` ids, each of which is parsed as a `T`. Clones share them.
#[derive(Clone, Debug)]
pub(in crate::store) struct Rows<T, const N: usize> {
    groups: Groups<RowReader<N>>,
    table: &'static str,
    row: PhantomData<T>,
}

impl<T: DeserializeOwned, const N: usize> Rows<T, N> {
    /// Reads from a database.
    pub(in crate::store) fn new(database: &Database, lookup: Lookup<N>) -> Self {
        let (backend, table) = (database.backend(), lookup.table);
        let (one, several) = (lookup.one_sql(backend), lookup.several_sql(backend));
        let reader = RowReader { database: database.clone(), lookup, one, several };
        Self { groups: Groups::new(reader, PLACES), table, row: PhantomData }
    }

    /// Reads the row with some ids, if the caller may see it.
    pub(in crate::store) async fn read(
        &self,
        scope: impl Into<ReadScope>,
        ids: [Uuid; N],
    ) -> Result<Option<T>, StoreError> {
        let body = self.groups.read(RowKey { scope: scope.into(), ids }).await?;
        body.map(|body| parse_json(&body, self.table)).transpose()
    }
}

/// The name of a row.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct RowKey<const N: usize> {
    scope: ReadScope,
    ids: [Uuid; N],
}

struct RowReader<const N: usize> {
    database: Database,
    lookup: Lookup<N>,
    one: String,
    several: String,
}

impl<const N: usize> ReadGroup for RowReader<N> {
    type Key = RowKey<N>;
    /// The row as JSON.
    type Row = Arc<str>;

    fn account(key: &RowKey<N>) -> &AccountId {
        &key.scope.account
    }

    fn stands_alone(&self, key: &RowKey<N>) -> bool {
        key.scope.hosts.is_some() && self.database.has_second_wall()
    }

    async fn one(&self, key: &RowKey<N>) -> Result<Option<Arc<str>>, StoreError> {
        let ids = key.ids.iter().map(|id| Value::from(*id));
        let values = std::iter::once(key.scope.account.as_str().into()).chain(ids);
        let statement = Statement::from_sql_and_values(self.database.backend(), &self.one, values);
        let row = self.database.reading_for(key.scope.clone()).query_one_raw(statement).await?;
        row.map(|row| Ok(row.try_get::<String>("", "body")?.into())).transpose()
    }

    async fn late(&self, key: &RowKey<N>) -> Result<Option<Arc<str>>, StoreError> {
        let _turn = self.database.read_turns.short(&key.scope.account).await?;
        self.one(key).await
    }

    async fn several(&self, keys: &[RowKey<N>]) -> Result<Vec<Option<Arc<str>>>, StoreError> {
        let (backend, keys) = (self.database.backend(), Distinct::of(keys));
        let row = |(key, place): (&RowKey<N>, i32)| {
            let ids = key.ids.map(Value::from);
            [key.scope.account.as_str().into(), place.into()].into_iter().chain(ids)
        };
        let values = RowsParam::new(self.lookup.keys(), keys.iter().map(row)).params(backend);
        let statement = Statement::from_sql_and_values(backend, &self.several, values);
        let mut found: Vec<Option<Arc<str>>> = vec![None; keys.iter().len()];
        let accounts = keys.iter().map(|(key, _)| &key.scope.account);
        for row in self.database.reading_for_accounts(accounts).query_all_raw(statement).await? {
            let place = usize::try_from(row.try_get::<i32>("", "place")?).unwrap_or(usize::MAX);
            if let Some(found) = found.get_mut(place) {
                *found = Some(row.try_get::<String>("", "body")?.into());
            }
        }
        Ok(keys.answers(&found))
    }
}
