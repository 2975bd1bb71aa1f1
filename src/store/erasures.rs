//! Erasures of people: the record of each, with its tombstone, and the search for the rows that are a person's.
//!
//! The record is written first and kept for as long as the database is. What it is about is erased by commands, one for each
//! invitation, so an erasure that breaks off is continued by looking for what is left.

pub mod chunk;
mod export;
mod person;

use sea_orm::sea_query::{Expr, ExprTrait as _, OnConflict, Query};
use sea_orm::{
    ColumnTrait as _, ConnectionTrait as _, EntityTrait as _, IntoActiveModel as _, QueryFilter as _, QueryOrder as _,
    QuerySelect as _, Statement,
};
use uuid::Uuid;

use super::read::invitations::read_clock;
use super::requests::{Known, WriteOnce, recall, remember};
use super::sql::entity::erasure::{Column, Entity, Model};
use super::sql::error::StoreError;
use super::sql::retry::retry;
use super::sql::rows_param::{by_index, present};
use super::{Maintenance, Store};
use crate::domain::erasure::tombstone::{AddressMac, Tombstone};
use crate::domain::value::text::AccountId;
use crate::domain::value::time::Timestamp;

/// The time for which an attempt is thought to be at work after it began, or erased something.
const LEASE: i64 = 10_000_000;

/// The numbers of what an erasure has changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ErasureCounts {
    /// The number of invitations.
    pub invitations: i64,
    /// The number of acceptances.
    pub acceptances: i64,
    /// The number of events about the person.
    pub events: i64,
    /// The number of messages to the person.
    pub messages: i64,
}

impl ErasureCounts {
    /// Adds other numbers.
    pub fn add(&mut self, more: Self) {
        let Self { invitations, acceptances, events, messages } = more;
        self.invitations += invitations;
        self.acceptances += acceptances;
        self.events += events;
        self.messages += messages;
    }
}

/// An erasure as it is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordedErasure {
    /// The id.
    pub id: Uuid,
    /// The moment of the erasure: what was created later is not part of it.
    pub erased_at: Timestamp,
    /// Whether nothing is left to be erased.
    pub is_done: bool,
    /// The numbers so far.
    pub counts: ErasureCounts,
}

impl From<Model> for RecordedErasure {
    fn from(row: Model) -> Self {
        let Model { id, erased_at, done_at, invitations, acceptances, events, messages, .. } = row;
        let counts = ErasureCounts { invitations, acceptances, events, messages };
        Self { id, erased_at: Timestamp::from_micros(erased_at), is_done: done_at.is_some(), counts }
    }
}

/// Another request had the request_id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnotherRequest;

impl Store {
    /// Records an erasure before it begins, or returns the one that the same request recorded.
    pub async fn begin_erasure(
        &self,
        account: &AccountId,
        (id, address): (Uuid, &AddressMac),
        once: &WriteOnce,
    ) -> Result<Result<RecordedErasure, AnotherRequest>, StoreError> {
        retry(|| async {
            let transaction = self.database.begin_write_with_lock_wait().await?;
            match recall(&transaction, account, once.request.as_ref()).await? {
                Known::Another => return Ok(Err(AnotherRequest)),
                Known::Done { about, .. } => {
                    let known = Entity::find_by_id((account.as_str().to_owned(), about)).one(&transaction).await?;
                    return known.map(|row| Ok(row.into())).ok_or(StoreError::Conflict);
                }
                Known::New => {}
            }
            let values = [
                (Column::AccountId, Expr::val(account.as_str())),
                (Column::Id, Expr::val(id)),
                (Column::KeyId, Expr::val(i32::from(address.key_id))),
                (Column::Mac, Expr::val(address.mac.as_str())),
                (Column::ErasedAt, present(read_clock(&self.database, None))),
                (Column::LeasedUntil, present(read_clock(&self.database, None)).add(LEASE)),
                (Column::Invitations, Expr::val(0_i64)),
                (Column::Acceptances, Expr::val(0_i64)),
                (Column::Events, Expr::val(0_i64)),
                (Column::Messages, Expr::val(0_i64)),
            ];
            let (columns, values): (Vec<_>, Vec<_>) = values.into_iter().unzip();
            let mut insert = Query::insert();
            insert.into_table(Entity).columns(columns).values_panic(values);
            transaction.execute(&insert).await?;
            let row = Entity::find_by_id((account.as_str().to_owned(), id)).one(&transaction).await?;
            let recorded = RecordedErasure::from(row.ok_or(StoreError::Conflict)?);
            if once.validate_only {
                transaction.rollback().await?;
            } else {
                remember(&transaction, account, once.request.as_ref(), (id, None), recorded.erased_at).await?;
                transaction.commit().await?;
            }
            Ok(Ok(recorded))
        })
        .await
    }

    /// Takes up an erasure that another attempt has begun, unless that one is still at work. Two at once would erase no more, and count
    /// less.
    pub async fn take_up_erasure(&self, account: &AccountId, id: Uuid) -> Result<bool, StoreError> {
        let now = || present(read_clock(&self.database, None));
        let update = Entity::update_many()
            .col_expr(Column::LeasedUntil, now().add(LEASE))
            .filter(Column::AccountId.eq(account.as_str()))
            .filter(Column::Id.eq(id))
            .filter(Expr::col(Column::LeasedUntil).lt(now()));
        Ok(update.exec(&self.database.write).await?.rows_affected > 0)
    }

    /// Leaves an erasure to the next attempt.
    pub async fn leave_erasure(&self, account: &AccountId, id: Uuid) -> Result<(), StoreError> {
        let update = Entity::update_many()
            .col_expr(Column::LeasedUntil, Expr::val(0_i64))
            .filter(Column::AccountId.eq(account.as_str()))
            .filter(Column::Id.eq(id));
        update.exec(&self.database.write).await?;
        Ok(())
    }

    /// Adds to the numbers of an erasure.
    pub async fn count_erased(&self, account: &AccountId, id: Uuid, more: ErasureCounts) -> Result<(), StoreError> {
        let add = |column: Column, more: i64| Expr::col(column).add(more);
        let update = Entity::update_many()
            .col_expr(Column::LeasedUntil, present(read_clock(&self.database, None)).add(LEASE))
            .col_expr(Column::Invitations, add(Column::Invitations, more.invitations))
            .col_expr(Column::Acceptances, add(Column::Acceptances, more.acceptances))
            .col_expr(Column::Events, add(Column::Events, more.events))
            .col_expr(Column::Messages, add(Column::Messages, more.messages))
            .filter(Column::AccountId.eq(account.as_str()))
            .filter(Column::Id.eq(id));
        update.exec(&self.database.write).await?;
        Ok(())
    }

    /// Notes that nothing is left of an erasure, and returns it as it is recorded.
    pub async fn finish_erasure(&self, account: &AccountId, id: Uuid) -> Result<RecordedErasure, StoreError> {
        let update = Entity::update_many()
            .col_expr(Column::DoneAt, present(read_clock(&self.database, None)))
            .filter(Column::AccountId.eq(account.as_str()))
            .filter(Column::Id.eq(id));
        update.exec(&self.database.write).await?;
        self.recorded_erasure(account, id).await
    }

    /// Returns an erasure as it is recorded.
    pub async fn recorded_erasure(&self, account: &AccountId, id: Uuid) -> Result<RecordedErasure, StoreError> {
        let row = Entity::find_by_id((account.as_str().to_owned(), id)).one(&self.database.write).await?;
        row.map(RecordedErasure::from).ok_or(StoreError::Conflict)
    }

    /// Takes an address, in the form in which it is searched for, out of codes that are still to be mailed, also those of invitations
    /// that do not have it.
    pub async fn cancel_codes(&self, account: &AccountId, address: &str) -> Result<(), StoreError> {
        let backend = self.database.backend();
        let sql = format!(
            "UPDATE outbox AS o SET address = NULL, address_key = NULL WHERE {} AND o.due_at IS NOT NULL AND o.purpose = 'verification_code'
                AND o.address_key = $2",
            by_index(backend, "pending", "o", "$1")
        );
        let update = Statement::from_sql_and_values(backend, sql, [account.as_str().into(), address.into()]);
        self.database.write.execute_raw(update).await?;
        Ok(())
    }

    /// Takes in a tombstone from elsewhere, unless it is there. Its erasure counts as unfinished.
    pub async fn take_in_tombstone(&self, tombstone: &Tombstone) -> Result<(), StoreError> {
        let Tombstone { account, id, address: AddressMac { key_id, mac }, erased_at } = tombstone.clone();
        let row = Model {
            account_id: account,
            id,
            key_id: i32::from(key_id),
            mac,
            erased_at: erased_at.micros(),
            done_at: None,
            leased_until: 0,
            invitations: 0,
            acceptances: 0,
            events: 0,
            messages: 0,
        };
        let insert = Entity::insert(row.into_active_model()).on_conflict(OnConflict::new().do_nothing().to_owned());
        insert.exec_without_returning(&self.database.write).await?;
        Ok(())
    }
}

impl Maintenance {
    /// Returns the tombstones behind the one with an account and an id, of all accounts, in the order of these.
    pub async fn tombstones(&self, after: (&str, Uuid), limit: u64) -> Result<Vec<Tombstone>, StoreError> {
        let behind = Expr::tuple([Expr::col(Column::AccountId), Expr::col(Column::Id)]);
        let select = Entity::find()
            .filter(behind.gt(Expr::tuple([Expr::val(after.0), Expr::val(after.1)])))
            .order_by_asc(Column::AccountId)
            .order_by_asc(Column::Id)
            .limit(limit);
        select.all(&self.0.read).await?.into_iter().map(tombstone_of).collect()
    }
}

fn tombstone_of(row: Model) -> Result<Tombstone, StoreError> {
    let corrupt = |_| StoreError::Corrupt {
        table: "erasure",
        column: "key_id",
        row: row.id.to_string(),
        problem: "is out of range",
    };
    let address = AddressMac { key_id: u8::try_from(row.key_id).map_err(corrupt)?, mac: row.mac };
    Ok(Tombstone { account: row.account_id, id: row.id, address, erased_at: Timestamp::from_micros(row.erased_at) })
}
