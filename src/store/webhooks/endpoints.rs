//! Creates, reads and lists endpoints.

use sea_orm::sea_query::{Expr, Query};
use sea_orm::{
    ColumnTrait as _, ConnectionTrait, DbBackend, EntityTrait as _, Iterable as _, ModelTrait as _,
    PaginatorTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _, QueryTrait as _, Select,
};
use uuid::Uuid;

use super::row::endpoint_row;
use super::{EndpointRefusal, LAST_POSITION};
use crate::domain::value::text::AccountId;
use crate::domain::webhook::{Endpoint, MAX_ENDPOINTS};
use crate::store::read::rows::Lookup;
use crate::store::read::unreadable::FullPage;
use crate::store::read::{Cursor, behind, order};
use crate::store::requests::{Known, WriteOnce, recall, remember};
use crate::store::sql::entity::webhook_endpoint::{Column, Entity, Model};
use crate::store::sql::error::StoreError;
use crate::store::sql::retry::retry;
use crate::store::sql::row::rows_with_id;
use crate::store::{Reads, Store};

/// The filters of a list of endpoints, by age.
#[derive(Clone, Debug, Default)]
pub struct EndpointQuery {
    /// Whether the oldest come first, instead of the newest.
    pub ascending: bool,
    /// The most rows.
    pub limit: u64,
    /// The place behind which the list continues.
    pub after: Option<Cursor>,
}

/// The result of creating an endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EndpointCreated {
    /// The endpoint was created.
    Created,
    /// The same request created it before. Holds the endpoint as it is now.
    Replayed(Box<Endpoint>),
}

impl Store {
    /// Creates an endpoint, once per request_id.
    pub async fn create_webhook_endpoint(
        &self,
        account: &AccountId,
        endpoint: &Endpoint,
        once: &WriteOnce,
    ) -> Result<Result<EndpointCreated, EndpointRefusal>, StoreError> {
        let row = endpoint_row(account, endpoint);
        retry(|| async {
            let transaction = self.database.begin_write_with_lock_wait().await?;
            if !self.database.is_embedded() {
                // Another call that creates an endpoint waits here for this one; its next statement sees the result of
                // this one.
                let ids = of_account(account).select_only().column(Column::Id).order_by_asc(Column::Id);
                ids.lock_exclusive().into_tuple::<Uuid>().all(&transaction).await?;
            }
            match recall(&transaction, account, once.request.as_ref()).await? {
                Known::New => {}
                Known::Done { about: id, .. } => {
                    let endpoint = find(&transaction, account, id).await?;
                    let replayed = endpoint.map(|endpoint| EndpointCreated::Replayed(Box::new(endpoint)));
                    return Ok(replayed.ok_or(EndpointRefusal::NotFound(id)));
                }
                Known::Another => return Ok(Err(EndpointRefusal::RequestIdReused)),
            }
            if of_account(account).count(&transaction).await? >= MAX_ENDPOINTS as u64 {
                return Ok(Err(EndpointRefusal::TooManyEndpoints));
            }
            if once.validate_only {
                return Ok(Ok(EndpointCreated::Created));
            }
            insert(&transaction, &row).await?;
            let about = (endpoint.id, None);
            remember(&transaction, account, once.request.as_ref(), about, endpoint.created_at).await?;
            transaction.commit().await?;
            Ok(Ok(EndpointCreated::Created))
        })
        .await
    }
}

impl Reads {
    /// Reads an endpoint, if the account has it.
    pub async fn get_webhook_endpoint(&self, account: &AccountId, id: Uuid) -> Result<Option<Endpoint>, StoreError> {
        self.endpoints.read(account, [id]).await?.map(Endpoint::try_from).transpose()
    }

    /// Reads a page of endpoints.
    pub async fn list_webhook_endpoints(
        &self,
        account: &AccountId,
        query: &EndpointQuery,
    ) -> Result<Vec<Endpoint>, StoreError> {
        let (mut query, mut page) = (query.clone(), FullPage::new(query.limit));
        loop {
            let select = of_account(account)
                .apply_if(query.after.as_ref(), |select, cursor| {
                    select.filter(behind(Column::Id, cursor.id, query.ascending))
                })
                .order_by(Column::Id, order(query.ascending))
                .limit(query.limit);
            let found = {
                let _turn = self.database.read_turns.list(account).await?;
                rows_with_id(&self.database.reading_for(account), select).await?
            };
            let found = found.into_iter().map(|(id, row)| (Cursor::of_id(id), row.and_then(Endpoint::try_from)));
            let Some(read_on) = page.add(query.limit, found.collect())? else { return Ok(page.into_rows()) };
            query = EndpointQuery { after: Some(read_on.after), limit: read_on.limit, ..query };
        }
    }
}

/// Looks up endpoints by their ids.
pub(in crate::store) fn by_id(backend: DbBackend) -> Lookup<1> {
    Lookup::of::<Entity>(backend, [Column::Id])
}

fn of_account(account: &AccountId) -> Select<Entity> {
    Entity::find().filter(Column::AccountId.eq(account.as_str()))
}

/// Inserts an endpoint, which gets the events behind the last position of this moment.
async fn insert(db: &impl ConnectionTrait, row: &Model) -> Result<(), StoreError> {
    let value = |column| match column {
        Column::SincePosition => Expr::cust(LAST_POSITION),
        column => Expr::val(row.get(column)),
    };
    let mut insert = Query::insert();
    insert.into_table(Entity).columns(Column::iter()).values_panic(Column::iter().map(value));
    db.execute(&insert).await?;
    Ok(())
}

/// Reads an endpoint on any connection.
pub(super) async fn find(
    db: &impl ConnectionTrait,
    account: &AccountId,
    id: Uuid,
) -> Result<Option<Endpoint>, StoreError> {
    one(db, of_account(account).filter(Column::Id.eq(id))).await
}

/// Reads an endpoint and locks it until the transaction ends. SQLite has no such lock; there the transaction itself
/// keeps others from changing it.
pub(super) async fn find_for_update(
    db: &impl ConnectionTrait,
    account: &AccountId,
    id: Uuid,
) -> Result<Option<Endpoint>, StoreError> {
    one(db, of_account(account).filter(Column::Id.eq(id)).lock_exclusive()).await
}

async fn one(db: &impl ConnectionTrait, select: Select<Entity>) -> Result<Option<Endpoint>, StoreError> {
    let found = rows_with_id(db, select).await?.pop();
    found.map(|(_, row)| row.and_then(Endpoint::try_from)).transpose()
}
