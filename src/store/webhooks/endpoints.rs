//! Endpoints: made, found, listed.

use sea_orm::{ConnectionTrait, DbBackend, Statement};
use uuid::Uuid;

use super::row::endpoint_row;
use super::{EndpointRefusal, HEAD};
use crate::domain::value::text::AccountId;
use crate::domain::webhook::{Endpoint, MAX_ENDPOINTS, NewEndpoint};
use crate::store::Store;
use crate::store::executor::load::parse_json;
use crate::store::read::unreadable::FullPage;
use crate::store::read::{Cursor, Params, direction};
use crate::store::requests::{Known, recall, remember};
use crate::store::sql::entity::webhook_endpoint::{Entity, Model};
use crate::store::sql::error::StoreError;
use crate::store::sql::rows_param::{Columns, values_of};

/// How often somebody else's request with the same id may come in between.
const ATTEMPTS: usize = 3;

/// Which endpoints a list has, by age.
#[derive(Clone, Debug, Default)]
pub struct EndpointQuery {
    /// The oldest first, instead of the newest.
    pub ascending: bool,
    /// How many at most.
    pub limit: u64,
    /// Where to go on.
    pub after: Option<Cursor>,
}

/// What making an endpoint ends with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EndpointCreated {
    /// It is there.
    Created,
    /// The same request has made it before; as it now is.
    Replayed(Box<Endpoint>),
}

impl Store {
    /// Makes an endpoint, once per request_id. It gets the events behind those that have a position by now.
    pub async fn create_webhook_endpoint(
        &self,
        account: &AccountId,
        new: &NewEndpoint,
    ) -> Result<Result<EndpointCreated, EndpointRefusal>, StoreError> {
        let backend = self.database.backend();
        let row = endpoint_row(account, new);
        let mut params = Params(Vec::new());
        let mut values: Vec<String> = values_of(&row).into_iter().map(|value| params.push(value)).collect();
        // The last column is `since_position`; nothing refers to its parameter any more.
        values.pop();
        params.0.pop();
        let columns = Columns::of::<Entity>().names();
        let sql = format!("INSERT INTO webhook_endpoint ({columns}) VALUES ({}, {HEAD})", values.join(", "));
        for _ in 0..ATTEMPTS {
            let transaction = self.database.begin_write_in_turn().await?;
            if backend == DbBackend::Postgres {
                // Whoever makes one more waits here for whoever is making one; the next statement sees what came of it.
                let lock = "SELECT id FROM webhook_endpoint WHERE account_id = $1 ORDER BY id FOR UPDATE";
                let lock = Statement::from_sql_and_values(backend, lock, [account.as_str().into()]);
                transaction.query_all_raw(lock).await?;
            }
            match recall(&transaction, account, new.request.as_ref()).await? {
                Known::New => {}
                Known::Done { about: id, .. } => {
                    let made = find(&transaction, account, id).await?;
                    let made = made.map(|made| EndpointCreated::Replayed(Box::new(made)));
                    return Ok(made.ok_or(EndpointRefusal::NotFound));
                }
                Known::Another => return Ok(Err(EndpointRefusal::RequestIdReused)),
            }
            if count(&transaction, account).await? >= MAX_ENDPOINTS {
                return Ok(Err(EndpointRefusal::TooManyEndpoints));
            }
            let insert = Statement::from_sql_and_values(backend, sql.clone(), params.0.clone());
            transaction.execute_raw(insert).await?;
            let endpoint = &new.endpoint;
            if remember(&transaction, account, new.request.as_ref(), (endpoint.id, None), endpoint.created_at).await? {
                transaction.commit().await?;
                return Ok(Ok(EndpointCreated::Created));
            }
        }
        Err(StoreError::Conflict)
    }

    /// Reads an endpoint, if the account has it.
    pub async fn get_webhook_endpoint(&self, account: &AccountId, id: Uuid) -> Result<Option<Endpoint>, StoreError> {
        find(&self.database.read, account, id).await
    }

    /// Reads a page of endpoints.
    pub async fn list_webhook_endpoints(
        &self,
        account: &AccountId,
        query: &EndpointQuery,
    ) -> Result<Vec<Endpoint>, StoreError> {
        let (mut query, mut page) = (query.clone(), FullPage::new(query.limit));
        loop {
            let (compare, order) = direction(!query.ascending);
            let mut params = Params(Vec::new());
            let mut rest = format!("w.account_id = {}", params.push(account.as_str()));
            if let Some(cursor) = &query.after {
                rest += &format!(" AND w.id {compare} {}", params.push(cursor.id));
            }
            rest += &format!(" ORDER BY w.id {order} LIMIT {}", params.push(query.limit.cast_signed()));
            let found = {
                let _place = self.database.list_place().await?;
                rows(&self.database.read, &rest, params).await?
            };
            let found = found.into_iter().map(|row| (Cursor::of_id(row.id), Endpoint::try_from(row)));
            let Some(read_on) = page.add(query.limit, found.collect())? else { return Ok(page.into_rows()) };
            query = EndpointQuery { after: Some(read_on.after), limit: read_on.limit, ..query };
        }
    }
}

async fn count<C: ConnectionTrait>(db: &C, account: &AccountId) -> Result<usize, StoreError> {
    let sql = "SELECT count(*) AS endpoints FROM webhook_endpoint WHERE account_id = $1";
    let count = Statement::from_sql_and_values(db.get_database_backend(), sql, [account.as_str().into()]);
    let row = db.query_one_raw(count).await?;
    let endpoints = row.map(|row| row.try_get::<i64>("", "endpoints")).transpose()?;
    Ok(endpoints.and_then(|endpoints| usize::try_from(endpoints).ok()).unwrap_or_default())
}

/// Reads an endpoint on any connection.
pub(super) async fn find<C: ConnectionTrait>(
    db: &C,
    account: &AccountId,
    id: Uuid,
) -> Result<Option<Endpoint>, StoreError> {
    let mut params = Params(Vec::new());
    let rest = format!("w.account_id = {} AND w.id = {}", params.push(account.as_str()), params.push(id));
    rows(db, &rest, params).await?.pop().map(Endpoint::try_from).transpose()
}

/// Reads an endpoint and keeps everybody else from changing it until the transaction ends.
pub(super) async fn find_for_update<C: ConnectionTrait>(
    db: &C,
    account: &AccountId,
    id: Uuid,
) -> Result<Option<Endpoint>, StoreError> {
    // On SQLite the transaction keeps everybody from everything.
    let lock = if db.get_database_backend() == DbBackend::Postgres { " FOR UPDATE" } else { "" };
    let mut params = Params(Vec::new());
    let rest = format!("w.account_id = {} AND w.id = {}{lock}", params.push(account.as_str()), params.push(id));
    rows(db, &rest, params).await?.pop().map(Endpoint::try_from).transpose()
}

async fn rows<C: ConnectionTrait>(db: &C, rest: &str, params: Params) -> Result<Vec<Model>, StoreError> {
    let backend = db.get_database_backend();
    let json = Columns::of::<Entity>().json_of(backend, "w");
    let cast = if backend == DbBackend::Postgres { "::text" } else { "" };
    let sql = format!("SELECT ({json}){cast} AS body FROM webhook_endpoint w WHERE {rest}");
    let found = db.query_all_raw(Statement::from_sql_and_values(backend, sql, params.0)).await?;
    found.iter().map(|row| parse_json(&row.try_get::<String>("", "body")?, "webhook_endpoint")).collect()
}
