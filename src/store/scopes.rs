//! The settings of scopes and the people in their seats. Commands seat those who accept; what callers do about settings and seats is written
//! as it is, since it changes nothing about an invitation but, when the count or the reserving begins, its revision.

mod fill;
mod people;

use std::time::Duration;

use sea_orm::{ColumnTrait as _, QueryTrait as _, Statement, Value};
use sea_orm::{ConnectionTrait, DbBackend, EntityTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _};
use uuid::Uuid;

use super::executor::load::seats::{put_scope, scope_rows};
use super::executor::load::{LoadPart, load_sql, parse_json};
use super::read::unreadable::FullPage;
use super::read::{Cursor, behind, order};
use super::requests::{Known, WriteOnce, recall, remember};
use super::sql::Transaction;
use super::sql::entity::seat::{Column, Entity};
use super::sql::error::StoreError;
use super::sql::retry::retry;
use super::sql::row::{rows_with_id, seat_from};
use super::sql::rows_param::in_index;
use super::{Reads, Store, within};
use crate::domain::group::loaded::Loaded;
use crate::domain::invitation::acceptance::Subject;
use crate::domain::seat::{ScopeKey, ScopeSeats, Seat};
use crate::domain::value::time::Timestamp;
pub use people::SeatsWritten;

/// The time that a change of settings may take: at first it counts those who have accepted before.
const CHANGE_LIMIT: Duration = Duration::from_secs(8);
/// The time for which it waits for a lock.
const LOCK_LIMIT: Duration = Duration::from_secs(2);

/// A change of the settings of a scope; what is `None` stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScopeUpdate {
    /// The number of seats, or any number.
    pub seats: Option<Option<i64>>,
    /// Whether open invitations reserve seats.
    pub reserve_open: Option<bool>,
}

/// The result of a change of settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScopeUpdated {
    /// The settings are these.
    Done(ScopeSeats),
    /// The settings are others than the caller read.
    Stale,
    /// Another request had this request_id.
    RequestIdReused,
}

/// The filters of a list of seats, by age.
#[derive(Clone, Debug, Default)]
pub struct SeatQuery {
    /// Whether the oldest come first, instead of the newest.
    pub ascending: bool,
    /// The most rows.
    pub limit: u64,
    /// The place behind which the list continues.
    pub after: Option<Cursor>,
}

impl Store {
    /// Changes the settings of a scope, once per request_id. `new_id` is the id of settings that are new.
    pub async fn update_scope(
        &self,
        key: &ScopeKey,
        update: ScopeUpdate,
        (etag, new_id): (Option<&str>, Uuid),
        once: &WriteOnce,
    ) -> Result<ScopeUpdated, StoreError> {
        let change = retry(|| async {
            let known = self.primary.find_scope(key).await?;
            if known.is_none() && etag.is_some() {
                return Ok(ScopeUpdated::Stale);
            }
            if !once.validate_only {
                self.begin_to_count(key, new_id, known.is_some()).await?;
            }
            let transaction = self.change().await?;
            let request = once.request.as_ref();
            match recall(&transaction, &key.account, request).await? {
                Known::Another => return Ok(ScopeUpdated::RequestIdReused),
                Known::Done { .. } => {
                    return self.present(&transaction, key).await.map(ScopeUpdated::Done);
                }
                Known::New => {}
            }
            self.lock_and_fill(&transaction, key, new_id, update.reserve_open).await?;
            let found = self.present(&transaction, key).await?;
            if found.check_etag(etag).is_err() {
                return Ok(ScopeUpdated::Stale);
            }
            self.set(&transaction, key, &found, update).await?;
            let after = self.present(&transaction, key).await?;
            if once.validate_only {
                return Ok(ScopeUpdated::Done(after));
            }
            remember(&transaction, &key.account, request, (found.id, None), self.database.clock.now()).await?;
            transaction.commit().await?;
            Ok(ScopeUpdated::Done(after))
        });
        within(CHANGE_LIMIT, change).await
    }

    /// Begins a transaction that may take longer than those of calls.
    async fn change(&self) -> Result<Transaction, StoreError> {
        let transaction = self.database.begin_write_with_lock_wait().await?;
        transaction.set_limits(CHANGE_LIMIT, LOCK_LIMIT).await?;
        Ok(transaction)
    }

    /// Writes the new settings. Holds that the scope no longer reserves seats by are deleted.
    async fn set(
        &self,
        db: &impl ConnectionTrait,
        key: &ScopeKey,
        found: &ScopeSeats,
        update: ScopeUpdate,
    ) -> Result<(), StoreError> {
        let seats = update.seats.unwrap_or(found.seats);
        let reserve_open = update.reserve_open.unwrap_or(found.reserve_open);
        if (seats, reserve_open) == (found.seats, found.reserve_open) && found.is_set() {
            return Ok(());
        }
        let sql = "UPDATE scope_settings SET seats = $3, reserve_open = $4, revision = revision + 1
            WHERE account_id = $1 AND id = $2";
        let values: [Value; 4] = [key.account.as_str().into(), found.id.into(), seats.into(), reserve_open.into()];
        db.execute_raw(Statement::from_sql_and_values(self.database.backend(), sql, values)).await?;
        if found.reserve_open && !reserve_open {
            fill::drop_holds(db, key, found.id).await?;
        }
        Ok(())
    }

    /// Reads a scope, with the changes of a transaction.
    async fn present(&self, db: &impl ConnectionTrait, key: &ScopeKey) -> Result<ScopeSeats, StoreError> {
        let clock = self.database.clock();
        // Settings are never deleted.
        read(db, key, clock).await?.ok_or(StoreError::Conflict)
    }
}

impl Reads {
    /// Reads the settings of a scope and its counts.
    pub async fn find_scope(&self, key: &ScopeKey) -> Result<Option<ScopeSeats>, StoreError> {
        let _turn = self.database.read_turns.short(&key.account).await?;
        read(&self.database.reading_for(&key.account), key, self.database.clock()).await
    }

    /// Reads a page of the people who have a seat in a scope.
    pub async fn list_seats(&self, key: &ScopeKey, query: &SeatQuery) -> Result<Vec<(Subject, Seat)>, StoreError> {
        let Some(scope) = self.find_scope(key).await? else { return Ok(Vec::new()) };
        let (backend, account) = (self.database.backend(), key.account.as_str());
        let (mut query, mut page) = (query.clone(), FullPage::new(query.limit));
        loop {
            let select = Entity::find()
                .filter(in_index(backend, "age", Column::AccountId, account))
                .filter(Column::ScopeUid.eq(scope.id))
                .apply_if(query.after.as_ref(), |select, cursor| {
                    select.filter(behind(Column::Id, cursor.id, query.ascending))
                })
                .order_by(Column::Id, order(query.ascending))
                .limit(query.limit);
            let found = {
                let _turn = self.database.read_turns.list(&key.account).await?;
                rows_with_id(&self.database.reading_for(&key.account), select).await?
            };
            let seat = |row| seat_from(row).map(|(_, subject, seat)| (subject, seat));
            let found = found.into_iter().map(|(id, row)| (Cursor::of_id(id), row.and_then(seat)));
            let Some(read_on) = page.add(query.limit, found.collect())? else { return Ok(page.into_rows()) };
            query = SeatQuery { after: Some(read_on.after), limit: read_on.limit, ..query };
        }
    }
}

async fn read(
    db: &impl ConnectionTrait,
    key: &ScopeKey,
    clock: Option<Timestamp>,
) -> Result<Option<ScopeSeats>, StoreError> {
    let backend = db.get_database_backend();
    let mut values: Vec<Value> = scope_rows(std::iter::once(key)).params(backend);
    values.push(clock.map(Timestamp::micros).into());
    let statement = Statement::from_sql_and_values(backend, load_sql(backend, &[LoadPart::Scopes]), values);
    let mut loaded = Loaded::empty(Timestamp::from_micros(0));
    for row in db.query_all_raw(statement).await? {
        if let Some(body) = row.try_get::<Option<String>>("", "body")? {
            put_scope(&mut loaded, parse_json(&body, "scope_settings")?, None)?;
        }
    }
    Ok(loaded.scope(key).cloned())
}

/// Returns the words by which PostgreSQL locks rows; SQLite has one writer.
fn lock(backend: DbBackend, strength: &'static str) -> &'static str {
    if backend == DbBackend::Postgres { strength } else { "" }
}
