//! The upkeep of quotas and seats: counts of former days and holds whose time is over are deleted, and holds are compared with what is open.
//!
//! Commands keep the holds right while the limit is set. What was opened, or ended, while it was not is found by a walk along the
//! invitations.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use sea_orm::sea_query::ColumnType::{Text, Uuid as UuidType};
use sea_orm::{ConnectionTrait, DbBackend, QueryResult, Statement, Value};
use uuid::Uuid;

use super::turn::{PruneTurn, Pruned};
use super::walk::{Place, Step, Walk};
use super::{CHUNK_LIMIT, CHUNK_ROWS, LOCK_LIMIT, Maintenance, Old, seats};
use crate::domain::group::Save;
use crate::domain::invitation::state::State;
use crate::domain::quota::{DAY, OPEN_KEY, QuotaSave, invitees};
use crate::domain::value::id::InvitationId;
use crate::domain::value::text::AccountId;
use crate::domain::value::time::Timestamp;
use crate::store::executor::save::save;
use crate::store::executor::save_sql::SaveSql;
use crate::store::read::filter::{present_recipient_sql, state_sql};
use crate::store::sql::error::StoreError;
use crate::store::sql::retry::retry;
use crate::store::sql::rows_param::{Columns, RowsParam};

/// The time for which a hold is kept after its expiry: a process may be a little behind the database's clock.
const SWEEP_DELAY: Duration = Duration::from_secs(60);

/// The key of a hold.
type HoldKey = (String, Uuid, i64);

impl Old {
    /// A count may have begun anew since it was selected.
    pub(super) fn counts() -> Self {
        let rows = "quota t WHERE t.period_start > 0 AND t.period_start < $1 ORDER BY t.period_start".to_owned();
        Self { table: "quota", key: "account_id, key", rows, still: "period_start > 0 AND period_start < $1" }
    }
}

impl Maintenance {
    /// Deletes counts of former days, and holds whose time is over, and returns their number.
    pub async fn prune_quotas(&self) -> Result<u64, StoreError> {
        let counts = self.prune(&Old::counts(), self.before(2 * DAY).await?.into()).await?;
        let backend = self.0.backend();
        let holds = self.sweep_all(&sweep_sqls(backend), SWEEP_DELAY).await?;
        let seats = self.sweep_all(&seats::sweep_sqls(backend), seats::SWEEP_DELAY).await?;
        Ok(counts + holds + seats)
    }

    /// Deletes holds whose time is over, and returns their number.
    async fn sweep_all(&self, sqls: &[String], delay: Duration) -> Result<u64, StoreError> {
        let ended = self.before(delay).await?;
        let mut holds = 0;
        loop {
            let swept = retry(|| self.sweep_holds(sqls, ended)).await?;
            holds += swept;
            if swept < CHUNK_ROWS.unsigned_abs() {
                return Ok(holds);
            }
        }
    }

    async fn sweep_holds(&self, sqls: &[String], ended: i64) -> Result<u64, StoreError> {
        let backend = self.0.backend();
        let transaction = self.0.begin_write().await?;
        transaction.set_limits(CHUNK_LIMIT, LOCK_LIMIT).await?;
        let mut swept = 0;
        for sql in sqls {
            let values: [Value; 2] = [ended.into(), CHUNK_ROWS.into()];
            let row = transaction.query_one_raw(Statement::from_sql_and_values(backend, sql, values)).await?;
            swept = row.map(|row| row.try_get::<i64>("", "swept")).transpose()?.unwrap_or(swept);
        }
        transaction.commit().await?;
        Ok(swept.unsigned_abs())
    }

    /// Compares the holds of open invitations with the invitations until the turn ends.
    pub async fn compare_holds(&self, turn: &mut PruneTurn) -> Result<Pruned, StoreError> {
        self.walk(HoldWalk, turn).await
    }

    /// Locks the invitations of some holds and returns the holds of those that are still open as long as they say.
    async fn still_open(
        &self,
        db: &impl ConnectionTrait,
        missing: &BTreeMap<HoldKey, u32>,
        now: i64,
    ) -> Result<BTreeMap<HoldKey, u32>, StoreError> {
        let backend = self.0.backend();
        let columns = Columns::list([("account_id", Text), ("id", UuidType)]);
        let sql = lock_sql(backend, &columns);
        let rows = missing.keys().map(|(account, id, _)| [Value::from(account.as_str()), Value::from(*id)]);
        let mut values = RowsParam::new(columns, rows).params(backend);
        values.push(now.into());
        let mut open = BTreeMap::new();
        for row in db.query_all_raw(Statement::from_sql_and_values(backend, sql, values)).await? {
            let key = key_from(&row)?;
            open.extend(missing.get(&key).map(|number| (key.clone(), *number)));
        }
        Ok(open)
    }

    async fn save_holds(
        &self,
        missing: &BTreeMap<HoldKey, u32>,
        needless: &BTreeSet<HoldKey>,
        now: i64,
    ) -> Result<(), StoreError> {
        let transaction = self.0.begin_write().await?;
        transaction.set_limits(CHUNK_LIMIT, LOCK_LIMIT).await?;
        let open =
            if missing.is_empty() { BTreeMap::new() } else { self.still_open(&transaction, missing, now).await? };
        let taken = open.into_iter().map(|(key, number)| Ok((hold(&key)?, number)));
        let released = needless.iter().map(hold);
        let quotas = QuotaSave {
            taken: taken.collect::<Result<_, StoreError>>()?,
            released: released.collect::<Result<_, _>>()?,
            ..QuotaSave::default()
        };
        if !quotas.taken.is_empty() || !quotas.released.is_empty() {
            let changes = Save { quotas, ..Save::default() };
            save(&transaction, &SaveSql::new(self.0.backend()), &changes, None).await?;
        }
        transaction.commit().await?;
        Ok(())
    }
}

fn hold((account, id, until): &HoldKey) -> Result<(AccountId, InvitationId, Timestamp), StoreError> {
    let account = AccountId::parse(account).map_err(|_| StoreError::Corrupt {
        table: "quota_hold",
        column: "account_id",
        row: id.to_string(),
        problem: "is not an account",
    })?;
    Ok((account, InvitationId(*id), Timestamp::from_micros(*until)))
}

fn key_from(row: &QueryResult) -> Result<HoldKey, StoreError> {
    let until = row.try_get::<Option<i64>>("", "open_until")?.unwrap_or(i64::MAX);
    Ok((row.try_get("", "account_id")?, row.try_get("", "id")?, until))
}

/// The walk along invitations, and beside it along their holds.
struct HoldWalk;

impl Walk for HoldWalk {
    fn table(&self) -> &'static str {
        "quota_hold"
    }

    async fn step(&mut self, maintenance: &Maintenance, after: &Place) -> Result<Step, StoreError> {
        let backend = maintenance.0.backend();
        maintenance.0.learn_time().await?;
        let now = maintenance.0.clock.now().micros();
        let look = |sql| {
            let values: [Value; 4] = [after.account_id.as_str().into(), after.id.into(), now.into(), CHUNK_ROWS.into()];
            maintenance.0.read.query_all_raw(Statement::from_sql_and_values(backend, sql, values))
        };
        // The holds are read first: the invitation of each was there before.
        let holds = look(holds_sql()).await?;
        let invitations = look(look_sql()).await?;
        let end_of = |rows: &[QueryResult]| -> Result<Option<(String, Uuid)>, StoreError> {
            let is_full = rows.len() >= usize::try_from(CHUNK_ROWS).unwrap_or(usize::MAX);
            let last = rows.last().filter(|_| is_full);
            last.map(|row| Ok((row.try_get("", "account_id")?, row.try_get("", "id")?))).transpose()
        };
        let ends = [end_of(&holds)?, end_of(&invitations)?];
        let end = ends.into_iter().flatten().min();
        let is_within =
            |(account, id, _): &HoldKey| end.as_ref().is_none_or(|(last, last_id)| (account, id) <= (last, last_id));
        let held = holds.iter().map(key_from).collect::<Result<BTreeSet<_>, _>>()?;
        let mut open = BTreeMap::new();
        for row in &invitations {
            if row.try_get::<i32>("", "is_open")? == 1 {
                let recipients = row.try_get::<i64>("", "recipients")?;
                open.insert(key_from(row)?, invitees(usize::try_from(recipients).unwrap_or_default()));
            }
        }
        let needless: BTreeSet<_> =
            held.iter().filter(|key| is_within(key) && !open.contains_key(key)).cloned().collect();
        open.retain(|key, _| is_within(key) && !held.contains(key));
        if !open.is_empty() || !needless.is_empty() {
            retry(|| maintenance.save_holds(&open, &needless, now)).await?;
        }
        let read_on = end.map(|(account_id, id)| Place { account_id, id });
        let deleted = needless.len() as u64;
        Ok(Step { deleted, kept: invitations.len() as u64, read_on, may_end: true })
    }
}

/// Returns the text that reads up to $4 invitations behind ($1, $2): whether each is open at $3, how long and for how many.
fn look_sql() -> String {
    let (active, present) = (state_sql(State::Active, "$3"), present_recipient_sql("r"));
    format!(
        "SELECT i.account_id, i.id, i.expire_at AS open_until, CASE WHEN {active} THEN 1 ELSE 0 END AS is_open,
            CASE WHEN {active} THEN (SELECT count(*) FROM recipient r
                WHERE r.account_id = i.account_id AND r.invitation_id = i.id AND {present}) ELSE 0 END AS recipients
        FROM invitation i WHERE (i.account_id, i.id) > ($1, $2) ORDER BY i.account_id, i.id LIMIT $4"
    )
}

/// Returns the text that reads up to $4 holds behind ($1, $2) that count at $3.
fn holds_sql() -> String {
    "SELECT h.account_id, h.invitation_id AS id, h.open_until FROM quota_hold h
    WHERE (h.account_id, h.invitation_id) > ($1, $2) AND h.open_until > $3
    ORDER BY h.account_id, h.invitation_id LIMIT $4"
        .to_owned()
}

/// Returns the text that locks the invitations of a set that are open, in the order of the lanes.
fn lock_sql(backend: DbBackend, columns: &Columns) -> String {
    let now = format!("${}", 1 + columns.width(backend));
    let lock = if backend == DbBackend::Postgres { "FOR NO KEY UPDATE OF i" } else { "" };
    format!(
        "SELECT i.account_id, i.id, i.expire_at AS open_until FROM {} JOIN invitation i
            ON i.account_id = k.account_id AND i.id = k.id WHERE {} ORDER BY i.id {lock}",
        columns.keys_of(backend, 1, "k"),
        state_sql(State::Active, &now),
    )
}

/// Returns the texts that delete up to $2 holds whose time was over at $1, and note in their counts that they lapsed. The last
/// one that returns a row says how many.
fn sweep_sqls(backend: DbBackend) -> Vec<String> {
    let lapse = |sums: &str| {
        format!(
            "UPDATE quota SET lapsed = quota.lapsed + g.number FROM ({sums}) g
            WHERE quota.account_id = g.account_id AND quota.key = '{OPEN_KEY}'"
        )
    };
    let old = "quota_hold t WHERE t.open_until <= $1 ORDER BY t.open_until, t.account_id, t.invitation_id LIMIT $2";
    if backend == DbBackend::Postgres {
        // Saves lock the counts in the same order.
        let lapse = lapse("SELECT s.account_id, s.number FROM locked l JOIN sums s ON s.account_id = l.account_id");
        return vec![format!(
            "WITH old AS MATERIALIZED (SELECT t.ctid FROM {old} FOR UPDATE OF t SKIP LOCKED),
            gone AS (DELETE FROM quota_hold WHERE ctid = ANY (ARRAY(SELECT ctid FROM old)) RETURNING account_id, invitees),
            sums AS MATERIALIZED (SELECT account_id, sum(invitees)::bigint AS number FROM gone GROUP BY account_id),
            locked AS MATERIALIZED (SELECT q.account_id FROM quota q
                WHERE q.key = '{OPEN_KEY}' AND q.account_id IN (SELECT account_id FROM sums)
                ORDER BY q.account_id FOR NO KEY UPDATE OF q),
            lapsed AS ({lapse})
            SELECT count(*) AS swept FROM gone"
        )];
    }
    let sums = format!("SELECT account_id, sum(invitees) AS number FROM (SELECT * FROM {old}) GROUP BY account_id");
    let key = "account_id, invitation_id, open_until";
    vec![
        lapse(&sums),
        format!("SELECT count(*) AS swept FROM (SELECT 1 FROM {old})"),
        format!("DELETE FROM quota_hold WHERE ({key}) IN (SELECT {key} FROM {old})"),
    ]
}

/// Returns the statements, with their titles, for their snapshots.
#[cfg(test)]
pub(super) fn sqls(backend: DbBackend) -> Vec<(String, String)> {
    let columns = Columns::list([("account_id", Text), ("id", UuidType)]);
    let named = [
        ("delete counts of quotas", Old::counts().delete_sql(backend)),
        ("look at open invitations", look_sql()),
        ("look at holds", holds_sql()),
        ("lock open invitations", lock_sql(backend, &columns)),
    ];
    let sweeps = sweep_sqls(backend).into_iter().map(|sql| ("sweep holds".to_owned(), sql));
    let of_seats = seats::sweep_sqls(backend).into_iter().map(|sql| ("sweep holds of seats".to_owned(), sql));
    let sweeps = sweeps.chain(of_seats);
    named.into_iter().map(|(title, sql)| (title.to_owned(), sql)).chain(sweeps).collect()
}
