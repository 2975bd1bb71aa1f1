//! The beginning of the count of a scope: who has accepted before gets a seat, and open invitations hold what they promise.
//!
//! New settings are committed empty before anything is counted. Whatever is decided from then on finds them and counts itself; what
//! was decided before, and is not saved yet, is about an invitation that the count finds. It raises the revision of each one that is
//! open, could be opened or was accepted, so such a save is a conflict and is decided again, unless it comes first, and then is counted
//! here. A create under way is the exception: it may stay without a hold.

use sea_orm::{ConnectionTrait, DbBackend, Statement, Value};
use uuid::Uuid;

use super::lock;
use crate::domain::invitation::acceptance::AcceptanceState;
use crate::domain::invitation::state::State;
use crate::domain::seat::ScopeKey;
use crate::domain::value::time::Timestamp;
use crate::store::Store;
use crate::store::read::acceptances::AcceptanceFilter;
use crate::store::read::filter::state_sql;
use crate::store::sql::error::StoreError;
use crate::store::sql::rows_param::{by_index, clock};

impl Store {
    /// Commits empty settings of a scope that has none. SQLite has one writer, so there everything is one commit.
    pub(super) async fn begin_to_count(&self, key: &ScopeKey, id: Uuid, is_known: bool) -> Result<(), StoreError> {
        if is_known || self.database.backend() != DbBackend::Postgres {
            return Ok(());
        }
        insert(&self.database.write, key, id).await
    }

    /// Locks the settings of a scope, which begins to count if it is new, and to reserve if it is to and has not done so.
    pub(super) async fn lock_and_fill(
        &self,
        db: &impl ConnectionTrait,
        key: &ScopeKey,
        new_id: Uuid,
        reserves: Option<bool>,
    ) -> Result<(), StoreError> {
        insert(db, key, new_id).await?;
        let before = settings(db, key, "").await?;
        let begins_to_reserve = reserves == Some(true) && !before.reserve_open;
        if !before.is_counted || begins_to_reserve {
            // Invitations are locked before scopes, as by the lanes.
            raise_revisions(db, key).await?;
        }
        let locked = settings(db, key, "FOR UPDATE").await?;
        if locked.is_counted != before.is_counted || locked.reserve_open != before.reserve_open {
            return Err(StoreError::Conflict);
        }
        let now = self.database.clock().map(Timestamp::micros);
        if !locked.is_counted {
            seat_those_who_accepted(db, key, (locked.id, now)).await?;
        }
        if begins_to_reserve {
            hold_open(db, key, (locked.id, now)).await?;
        }
        Ok(())
    }
}

/// The settings of a scope, as far as the fill depends on them.
struct Settings {
    id: Uuid,
    is_counted: bool,
    reserve_open: bool,
}

async fn settings(db: &impl ConnectionTrait, key: &ScopeKey, strength: &'static str) -> Result<Settings, StoreError> {
    let backend = db.get_database_backend();
    let sql = format!(
        "SELECT s.id, s.counted_at, s.reserve_open FROM scope_settings s
        WHERE {} AND s.scope_type = $2 AND s.scope_id = $3 {}",
        by_index(backend, "scope", "s", "$1"),
        lock(backend, strength)
    );
    let row = db.query_one_raw(Statement::from_sql_and_values(backend, sql, place(key))).await?;
    let row = row.ok_or(StoreError::Conflict)?;
    let is_counted = row.try_get::<Option<i64>>("", "counted_at")?.is_some();
    Ok(Settings { id: row.try_get("", "id")?, is_counted, reserve_open: row.try_get("", "reserve_open")? })
}

fn place(key: &ScopeKey) -> [Value; 3] {
    [key.account.as_str().into(), key.scope_type.as_str().into(), key.scope_id.as_str().into()]
}

async fn insert(db: &impl ConnectionTrait, key: &ScopeKey, id: Uuid) -> Result<(), StoreError> {
    let sql = "INSERT INTO scope_settings
            (account_id, id, scope_type, scope_id, seats, reserve_open, occupied, held, lapsed, revision, counted_at)
        VALUES ($1, $4, $2, $3, NULL, false, 0, 0, 0, 0, NULL) ON CONFLICT DO NOTHING";
    let values = place(key).into_iter().chain([id.into()]);
    db.execute_raw(Statement::from_sql_and_values(db.get_database_backend(), sql, values)).await?;
    Ok(())
}

/// Returns the condition for invitation `i` to be into the scope ($1, $2, $3).
fn into_scope(backend: DbBackend) -> String {
    let own = by_index(backend, "scope", "i", "$1");
    format!("{own} AND i.scope_type = $2 AND i.scope_id = $3")
}

/// Raises the revision of the invitations that can still be accepted, renewed or opened again, or have been accepted. On SQLite nothing can be under way.
async fn raise_revisions(db: &impl ConnectionTrait, key: &ScopeKey) -> Result<(), StoreError> {
    let backend = db.get_database_backend();
    if backend == DbBackend::Sqlite {
        return Ok(());
    }
    // One that was accepted as often as it may be, or elsewhere, could be opened at the same moment by an update or an undo. The seats
    // of those who accepted any could be given back.
    let sql = format!(
        "UPDATE invitation SET revision = revision + 1 WHERE (account_id, id) IN (
            SELECT i.account_id, i.id FROM invitation i
            WHERE {} AND (i.revoked_at IS NULL AND i.declined_at IS NULL OR i.use_count > 0)
            ORDER BY i.id FOR NO KEY UPDATE OF i)",
        into_scope(backend)
    );
    db.execute_raw(Statement::from_sql_and_values(backend, sql, place(key))).await?;
    Ok(())
}

/// Gives a seat to each person who has accepted an invitation into the scope, if that still counts.
async fn seat_those_who_accepted(
    db: &impl ConnectionTrait,
    key: &ScopeKey,
    (scope, now): (Uuid, Option<i64>),
) -> Result<(), StoreError> {
    let backend = db.get_database_backend();
    let (id, holders) = if backend == DbBackend::Postgres {
        ("(array_agg(a.id ORDER BY a.id))[1]", "jsonb_agg(a.invitation_id || '/' || a.id ORDER BY a.id)")
    } else {
        ("min(a.id)", "json_group_array(lower(hex(a.invitation_id)) || '/' || lower(hex(a.id)))")
    };
    let is_active = AcceptanceFilter { states: vec![AcceptanceState::Active], ..AcceptanceFilter::default() };
    let counts = is_active.in_states(backend, "a", || clock(backend, 5)).unwrap_or_default();
    let sql = format!(
        "INSERT INTO seat (account_id, scope_uid, subject, id, holders, by_caller, occupied_at, version)
        SELECT i.account_id, $4, a.subject, {id}, {holders}, false, min(a.accepted_at), 1
        FROM invitation i JOIN acceptance a ON a.account_id = i.account_id AND a.invitation_id = i.id
        WHERE {} AND {counts} GROUP BY i.account_id, a.subject ON CONFLICT DO NOTHING",
        into_scope(backend)
    );
    let scoped = place(key).into_iter().chain([scope.into(), now.into()]);
    db.execute_raw(Statement::from_sql_and_values(backend, sql, scoped)).await?;
    let sql = format!(
        "UPDATE scope_settings SET counted_at = {}, occupied = (SELECT count(*) FROM seat t
            WHERE t.account_id = $1 AND t.scope_uid = $2) WHERE account_id = $1 AND id = $2",
        clock(backend, 3)
    );
    let values: [Value; 3] = [key.account.as_str().into(), scope.into(), now.into()];
    db.execute_raw(Statement::from_sql_and_values(backend, sql, values)).await?;
    Ok(())
}

/// Takes holds for the open invitations into a scope that had none.
async fn hold_open(
    db: &impl ConnectionTrait,
    key: &ScopeKey,
    (scope, now): (Uuid, Option<i64>),
) -> Result<(), StoreError> {
    let backend = db.get_database_backend();
    let sql = format!(
        "INSERT INTO seat_hold (account_id, invitation_id, open_until, scope_uid, uses)
        SELECT i.account_id, i.id, coalesce(i.expire_at, {never}), $4, i.max_uses - i.use_count FROM invitation i
        WHERE {} AND i.max_uses IS NOT NULL AND {} ON CONFLICT DO NOTHING",
        into_scope(backend),
        state_sql(State::Active, &clock(backend, 5)),
        never = i64::MAX,
    );
    let values = place(key).into_iter().chain([scope.into(), now.into()]);
    db.execute_raw(Statement::from_sql_and_values(backend, sql, values)).await?;
    let sql = format!(
        "UPDATE scope_settings SET held = (SELECT coalesce(sum(h.uses), 0) FROM seat_hold h
            WHERE {} AND h.scope_uid = $2) WHERE account_id = $1 AND id = $2",
        by_index(backend, "end", "h", "$1")
    );
    let values: [Value; 2] = [key.account.as_str().into(), scope.into()];
    db.execute_raw(Statement::from_sql_and_values(backend, sql, values)).await?;
    Ok(())
}

/// Deletes the holds of a scope that no longer reserves seats.
pub(super) async fn drop_holds(db: &impl ConnectionTrait, key: &ScopeKey, scope: Uuid) -> Result<(), StoreError> {
    let backend = db.get_database_backend();
    let by_scope = by_index(backend, "end", "h", "$1");
    let holds = format!(
        "DELETE FROM seat_hold WHERE (account_id, invitation_id, open_until) IN (
            SELECT h.account_id, h.invitation_id, h.open_until FROM seat_hold h WHERE {by_scope} AND h.scope_uid = $2)"
    );
    let counts = "UPDATE scope_settings SET held = 0, lapsed = 0 WHERE account_id = $1 AND id = $2".to_owned();
    for sql in [holds, counts] {
        let values: [Value; 2] = [key.account.as_str().into(), scope.into()];
        db.execute_raw(Statement::from_sql_and_values(backend, sql, values)).await?;
    }
    Ok(())
}
