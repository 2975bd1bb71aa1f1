//! Verification codes: rows that note that a code was requested for an address, and how often it was tried. They change
//! no invitation, so they are written directly, without a command.
//!
//! Everything here is the same for an address that is allowed and for one that is not, except for the message.

use std::time::Duration;

use sea_orm::sea_query::ColumnType::{Text, Uuid as UuidType};
use sea_orm::sea_query::{Expr, ExprTrait as _};
use sea_orm::{
    ColumnTrait as _, ConnectionTrait, DbBackend, EntityTrait, QueryFilter as _, QuerySelect as _, Statement, Value,
};
use uuid::Uuid;

use super::read::invitations::read_clock;
use super::sql::Transaction;
use super::sql::entity::verification::{Column, Entity};
use super::sql::entity::{outbox, verification};
use super::sql::error::StoreError;
use super::sql::row::outbox_row;
use super::sql::rows_param::{Columns, RowsParam, clock, statement_clock};
use super::{Store, Topic};
use crate::domain::delivery::NewDelivery;
use crate::domain::invitation::Invitation;
use crate::domain::invitation::refusal::RateLimited;
use crate::domain::secret::verification::{Asked, CODE_TTL, COUNT_WINDOW, MAX_TRIES, Verification};
use crate::domain::value::id::InvitationId;
use crate::domain::value::text::AccountId;
use crate::domain::value::time::Timestamp;

/// The first half of the keys of PostgreSQL's advisory locks on the codes of one invitation; any number that no other
/// lock has.
const LOCK_CLASS: i32 = 0x0c0d_e000;

/// The number of tries from which the tries of a used code are counted. Its row stays, for the limits and for a retry
/// of the call that used it, and may be tried as often again.
const TRIES_OF_USED_CODE: u32 = MAX_TRIES + 1;

/// A code that is requested.
#[derive(Clone, Debug)]
pub struct NewVerification {
    /// The values that the code is derived from.
    pub verification: Verification,
    /// The key under which its address is kept.
    pub address_key: String,
    /// The message that brings the code; `None` for an address that is not allowed.
    pub message: Option<NewDelivery>,
}

/// The answer to the request of a code, which is the same whether or not its address is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Requested {
    /// The end of the time in which the code can be used.
    pub expire_at: Timestamp,
    /// The time until another code may be requested for the address.
    pub retry_after: Duration,
}

impl Store {
    /// Notes that a code was requested and enqueues its message, unless there were too many. The code replaces the
    /// address's previous one.
    pub async fn request_verification(
        &self,
        invitation: &Invitation,
        new: &NewVerification,
    ) -> Result<Result<Requested, RateLimited>, StoreError> {
        let backend = self.database.backend();
        let transaction = self.database.begin_write_with_lock_wait().await?;
        let moment = read_clock(&self.database, None);
        // Requests about one invitation run one after another, so that parallel calls cannot exceed a limit.
        if backend == DbBackend::Postgres {
            let key = format!("{} {}", invitation.account.as_str(), invitation.id.0);
            let sql = "SELECT pg_advisory_xact_lock($1, hashtext($2))";
            let values: [Value; 2] = [LOCK_CLASS.into(), key.into()];
            transaction.execute_raw(Statement::from_sql_and_values(backend, sql, values)).await?;
        }
        let (asked, now) = asked(&transaction, moment, new).await?;
        if let Err(limited) = asked.check(now) {
            transaction.rollback().await?;
            return Ok(Err(limited));
        }
        insert(&transaction, invitation, new, now).await?;
        transaction.commit().await?;
        if new.message.is_some() {
            self.notifications.notify(Topic::Outbox);
        }
        Ok(Ok(Requested { expire_at: now.later(CODE_TTL), retry_after: asked.pause_after(now) }))
    }

    /// Counts one try of the code of an address, under the keys that it may be kept under, and returns the values that
    /// the code is derived from; `None` if there is no code, or none that may still be tried. A used code is returned
    /// as well.
    pub async fn try_verification(
        &self,
        account: &AccountId,
        invitation: InvitationId,
        address_keys: &[String],
    ) -> Result<Vec<Verification>, StoreError> {
        let backend = self.database.backend();
        let columns = key_columns();
        let sql = format!(
            "UPDATE verification SET tries = tries + 1 WHERE (account_id, invitation_id, address_mac) IN
                (SELECT {names} FROM {keys}) AND created_at > {clock} - {CODE_TTL}
                AND (tries < {MAX_TRIES} OR tries >= {TRIES_OF_USED_CODE} AND tries < {TRIES_OF_USED_CODE} + {MAX_TRIES})
            RETURNING id, key_id",
            names = columns.names(),
            keys = columns.keys_of(backend, 1, "k"),
            clock = clock(backend, 1 + columns.width(backend)),
            CODE_TTL = CODE_TTL.as_micros(),
        );
        let row = |key: &String| [account.as_str().into(), Value::from(invitation.0), key.as_str().into()];
        let mut values = RowsParam::new(columns, address_keys.iter().map(row)).params(backend);
        values.push(read_clock(&self.database, None).into());
        let rows = self.database.write.query_all_raw(Statement::from_sql_and_values(backend, sql, values)).await?;
        rows.iter()
            .map(|row| verification_of(account, invitation, row.try_get("", "id")?, row.try_get("", "key_id")?))
            .collect()
    }

    /// Marks a code as used, and does not count the successful try. Returns `false` if another code has replaced it.
    pub async fn use_verification(&self, used: &Verification) -> Result<bool, StoreError> {
        let used_for =
            Expr::case(Column::Tries.lt(TRIES_OF_USED_CODE.cast_signed()), TRIES_OF_USED_CODE.cast_signed()).finally(0);
        let update = Entity::update_many()
            .col_expr(Column::Tries, Expr::col(Column::Tries).sub(1).add(used_for))
            .filter(Column::AccountId.eq(used.account.as_str()))
            .filter(Column::InvitationId.eq(used.invitation.0))
            .filter(Column::Id.eq(used.id));
        Ok(update.exec(&self.database.write).await?.rows_affected > 0)
    }

    /// Reads the values that a code is derived from, for its message; `None` once it is used, or another code has
    /// replaced it.
    pub async fn find_verification(
        &self,
        account: &AccountId,
        invitation: InvitationId,
        id: Uuid,
    ) -> Result<Option<Verification>, StoreError> {
        let select = Entity::find()
            .select_only()
            .column(Column::KeyId)
            .filter(Column::AccountId.eq(account.as_str()))
            .filter(Column::InvitationId.eq(invitation.0))
            .filter(Column::Id.eq(id))
            .filter(Column::Tries.lt(TRIES_OF_USED_CODE.cast_signed()));
        let key_id = select.into_tuple::<i32>().one(&self.database.read).await?;
        key_id.map(|key_id| verification_of(account, invitation, id, key_id)).transpose()
    }
}

/// Reads the counts for the limits, and the present moment.
async fn asked(
    transaction: &Transaction,
    moment: Option<i64>,
    new: &NewVerification,
) -> Result<(Asked, Timestamp), StoreError> {
    let backend = transaction.get_database_backend();
    let others = format!(
        "FROM verification v WHERE v.account_id = $2 AND v.invitation_id = $3 AND v.address_mac <> $4
            AND v.created_at > c.now - {}",
        COUNT_WINDOW.as_micros()
    );
    let sql = format!(
        "SELECT c.now AS now, (SELECT count(*) {others}) AS others, (SELECT min(v.created_at) {others}) AS oldest,
            CASE WHEN o.tries < {TRIES_OF_USED_CODE} THEN o.created_at END AS last, o.asked AS codes, o.asked_since AS since
        FROM (SELECT {now} AS now) c LEFT JOIN verification o ON o.account_id = $2 AND o.invitation_id = $3
            AND o.address_mac = $4",
        now = statement_clock(backend, 1)
    );
    let Verification { account, invitation, .. } = &new.verification;
    let values: [Value; 4] =
        [moment.into(), account.as_str().into(), invitation.0.into(), new.address_key.as_str().into()];
    let row = transaction.query_one_raw(Statement::from_sql_and_values(backend, sql, values)).await?;
    let row = row.ok_or_else(|| StoreError::Refused("the query for the limits returned no row".to_owned()))?;
    let at = |column| row.try_get::<Option<i64>>("", column).map(|at| at.map(Timestamp::from_micros));
    let others = u32::try_from(row.try_get::<i64>("", "others")?).unwrap_or(u32::MAX);
    let codes = row.try_get::<Option<i32>>("", "codes")?.unwrap_or_default();
    let codes = u32::try_from(codes).unwrap_or(u32::MAX);
    let asked = Asked { last: at("last")?, codes, since: at("since")?, others, oldest: at("oldest")? };
    Ok((asked, Timestamp::from_micros(row.try_get("", "now")?)))
}

/// Writes a requested code. The message of an address that is not allowed is a set without rows.
async fn insert(
    transaction: &Transaction,
    invitation: &Invitation,
    new: &NewVerification,
    now: Timestamp,
) -> Result<(), StoreError> {
    let backend = transaction.get_database_backend();
    let row = verification::Model {
        account_id: new.verification.account.as_str().to_owned(),
        invitation_id: new.verification.invitation.0,
        address_mac: new.address_key.clone(),
        id: new.verification.id,
        key_id: i32::from(new.verification.key_id),
        tries: 0,
        created_at: now.micros(),
        asked: 1,
        asked_since: now.micros(),
    };
    let (rows, messages) =
        (RowsParam::of([row].into_iter()), new.message.iter().map(|message| outbox_row(invitation, message)));
    let (rows, messages) = (rows.params(backend), RowsParam::of(messages).params(backend));
    let verification = |first| insert_into::<Entity>(backend, first) + &replace();
    let message = insert_into::<outbox::Entity>(backend, 1);
    let statements = if backend == DbBackend::Postgres {
        let first = 1 + messages.len();
        vec![(format!("WITH message AS ({message}) {}", verification(first)), [messages, rows].concat())]
    } else {
        vec![(message, messages), (verification(1), rows)]
    };
    for (sql, values) in statements {
        transaction.execute_raw(Statement::from_sql_and_values(backend, sql, values)).await?;
    }
    Ok(())
}

/// Returns the clause that replaces the address's previous code; the count of requests continues until the window is
/// over.
fn replace() -> String {
    let counted = format!("verification.asked_since > excluded.created_at - {}", COUNT_WINDOW.as_micros());
    format!(
        " WHERE true ON CONFLICT (account_id, invitation_id, address_mac) DO UPDATE
        SET id = excluded.id, key_id = excluded.key_id, tries = excluded.tries, created_at = excluded.created_at,
            asked = CASE WHEN {counted} THEN verification.asked + 1 ELSE excluded.asked END,
            asked_since = CASE WHEN {counted} THEN verification.asked_since ELSE excluded.asked_since END"
    )
}

fn insert_into<E: EntityTrait + Default>(backend: DbBackend, first: usize) -> String {
    let (table, columns) = (E::default(), Columns::of::<E>());
    let (table, rows) = (table.table_name(), columns.rows_of(backend, first, "r"));
    format!("INSERT INTO {table} ({}) SELECT {} FROM {rows}", columns.names(), columns.names_of("r"))
}

fn key_columns() -> Columns {
    Columns::list([("account_id", Text), ("invitation_id", UuidType), ("address_mac", Text)])
}

fn verification_of(
    account: &AccountId,
    invitation: InvitationId,
    id: Uuid,
    key_id: i32,
) -> Result<Verification, StoreError> {
    let key_id = u8::try_from(key_id).map_err(|_| StoreError::Corrupt {
        table: "verification",
        column: "key_id",
        row: id.to_string(),
        problem: "is out of range",
    })?;
    Ok(Verification { account: account.clone(), invitation, id, key_id })
}
