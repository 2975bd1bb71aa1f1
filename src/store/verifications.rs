//! Verification codes: rows that note that a client requested a code for an address, and budgets of requests and wrong
//! codes. They change no invitation, so they are written directly, without a command.
//!
//! Everything here is the same for an address that is allowed and for one that is not, except for the message.

pub(super) mod tries;

use std::time::Duration;

use sea_orm::{
    ColumnTrait as _, ConnectionTrait, DbBackend, EntityTrait, QueryFilter as _, QueryResult, Statement, Value,
};
use uuid::Uuid;

use super::read::invitations::read_clock;
use super::sql::Transaction;
use super::sql::entity::verification::{Column, Entity};
use super::sql::entity::{outbox, verification};
use super::sql::error::StoreError;
use super::sql::retry::retry;
use super::sql::row::outbox_row;
use super::sql::rows_param::{Columns, RowsParam, clock};
use super::{Store, Topic};
use crate::domain::delivery::NewDelivery;
use crate::domain::invitation::Invitation;
use crate::domain::invitation::refusal::RateLimited;
use crate::domain::secret::verification::{Asked, CODE_TTL, COUNT_WINDOW, CodeForm, Counted, Verification};
use crate::domain::value::id::InvitationId;
use crate::domain::value::text::AccountId;
use crate::domain::value::time::Timestamp;

/// The client in the row of a budget that is that of all calls of an invitation; no hash is empty.
const ALL_CLIENTS: &str = "";

/// A code that is requested.
#[derive(Clone, Debug)]
pub struct NewVerification {
    /// The values that the code is derived from.
    pub verification: Verification,
    /// The key under which its address is kept.
    pub address_key: String,
    /// The key under which its client is kept; callers without a client key have one in common.
    pub client_key: String,
    /// Whether the requests of the client are limited: not those of callers without a client key, who may be many.
    pub limits_client: bool,
    /// Whether the address is that of a recipient of the invitation.
    pub invited: bool,
    /// Whether the addresses that are no recipient's are limited: where codes are mailed to them.
    pub limits_others: bool,
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
    /// client's previous one for the address.
    pub async fn request_verification(
        &self,
        invitation: &Invitation,
        new: &NewVerification,
    ) -> Result<Result<Requested, RateLimited>, StoreError> {
        retry(|| self.count_and_enqueue(invitation, new)).await
    }

    async fn count_and_enqueue(
        &self,
        invitation: &Invitation,
        new: &NewVerification,
    ) -> Result<Result<Requested, RateLimited>, StoreError> {
        let transaction = self.database.begin_write_with_lock_wait().await?;
        let moment = read_clock(&self.database, None);
        let now = lock_budget(&transaction, moment, &new.verification).await?;
        let asked = asked(&transaction, now, new).await?;
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

    /// Reads the values that a code is derived from, for its message; `None` once it is used, or another code has
    /// replaced it.
    pub async fn find_verification(
        &self,
        account: &AccountId,
        invitation: InvitationId,
        id: Uuid,
    ) -> Result<Option<Verification>, StoreError> {
        let select = Entity::find()
            .filter(Column::AccountId.eq(account.as_str()))
            .filter(Column::InvitationId.eq(invitation.0))
            .filter(Column::Id.eq(id))
            .filter(Column::UsedAt.is_null());
        let found = select.one(&self.database.read).await?;
        found.map(|row| verification_of(account, invitation, (row.id, row.key_id, row.length))).transpose()
    }
}

/// Creates the budget of an invitation if there is none, and locks it: requests about one invitation run one after another,
/// so that parallel calls cannot exceed a limit. Returns the present moment.
async fn lock_budget(
    transaction: &Transaction,
    moment: Option<i64>,
    verification: &Verification,
) -> Result<Timestamp, StoreError> {
    let backend = transaction.get_database_backend();
    let now = clock(backend, 1);
    let sql = format!(
        "INSERT INTO verification_budget (account_id, invitation_id, client_mac, wrong, wrong_since, paused_until, asked,
            asked_since, touched_at)
        VALUES ($2, $3, '{ALL_CLIENTS}', 0, 0, 0, 0, 0, {now})
        ON CONFLICT (account_id, invitation_id, client_mac) DO UPDATE SET touched_at = {now}
        RETURNING touched_at AS now"
    );
    let Verification { account, invitation, .. } = verification;
    let values: [Value; 3] = [moment.into(), account.as_str().into(), invitation.0.into()];
    let row = transaction.query_one_raw(Statement::from_sql_and_values(backend, sql, values)).await?;
    let row = row.ok_or_else(|| StoreError::Refused("the budget of an invitation returned no row".to_owned()))?;
    Ok(Timestamp::from_micros(row.try_get("", "now")?))
}

/// Reads the counts for the limits.
async fn asked(transaction: &Transaction, now: Timestamp, new: &NewVerification) -> Result<Asked, StoreError> {
    let backend = transaction.get_database_backend();
    let of_invitation = "verification v WHERE v.account_id = $1 AND v.invitation_id = $2 AND";
    let of_address = format!("FROM {of_invitation} v.address_mac = $3 AND v.asked_since > $5");
    let of_others = if new.limits_others && !new.invited {
        format!("FROM {of_invitation} v.address_mac <> $3 AND NOT v.invited AND v.created_at > $5")
    } else {
        "FROM verification v WHERE false".to_owned()
    };
    let sql = format!(
        "SELECT CASE WHEN o.used_at IS NULL THEN o.created_at END AS last,
            o.asked AS own_codes, o.asked_since AS own_since,
            (SELECT sum(v.asked) {of_address}) AS address_codes, (SELECT min(v.asked_since) {of_address}) AS address_since,
            (SELECT count(DISTINCT v.address_mac) {of_others}) AS other_codes,
            (SELECT min(v.created_at) {of_others}) AS other_since,
            b.asked AS client_codes, b.asked_since AS client_since
        FROM (SELECT 1 AS one) c
        LEFT JOIN verification o ON o.account_id = $1 AND o.invitation_id = $2 AND o.address_mac = $3 AND o.client_mac = $4
        LEFT JOIN verification_budget b ON b.account_id = $1 AND b.invitation_id = $2 AND b.client_mac = $4"
    );
    let Verification { account, invitation, .. } = &new.verification;
    let values: [Value; 5] = [
        account.as_str().into(),
        invitation.0.into(),
        new.address_key.as_str().into(),
        new.client_key.as_str().into(),
        now.earlier(COUNT_WINDOW).micros().into(),
    ];
    let row = transaction.query_one_raw(Statement::from_sql_and_values(backend, sql, values)).await?;
    let row = row.ok_or_else(|| StoreError::Refused("the query for the limits returned no row".to_owned()))?;
    let at = |column: &str| row.try_get::<Option<i64>>("", column).map(|at| at.map(Timestamp::from_micros));
    let client = Counted { codes: count::<i32>(&row, "client_codes")?, since: at("client_since")? };
    Ok(Asked {
        last: at("last")?,
        own: Counted { codes: count::<i32>(&row, "own_codes")?, since: at("own_since")? },
        address: Counted { codes: count::<i64>(&row, "address_codes")?, since: at("address_since")? },
        client: Some(client).filter(|_| new.limits_client).unwrap_or_default(),
        others: Counted { codes: count::<i64>(&row, "other_codes")?, since: at("other_since")? },
    })
}

fn count<T: sea_orm::TryGetable + TryInto<u32>>(row: &QueryResult, column: &str) -> Result<u32, StoreError> {
    let count = row.try_get::<Option<T>>("", column)?;
    Ok(count.map_or(0, |count| count.try_into().unwrap_or(u32::MAX)))
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
        client_mac: new.client_key.clone(),
        id: new.verification.id,
        key_id: i32::from(new.verification.key_id),
        length: new.verification.form.length(),
        tries: 0,
        created_at: now.micros(),
        used_at: None,
        asked: 1,
        asked_since: now.micros(),
        invited: new.invited,
    };
    let (rows, messages) =
        (RowsParam::of([row].into_iter()), new.message.iter().map(|message| outbox_row(invitation, message)));
    let (rows, messages) = (rows.params(backend), RowsParam::of(messages).params(backend));
    let verification = |first| insert_into::<Entity>(backend, first) + &replace();
    let budget = |first| count_request(backend, first);
    let message = insert_into::<outbox::Entity>(backend, 1);
    let statements = if backend == DbBackend::Postgres {
        let first = 1 + messages.len();
        let sql = format!("WITH message AS ({message}), budget AS ({}) {}", budget(first), verification(first));
        vec![(sql, [messages, rows].concat())]
    } else {
        vec![(message, messages), (budget(1), rows.clone()), (verification(1), rows)]
    };
    for (sql, values) in statements {
        transaction.execute_raw(Statement::from_sql_and_values(backend, sql, values)).await?;
    }
    Ok(())
}

/// Returns the clause that replaces the client's previous code for the address; the count of requests continues until the
/// window is over.
fn replace() -> String {
    format!(
        " WHERE true ON CONFLICT (account_id, invitation_id, address_mac, client_mac) DO UPDATE
        SET id = excluded.id, key_id = excluded.key_id, length = excluded.length, tries = excluded.tries,
            created_at = excluded.created_at, used_at = excluded.used_at, invited = excluded.invited, {}",
        recount("verification", "excluded.created_at"),
    )
}

/// Returns the statement that counts a requested code, whose row begins with parameter `first`, for its client.
fn count_request(backend: DbBackend, first: usize) -> String {
    let rows = Columns::of::<Entity>().rows_of(backend, first, "r");
    format!(
        "INSERT INTO verification_budget (account_id, invitation_id, client_mac, wrong, wrong_since, paused_until, asked,
            asked_since, touched_at)
        SELECT r.account_id, r.invitation_id, r.client_mac, 0, 0, 0, 1, r.created_at, r.created_at FROM {rows}
        WHERE true ON CONFLICT (account_id, invitation_id, client_mac) DO UPDATE SET touched_at = excluded.touched_at, {}",
        recount("verification_budget", "excluded.touched_at"),
    )
}

/// Returns the assignments that count one more request in a row, or begin to count again.
fn recount(table: &str, now: &str) -> String {
    let counted = format!("{table}.asked_since > {now} - {}", COUNT_WINDOW.as_micros());
    format!(
        "asked = CASE WHEN {counted} THEN {table}.asked + 1 ELSE 1 END,
            asked_since = CASE WHEN {counted} THEN {table}.asked_since ELSE {now} END"
    )
}

fn insert_into<E: EntityTrait + Default>(backend: DbBackend, first: usize) -> String {
    let (table, columns) = (E::default(), Columns::of::<E>());
    let (table, rows) = (table.table_name(), columns.rows_of(backend, first, "r"));
    format!("INSERT INTO {table} ({}) SELECT {} FROM {rows}", columns.names(), columns.names_of("r"))
}

fn verification_of(
    account: &AccountId,
    invitation: InvitationId,
    (id, key_id, length): (Uuid, i32, i32),
) -> Result<Verification, StoreError> {
    let corrupt = |column, problem| StoreError::Corrupt { table: "verification", column, row: id.to_string(), problem };
    let key_id = u8::try_from(key_id).map_err(|_| corrupt("key_id", "is out of range"))?;
    let form = CodeForm::of_length(length).ok_or_else(|| corrupt("length", "is that of no code"))?;
    Ok(Verification { account: account.clone(), invitation, id, key_id, form })
}
