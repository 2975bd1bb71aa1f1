//! The search for a person's rows by their address, and the numbers of what belongs to them.

use sea_orm::sea_query::ColumnType::{Text, Uuid as UuidType};
use sea_orm::{ConnectionTrait as _, DbBackend, Statement, Value};
use uuid::Uuid;

use super::ErasureCounts;
use crate::domain::value::text::AccountId;
use crate::domain::value::time::Timestamp;
use crate::store::Store;
use crate::store::sql::error::StoreError;
use crate::store::sql::rows_param::{Columns, RowsParam, by_index};

/// The place behind which the search goes on. Acceptances come first: the recipients by which some of them are found go last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PersonPlace {
    /// Behind the acceptance with this id.
    Acceptances(Uuid),
    /// Behind the recipient whose invitation was created at this moment, in microseconds, and has this id.
    Recipients(i64, Uuid),
}

impl PersonPlace {
    /// Returns the place before everything.
    pub fn start() -> Self {
        Self::Acceptances(Uuid::nil())
    }
}

/// The rows that have addresses.
#[derive(Clone, Copy, Debug)]
pub(super) enum AddressPlace {
    Acceptances,
    Recipients,
    Suppressions,
}

/// An invitation with something of a person's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) invitation: Uuid,
    /// The acceptance that was found, if it was one.
    pub(super) acceptance: Option<Uuid>,
}

impl Store {
    /// Finds the next invitations with something of a person's from up to a moment, and the place behind them; `None` at the end.
    pub(super) async fn find_person(
        &self,
        account: &AccountId,
        address: &str,
        until: Timestamp,
        (after, limit): (PersonPlace, usize),
    ) -> Result<(Vec<Found>, Option<PersonPlace>), StoreError> {
        let backend = self.database.backend();
        let own: [Value; 3] = [account.as_str().into(), address.into(), until.micros().into()];
        let (sql, place): (_, Vec<Value>) = match after {
            PersonPlace::Acceptances(id) => (acceptances_sql(backend), vec![id.into()]),
            PersonPlace::Recipients(created_at, id) => (recipients_sql(backend), vec![created_at.into(), id.into()]),
        };
        let most = Value::from(i64::try_from(limit).unwrap_or(i64::MAX));
        let values = own.into_iter().chain(place).chain([most]);
        let rows = self.database.list_of_account(account, Statement::from_sql_and_values(backend, sql, values)).await?;
        let mut found = Vec::with_capacity(rows.len());
        let mut last = None;
        for row in &rows {
            let (invitation, acceptance) = (row.try_get("", "invitation_id")?, row.try_get("", "acceptance_id")?);
            found.push(Found { invitation, acceptance });
            last = Some(match after {
                PersonPlace::Acceptances(_) => PersonPlace::Acceptances(acceptance.unwrap_or_default()),
                PersonPlace::Recipients(..) => PersonPlace::Recipients(row.try_get("", "created_at")?, invitation),
            });
        }
        let next = match (last.filter(|_| found.len() >= limit), after) {
            (Some(next), _) => Some(next),
            (None, PersonPlace::Acceptances(_)) => Some(PersonPlace::Recipients(i64::MIN, Uuid::nil())),
            (None, PersonPlace::Recipients(..)) => None,
        };
        Ok((found, next))
    }

    /// Counts what belongs to a person, for each of some invitations.
    pub(super) async fn count_person(
        &self,
        account: &AccountId,
        address: &str,
        invitations: &[Uuid],
    ) -> Result<Vec<(Uuid, ErasureCounts)>, StoreError> {
        let backend = self.database.backend();
        let keys = Columns::list([("account_id", Text), ("invitation_id", UuidType)]);
        let rows = invitations.iter().map(|id| -> [Value; 2] { [account.as_str().into(), (*id).into()] });
        let sql = count_sql(backend, &keys);
        let mut values = RowsParam::new(keys, rows).params(backend);
        values.push(address.into());
        let rows = self.database.list_of_account(account, Statement::from_sql_and_values(backend, sql, values)).await?;
        let counted = rows.iter().map(|row| {
            let counts = ErasureCounts {
                invitations: 1,
                acceptances: row.try_get("", "acceptances")?,
                events: row.try_get("", "events")?,
                messages: row.try_get("", "messages")?,
            };
            Ok((row.try_get("", "invitation_id")?, counts))
        });
        counted.collect()
    }

    /// Deletes the rows of the codes that were requested for an address, by the invitation and the keyed hashes of the address.
    pub(super) async fn forget_codes(
        &self,
        account: &AccountId,
        codes: impl Iterator<Item = (Uuid, String)>,
    ) -> Result<(), StoreError> {
        let backend = self.database.backend();
        let keys = Columns::list([("account_id", Text), ("invitation_id", UuidType), ("address_mac", Text)]);
        let rows = codes.map(|(id, mac)| -> [Value; 3] { [account.as_str().into(), id.into(), mac.into()] });
        let key = "account_id, invitation_id, address_mac, client_mac";
        let sql = format!(
            "DELETE FROM verification WHERE ({key}) IN (
                SELECT v.account_id, v.invitation_id, v.address_mac, v.client_mac FROM {keys} JOIN verification v
                ON v.account_id = k.account_id AND v.invitation_id = k.invitation_id AND v.address_mac = k.address_mac)",
            keys = keys.keys_of(backend, 1, "k"),
        );
        let values = RowsParam::new(keys, rows).params(backend);
        self.database.write.execute_raw(Statement::from_sql_and_values(backend, sql, values)).await?;
        Ok(())
    }

    /// Returns the distinct addresses of an account behind one, in the order of their bytes: those of acceptances, of recipients, or of
    /// suppressions.
    pub(super) async fn addresses(
        &self,
        account: &AccountId,
        place: AddressPlace,
        after: &str,
        limit: usize,
    ) -> Result<Vec<String>, StoreError> {
        let backend = self.database.backend();
        let sql = match place {
            AddressPlace::Acceptances => format!(
                "SELECT DISTINCT t.email_key AS address FROM acceptance t WHERE {} AND t.email_key > $2
                ORDER BY t.email_key LIMIT $3",
                by_index(backend, "email", "t", "$1")
            ),
            AddressPlace::Recipients => format!(
                "SELECT DISTINCT t.value AS address FROM recipient t WHERE {} AND t.recipient_type = 'email'
                    AND t.value > $2 ORDER BY t.value LIMIT $3",
                by_index(backend, "address", "t", "$1")
            ),
            // A hash of an erased address has no `@`.
            AddressPlace::Suppressions => format!(
                "SELECT t.address_key AS address FROM suppression t WHERE {} AND t.address_key LIKE '%@%'
                    AND t.address_key > $2 ORDER BY t.address_key LIMIT $3",
                by_index(backend, "address", "t", "$1")
            ),
        };
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let values: [Value; 3] = [account.as_str().into(), after.into(), limit.into()];
        let rows = self.database.list_of_account(account, Statement::from_sql_and_values(backend, sql, values)).await?;
        Ok(rows.iter().map(|row| row.try_get("", "address")).collect::<Result<_, _>>()?)
    }
}

/// Returns the text for the acceptances with address $2 behind $4. $1 is the account and $3 the moment.
fn acceptances_sql(backend: DbBackend) -> String {
    format!(
        "SELECT t.invitation_id, t.id AS acceptance_id FROM acceptance t
        WHERE {} AND t.email_key = $2 AND t.id > $4 AND t.accepted_at <= $3 ORDER BY t.id LIMIT $5",
        by_index(backend, "email", "t", "$1")
    )
}

/// Returns the text for the recipients with address $2 behind ($4, $5).
fn recipients_sql(backend: DbBackend) -> String {
    let none = if backend == DbBackend::Postgres { "CAST(NULL AS uuid)" } else { "NULL" };
    format!(
        "SELECT t.invitation_id, {none} AS acceptance_id, t.created_at FROM recipient t
        WHERE {} AND t.recipient_type = 'email' AND t.value = $2 AND (t.created_at, t.invitation_id) > ($4, $5)
            AND t.created_at <= $3 ORDER BY t.created_at, t.invitation_id LIMIT $6",
        by_index(backend, "address", "t", "$1")
    )
}

/// Returns the text that counts, for each invitation of a set, what belongs to the person whose address follows the set. The person's
/// recipients and acceptances are found once: a popular link has many events, each of which is compared with them.
fn count_sql(backend: DbBackend, keys: &Columns) -> String {
    let address = format!("${}", 1 + keys.width(backend));
    let (acceptance, recipient, id) = if backend == DbBackend::Postgres {
        ("(e.data #>> '{payload,acceptance}')", "(e.data #>> '{payload,recipient}')", "CAST(a.id AS text)")
    } else {
        (
            "replace(json_extract(e.data, '$.payload.acceptance'), '-', '')",
            "CAST(json_extract(e.data, '$.payload.recipient') AS text)",
            "lower(hex(a.id))",
        )
    };
    format!(
        "WITH own_recipient AS (
            SELECT r.invitation_id, r.ordinal FROM {keys}
            JOIN recipient r ON r.account_id = k.account_id AND r.invitation_id = k.invitation_id
            WHERE r.recipient_type = 'email' AND r.value = {address}),
        own_acceptance AS (
            SELECT a.invitation_id, {id} AS id FROM {keys}
            JOIN acceptance a ON a.account_id = k.account_id AND a.invitation_id = k.invitation_id
            WHERE a.email_key = {address} OR a.email_key IS NULL
                AND (a.invitation_id, a.recipient) IN (SELECT r.invitation_id, r.ordinal FROM own_recipient r))
        SELECT k.invitation_id,
            (SELECT count(*) FROM own_acceptance a WHERE a.invitation_id = k.invitation_id) AS acceptances,
            (SELECT count(*) FROM event e WHERE e.account_id = k.account_id AND e.invitation_id = k.invitation_id
                AND ((e.invitation_id, {recipient}) IN
                        (SELECT r.invitation_id, CAST(r.ordinal AS text) FROM own_recipient r)
                    OR (e.invitation_id, {acceptance}) IN (SELECT a.invitation_id, a.id FROM own_acceptance a))) AS events,
            (SELECT count(*) FROM outbox o WHERE {by_invitation} AND o.invitation_id = k.invitation_id
                AND (o.invitation_id, o.recipient) IN (SELECT r.invitation_id, r.ordinal FROM own_recipient r)) AS messages
        FROM {keys}",
        by_invitation = by_index(backend, "invitation", "o", "k.account_id"),
        keys = keys.keys_of(backend, 1, "k"),
    )
}
