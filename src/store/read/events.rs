//! Reads of the audit trail: pages of one invitation's events.

use sea_orm::Statement;
use uuid::Uuid;

use super::unreadable::FullPage;
use super::{Cursor, Params, SortKey, direction};
use crate::domain::invitation::event::{Event, EventType};
use crate::domain::kind::Kind;
use crate::domain::value::id::InvitationId;
use crate::domain::value::text::AccountId;
use crate::store::Store;
use crate::store::executor::load::parse_json;
use crate::store::sql::entity::event;
use crate::store::sql::error::StoreError;
use crate::store::sql::rows_param::Columns;

/// Which events of an invitation a list has, and in which order.
#[derive(Clone, Debug)]
pub struct EventQuery {
    /// Of which invitation.
    pub invitation: InvitationId,
    /// Of which kind the invitation has to be; none for any.
    pub kind: Option<Kind>,
    /// Only these types; empty means all.
    pub types: Vec<EventType>,
    /// The oldest first, instead of the newest.
    pub ascending: bool,
    /// How many at most.
    pub limit: u64,
    /// Where to go on.
    pub after: Option<Cursor>,
}

impl Store {
    /// Reads a page of events; none if the account has no such invitation.
    pub async fn list_events(&self, account: &AccountId, query: &EventQuery) -> Result<Option<Vec<Event>>, StoreError> {
        let (mut query, mut page) = (query.clone(), FullPage::new(query.limit));
        loop {
            let Some(found) = self.events_of(account, &query).await? else { return Ok(None) };
            let Some(read_on) = page.add(query.limit, found)? else { return Ok(Some(page.into_rows())) };
            query = EventQuery { after: Some(read_on.after), limit: read_on.limit, ..query };
        }
    }

    /// Reads events, each with where the list goes on behind it. Returns `None` if the account has no such invitation.
    async fn events_of(
        &self,
        account: &AccountId,
        query: &EventQuery,
    ) -> Result<Option<Vec<(Cursor, Result<Event, StoreError>)>>, StoreError> {
        let backend = self.database.backend();
        let (compare, order) = direction(!query.ascending);
        let mut params = Params(Vec::new());
        let (account, invitation) = (params.push(account.as_str()), params.push(query.invitation.0));
        let kind = query.kind.map(|kind| format!(" AND kind = {}", params.push(kind.code()))).unwrap_or_default();
        let mut conditions = String::new();
        if !query.types.is_empty() {
            let types = params.list(query.types.iter().map(|event_type| event_type.name()));
            conditions += &format!(" AND e.event_type IN ({types})");
        }
        if let Some(cursor) = &query.after {
            conditions += &format!(" AND e.sequence {compare} {}", params.push(cursor.key.clone()));
        }
        // Joined to the invitation, so that one round trip tells an empty page from a missing invitation.
        let sql = format!(
            "SELECT {body} AS body, e.sequence AS sequence FROM (SELECT account_id, id FROM invitation WHERE account_id = {account} AND id = {invitation}{kind}) i
            LEFT JOIN (SELECT * FROM event e WHERE e.account_id = {account} AND e.invitation_id = {invitation}{conditions}
                ORDER BY e.sequence {order} LIMIT {limit}) e ON e.invitation_id = i.id ORDER BY e.sequence {order}",
            body = body(backend),
            limit = params.push(query.limit.cast_signed()),
        );
        let rows = self.database.list(Statement::from_sql_and_values(backend, sql, params.0)).await?;
        if rows.is_empty() {
            return Ok(None);
        }
        let mut found = Vec::new();
        for row in rows {
            let Some(body) = row.try_get::<Option<String>>("", "body")? else { continue };
            let key = SortKey::Number(row.try_get("", "sequence")?);
            found.push((Cursor { key, ..Cursor::of_id(Uuid::nil()) }, event_from(&body)));
        }
        Ok(Some(found))
    }
}

/// Reads an event.
pub(super) fn event_from(body: &str) -> Result<Event, StoreError> {
    parse_json::<event::Model>(body, "event").and_then(Event::try_from)
}

/// Returns an expression for event `e` as JSON text, NULL where there is none.
pub(super) fn body(backend: sea_orm::DbBackend) -> String {
    let json = Columns::of::<event::Entity>().json_of(backend, "e");
    let cast = if backend == sea_orm::DbBackend::Postgres { "::text" } else { "" };
    format!("CASE WHEN e.sequence IS NOT NULL THEN ({json}){cast} END")
}
