//! The keys that processes had in their rings, of all accounts: compared with the ring of this process at its start,
//! and again while it runs.

use sea_orm::sea_query::{Expr, ExprTrait as _, OnConflict};
use sea_orm::{
    ColumnTrait as _, ConnectionTrait, EntityTrait as _, QueryFilter as _, QueryOrder as _, Set, Statement, Value,
};

use crate::domain::secret::key_check::{Comparison, KeyFingerprint, KnownKey, Misfit, RingRefused, compare};
use crate::domain::secret::key_ring::KeyRing;
use crate::domain::value::time::Timestamp;
use crate::store::Maintenance;
use crate::store::sql::Transaction;
use crate::store::sql::entity::key_check::{ActiveModel, Column, Entity, Model};
use crate::store::sql::error::StoreError;
use crate::store::sql::migration;
use crate::store::sql::retry::retry;
use crate::store::sql::rows_param::{clock, present};

/// The key of the advisory lock; any number that no other advisory lock of the database has.
const KEY_LOCK: i64 = 0x1417_5e20;

/// The interval at which the time of a signature is noted, in microseconds.
const NOTE_INTERVAL: i64 = 600_000_000;

/// Selects a row if a link that is signed by key $1, or a secret that it sealed, may still be used: `Facts::state_at`
/// in SQL.
const OPEN: &str = "SELECT 1 FROM invitation WHERE key_id = $1 AND revoked_at IS NULL AND declined_at IS NULL
    AND accepted_elsewhere_at IS NULL AND emptied_at IS NULL AND (max_uses IS NULL OR use_count < max_uses)
    AND (expire_at IS NULL OR expire_at > $2) LIMIT 1";

/// The expression for the key that sealed a secret.
const SEALED: &str = "SELECT DISTINCT substr(secret, 1, 2) AS sealed FROM webhook_endpoint
    UNION SELECT DISTINCT substr(previous_secret, 1, 2) FROM webhook_endpoint WHERE previous_secret IS NOT NULL";

impl Maintenance {
    /// Compares a ring, the signing key first, with the keys that are in use, and notes its keys if it fits. Processes
    /// that start at once do so one after the other.
    pub async fn check_keys(&self, ring: &[KeyFingerprint]) -> Result<Result<(), RingRefused>, StoreError> {
        retry(|| self.compare_and_note(ring)).await
    }

    async fn compare_and_note(&self, ring: &[KeyFingerprint]) -> Result<Result<(), RingRefused>, StoreError> {
        let transaction = self.0.begin_write().await?;
        if !self.0.is_embedded() {
            // The lock ends with the transaction.
            transaction.execute_unprepared(&format!("SELECT pg_advisory_xact_lock({KEY_LOCK})")).await?;
        }
        let (now, known) = self.known_keys(&transaction).await?;
        let Comparison { mut misfits, idle } = compare(ring, &known, now);
        for key in idle {
            if self.is_in_use(&transaction, key.key_id, now).await? {
                misfits.push(Misfit::Missing(key));
            }
        }
        if !misfits.is_empty() {
            transaction.rollback().await?;
            return Ok(Err(RingRefused(misfits)));
        }
        self.note_keys(&transaction, ring, now).await?;
        transaction.commit().await?;
        Ok(Ok(()))
    }

    /// Returns whether a ring that fitted still fits: another process may sign with a key that it lacks.
    pub async fn still_fits(&self, ring: &[KeyFingerprint]) -> Result<Result<(), RingRefused>, StoreError> {
        let (now, known) = self.known_keys(&self.0.upkeep).await?;
        let misfits = compare(ring, &known, now).misfits;
        Ok(if misfits.is_empty() { Ok(()) } else { Err(RingRefused(misfits)) })
    }

    /// Notes that a key still signs.
    pub async fn note_signing(&self, key_id: u8) -> Result<(), StoreError> {
        let now = present(self.clock());
        let update = Entity::update_many()
            .col_expr(Column::SignedAt, now.clone())
            .filter(Column::Id.eq(i32::from(key_id)))
            .filter(Expr::col(Column::SignedAt).lt(now.sub(NOTE_INTERVAL)));
        // The calls may hold all of their connections, and readiness must not wait for them.
        let db = if self.0.is_embedded() { &self.0.write } else { &self.0.upkeep };
        update.exec(db).await?;
        Ok(())
    }

    /// Retires a key, so that rings may lack it. Returns false if no process has had it in its ring.
    pub async fn retire_key(&self, key_id: u8) -> Result<bool, StoreError> {
        let update = Entity::update_many()
            .col_expr(Column::RetiredAt, Expr::col(Column::RetiredAt).if_null(present(self.clock())))
            .filter(Column::Id.eq(i32::from(key_id)));
        Ok(update.exec(&self.0.write).await?.rows_affected > 0)
    }

    /// Returns whether there may be links that a new key could not verify.
    pub async fn is_used(&self) -> Result<bool, StoreError> {
        for table in ["key_check", "invitation"] {
            if !migration::has_table(&self.0.read, table).await? {
                continue;
            }
            let sql = format!("SELECT 1 FROM {table} LIMIT 1");
            if self.0.read.query_one_raw(Statement::from_string(self.0.backend(), sql)).await?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn clock(&self) -> Option<i64> {
        self.0.clock().map(Timestamp::micros)
    }

    async fn known_keys<C: ConnectionTrait>(&self, db: &C) -> Result<(Timestamp, Vec<KnownKey>), StoreError> {
        let backend = self.0.backend();
        let sql = format!("SELECT {} AS now", clock(backend, 1));
        let now = db.query_one_raw(Statement::from_sql_and_values(backend, sql, [self.clock().into()])).await?;
        let now = now.map(|row| row.try_get("", "now")).transpose()?.unwrap_or_default();
        let rows = Entity::find().order_by_asc(Column::Id).all(db).await?;
        Ok((Timestamp::from_micros(now), rows.into_iter().map(known_from).collect::<Result<_, _>>()?))
    }

    async fn is_in_use(&self, transaction: &Transaction, key_id: u8, now: Timestamp) -> Result<bool, StoreError> {
        let backend = self.0.backend();
        let values: [Value; 2] = [i32::from(key_id).into(), now.micros().into()];
        let open = Statement::from_sql_and_values(backend, OPEN, values);
        if transaction.query_one_raw(open).await?.is_some() {
            return Ok(true);
        }
        let rows = transaction.query_all_raw(Statement::from_string(backend, SEALED)).await?;
        let sealed = rows.iter().map(|row| row.try_get::<String>("", "sealed")).collect::<Result<Vec<_>, _>>()?;
        Ok(sealed.iter().any(|sealed| KeyRing::sealing_key(sealed) == Some(key_id)))
    }

    /// Notes the keys of a ring that fits. Missing keys are not retired by that: they are checked again at each start.
    /// A key that was retired stays so, unless it signs again.
    async fn note_keys(
        &self,
        transaction: &Transaction,
        ring: &[KeyFingerprint],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let noted = OnConflict::column(Column::Id)
            .value(Column::SignedAt, Expr::cust("coalesce(excluded.signed_at, key_check.signed_at)"))
            .value(Column::RetiredAt, Expr::cust("CASE WHEN excluded.signed_at IS NULL THEN key_check.retired_at END"))
            .to_owned();
        for (number, key) in ring.iter().enumerate() {
            let signed_at = (number == 0).then_some(now.micros());
            let row = ActiveModel {
                id: Set(i32::from(key.key_id)),
                fingerprint: Set(key.text.clone()),
                signed_at: Set(signed_at),
                ..ActiveModel::default()
            };
            Entity::insert(row).on_conflict(noted.clone()).exec_without_returning(transaction).await?;
        }
        Ok(())
    }
}

fn known_from(row: Model) -> Result<KnownKey, StoreError> {
    let corrupt = |_| StoreError::Corrupt {
        table: "key_check",
        column: "id",
        row: row.id.to_string(),
        problem: "is not the id of a key",
    };
    Ok(KnownKey {
        fingerprint: KeyFingerprint { key_id: u8::try_from(row.id).map_err(corrupt)?, text: row.fingerprint },
        signed_at: row.signed_at.map(Timestamp::from_micros),
        retired_at: row.retired_at.map(Timestamp::from_micros),
    })
}
