//! Tries of codes: whether one may be tried now, and what it counts for, decided in the statement that counts it.

use sea_orm::sea_query::ColumnType::{Text, Uuid as UuidType};
use sea_orm::{ConnectionTrait, DbBackend, QueryResult, Statement, Value};
use uuid::Uuid;

use super::{ALL_CLIENTS, verification_of};
use crate::domain::invitation::refusal::RateLimited;
use crate::domain::secret::verification::{
    CODE_TTL, FIRST_PAUSE, FreeTries, MAX_TRIES, Verification, WRONG_CODES_WINDOW, pauses,
};
use crate::domain::value::id::InvitationId;
use crate::domain::value::text::AccountId;
use crate::domain::value::time::Timestamp;
use crate::store::Store;
use crate::store::read::invitations::read_clock;
use crate::store::sql::error::StoreError;
use crate::store::sql::rows_param::{Columns, RowsParam, clock};

/// A code that an address has at the moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptCode {
    /// The values that it is derived from.
    pub verification: Verification,
    /// The key under which its address is kept.
    pub address_key: String,
    /// The key under which the client that requested it is kept.
    pub client_key: String,
    /// Whether it was tried less often than it may be.
    pub can_be_tried: bool,
}

/// A try of a code.
#[derive(Clone, Copy, Debug)]
pub struct CodeTry<'a> {
    /// The account of the invitation.
    pub account: &'a AccountId,
    /// The invitation.
    pub invitation: InvitationId,
    /// The key under which the client is kept; callers without a client key have one in common.
    pub client_key: &'a str,
    /// The code that is tried: the one that it is, else the client's own, if there is one.
    pub code: Option<&'a KeptCode>,
    /// Whether it is that code, and its address is allowed.
    pub is_right: bool,
    /// The numbers of wrong codes that are free.
    pub free: FreeTries,
}

/// The answer to a try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tried {
    /// The code is right, and is used from now on.
    Right,
    /// The code is wrong, and was counted.
    Wrong,
    /// Nothing was counted, because the client, or the invitation, has to pause.
    Paused(RateLimited),
}

impl Store {
    /// Returns the codes that an address has at the moment, whichever client requested them, the newest first.
    pub async fn find_codes(
        &self,
        account: &AccountId,
        invitation: InvitationId,
        address_keys: &[String],
    ) -> Result<Vec<KeptCode>, StoreError> {
        let backend = self.database.backend();
        let columns = Columns::list([("account_id", Text), ("invitation_id", UuidType), ("address_mac", Text)]);
        let sql = format!(
            "SELECT v.id, v.key_id, v.length, v.address_mac, v.client_mac, v.tries FROM {keys} JOIN verification v
                ON v.account_id = k.account_id AND v.invitation_id = k.invitation_id AND v.address_mac = k.address_mac
            WHERE v.created_at > {clock} - {CODE_TTL} ORDER BY v.created_at DESC, v.id DESC",
            keys = columns.keys_of(backend, 1, "k"),
            clock = clock(backend, 1 + columns.width(backend)),
            CODE_TTL = CODE_TTL.as_micros(),
        );
        let row = |key: &String| [account.as_str().into(), Value::from(invitation.0), key.as_str().into()];
        let mut values = RowsParam::new(columns, address_keys.iter().map(row)).params(backend);
        values.push(read_clock(&self.database, None).into());
        let _turn = self.database.read_turns.short(account).await?;
        let rows = self
            .database
            .reading_for(account)
            .query_all_raw(Statement::from_sql_and_values(backend, sql, values))
            .await?;
        rows.iter().map(|row| kept_code(account, invitation, row)).collect()
    }

    /// Counts a try, unless its client or its invitation has to pause. A right code counts nothing, but has to wait like a
    /// wrong one. On PostgreSQL this is one statement, which locks the budget of the invitation: of tries at the same moment,
    /// over any number of replicas, each sees what the ones before it counted.
    pub async fn try_code(&self, tried: &CodeTry<'_>) -> Result<Tried, StoreError> {
        let backend = self.database.backend();
        let values = values(tried, read_clock(&self.database, None));
        // Tries of one invitation wait for each other, and must not take the connections of all meanwhile.
        let _turn = self.database.read_turns.list(tried.account).await?;
        let counted = if backend == DbBackend::Postgres {
            let statement = Statement::from_sql_and_values(backend, postgres_sql(), values);
            self.database.write.query_one_raw(statement).await?
        } else {
            self.count_embedded(&values).await?
        };
        let counted = counted.ok_or_else(|| StoreError::Refused("the try of a code returned no row".to_owned()))?;
        outcome(&counted, tried.is_right)
    }

    /// Counts a try on SQLite, where the transaction keeps others away. Returns the row that PostgreSQL's statement returns.
    async fn count_embedded(&self, values: &[Value]) -> Result<Option<QueryResult>, StoreError> {
        let statement = |sql: String| Statement::from_sql_and_values(DbBackend::Sqlite, sql, values.iter().cloned());
        let transaction = self.database.begin_write().await?;
        let (mut admitted, mut used) = (0, 0);
        let before = transaction.query_one_raw(statement(sqlite_pauses(0, 0))).await?;
        let [client, all, code] = sqlite_sqls();
        if transaction.execute_raw(statement(client)).await?.rows_affected() > 0 {
            admitted = 1;
            transaction.execute_raw(statement(all)).await?;
            used = transaction.execute_raw(statement(code)).await?.rows_affected();
        }
        let after = transaction.query_one_raw(statement(sqlite_pauses(admitted, used))).await?;
        transaction.commit().await?;
        Ok(after.or(before))
    }
}

fn kept_code(account: &AccountId, invitation: InvitationId, row: &QueryResult) -> Result<KeptCode, StoreError> {
    let key = (row.try_get("", "id")?, row.try_get("", "key_id")?, row.try_get("", "length")?);
    let tries = u32::try_from(row.try_get::<i32>("", "tries")?).unwrap_or(u32::MAX);
    Ok(KeptCode {
        verification: verification_of(account, invitation, key)?,
        address_key: row.try_get("", "address_mac")?,
        client_key: row.try_get("", "client_mac")?,
        can_be_tried: tries < MAX_TRIES,
    })
}

/// Returns the parameters of every statement here: 1 the clock, 2 the account, 3 the invitation, 4 the client, 5 the number of
/// wrong codes (0 or 1), 6 the numbers that are free for the client and 7 for all, 8 to 10 the id, the address and the client
/// of the code.
fn values(tried: &CodeTry<'_>, moment: Option<i64>) -> [Value; 10] {
    let (id, address, client) = match tried.code {
        Some(code) => (code.verification.id, code.address_key.as_str(), code.client_key.as_str()),
        None => (Uuid::nil(), "", ""),
    };
    [
        moment.into(),
        tried.account.as_str().into(),
        tried.invitation.0.into(),
        tried.client_key.into(),
        i32::from(!tried.is_right).into(),
        tried.free.client.cast_signed().into(),
        tried.free.invitation.cast_signed().into(),
        id.into(),
        address.into(),
        client.into(),
    ]
}

/// Returns the statement on PostgreSQL. `moment` has a row if the invitation has a budget, which the first request of a code
/// creates, and depends on the locked row, so that its clock is read when the lock is held. `client` has a row if the try is
/// admitted. It changes the row of the client only if that does not pause in its present state, which ON CONFLICT sees also
/// if the row is younger than the statement. Whatever else is written joins that row.
pub(in crate::store) fn postgres_sql() -> String {
    let backend = DbBackend::Postgres;
    format!(
        "WITH locked AS MATERIALIZED (SELECT b.paused_until FROM {all_clients} FOR UPDATE),
        moment AS MATERIALIZED (SELECT locked.paused_until, {clock} AS now FROM locked),
        client AS ({client} RETURNING b.touched_at AS now),
        counted AS ({all} RETURNING 1),
        used AS ({code} RETURNING 1)
        SELECT (SELECT count(*) FROM client) AS admitted, (SELECT count(*) FROM used) AS used, m.now,
            m.paused_until AS all_until, b.paused_until AS client_until
        FROM (SELECT 1 AS one) c LEFT JOIN moment m ON true
        LEFT JOIN verification_budget b ON b.account_id = $2 AND b.invitation_id = $3 AND b.client_mac = $4",
        all_clients = budget_of_all("b"),
        clock = clock(backend, 1),
        client = count_for_client("moment"),
        all = count_for_all("client"),
        code = count_for_code("client"),
    )
}

/// Returns the statements on SQLite in their order: the first one changes a row if the try is admitted, and only then are the
/// others run.
pub(in crate::store) fn sqlite_sqls() -> [String; 3] {
    let moment = format!("(SELECT b.paused_until, $1 AS now FROM {})", budget_of_all("b"));
    let now = "(SELECT $1 AS now)";
    [count_for_client(&moment), count_for_all(now), count_for_code(now)]
}

/// Returns the query for the pauses on SQLite, with the numbers of rows that were changed.
fn sqlite_pauses(admitted: u64, used: u64) -> String {
    format!(
        "SELECT {admitted} AS admitted, {used} AS used, CASE WHEN a.client_mac IS NOT NULL THEN $1 END AS now,
            a.paused_until AS all_until, b.paused_until AS client_until
        FROM (SELECT 1 AS one) c
        LEFT JOIN verification_budget a ON a.account_id = $2 AND a.invitation_id = $3 AND a.client_mac = '{ALL_CLIENTS}'
        LEFT JOIN verification_budget b ON b.account_id = $2 AND b.invitation_id = $3 AND b.client_mac = $4"
    )
}

/// Returns the budget of all calls of the invitation, for a FROM.
fn budget_of_all(alias: &str) -> String {
    format!(
        "verification_budget {alias} WHERE {alias}.account_id = $2 AND {alias}.invitation_id = $3
            AND {alias}.client_mac = '{ALL_CLIENTS}'"
    )
}

/// Returns the statement that counts the try for its client, if neither the invitation nor the client has to pause. `moment`
/// has the pause of the invitation and the present moment.
fn count_for_client(moment: &str) -> String {
    format!(
        "INSERT INTO verification_budget AS b (account_id, invitation_id, client_mac, wrong, wrong_since, paused_until,
            asked, asked_since, touched_at)
        SELECT $2, $3, $4, $5, m.now, m.now, 0, 0, m.now FROM {moment} m WHERE m.paused_until <= m.now
        ON CONFLICT (account_id, invitation_id, client_mac) DO UPDATE SET {}
        WHERE b.paused_until <= excluded.touched_at",
        count("excluded.touched_at", "$6")
    )
}

/// Returns the statement that counts an admitted try for all calls of the invitation.
fn count_for_all(admitted: &str) -> String {
    format!(
        "UPDATE verification_budget AS b SET {} FROM {admitted} m
        WHERE b.account_id = $2 AND b.invitation_id = $3 AND b.client_mac = '{ALL_CLIENTS}'",
        count("m.now", "$7")
    )
}

/// Returns the statement that counts an admitted wrong try for the code, or notes that the code is used. It changes no row if
/// the code was tried too often, is too old or was replaced.
fn count_for_code(admitted: &str) -> String {
    format!(
        "UPDATE verification AS v SET tries = v.tries + $5,
            used_at = CASE WHEN $5 = 0 THEN coalesce(v.used_at, m.now) ELSE v.used_at END FROM {admitted} m
        WHERE v.account_id = $2 AND v.invitation_id = $3 AND v.address_mac = $9 AND v.client_mac = $10 AND v.id = $8
            AND v.tries < {MAX_TRIES} AND v.created_at > m.now - {}",
        CODE_TTL.as_micros()
    )
}

/// Returns the assignments that count $5 wrong codes in row `b` and, if that is one, set its pause. The count begins again
/// when its window is over.
fn count(now: &str, free: &str) -> String {
    let counts = format!("b.wrong_since > {now} - {}", WRONG_CODES_WINDOW.as_micros());
    let wrong = format!("CASE WHEN {counts} THEN b.wrong ELSE 0 END + $5");
    let beyond = format!("{wrong} - {free}");
    let pauses: Vec<String> = pauses().map(|pause| pause.as_micros().to_string()).collect();
    let whens = (1..).zip(&pauses).map(|(number, pause)| format!(" WHEN {number} THEN {pause}")).collect::<String>();
    let longest = pauses.last().map_or("0", String::as_str);
    format!(
        "wrong = {wrong}, wrong_since = CASE WHEN {counts} THEN b.wrong_since ELSE {now} END,
            paused_until = CASE WHEN $5 = 0 THEN b.paused_until WHEN {beyond} < 1 THEN {now}
                ELSE {now} + CASE {beyond}{whens} ELSE {longest} END END,
            touched_at = {now}"
    )
}

fn outcome(row: &QueryResult, is_right: bool) -> Result<Tried, StoreError> {
    let has = |column| row.try_get::<i64>("", column).map(|count| count > 0);
    let at = |column| row.try_get::<Option<i64>>("", column).map(|at| at.map(Timestamp::from_micros));
    if has("admitted")? {
        return Ok(if is_right && has("used")? { Tried::Right } else { Tried::Wrong });
    }
    // Nobody has requested a code for the invitation, so there is none to be guessed.
    let Some(now) = at("now")? else { return Ok(Tried::Wrong) };
    let [client, all] = [at("client_until")?, at("all_until")?]
        .map(|until| until.filter(|until| *until > now).map(|until| until.since(now)));
    let limit = if client.is_some() || all.is_none() { "wrong_codes_per_client" } else { "wrong_codes_per_invitation" };
    // The pause of a client that began while the statement waited is not in its snapshot.
    let retry_after = client.max(all).unwrap_or(FIRST_PAUSE);
    Ok(Tried::Paused(RateLimited { limit, retry_after }))
}
