//! The connections between organizations. They change no invitation, so they are written as they are, without a command.

use sea_orm::{ConnectionTrait, Statement, Value};
use uuid::Uuid;

use super::Store;
use super::executor::load::parse_json;
use super::read::unreadable::FullPage;
use super::read::{ACCOUNT, Cursor, Params, direction};
use super::sql::entity::organization_connection::{Entity, Model};
use super::sql::error::StoreError;
use super::sql::rows_param::{Columns, by_index, values_of};
use crate::domain::organization_connection::OrganizationConnection;
use crate::domain::value::text::AccountId;
use crate::domain::value::time::Timestamp;

/// How often a connection that is in the way is looked for before somebody else's deletions win.
const ATTEMPTS: usize = 3;

/// Which connections a list has, by age.
#[derive(Clone, Debug, Default)]
pub struct OrganizationConnectionQuery {
    /// Only for this organization to act.
    pub requester: Option<Uuid>,
    /// Only for acting for this organization.
    pub target: Option<Uuid>,
    /// The oldest first, instead of the newest.
    pub ascending: bool,
    /// How many at most.
    pub limit: u64,
    /// Where to go on.
    pub after: Option<Cursor>,
}

/// What creating a connection ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionCreated {
    /// It is there.
    Created,
    /// The two organizations are connected already, by the connection with this id.
    AlreadyExists(Uuid),
}

impl Store {
    /// Connects two organizations, unless they are.
    pub async fn create_organization_connection(
        &self,
        account: &AccountId,
        connection: &OrganizationConnection,
    ) -> Result<ConnectionCreated, StoreError> {
        let (columns, mut params) = (Columns::of::<Entity>(), Params(Vec::new()));
        let placeholders: Vec<String> =
            values_of(&row_of(account, connection)).into_iter().map(|value| params.push(value)).collect();
        let sql = format!(
            "INSERT INTO organization_connection ({}) VALUES ({}) ON CONFLICT DO NOTHING",
            columns.names(),
            placeholders.join(", ")
        );
        for _ in 0..ATTEMPTS {
            let insert = self.statement(sql.clone(), params.0.clone());
            if self.database.write.execute_raw(insert).await?.rows_affected() > 0 {
                return Ok(ConnectionCreated::Created);
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
            let found = found.into_iter().map(|row| (Cursor::of_id(row.id), OrganizationConnection::try_from(row)));
            let Some(read_on) = page.add(query.limit, found.collect())? else { return Ok(page.into_rows()) };
            query = OrganizationConnectionQuery { after: Some(read_on.after), limit: read_on.limit, ..query };
        }
    }

    async fn connections_of(
        &self,
        account: &AccountId,
        query: &OrganizationConnectionQuery,
    ) -> Result<Vec<Model>, StoreError> {
        let (compare, order) = direction(!query.ascending);
        let mut params = Params::new(None, account);
        let mut all = vec![format!("c.account_id = {ACCOUNT}")];
        all.extend(query.requester.map(|id| format!("c.requester_id = {}", params.push(id))));
        all.extend(query.target.map(|id| format!("c.target_id = {}", params.push(id))));
        // Named after the end that is asked for; without one, ids are the order.
        let tag = query.requester.map(|_| "ends").or(query.target.map(|_| "target"));
        if let Some(tag) = tag {
            all[0] = by_index(self.database.backend(), tag, "c", ACCOUNT);
        }
        all.extend(query.after.as_ref().map(|cursor| format!("c.id {compare} {}", params.push(cursor.id))));
        let limit = params.push(query.limit.cast_signed());
        let rest = format!("WHERE {} ORDER BY c.id {order} LIMIT {limit}", all.join(" AND "));
        let _place = self.database.list_place().await?;
        self.connections(&rest, params).await
    }

    /// Reads the connection by which one organization may act for another.
    pub async fn find_organization_connection(
        &self,
        account: &AccountId,
        requester: Uuid,
        target: Uuid,
    ) -> Result<Option<OrganizationConnection>, StoreError> {
        let mut params = Params::new(None, account);
        let (requester, target) = (params.push(requester), params.push(target));
        let own = by_index(self.database.backend(), "ends", "c", ACCOUNT);
        let rest = format!("WHERE {own} AND c.requester_id = {requester} AND c.target_id = {target}");
        self.connections(&rest, params).await?.pop().map(OrganizationConnection::try_from).transpose()
    }

    /// Ends a connection; returns whether there was one.
    pub async fn delete_organization_connection(&self, account: &AccountId, id: Uuid) -> Result<bool, StoreError> {
        let sql = "DELETE FROM organization_connection WHERE account_id = $1 AND id = $2".to_owned();
        let delete = self.statement(sql, vec![account.as_str().into(), id.into()]);
        Ok(self.database.write.execute_raw(delete).await?.rows_affected() > 0)
    }

    async fn connections(&self, rest: &str, params: Params) -> Result<Vec<Model>, StoreError> {
        let backend = self.database.backend();
        let json = Columns::of::<Entity>().json_of(backend, "c");
        let cast = if backend == sea_orm::DbBackend::Postgres { "::text" } else { "" };
        let sql = format!("SELECT ({json}){cast} AS body FROM organization_connection c {rest}");
        let rows = self.database.read.query_all_raw(self.statement(sql, params.0)).await?;
        rows.iter().map(|row| parse_json(&row.try_get::<String>("", "body")?, "organization_connection")).collect()
    }

    fn statement(&self, sql: String, values: Vec<Value>) -> Statement {
        Statement::from_sql_and_values(self.database.backend(), sql, values)
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
            problem: "is no list of texts",
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
