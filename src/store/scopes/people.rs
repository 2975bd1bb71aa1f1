//! The people in the seats of a scope, as callers record them: those who came another way than by an invitation, and those who have left.

use std::collections::BTreeSet;

use sea_orm::sea_query::ColumnType::{Text, Uuid as UuidType};
use sea_orm::{ConnectionTrait, DbBackend, Statement, Value};
use uuid::Uuid;

use super::{CHANGE_LIMIT, ScopeUpdate};
use crate::domain::invitation::acceptance::Subject;
use crate::domain::invitation::refusal::Refusal;
use crate::domain::seat::{ScopeKey, ScopeSeats, Seat, SeatChange};
use crate::domain::value::id::IdSeed;
use crate::domain::value::time::Timestamp;
use crate::store::requests::{Known, WriteOnce, recall, remember};
use crate::store::sql::entity::seat;
use crate::store::sql::error::StoreError;
use crate::store::sql::retry::retry;
use crate::store::sql::row::seat_row;
use crate::store::sql::rows_param::{Columns, RowsParam};
use crate::store::{Store, within};

/// The result of recording who has a seat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SeatsWritten {
    /// So many seats were taken, or given back. The settings are `None` if the scope has none.
    Done(u64, Option<ScopeSeats>),
    /// There is no room for all of them.
    Full(Refusal),
    /// Another request had this request_id.
    RequestIdReused,
}

impl Store {
    /// Gives people seats in a scope: all of them, or none if there is no room; once per request_id. Who has one keeps it. The first id of
    /// the seed is that of settings that are new.
    pub async fn occupy_seats(
        &self,
        key: &ScopeKey,
        subjects: &BTreeSet<Subject>,
        (seed, now): (&IdSeed, Timestamp),
        once: &WriteOnce,
    ) -> Result<SeatsWritten, StoreError> {
        let (new_id, request) = (seed.nth(0), once.request.as_ref());
        let write = retry(|| async {
            let known = self.primary.find_scope(key).await?;
            let is_new = known.as_ref().is_none_or(|known| !known.is_set());
            if is_new && !once.validate_only {
                self.begin_to_count(key, new_id, known.is_some()).await?;
            }
            let transaction = self.change().await?;
            if let Some(replayed) = self.replayed(&transaction, key, once).await? {
                return Ok(replayed);
            }
            if is_new {
                self.lock_and_fill(&transaction, key, new_id, None).await?;
                let found = self.present(&transaction, key).await?;
                self.set(&transaction, key, &found, ScopeUpdate::default()).await?;
            }
            let scope = self.present(&transaction, key).await?.id;
            // Seats are locked before their scope, as by the lanes.
            let taken = occupy(&transaction, key, scope, subjects, (seed, now)).await?;
            let present = self.add_occupied(&transaction, key, scope, taken).await?;
            if taken > 0 && !present.fits() {
                let before = ScopeSeats { occupied: present.occupied - taken, ..present };
                return Ok(SeatsWritten::Full(before.full(key)));
            }
            let taken = taken.unsigned_abs();
            if !once.validate_only {
                remember(&transaction, &key.account, request, (scope, Some(taken.cast_signed())), now).await?;
                transaction.commit().await?;
            }
            Ok(SeatsWritten::Done(taken, Some(present)))
        });
        within(CHANGE_LIMIT, write).await
    }

    /// Takes seats of a scope away, whatever holds them; once per request_id. Who has none is left out.
    pub async fn vacate_seats(
        &self,
        key: &ScopeKey,
        subjects: &BTreeSet<Subject>,
        now: Timestamp,
        once: &WriteOnce,
    ) -> Result<SeatsWritten, StoreError> {
        let request = once.request.as_ref();
        let write = retry(|| async {
            let known = self.primary.find_scope(key).await?;
            let transaction = self.change().await?;
            if let Some(replayed) = self.replayed(&transaction, key, once).await? {
                return Ok(replayed);
            }
            let (freed, present) = match &known {
                None => (0, None),
                Some(known) => {
                    let freed = vacate(&transaction, key, known.id, subjects).await?;
                    (freed, Some(self.add_occupied(&transaction, key, known.id, -freed).await?))
                }
            };
            if !once.validate_only {
                let about = known.map_or(Uuid::nil(), |known| known.id);
                remember(&transaction, &key.account, request, (about, Some(freed)), now).await?;
                transaction.commit().await?;
            }
            Ok(SeatsWritten::Done(freed.unsigned_abs(), present))
        });
        within(CHANGE_LIMIT, write).await
    }

    async fn replayed(
        &self,
        db: &impl ConnectionTrait,
        key: &ScopeKey,
        once: &WriteOnce,
    ) -> Result<Option<SeatsWritten>, StoreError> {
        Ok(match recall(db, &key.account, once.request.as_ref()).await? {
            Known::New => None,
            Known::Another => Some(SeatsWritten::RequestIdReused),
            Known::Done { changed, .. } => {
                let present = super::read(db, key, self.database.clock()).await?;
                Some(SeatsWritten::Done(changed.unwrap_or_default().unsigned_abs(), present))
            }
        })
    }

    /// Adds to the count of a scope, whose row is locked from then on, and returns the scope as it is afterwards.
    async fn add_occupied(
        &self,
        db: &impl ConnectionTrait,
        key: &ScopeKey,
        scope: Uuid,
        added: i64,
    ) -> Result<ScopeSeats, StoreError> {
        let sql = "UPDATE scope_settings SET occupied = occupied + $3 WHERE account_id = $1 AND id = $2";
        let values: [Value; 3] = [key.account.as_str().into(), scope.into(), added.into()];
        db.execute_raw(Statement::from_sql_and_values(self.database.backend(), sql, values)).await?;
        self.present(db, key).await
    }
}

/// Returns the number of those who had no seat.
async fn occupy(
    db: &impl ConnectionTrait,
    key: &ScopeKey,
    scope: Uuid,
    subjects: &BTreeSet<Subject>,
    (seed, now): (&IdSeed, Timestamp),
) -> Result<i64, StoreError> {
    let backend = db.get_database_backend();
    let change = |(number, subject): (u32, &Subject)| {
        let (holders, by_caller, occupied_at, version) = (Vec::new(), true, now, 1);
        let after = Some(Seat { id: seed.nth(number), holders, by_caller, occupied_at, version });
        SeatChange { scope, subject: subject.clone(), before: None, after }
    };
    let rows = (1..).zip(subjects).map(change).filter_map(|change| seat_row(&key.account, &change));
    let columns = Columns::of::<seat::Entity>();
    let sql = format!(
        "INSERT INTO seat ({}) SELECT {} FROM {} WHERE true ORDER BY r.subject
        ON CONFLICT (account_id, scope_uid, subject) DO UPDATE SET by_caller = true, version = seat.version + 1
            WHERE NOT seat.by_caller RETURNING version",
        columns.names(),
        columns.names_of("r"),
        columns.rows_of(backend, 1, "r")
    );
    let values = RowsParam::of(rows).params(backend);
    let rows = db.query_all_raw(Statement::from_sql_and_values(backend, sql, values)).await?;
    let mut taken = 0;
    for row in rows {
        taken += i64::from(row.try_get::<i64>("", "version")? == 1);
    }
    Ok(taken)
}

/// Returns the number of those who had a seat.
async fn vacate(
    db: &impl ConnectionTrait,
    key: &ScopeKey,
    scope: Uuid,
    subjects: &BTreeSet<Subject>,
) -> Result<i64, StoreError> {
    let backend = db.get_database_backend();
    let row =
        |subject: &Subject| -> [Value; 3] { [key.account.as_str().into(), scope.into(), subject.0.as_str().into()] };
    if backend == DbBackend::Sqlite {
        // SQLite would look a set of such keys up by their first columns alone.
        let mut freed = 0;
        for subject in subjects {
            let sql = "DELETE FROM seat WHERE account_id = $1 AND scope_uid = $2 AND subject = $3";
            let done = db.execute_raw(Statement::from_sql_and_values(backend, sql, row(subject))).await?;
            freed += i64::try_from(done.rows_affected()).unwrap_or(i64::MAX);
        }
        return Ok(freed);
    }
    let columns = Columns::list([("account_id", Text), ("scope_uid", UuidType), ("subject", Text)]);
    let sql = format!(
        "DELETE FROM seat WHERE (account_id, scope_uid, subject) IN (SELECT t.account_id, t.scope_uid, t.subject FROM {}
            CROSS JOIN seat t WHERE t.account_id = k.account_id AND t.scope_uid = k.scope_uid AND t.subject = k.subject)",
        columns.keys_of(backend, 1, "k")
    );
    let values = RowsParam::new(columns, subjects.iter().map(row)).params(backend);
    let freed = db.execute_raw(Statement::from_sql_and_values(backend, sql, values)).await?;
    Ok(i64::try_from(freed.rows_affected()).unwrap_or(i64::MAX))
}
