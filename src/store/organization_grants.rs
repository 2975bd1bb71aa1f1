//! The grants between organizations. They change no invitation, so they are written as they are, without a command.

use sea_orm::sea_query::OnConflict;
use sea_orm::{
    ActiveModelTrait as _, ColumnTrait as _, ConnectionTrait, DbBackend, EntityTrait as _, IntoActiveModel as _,
    QueryFilter as _, QueryOrder as _, QuerySelect as _, QueryTrait as _, Select,
};
use uuid::Uuid;

use super::read::rows::Lookup;
use super::read::unreadable::FullPage;
use super::read::{Cursor, behind, order};
use super::requests::{Known, WriteOnce, recall, remember};
use super::sql::entity::organization_grant::{Column, Entity, Model};
use super::sql::error::StoreError;
use super::sql::retry::retry;
use super::sql::row::rows_with_id;
use super::sql::rows_param::in_index;
use super::{Reads, Store};
use crate::domain::organization_grant::{OrganizationGrant, UpdateRefusal};
use crate::domain::value::etag::StaleEtag;
use crate::domain::value::text::AccountId;
use crate::domain::value::time::Timestamp;

/// The filters of a list of grants, by age.
#[derive(Clone, Debug, Default)]
pub struct OrganizationGrantQuery {
    /// Only grants by which this organization acts.
    pub requester: Option<Uuid>,
    /// Only grants that allow acting for this organization.
    pub target: Option<Uuid>,
    /// Whether the oldest come first, instead of the newest.
    pub ascending: bool,
    /// The most rows.
    pub limit: u64,
    /// The place behind which the list continues.
    pub after: Option<Cursor>,
}

/// The result of creating a grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GrantCreated {
    /// The grant was created.
    Created,
    /// The same request created this grant before.
    Replayed(OrganizationGrant),
    /// There is a grant between the two organizations already, the one with this id.
    AlreadyExists(Uuid),
    /// The same request created a grant, with this id, that has been deleted since.
    Deleted(Uuid),
    /// Another request had this request_id.
    RequestIdReused,
}

/// The reason why a call about a grant is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GrantRefusal {
    /// The account has no such grant.
    NotFound,
    /// The grant has changed since the caller read it.
    Stale,
    /// The field of this name cannot be changed.
    Fixed(&'static str),
    /// Another request had this request_id.
    RequestIdReused,
}

impl Store {
    /// Creates a grant, unless there is one between its organizations; once per request_id.
    pub async fn create_organization_grant(
        &self,
        account: &AccountId,
        grant: &OrganizationGrant,
        once: &WriteOnce,
    ) -> Result<GrantCreated, StoreError> {
        retry(|| async {
            let transaction = self.database.begin_write_with_lock_wait().await?;
            // The same request at the same time waits here for this one, and is then refused its insert.
            let insert = Entity::insert(row_of(account, grant).into_active_model());
            let insert = insert.on_conflict(OnConflict::new().do_nothing().to_owned());
            let is_new = insert.exec_without_returning(&transaction).await? > 0;
            match recall(&transaction, account, once.request.as_ref()).await? {
                Known::Another => return Ok(GrantCreated::RequestIdReused),
                Known::Done { about, .. } => {
                    let select = Entity::find_by_id((account.as_str().to_owned(), about));
                    let found = one(&transaction, select).await?;
                    return Ok(found.map_or(GrantCreated::Deleted(about), GrantCreated::Replayed));
                }
                Known::New if is_new && once.validate_only => return Ok(GrantCreated::Created),
                Known::New if is_new => {
                    let about = (grant.id, None);
                    remember(&transaction, account, once.request.as_ref(), about, grant.created_at).await?;
                    transaction.commit().await?;
                    return Ok(GrantCreated::Created);
                }
                Known::New => drop(transaction),
            }
            let found = self.find_organization_grant(account, grant.requester, grant.target).await?;
            // A grant that was deleted meanwhile is no longer in the way.
            found.map(|found| GrantCreated::AlreadyExists(found.id)).ok_or(StoreError::Conflict)
        })
        .await
    }
}

impl Reads {
    /// Reads a page of grants.
    pub async fn list_organization_grants(
        &self,
        account: &AccountId,
        query: &OrganizationGrantQuery,
    ) -> Result<Vec<OrganizationGrant>, StoreError> {
        let (mut query, mut page) = (query.clone(), FullPage::new(query.limit));
        loop {
            let found = self.grants_of(account, &query).await?;
            let found =
                found.into_iter().map(|(id, row)| (Cursor::of_id(id), row.and_then(OrganizationGrant::try_from)));
            let Some(read_on) = page.add(query.limit, found.collect())? else { return Ok(page.into_rows()) };
            query = OrganizationGrantQuery { after: Some(read_on.after), limit: read_on.limit, ..query };
        }
    }

    async fn grants_of(
        &self,
        account: &AccountId,
        query: &OrganizationGrantQuery,
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
        let _turn = self.database.read_turns.list(account).await?;
        rows_with_id(&self.database.reading_for(account), select).await
    }

    /// Reads a grant, if the account has it.
    pub async fn get_organization_grant(
        &self,
        account: &AccountId,
        id: Uuid,
    ) -> Result<Option<OrganizationGrant>, StoreError> {
        self.grants.read(account, [id]).await?.map(OrganizationGrant::try_from).transpose()
    }
}

impl Store {
    /// Reads the grant by which one organization may act for another.
    pub async fn find_organization_grant(
        &self,
        account: &AccountId,
        requester: Uuid,
        target: Uuid,
    ) -> Result<Option<OrganizationGrant>, StoreError> {
        let found = self.primary.grants_by_ends.read(account, [requester, target]).await?;
        found.map(OrganizationGrant::try_from).transpose()
    }

    /// Updates a grant to the result of `decide`, once per request_id; `None` from `decide` leaves it as it is.
    pub async fn change_organization_grant(
        &self,
        account: &AccountId,
        id: Uuid,
        once: &WriteOnce,
        decide: impl Fn(&OrganizationGrant) -> Result<Option<OrganizationGrant>, UpdateRefusal>,
    ) -> Result<Result<OrganizationGrant, GrantRefusal>, StoreError> {
        retry(|| async {
            let transaction = self.database.begin_write_with_lock_wait().await?;
            // The lock precedes the look-up of the request: the same call that is under way has then finished.
            let found = find_for_update(&transaction, account, id).await?;
            let known = recall(&transaction, account, once.request.as_ref()).await?;
            if known == Known::Another {
                return Ok(Err(GrantRefusal::RequestIdReused));
            }
            let Some(before) = found else { return Ok(Err(GrantRefusal::NotFound)) };
            if matches!(known, Known::Done { about, .. } if about == id) {
                return Ok(Ok(before));
            }
            let decided = match decide(&before) {
                Ok(decided) => decided,
                Err(UpdateRefusal::Stale) => return Ok(Err(GrantRefusal::Stale)),
                Err(UpdateRefusal::Fixed(field)) => return Ok(Err(GrantRefusal::Fixed(field))),
            };
            if once.validate_only {
                return Ok(Ok(decided.unwrap_or(before)));
            }
            if let Some(after) = &decided {
                row_of(account, after).into_active_model().reset_all().update(&transaction).await?;
            }
            let now = self.database.clock.now();
            remember(&transaction, account, once.request.as_ref(), (id, None), now).await?;
            transaction.commit().await?;
            Ok(Ok(decided.unwrap_or(before)))
        })
        .await
    }

    /// Deletes a grant that passes a check, once per request_id.
    pub async fn delete_organization_grant(
        &self,
        account: &AccountId,
        id: Uuid,
        once: &WriteOnce,
        check: impl Fn(&OrganizationGrant) -> Result<(), StaleEtag>,
    ) -> Result<Result<(), GrantRefusal>, StoreError> {
        retry(|| async {
            let transaction = self.database.begin_write_with_lock_wait().await?;
            let found = find_for_update(&transaction, account, id).await?;
            match recall(&transaction, account, once.request.as_ref()).await? {
                Known::Another => return Ok(Err(GrantRefusal::RequestIdReused)),
                Known::Done { .. } => return Ok(Ok(())),
                Known::New => {}
            }
            let Some(found) = found else { return Ok(Err(GrantRefusal::NotFound)) };
            if check(&found).is_err() {
                return Ok(Err(GrantRefusal::Stale));
            }
            if once.validate_only {
                return Ok(Ok(()));
            }
            Entity::delete_by_id((account.as_str().to_owned(), id)).exec(&transaction).await?;
            remember(&transaction, account, once.request.as_ref(), (id, None), self.database.clock.now()).await?;
            transaction.commit().await?;
            Ok(Ok(()))
        })
        .await
    }
}

/// Looks up grants by their ids.
pub(super) fn by_id(backend: DbBackend) -> Lookup<1> {
    Lookup::of::<Entity>(backend, [Column::Id])
}

/// Looks up grants by the organization that acts and the one it acts for.
pub(super) fn by_ends(backend: DbBackend) -> Lookup<2> {
    Lookup { tag: Some("ends"), ..Lookup::of::<Entity>(backend, [Column::RequesterId, Column::TargetId]) }
}

/// Reads a grant and locks it until the transaction ends. SQLite has no such lock; there the transaction itself keeps
/// others from changing it.
async fn find_for_update(
    db: &impl ConnectionTrait,
    account: &AccountId,
    id: Uuid,
) -> Result<Option<OrganizationGrant>, StoreError> {
    one(db, Entity::find_by_id((account.as_str().to_owned(), id)).lock_exclusive()).await
}

async fn one(db: &impl ConnectionTrait, select: Select<Entity>) -> Result<Option<OrganizationGrant>, StoreError> {
    let found = rows_with_id(db, select).await?.pop();
    found.map(|(_, row)| row.and_then(OrganizationGrant::try_from)).transpose()
}

fn row_of(account: &AccountId, grant: &OrganizationGrant) -> Model {
    Model {
        account_id: account.as_str().to_owned(),
        id: grant.id,
        requester_id: grant.requester,
        target_id: grant.target,
        permissions: grant.permissions.clone().into(),
        revision: grant.revision,
        creator: grant.creator.clone(),
        created_at: grant.created_at.micros(),
        updated_at: grant.updated_at.micros(),
    }
}

impl TryFrom<Model> for OrganizationGrant {
    type Error = StoreError;

    fn try_from(row: Model) -> Result<Self, StoreError> {
        let permissions = serde_json::from_value(row.permissions).map_err(|_| StoreError::Corrupt {
            table: "organization_grant",
            column: "permissions",
            row: row.id.to_string(),
            problem: "is not a list of texts",
        })?;
        Ok(Self {
            id: row.id,
            requester: row.requester_id,
            target: row.target_id,
            permissions,
            revision: row.revision,
            creator: row.creator,
            created_at: Timestamp::from_micros(row.created_at),
            updated_at: Timestamp::from_micros(row.updated_at),
        })
    }
}
