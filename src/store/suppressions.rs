//! The suppressed addresses. Those that a bounce or a complaint leads to are saved by commands; what callers do about them changes no
//! invitation, so it is written as it is, with its event.

use sea_orm::sea_query::OnConflict;
use sea_orm::{
    ColumnTrait as _, ConnectionTrait, DbBackend, EntityTrait as _, IntoActiveModel as _, QueryFilter as _,
    QueryOrder as _, QuerySelect as _, QueryTrait as _, Select, Set,
};
use uuid::Uuid;

use super::events::notifications::Topic;
use super::read::rows::Lookup;
use super::read::unreadable::FullPage;
use super::read::{Cursor, behind, order};
use super::requests::{Known, WriteOnce, recall, remember};
use super::sql::entity::suppression::{Column, Entity};
use super::sql::entity::{event, suppression};
use super::sql::error::StoreError;
use super::sql::retry::retry;
use super::sql::row::{rows_with_id, suppression_event_row, suppression_row};
use super::sql::rows_param::in_index;
use super::{Reads, Store};
use crate::domain::suppression::Suppression;
use crate::domain::value::etag::StaleEtag;
use crate::domain::value::text::AccountId;
use crate::domain::value::time::Timestamp;

/// The filters of a list of suppressions, by age.
#[derive(Clone, Debug, Default)]
pub struct SuppressionQuery {
    /// Whether the oldest come first, instead of the newest.
    pub ascending: bool,
    /// The most rows.
    pub limit: u64,
    /// The place behind which the list continues.
    pub after: Option<Cursor>,
}

/// The result of suppressing an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SuppressionCreated {
    /// The suppression was created.
    Created,
    /// The same request created it before. Holds the suppression as it is now.
    Replayed(Suppression),
    /// The address is suppressed already, by the suppression with this id.
    AlreadyExists(Uuid),
    /// The same request created a suppression, with this id, that has been lifted since.
    Deleted(Uuid),
    /// Another request had this request_id.
    RequestIdReused,
}

/// The reason why a suppression is not lifted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SuppressionRefusal {
    /// The account has no such suppression.
    NotFound,
    /// The suppression is another one than the caller read.
    Stale,
    /// Another request had this request_id.
    RequestIdReused,
}

impl Store {
    /// Suppresses an address, which may be stored under any of some keys, unless it is suppressed; once per request_id.
    pub async fn create_suppression(
        &self,
        account: &AccountId,
        (suppression, event_id, keys): (&Suppression, Uuid, &[String]),
        once: &WriteOnce,
    ) -> Result<SuppressionCreated, StoreError> {
        let request_id = once.request.as_ref().map(|request| request.id.clone());
        let created = retry(|| async {
            let transaction = self.database.begin_write_with_lock_wait().await?;
            // The same request at the same time waits here for this one, and is then refused its insert.
            let insert = Entity::insert(suppression_row(account, suppression).into_active_model());
            let insert = insert.on_conflict(OnConflict::new().do_nothing().to_owned());
            let is_new = insert.exec_without_returning(&transaction).await? > 0;
            match recall(&transaction, account, once.request.as_ref()).await? {
                Known::Another => return Ok(SuppressionCreated::RequestIdReused),
                Known::Done { about, .. } => {
                    let select = Entity::find_by_id((account.as_str().to_owned(), about));
                    let found = one(&transaction, select).await?;
                    return Ok(found.map_or(SuppressionCreated::Deleted(about), SuppressionCreated::Replayed));
                }
                Known::New => {}
            }
            // Of an erased address there is a row with another key.
            let select = by_keys(self.database.backend(), account, keys).filter(Column::Id.ne(suppression.id));
            if let Some(found) = one(&transaction, select).await? {
                return Ok(SuppressionCreated::AlreadyExists(found.id));
            }
            if !is_new {
                return Err(StoreError::Conflict);
            }
            if once.validate_only {
                return Ok(SuppressionCreated::Created);
            }
            let event = suppression_event_row(account, (event_id, suppression), request_id.clone());
            event::Entity::insert(event.into_active_model()).exec_without_returning(&transaction).await?;
            let about = (suppression.id, None);
            remember(&transaction, account, once.request.as_ref(), about, suppression.created_at).await?;
            transaction.commit().await?;
            Ok(SuppressionCreated::Created)
        })
        .await?;
        if created == SuppressionCreated::Created && !once.validate_only {
            self.notifications.notify_local(Topic::Event);
        }
        Ok(created)
    }

    /// Lifts a suppression that passes a check, once per request_id.
    pub async fn delete_suppression(
        &self,
        account: &AccountId,
        id: Uuid,
        once: &WriteOnce,
        check: impl Fn(&Suppression) -> Result<(), StaleEtag>,
    ) -> Result<Result<(), SuppressionRefusal>, StoreError> {
        retry(|| async {
            let transaction = self.database.begin_write_with_lock_wait().await?;
            let select = Entity::find_by_id((account.as_str().to_owned(), id)).lock_exclusive();
            let found = one(&transaction, select).await?;
            match recall(&transaction, account, once.request.as_ref()).await? {
                Known::Another => return Ok(Err(SuppressionRefusal::RequestIdReused)),
                Known::Done { .. } => return Ok(Ok(())),
                Known::New => {}
            }
            let Some(found) = found else { return Ok(Err(SuppressionRefusal::NotFound)) };
            if check(&found).is_err() {
                return Ok(Err(SuppressionRefusal::Stale));
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

    /// Takes an address out of its suppression from up to a moment, which goes on under a keyed hash.
    pub async fn erase_suppression(
        &self,
        account: &AccountId,
        (address, until): (&str, Timestamp),
        erased_key: &str,
    ) -> Result<(), StoreError> {
        let update = Entity::update_many()
            .set(suppression::ActiveModel {
                address_key: Set(erased_key.to_owned()),
                masked_email: Set(String::new()),
                ..Default::default()
            })
            .filter(in_index(self.database.backend(), "address", Column::AccountId, account.as_str()))
            .filter(Column::AddressKey.eq(address))
            .filter(Column::CreatedAt.lte(until.micros()));
        update.exec(&self.database.write).await?;
        Ok(())
    }
}

impl Reads {
    /// Reads a suppression, if the account has it.
    pub async fn get_suppression(&self, account: &AccountId, id: Uuid) -> Result<Option<Suppression>, StoreError> {
        self.suppressions.read(account, [id]).await?.map(Suppression::try_from).transpose()
    }

    /// Reads the suppression of an address, which may be stored under any of some keys.
    pub async fn find_suppression(
        &self,
        account: &AccountId,
        keys: &[String],
    ) -> Result<Option<Suppression>, StoreError> {
        let select = by_keys(self.database.backend(), account, keys).limit(1);
        let _turn = self.database.read_turns.short(account).await?;
        let found = rows_with_id(&self.database.reading_for(account), select).await?.pop();
        found.map(|(_, row)| row.and_then(Suppression::try_from)).transpose()
    }

    /// Reads a page of suppressions.
    pub async fn list_suppressions(
        &self,
        account: &AccountId,
        query: &SuppressionQuery,
    ) -> Result<Vec<Suppression>, StoreError> {
        let (mut query, mut page) = (query.clone(), FullPage::new(query.limit));
        loop {
            let select = Entity::find()
                .filter(Column::AccountId.eq(account.as_str()))
                .apply_if(query.after.as_ref(), |select, cursor| {
                    select.filter(behind(Column::Id, cursor.id, query.ascending))
                })
                .order_by(Column::Id, order(query.ascending))
                .limit(query.limit);
            let found = {
                let _turn = self.database.read_turns.list(account).await?;
                rows_with_id(&self.database.reading_for(account), select).await?
            };
            let found = found.into_iter().map(|(id, row)| (Cursor::of_id(id), row.and_then(Suppression::try_from)));
            let Some(read_on) = page.add(query.limit, found.collect())? else { return Ok(page.into_rows()) };
            query = SuppressionQuery { after: Some(read_on.after), limit: read_on.limit, ..query };
        }
    }
}

/// Looks up suppressions by their ids.
pub(super) fn by_id(backend: DbBackend) -> Lookup<1> {
    Lookup::of::<Entity>(backend, [Column::Id])
}

/// Selects the suppressions of an account with some keys.
pub(super) fn by_keys(backend: DbBackend, account: &AccountId, keys: &[String]) -> Select<Entity> {
    Entity::find()
        .filter(in_index(backend, "address", Column::AccountId, account.as_str()))
        .filter(Column::AddressKey.is_in(keys))
}

async fn one(db: &impl ConnectionTrait, select: Select<Entity>) -> Result<Option<Suppression>, StoreError> {
    let found = rows_with_id(db, select).await?.pop();
    found.map(|(_, row)| row.and_then(Suppression::try_from)).transpose()
}
