//! Deletes invitations that ended long ago, with everything that belongs to them except their events.
//!
//! An invitation goes as a whole, in one transaction that holds its lock, or stays: what has changed since it was looked at is
//! checked again under the lock, by the rule of the domain. A command about it either comes first, or finds it gone: its save
//! does not find the revision that was loaded or, where it leaves the invitation as it is and counts something beside it, the
//! invitation itself. A message that was queued again before its lock keeps the invitation too. Events tell their followers
//! everything by themselves, and go by their age.

use std::time::Duration;

use sea_orm::sea_query::ColumnType::Text;
use sea_orm::{ConnectionTrait, DbBackend, Statement, Value};
use uuid::Uuid;

use super::tables::{Due, Table, TableWalk, key_columns, keys, places};
use super::turn::{PruneTurn, Pruned};
use super::{CHUNK_ROWS, LOCK_LIMIT, Maintenance};
use crate::domain::invitation::Invitation;
use crate::domain::invitation::slot::SlotKey;
use crate::domain::invitation::state::State;
use crate::domain::value::time::Timestamp;
use crate::store::executor::load::{Extent, invitation_body, parse_json};
use crate::store::read::filter::state_sql;
use crate::store::read::unreadable::skip_unreadable;
use crate::store::sql::Transaction;
use crate::store::sql::entity::{autojoin_domain, invitation_group};
use crate::store::sql::error::StoreError;
use crate::store::sql::retry::retry;
use crate::store::sql::row::{InvitationRows, domain_row, group_rows};
use crate::store::sql::rows_param::{Columns, RowsParam, by_index};
use crate::store::within;

/// The time that PostgreSQL may take to delete a chunk, and an invitation with more rows than a chunk has: a turn and one of
/// them take less time than a tick.
const CHUNK_LIMIT: Duration = Duration::from_secs(4);
const LARGE_LIMIT: Duration = Duration::from_secs(8);
/// The most rows of one invitation that are deleted from a file: a statement there has no time limit, and nobody else writes
/// meanwhile.
const MAX_ROWS_OF_FILE: i64 = 1_000_000;

/// The tables whose primary keys begin with the account and the invitation, and the rest of these keys.
pub(super) const OWNED: [(&str, &[&str]); 6] = [
    ("label", &["key"]),
    ("recipient", &["ordinal"]),
    ("acceptance", &["id"]),
    ("engagement", &[]),
    ("verification", &["address_mac", "client_mac"]),
    ("verification_budget", &["client_mac"]),
];

impl Maintenance {
    /// Deletes invitations that ended more than `age` ago, and have not been changed since, until the turn ends.
    pub async fn prune_ended_invitations(&self, age: Duration, turn: &mut PruneTurn) -> Result<Pruned, StoreError> {
        self.walk(TableWalk::new(Table::Invitations, self.before(age).await?), turn).await
    }

    /// Deletes a chunk of invitations, as far as they have ended and nobody else has locked them, and returns their number.
    pub(super) async fn delete_ended(&self, chunk: &[Due], before: i64) -> Result<u64, StoreError> {
        let rows = chunk.iter().map(|(_, weight)| *weight).fold(0, i64::saturating_add);
        let limit = if rows > CHUNK_ROWS { LARGE_LIMIT } else { CHUNK_LIMIT };
        let delete = retry(|| self.delete_invitations(chunk, before, limit));
        if !self.0.is_embedded() {
            return within(limit, delete).await;
        }
        if rows > MAX_ROWS_OF_FILE {
            log_event!(
                warn,
                INVITATION_TOO_LARGE,
                rows,
                "an ended invitation has too many rows to be deleted from a file; it is kept"
            );
            return Ok(0);
        }
        delete.await
    }

    async fn delete_invitations(&self, chunk: &[Due], before: i64, limit: Duration) -> Result<u64, StoreError> {
        let backend = self.0.backend();
        let transaction = self.0.begin_write().await?;
        transaction.set_limits(limit, LOCK_LIMIT).await?;
        let mut values = keys(key_columns(INVITATION_ID), places(chunk)).params(backend);
        values.push(before.into());
        let locked = rows_of(&transaction, lock_sql(backend), values).await?;
        let pending = if backend == DbBackend::Postgres {
            let keys = keys(key_columns(INVITATION_ID), borrowed(&locked));
            rows_of(&transaction, lock_messages_sql(backend), keys.params(backend)).await?
        } else {
            // Nobody else writes to a file.
            Vec::new()
        };
        let mut ended = Vec::new();
        for invitation in read(&transaction, &locked).await? {
            let is_pending = pending
                .iter()
                .any(|(account, id)| account.as_str() == invitation.account.as_str() && *id == invitation.id.0);
            if invitation.ended_before(Timestamp::from_micros(before)) && !is_pending {
                ended.push(invitation);
            }
        }
        if !ended.is_empty() {
            for (sql, set) in deletions(backend, &ended) {
                transaction.execute_raw(Statement::from_sql_and_values(backend, sql, set.params(backend))).await?;
            }
        }
        transaction.commit().await?;
        Ok(u64::try_from(ended.len()).unwrap_or_default())
    }
}

/// The column of the invitation in the tables of what belongs to it.
const INVITATION_ID: &str = "invitation_id";

/// Returns the keys of invitations that a statement answers.
async fn rows_of(
    transaction: &Transaction,
    sql: String,
    values: Vec<Value>,
) -> Result<Vec<(String, Uuid)>, StoreError> {
    let backend = transaction.get_database_backend();
    let rows = transaction.query_all_raw(Statement::from_sql_and_values(backend, sql, values)).await?;
    rows.iter().map(|row| Ok((row.try_get("", "account_id")?, row.try_get("", "id")?))).collect()
}

fn borrowed(keys: &[(String, Uuid)]) -> impl Iterator<Item = (&str, Uuid)> {
    keys.iter().map(|(account, id)| (account.as_str(), *id))
}

/// Returns [`Invitation::ended_before`] in SQL for invitation `i`.
pub(super) fn ended(before: &str) -> String {
    format!(
        "(i.updated_at < {before} AND NOT {} AND (i.emptied_at IS NULL OR i.deleted_at IS NOT NULL))",
        state_sql(State::Active, before)
    )
}

/// Returns an expression for the number of rows that are deleted with invitation `i`, itself included. Of its recipients and of
/// its messages no more than `most` are counted each. Labels, groups and codes are few.
pub(super) fn weight(backend: DbBackend, most: &str) -> String {
    format!(
        "1 + CAST(i.use_count AS bigint) + (SELECT count(*) FROM (SELECT 1 FROM recipient r
                WHERE r.account_id = i.account_id AND r.invitation_id = i.id LIMIT {most}) r)
            + (SELECT count(*) FROM (SELECT 1 FROM outbox o
                WHERE {of_invitation} AND o.invitation_id = i.id LIMIT {most}) o)",
        of_invitation = by_index(backend, "invitation", "o", "i.account_id"),
    )
}

/// Returns the text that locks the invitations of a set which have ended and have no message that is pending: the worker
/// that sends such a message settles it first. The lock is that of the lanes, taken in the same order.
pub(super) fn lock_sql(backend: DbBackend) -> String {
    let lock = if backend == DbBackend::Postgres { "FOR UPDATE OF i SKIP LOCKED" } else { "" };
    let before = format!("${}", 1 + key_columns(INVITATION_ID).width(backend));
    format!(
        "SELECT i.account_id, i.id FROM {keys} JOIN invitation i ON i.account_id = k.account_id AND i.id = k.invitation_id
        WHERE {ended} AND coalesce((SELECT 1 FROM outbox o WHERE {of_invitation} AND o.invitation_id = i.id
            AND o.due_at IS NOT NULL LIMIT 1), 0) = 0
            AND coalesce((SELECT 1 FROM acceptance a WHERE a.account_id = i.account_id AND a.invitation_id = i.id
                AND a.released_at IS NULL AND a.grant_expire_at >= {before} LIMIT 1), 0) = 0
        ORDER BY i.id {lock}",
        keys = key_columns(INVITATION_ID).keys_of(backend, 1, "k"),
        ended = ended(&before),
        of_invitation = by_index(backend, "invitation", "o", "i.account_id"),
    )
}

/// Returns the text that locks all messages of invitations on PostgreSQL, and returns the invitations of which a message is pending:
/// a caller may have queued it again since the invitations were locked, and cannot any more.
pub(super) fn lock_messages_sql(backend: DbBackend) -> String {
    format!(
        "WITH locked AS MATERIALIZED (SELECT o.account_id, o.invitation_id, o.due_at, o.lease FROM {keys}
            JOIN outbox o ON {of_invitation} AND o.invitation_id = k.invitation_id ORDER BY o.id FOR UPDATE OF o)
        SELECT DISTINCT account_id, invitation_id AS id FROM locked WHERE due_at IS NOT NULL OR lease IS NOT NULL",
        keys = key_columns(INVITATION_ID).keys_of(backend, 1, "k"),
        of_invitation = by_index(backend, "invitation", "o", "k.account_id"),
    )
}

/// Reads invitations. One that this release cannot read stays, because it cannot say which rows are its own.
async fn read(transaction: &Transaction, places: &[(String, Uuid)]) -> Result<Vec<Invitation>, StoreError> {
    let backend = transaction.get_database_backend();
    let sql = format!(
        "SELECT {body} AS body FROM {keys} JOIN invitation i ON i.account_id = k.account_id AND i.id = k.invitation_id",
        body = invitation_body(backend, &Extent { messages: "false", ..Extent::PLAIN }),
        keys = key_columns(INVITATION_ID).keys_of(backend, 1, "k"),
    );
    let values = keys(key_columns(INVITATION_ID), borrowed(places)).params(backend);
    let mut invitations = Vec::new();
    for row in transaction.query_all_raw(Statement::from_sql_and_values(backend, sql, values)).await? {
        let body = row.try_get::<String>("", "body")?;
        let invitation = parse_json::<InvitationRows>(&body, "invitation").and_then(Invitation::try_from);
        invitations.extend(skip_unreadable(invitation)?);
    }
    Ok(invitations)
}

/// Returns the statements that delete invitations, each with its set of keys. Rows whose keys do not begin with the invitation
/// are named as they were written. Slots come first: the lanes take them before anything else, in the order of their keys.
fn deletions(backend: DbBackend, ended: &[Invitation]) -> Vec<(String, RowsParam)> {
    let own = |columns| keys(columns, ended.iter().map(|invitation| (invitation.account.as_str(), invitation.id.0)));
    let delete = |table, key: &[&str], columns: &Columns| delete_sql(backend, table, key, columns);
    let mut all = Vec::new();
    if backend == DbBackend::Postgres {
        all.push((lock_slots_sql(backend), slots(ended)));
    }
    all.push((delete("slot", &["account_id", "key"], &slot_columns()), slots(ended)));
    for table in OWNED {
        all.push((delete_owned_sql(backend, table), own(key_columns(INVITATION_ID))));
    }
    all.push((delete_messages_sql(backend), own(key_columns(INVITATION_ID))));
    let (groups, domains) = (Columns::of::<invitation_group::Entity>(), Columns::of::<autojoin_domain::Entity>());
    let key = ["account_id", "scope_type", "scope_id", "created_at", INVITATION_ID];
    all.push((delete("invitation_group", &key, &groups), RowsParam::of(ended.iter().flat_map(group_rows))));
    let key = ["account_id", "domain", "created_at", INVITATION_ID];
    all.push((delete("autojoin_domain", &key, &domains), RowsParam::of(ended.iter().flat_map(domain_rows))));
    all.push((delete("invitation", &["account_id", "id"], &key_columns("id")), own(key_columns("id"))));
    all.retain(|(_, set)| set.len() > 0);
    all
}

/// Returns the text that locks slots on PostgreSQL in the order in which the lanes take them.
pub(super) fn lock_slots_sql(backend: DbBackend) -> String {
    format!(
        "SELECT 1 FROM {} JOIN slot t ON t.account_id = k.account_id AND t.key = k.key AND t.invitation_id = k.invitation_id
        ORDER BY t.key FOR UPDATE OF t",
        slot_columns().keys_of(backend, 1, "k")
    )
}

/// Returns the text that deletes the rows of a table which have the values of a set in some columns. SQLite looks several values
/// from JSON up by the first one alone, so there the primary keys are found by a join.
fn delete_sql(backend: DbBackend, table: &str, key: &[&str], columns: &Columns) -> String {
    let (names, set) = (columns.names(), columns.keys_of(backend, 1, "k"));
    if backend == DbBackend::Postgres {
        return format!("DELETE FROM {table} WHERE ({names}) IN (SELECT {names} FROM {set})");
    }
    let found = key.iter().map(|column| format!("t.{column}")).collect::<Vec<_>>().join(", ");
    let same = names.split(", ").map(|name| format!("t.{name} = k.{name}")).collect::<Vec<_>>().join(" AND ");
    let key = key.join(", ");
    format!("DELETE FROM {table} WHERE ({key}) IN (SELECT {found} FROM {set} CROSS JOIN {table} t ON {same})")
}

pub(super) fn delete_owned_sql(backend: DbBackend, (table, rest): (&str, &[&str])) -> String {
    delete_sql(backend, table, &[&["account_id", INVITATION_ID][..], rest].concat(), &key_columns(INVITATION_ID))
}

pub(super) fn delete_messages_sql(backend: DbBackend) -> String {
    format!(
        "DELETE FROM outbox WHERE (account_id, id) IN (SELECT o.account_id, o.id FROM {keys}
            JOIN outbox o ON {of_invitation} AND o.invitation_id = k.invitation_id)",
        keys = key_columns(INVITATION_ID).keys_of(backend, 1, "k"),
        of_invitation = by_index(backend, "invitation", "o", "k.account_id"),
    )
}

fn domain_rows(invitation: &Invitation) -> impl Iterator<Item = autojoin_domain::Model> {
    let domains = invitation.details.general().map(|details| details.domains.as_slice()).unwrap_or_default();
    domains.iter().map(move |domain| domain_row(invitation, domain))
}

fn slot_columns() -> Columns {
    key_columns(INVITATION_ID).and([("key", Text)])
}

/// Returns the slots that invitations may have taken, also before they were archived. A slot that another invitation has taken
/// over stays.
fn slots(ended: &[Invitation]) -> RowsParam {
    let slots = ended.iter().flat_map(|invitation| {
        let keys = SlotKey::of(&invitation.details, invitation.addresses()).into_iter();
        keys.map(|key| -> [Value; 3] { [invitation.account.as_str().into(), invitation.id.0.into(), key.0.into()] })
    });
    RowsParam::new(slot_columns(), slots)
}
