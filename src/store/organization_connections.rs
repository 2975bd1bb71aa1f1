//! The connections between organizations. They change no invitation, so they are written as they are, without a command.

use sea_orm::sea_query::OnConflict;
use sea_orm::{
    ColumnTrait as _, EntityTrait as _, IntoActiveModel as _, QueryFilter as _, QueryOrder as _, QuerySelect as _,
    QueryTrait as _,
};
use uuid::Uuid;

use super::Store;
use super::read::unreadable::FullPage;
use super::read::{Cursor, behind, order};
use super::requests::{Known, WriteOnce, recall, remember};
use super::sql::entity::organization_connection::{Column, Entity, Model};
use super::sql::error::StoreError;
use super::sql::row::rows_with_id;
use super::sql::rows_param::in_index;
use crate::domain::organization_connection::OrganizationConnection;
use crate::domain::value::text::AccountId;
use crate::domain::value::time::Timestamp;

/// The number of look-ups of an existing connection before the call gives up because of concurrent deletions.
const MAX_ATTEMPTS: usize = 3;

/// The filters of a list of connections, by age.
#[derive(Clone, Debug, Default)]
pub struct OrganizationConnectionQuery {
    /// Only connections by which this organization acts.
    pub requester: Option<Uuid>,
    /// Only connections that allow acting for this organization.
    pub target: Option<Uuid>,
    /// Whether the oldest come first, instead of the newest.
    pub ascending: bool,
    /// The most rows.
    pub limit: u64,
    /// The place behind which the list continues.
    pub after: Option<Cursor>,
}

/// The result of creating a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConnectionCreated {
    /// The connection was created.
    Created,
    /// The same request created this connection before.
    Replayed(OrganizationConnection),
    /// The two organizations are connected already, by the connection with this id.
    AlreadyExists(Uuid),
    /// The same request created a connection, with this id, that has been deleted since.
    Deleted(Uuid),
    /// Another request had this request_id.
    RequestIdReused,
}

/// The result of deleting a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionDeleted {
    /// The connection was deleted, now or by the same request before.
    Deleted,
    /// The account has no such connection.
    NotFound,
    /// Another request had this request_id.
    RequestIdReused,
}

impl Store {
    /// Connects two organizations, unless they are connected already; once per request_id.
    pub async fn create_organization_connection(
        &self,
        account: &AccountId,
        connection: &OrganizationConnection,
        once: &WriteOnce,
    ) -> Result<ConnectionCreated, StoreError> {
        for _ in 0..MAX_ATTEMPTS {
            let transaction = self.database.begin_write_with_lock_wait().await?;
            // The same request at the same time waits here for this one, and is then refused its insert.
            let insert = Entity::insert(row_of(account, connection).into_active_model());
            let insert = insert.on_conflict(OnConflict::new().do_nothing().to_owned());
            let is_new = insert.exec_without_returning(&transaction).await? > 0;
            match recall(&transaction, account, once.request.as_ref()).await? {
                Known::Another => return Ok(ConnectionCreated::RequestIdReused),
                Known::Done { about, .. } => {
                    let select = Entity::find_by_id((account.as_str().to_owned(), about));
                    let found = select.one(&transaction).await?.map(OrganizationConnection::try_from).transpose()?;
                    return Ok(found.map_or(ConnectionCreated::Deleted(about), ConnectionCreated::Replayed));
                }
                Known::New if is_new && once.validate_only => return Ok(ConnectionCreated::Created),
                Known::New if is_new => {
                    let about = (connection.id, None);
                    if remember(&transaction, account, once.request.as_ref(), about, connection.created_at).await? {
                        transaction.commit().await?;
                        return Ok(ConnectionCreated::Created);
                    }
                    continue;
                }
                Known::New => drop(transaction),
            }
            let found = self.find_organization_connection(account, connection.requester, connection.target).await?;
            if let Some(found) = found {
                return Ok(ConnectionCreated::AlreadyExists(found.id));
            }
        }
        Err(StoreError::Conflict)
    }

    /// Reads a page of connections.
    pub async fn list_organization_connections(
        &self,
        account: &AccountId,
        query: &OrganizationConnectionQuery,
    ) -> Result<Vec<OrganizationConnection>, StoreError> {
        let (mut query, mut page) = (query.clone(), FullPage::new(query.limit));
        loop {
            let found = self.connections_of(account, &query).await?;
            let found =
                found.into_iter().map(|(id, row)| (Cursor::of_id(id), row.and_then(OrganizationConnection::try_from)));
            let Some(read_on) = page.add(query.limit, found.collect())? else { return Ok(page.into_rows()) };
            query = OrganizationConnectionQuery { after: Some(read_on.after), limit: read_on.limit, ..query };
        }
    }

    async fn connections_of(
        &self,
        account: &AccountId,
        query: &OrganizationConnectionQuery,
    ) -> Result<Vec<(Uuid, Result<Model, StoreError>)>, StoreError> {
        // The index of the organization that is asked for; without one, the list is in the order of ids.
        let tag = query.requester.map(|_| "ends").or(query.target.map(|_| "target"));
        let own = match tag {
            Some(tag) => in_index(self.database.backend(), tag, Column::AccountId, account.as_str()),
            None => Column::AccountId.eq(account.as_str()),
        };
        let select = Entity::find()
            .filter(own)
            .apply_if(query.requester, |select, id| select.filter(Column::RequesterId.eq(id)))
            .apply_if(query.target, |select, id| select.filter(Column::TargetId.eq(id)))
            .apply_if(query.after.as_ref(), |select, cursor| {
                select.filter(behind(Column::Id, cursor.id, query.ascending))
            })
            .order_by(Column::Id, order(query.ascending))
            .limit(query.limit);
        let _permit = self.database.list_permit().await?;
        rows_with_id(&self.database.read, select).await
    }

    /// Reads the connection by which one organization may act for another.
    pub async fn find_organization_connection(
        &self,
        account: &AccountId,
        requester: Uuid,
        target: Uuid,
    ) -> Result<Option<OrganizationConnection>, StoreError> {
        let own = in_index(self.database.backend(), "ends", Column::AccountId, account.as_str());
        let select =
            Entity::find().filter(own).filter(Column::RequesterId.eq(requester)).filter(Column::TargetId.eq(target));
        let found = rows_with_id(&self.database.read, select).await?.pop();
        found.map(|(_, row)| row.and_then(OrganizationConnection::try_from)).transpose()
    }

    /// Deletes a connection, once per request_id.
    pub async fn delete_organization_connection(
        &self,
        account: &AccountId,
        id: Uuid,
        once: &WriteOnce,
    ) -> Result<ConnectionDeleted, StoreError> {
        for _ in 0..MAX_ATTEMPTS {
            let transaction = self.database.begin_write_with_lock_wait().await?;
            let delete = Entity::delete_by_id((account.as_str().to_owned(), id)).exec(&transaction).await?;
            match recall(&transaction, account, once.request.as_ref()).await? {
                Known::Another => return Ok(ConnectionDeleted::RequestIdReused),
                Known::Done { .. } => return Ok(ConnectionDeleted::Deleted),
                Known::New if delete.rows_affected == 0 => return Ok(ConnectionDeleted::NotFound),
                Known::New if once.validate_only => return Ok(ConnectionDeleted::Deleted),
                Known::New => {}
            }
            if remember(&transaction, account, once.request.as_ref(), (id, None), self.database.clock.now()).await? {
                transaction.commit().await?;
                return Ok(ConnectionDeleted::Deleted);
            }
        }
        Err(StoreError::Conflict)
    }
}

fn row_of(account: &AccountId, connection: &OrganizationConnection) -> Model {
    Model {
        account_id: account.as_str().to_owned(),
        id: connection.id,
        requester_id: connection.requester,
        target_id: connection.target,
        permissions: connection.permissions.clone().into(),
        creator: connection.creator.clone(),
        created_at: connection.created_at.micros(),
    }
}

impl TryFrom<Model> for OrganizationConnection {
    type Error = StoreError;

    fn try_from(row: Model) -> Result<Self, StoreError> {
        let permissions = serde_json::from_value(row.permissions).map_err(|_| StoreError::Corrupt {
            table: "organization_connection",
            column: "permissions",
            row: row.id.to_string(),
            problem: "is not a list of texts",
        })?;
        Ok(Self {
            id: row.id,
            requester: row.requester_id,
            target: row.target_id,
            permissions,
            creator: row.creator,
            created_at: Timestamp::from_micros(row.created_at),
        })
    }
}
