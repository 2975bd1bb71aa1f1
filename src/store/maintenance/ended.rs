//! Deletes invitations that ended long ago, with everything that belongs to them except their events.
//!
//! An invitation goes as a whole, in one transaction that holds its lock, or stays: what has changed since it was looked at is
//! checked again under the lock, by the rule of the domain. A command about it either comes first, or finds it gone when its
//! save does not find the revision that was loaded. Events tell their followers everything by themselves, and go by their age.

use std::time::Duration;

use sea_orm::sea_query::ColumnType::{Text, Uuid as UuidType};
use sea_orm::{ConnectionTrait, DbBackend, Statement, Value};
use uuid::Uuid;

use super::turn::{PruneTurn, Pruned};
use super::walk::{Place, Walk};
use super::{CHUNK_LIMIT, CHUNK_ROWS, LOCK_LIMIT, Maintenance, deliveries};
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

/// The number of invitations that one transaction deletes; those with many acceptances go by themselves.
const CHUNK_INVITATIONS: usize = 50;
/// The time that a statement may take to delete an invitation with more acceptances than a chunk has rows.
const LARGE_LIMIT: Duration = Duration::from_secs(15);

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
        self.walk_along(Walk::Invitations, age, turn).await
    }

    pub(super) async fn delete_ended(&self, due: Vec<(Place, i64)>, before: i64) -> Result<u64, StoreError> {
        let mut deleted = 0;
        for chunk in chunks(due) {
            deleted += self.prune_chunk(&chunk, before).await?;
        }
        Ok(deleted)
    }

    /// Deletes a chunk. One that is too large for the time it has holds up no other.
    async fn prune_chunk(&self, chunk: &[(Place, i64)], before: i64) -> Result<u64, StoreError> {
        let is_large = chunk.iter().any(|(_, weight)| *weight > CHUNK_ROWS);
        let limit = if is_large { LARGE_LIMIT } else { CHUNK_LIMIT };
        match retry(|| self.delete_invitations(chunk, before, limit)).await {
            Err(error) if is_large => {
                tracing::warn!(%error, "an ended invitation with many acceptances is not deleted yet; it is tried again later");
                Ok(0)
            }
            result => result,
        }
    }

    async fn delete_invitations(
        &self,
        chunk: &[(Place, i64)],
        before: i64,
        limit: Duration,
    ) -> Result<u64, StoreError> {
        let backend = self.0.backend();
        let transaction = self.0.begin_write().await?;
        transaction.set_limits(limit, LOCK_LIMIT).await?;
        let places = chunk.iter().map(|(place, _)| (place.account_id.as_str(), place.id));
        let mut values = keys(key_columns(), places).params(backend);
        values.push(before.into());
        let locked = Statement::from_sql_and_values(backend, lock_sql(backend), values);
        let mut places = Vec::new();
        for row in transaction.query_all_raw(locked).await? {
            places.push((row.try_get::<String>("", "account_id")?, row.try_get::<Uuid>("", "id")?));
        }
        let mut ended = Vec::new();
        for invitation in read(&transaction, &places).await? {
            if invitation.ended_before(Timestamp::from_micros(before)) {
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

/// Returns [`Invitation::ended_before`] in SQL for invitation `i`.
pub(super) fn ended(before: &str) -> String {
    format!("(i.updated_at < {before} AND NOT {})", state_sql(State::Active, before))
}

/// Divides invitations into chunks with at most [`CHUNK_ROWS`] acceptances each, but for one that has more by itself.
fn chunks(due: Vec<(Place, i64)>) -> Vec<Vec<(Place, i64)>> {
    let (mut chunks, mut rows): (Vec<Vec<_>>, _) = (Vec::new(), 0_i64);
    for (place, weight) in due {
        rows = rows.saturating_add(weight);
        match chunks.last_mut() {
            Some(chunk) if rows <= CHUNK_ROWS && chunk.len() < CHUNK_INVITATIONS => chunk.push((place, weight)),
            Some(_) | None => {
                chunks.push(vec![(place, weight)]);
                rows = weight;
            }
        }
    }
    chunks
}

fn key_columns() -> Columns {
    Columns::list([("account_id", Text), ("invitation_id", UuidType)])
}

fn keys<'a>(columns: Columns, places: impl Iterator<Item = (&'a str, Uuid)>) -> RowsParam {
    RowsParam::new(columns, places.map(|(account, id)| -> [Value; 2] { [account.into(), id.into()] }))
}

/// Returns the text that locks the invitations of a set which have ended and have no message that is pending: the worker
/// that sends such a message settles it first. The lock is that of the lanes, taken in the same order.
pub(super) fn lock_sql(backend: DbBackend) -> String {
    let lock = if backend == DbBackend::Postgres { "FOR UPDATE OF i SKIP LOCKED" } else { "" };
    format!(
        "SELECT i.account_id, i.id FROM {keys} JOIN invitation i ON i.account_id = k.account_id AND i.id = k.invitation_id
        WHERE {ended} AND coalesce((SELECT 1 FROM outbox o WHERE {of_invitation} AND o.invitation_id = i.id
            AND o.due_at IS NOT NULL LIMIT 1), 0) = 0
        ORDER BY i.id {lock}",
        keys = key_columns().keys_of(backend, 1, "k"),
        ended = ended(&format!("${}", 1 + key_columns().width(backend))),
        of_invitation = by_index(backend, "invitation", "o", "i.account_id"),
    )
}

/// Reads invitations. One that this release cannot read stays, because it cannot say which rows are its own.
async fn read(transaction: &Transaction, places: &[(String, Uuid)]) -> Result<Vec<Invitation>, StoreError> {
    let backend = transaction.get_database_backend();
    let sql = format!(
        "SELECT {body} AS body FROM {keys} JOIN invitation i ON i.account_id = k.account_id AND i.id = k.invitation_id",
        body = invitation_body(backend, &Extent { messages: "false", ..Extent::PLAIN }),
        keys = key_columns().keys_of(backend, 1, "k"),
    );
    let values = keys(key_columns(), places.iter().map(|(account, id)| (account.as_str(), *id))).params(backend);
    let mut invitations = Vec::new();
    for row in transaction.query_all_raw(Statement::from_sql_and_values(backend, sql, values)).await? {
        let body = row.try_get::<String>("", "body")?;
        let invitation = parse_json::<InvitationRows>(&body, "invitation").and_then(Invitation::try_from);
        invitations.extend(skip_unreadable(invitation)?);
    }
    Ok(invitations)
}

/// Returns the statements that delete invitations, each with its set of keys. Rows whose keys do not begin with the invitation
/// are named as they were written.
fn deletions(backend: DbBackend, ended: &[Invitation]) -> Vec<(String, RowsParam)> {
    let own = |columns| keys(columns, ended.iter().map(|invitation| (invitation.account.as_str(), invitation.id.0)));
    let delete = |table, key: &[&str], columns: &Columns| delete_sql(backend, table, key, columns);
    let mut all = Vec::new();
    for table in OWNED {
        all.push((delete_owned_sql(backend, table), own(key_columns())));
    }
    all.push((delete_messages_sql(backend), own(key_columns())));
    let (groups, domains) = (Columns::of::<invitation_group::Entity>(), Columns::of::<autojoin_domain::Entity>());
    let key = ["account_id", "scope_type", "scope_id", "created_at", "invitation_id"];
    all.push((delete("invitation_group", &key, &groups), RowsParam::of(ended.iter().flat_map(group_rows))));
    let key = ["account_id", "domain", "created_at", "invitation_id"];
    all.push((delete("autojoin_domain", &key, &domains), RowsParam::of(ended.iter().flat_map(domain_rows))));
    all.push((delete("slot", &["account_id", "key"], &slot_columns()), slots(ended)));
    let columns = deliveries::key_columns();
    all.push((delete("invitation", &["account_id", "id"], &columns), own(columns)));
    all.retain(|(_, set)| set.len() > 0);
    all
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
    delete_sql(backend, table, &[&["account_id", "invitation_id"][..], rest].concat(), &key_columns())
}

pub(super) fn delete_messages_sql(backend: DbBackend) -> String {
    format!(
        "DELETE FROM outbox WHERE (account_id, id) IN (SELECT o.account_id, o.id FROM {keys}
            JOIN outbox o ON {of_invitation} AND o.invitation_id = k.invitation_id)",
        keys = key_columns().keys_of(backend, 1, "k"),
        of_invitation = by_index(backend, "invitation", "o", "k.account_id"),
    )
}

fn domain_rows(invitation: &Invitation) -> impl Iterator<Item = autojoin_domain::Model> {
    let domains = invitation.details.general().map(|details| details.domains.as_slice()).unwrap_or_default();
    domains.iter().map(move |domain| domain_row(invitation, domain))
}

fn slot_columns() -> Columns {
    key_columns().and([("key", Text)])
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunk_has_few_invitations_and_acceptances_or_is_one() {
        let sizes = |weights: &[i64]| {
            let due = weights.iter().map(|weight| (Place::start(), *weight)).collect();
            chunks(due).iter().map(Vec::len).collect::<Vec<_>>()
        };
        assert_eq!(sizes(&[]), Vec::<usize>::new());
        assert_eq!(sizes(&[1; 120]), [50, 50, 20]);
        assert_eq!(sizes(&[500, 500, 1, i64::MAX, i64::MAX, 1, 999]), [2, 1, 1, 1, 2]);
    }
}
