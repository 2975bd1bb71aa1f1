//! Reads of invitations: one by its id, and pages of a filtered list.

use std::collections::BTreeMap;

use sea_orm::{ConnectionTrait, DbBackend, QueryResult, Statement};

use super::{Cursor, Params, Read, direction};
use crate::domain::details::{Kind, Scope};
use crate::domain::email::Email;
use crate::domain::id::InvitationId;
use crate::domain::invitation::Invitation;
use crate::domain::state::State;
use crate::domain::text::AccountId;
use crate::domain::time::Timestamp;
use crate::store::error::StoreError;
use crate::store::load::{invitation_body, newest_acceptances, parse_json};
use crate::store::row::InvitationRows;
use crate::store::set::statement_clock;
use crate::store::{Database, Store};

/// Which invitations a list has, and in which order. Filters that are set must all hold.
#[derive(Clone, Debug, Default)]
pub struct InvitationQuery {
    /// Only these kinds; empty means all.
    pub kinds: Vec<Kind>,
    /// Only these states; empty means all.
    pub states: Vec<State>,
    /// Only into this scope.
    pub scope: Option<Scope>,
    /// Only about this resource.
    pub resource_id: Option<uuid::Uuid>,
    /// Only by this creator.
    pub creator: Option<String>,
    /// Only meant for this address.
    pub target: Option<Email>,
    /// Only with all these labels.
    pub labels: BTreeMap<String, String>,
    /// The oldest first, instead of the newest.
    pub ascending: bool,
    /// How many at most.
    pub limit: u64,
    /// Where to go on.
    pub after: Option<Cursor>,
}

impl Store {
    /// Reads one invitation of an account, with its newest acceptances if they are wanted.
    pub async fn get_invitation(
        &self,
        account: &AccountId,
        id: InvitationId,
        newest: bool,
    ) -> Result<Option<Read<Invitation>>, StoreError> {
        let backend = self.database.backend();
        let acceptances = if newest { newest_acceptances(backend) } else { "NULL".to_owned() };
        let sql = format!(
            "SELECT {} AS now, {} AS body FROM invitation i WHERE i.account_id = $2 AND i.id = $3",
            statement_clock(backend, 1),
            invitation_body(backend, &acceptances)
        );
        let values = [read_clock(&self.database, None).into(), account.as_str().into(), id.0.into()];
        let row = self.database.read.query_one_raw(Statement::from_sql_and_values(backend, sql, values)).await?;
        row.as_ref().map(invitation_from).transpose()
    }

    /// Reads a page of an account's invitations, judged at one moment.
    pub async fn list_invitations(
        &self,
        account: &AccountId,
        query: &InvitationQuery,
    ) -> Result<Vec<Read<Invitation>>, StoreError> {
        let backend = self.database.backend();
        let frozen = query.after.as_ref().map(|cursor| cursor.frozen);
        let mut params = Params(vec![read_clock(&self.database, frozen).into()]);
        let conditions = conditions(backend, account, query, &mut params);
        let (_, order) = direction(!query.ascending);
        let sql = format!(
            "SELECT {now} AS now, {body} AS body FROM invitation i WHERE {conditions}
            ORDER BY i.created_at {order}, i.id {order} LIMIT {limit}",
            now = statement_clock(backend, 1),
            body = invitation_body(backend, "NULL"),
            limit = params.push(query.limit.cast_signed()),
        );
        let rows = self.database.read.query_all_raw(Statement::from_sql_and_values(backend, sql, params.0)).await?;
        rows.iter().map(invitation_from).collect()
    }
}

/// Returns the moment that takes the place of the database's clock: that of the first page, or of a test, or SQLite's.
fn read_clock(database: &Database, frozen: Option<i64>) -> Option<i64> {
    let own =
        if database.is_embedded() { Some(database.clock.now()) } else { database.clock.in_place_of_the_database() };
    frozen.or(own.map(Timestamp::micros))
}

fn invitation_from(row: &QueryResult) -> Result<Read<Invitation>, StoreError> {
    let rows: InvitationRows = parse_json(&row.try_get::<String>("", "body")?, "invitation")?;
    Ok(Read { found: Invitation::try_from(rows)?, now: Timestamp::from_micros(row.try_get("", "now")?) })
}

fn conditions(backend: DbBackend, account: &AccountId, query: &InvitationQuery, params: &mut Params) -> String {
    let account = params.push(account.as_str());
    let mut all = vec![format!("i.account_id = {account}")];
    if !query.kinds.is_empty() {
        all.push(format!("i.kind IN ({})", params.list(query.kinds.iter().map(|kind| kind.code()))));
    }
    if !query.states.is_empty() {
        let states = query.states.iter().map(|state| state_sql(*state, &statement_clock(backend, 1)));
        all.push(format!("({})", states.collect::<Vec<_>>().join(" OR ")));
    }
    if let Some(scope) = &query.scope {
        let (kind, id) = (params.push(scope.scope_type.as_str()), params.push(scope.id.as_str()));
        all.push(format!("i.scope_type = {kind} AND i.scope_id = {id}"));
    }
    if let Some(resource_id) = query.resource_id {
        all.push(format!("i.resource_id = {}", params.push(resource_id)));
    }
    if let Some(creator) = &query.creator {
        all.push(format!("i.creator = {}", params.push(creator.as_str())));
    }
    if let Some(target) = &query.target {
        all.push(format!(
            "i.id IN (SELECT r.invitation_id FROM recipient r WHERE r.account_id = {account}
                AND r.recipient_type = 'email' AND r.value = {})",
            params.push(target.key())
        ));
    }
    for (key, value) in &query.labels {
        let (key, value) = (params.push(key.as_str()), params.push(value.as_str()));
        all.push(format!(
            "i.id IN (SELECT l.invitation_id FROM label l WHERE l.account_id = {account} AND l.key = {key} AND l.value = {value})"
        ));
    }
    if let Some(cursor) = &query.after {
        let (compare, _) = direction(!query.ascending);
        let (key, id) = (params.push(cursor.key), params.push(cursor.id));
        all.push(format!("(i.created_at, i.id) {compare} ({key}, {id})"));
    }
    all.join(" AND ")
}

/// [`crate::domain::state::Facts::state_at`] in SQL; a test compares the two over all combinations of facts.
fn state_sql(state: State, now: &str) -> String {
    let unrevoked = "i.revoked_at IS NULL";
    let undeclined = "i.declined_at IS NULL";
    let used_up = "(i.max_uses IS NOT NULL AND i.use_count >= i.max_uses)";
    let expired = format!("(i.expire_at IS NOT NULL AND i.expire_at <= {now})");
    match state {
        State::Revoked => "(i.revoked_at IS NOT NULL)".to_owned(),
        State::Declined => format!("({unrevoked} AND i.declined_at IS NOT NULL)"),
        State::Fulfilled => format!("({unrevoked} AND {undeclined} AND {used_up})"),
        State::Expired => format!("({unrevoked} AND {undeclined} AND NOT {used_up} AND {expired})"),
        State::Active => format!("({unrevoked} AND {undeclined} AND NOT {used_up} AND NOT {expired})"),
    }
}
