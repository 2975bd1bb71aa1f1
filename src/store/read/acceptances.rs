//! Reads of acceptances: pages of one invitation's, by age.

use sea_orm::{DbBackend, Statement};

use super::unreadable::FullPage;
use super::{ACCOUNT, Cursor, Params, direction};
use crate::domain::invitation::acceptance::Acceptance;
use crate::domain::kind::Kind;
use crate::domain::value::id::InvitationId;
use crate::domain::value::text::AccountId;
use crate::store::Store;
use crate::store::executor::load::parse_json;
use crate::store::sql::entity::acceptance;
use crate::store::sql::error::StoreError;
use crate::store::sql::rows_param::Columns;

/// Which acceptances a list has.
#[derive(Clone, Debug)]
pub struct AcceptanceQuery {
    /// Of which invitation.
    pub invitation: InvitationId,
    /// Of which kind the invitation has to be; none for any.
    pub kind: Option<Kind>,
    /// The oldest first, instead of the newest.
    pub ascending: bool,
    /// How many at most.
    pub limit: u64,
    /// Where to go on.
    pub after: Option<Cursor>,
}

impl Store {
    /// Reads a page of acceptances by age; none if the account has no such invitation.
    pub async fn list_acceptances(
        &self,
        account: &AccountId,
        query: &AcceptanceQuery,
    ) -> Result<Option<Vec<Acceptance>>, StoreError> {
        let (mut query, mut page) = (query.clone(), FullPage::new(query.limit));
        loop {
            let Some(found) = self.acceptances_of(account, &query).await? else { return Ok(None) };
            let Some(read_on) = page.add(query.limit, found)? else { return Ok(Some(page.into_rows())) };
            query = AcceptanceQuery { after: Some(read_on.after), limit: read_on.limit, ..query };
        }
    }

    /// Reads acceptances, each with where the list goes on behind it. Returns `None` if the account has no such invitation.
    async fn acceptances_of(
        &self,
        account: &AccountId,
        query: &AcceptanceQuery,
    ) -> Result<Option<Vec<(Cursor, Result<Acceptance, StoreError>)>>, StoreError> {
        let backend = self.database.backend();
        let mut params = Params::new(None, account);
        let sql = sql(backend, query, &mut params);
        // Nothing about an acceptance is judged by a clock.
        let rows = self.database.list(Statement::from_sql_and_values(backend, sql, params.0)).await?;
        if rows.is_empty() {
            return Ok(None);
        }
        let mut found = Vec::new();
        for row in rows {
            let Some(body) = row.try_get::<Option<String>>("", "body")? else { continue };
            let acceptance = parse_json::<acceptance::Model>(&body, "acceptance").and_then(Acceptance::try_from);
            found.push((Cursor::of_id(row.try_get("", "id")?), acceptance));
        }
        Ok(Some(found))
    }
}

/// Joined to the invitation, so that one round trip tells an empty page from a missing invitation. Ids sort by age.
fn sql(backend: DbBackend, query: &AcceptanceQuery, params: &mut Params) -> String {
    let invitation = params.push(query.invitation.0);
    let kind = query.kind.map(|kind| format!(" AND kind = '{}'", kind.code())).unwrap_or_default();
    let (compare, order) = direction(!query.ascending);
    let after = query.after.as_ref().map(|cursor| format!(" AND t.id {compare} {}", params.push(cursor.id)));
    let json = Columns::of::<acceptance::Entity>().json_of(backend, "a");
    let cast = if backend == DbBackend::Postgres { "::text" } else { "" };
    format!(
        "SELECT a.id AS id, CASE WHEN a.id IS NOT NULL THEN ({json}){cast} END AS body
        FROM (SELECT id FROM invitation WHERE account_id = {ACCOUNT} AND id = {invitation}{kind}) i
        LEFT JOIN (SELECT * FROM acceptance t WHERE t.account_id = {ACCOUNT} AND t.invitation_id = {invitation}{after}
            ORDER BY t.id {order} LIMIT {limit}) a ON a.invitation_id = i.id ORDER BY a.id {order}",
        after = after.unwrap_or_default(),
        limit = params.push(query.limit.cast_signed()),
    )
}
