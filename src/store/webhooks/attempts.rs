//! Reads of attempts: pages of what was posted to one endpoint.

use sea_orm::{DbBackend, Statement};
use uuid::Uuid;

use crate::domain::value::id::InvitationId;
use crate::domain::value::text::AccountId;
use crate::domain::value::time::Timestamp;
use crate::store::Store;
use crate::store::executor::load::parse_json;
use crate::store::read::{Cursor, Params, direction};
use crate::store::sql::entity::webhook_attempt::{Entity, Model};
use crate::store::sql::error::StoreError;
use crate::store::sql::rows_param::Columns;

/// Which attempts of an endpoint a list has, by age.
#[derive(Clone, Debug)]
pub struct AttemptQuery {
    /// Of which endpoint.
    pub endpoint: Uuid,
    /// The oldest first, instead of the newest.
    pub ascending: bool,
    /// How many at most.
    pub limit: u64,
    /// Where to go on.
    pub after: Option<Cursor>,
}

/// A request that was made, as it is listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookAttempt {
    /// Names it.
    pub id: Uuid,
    /// Which message it carried.
    pub message: Uuid,
    /// Of which invitation the message told.
    pub invitation: InvitationId,
    /// Which of the invitation's events.
    pub sequence: i64,
    /// When it was made.
    pub at: Timestamp,
    /// The status of the answer, if there was one.
    pub http_status: Option<i32>,
    /// Why there was no good answer.
    pub error: Option<String>,
    /// How long it took, in milliseconds.
    pub duration_millis: i32,
}

impl Store {
    /// Reads a page of attempts; none if the account has no such endpoint.
    pub async fn list_webhook_attempts(
        &self,
        account: &AccountId,
        query: &AttemptQuery,
    ) -> Result<Option<Vec<WebhookAttempt>>, StoreError> {
        let backend = self.database.backend();
        let (compare, order) = direction(!query.ascending);
        let mut params = Params(Vec::new());
        let (account, endpoint) = (params.push(account.as_str()), params.push(query.endpoint));
        let after = query.after.as_ref().map(|cursor| format!(" AND a.id {compare} {}", params.push(cursor.id)));
        let json = Columns::of::<Entity>().json_of(backend, "a");
        let cast = if backend == DbBackend::Postgres { "::text" } else { "" };
        // Joined to the endpoint, so that one round trip tells an empty page from a missing endpoint.
        let sql = format!(
            "SELECT CASE WHEN a.id IS NOT NULL THEN ({json}){cast} END AS body
            FROM (SELECT id FROM webhook_endpoint WHERE account_id = {account} AND id = {endpoint}) w
            LEFT JOIN (SELECT * FROM webhook_attempt a WHERE a.account_id = {account} AND a.endpoint_id = {endpoint}{}
                ORDER BY a.id {order} LIMIT {}) a ON a.endpoint_id = w.id ORDER BY a.id {order}",
            after.unwrap_or_default(),
            params.push(query.limit.cast_signed()),
        );
        let rows = self.database.list(Statement::from_sql_and_values(backend, sql, params.0)).await?;
        if rows.is_empty() {
            return Ok(None);
        }
        let bodies = rows.iter().map(|row| row.try_get::<Option<String>>("", "body"));
        let bodies = bodies.collect::<Result<Vec<_>, _>>()?.into_iter().flatten();
        bodies.map(|body| Ok(attempt_from(parse_json(&body, "webhook_attempt")?))).collect::<Result<_, _>>().map(Some)
    }
}

fn attempt_from(row: Model) -> WebhookAttempt {
    WebhookAttempt {
        id: row.id,
        message: row.message_id,
        invitation: InvitationId(row.invitation_id),
        sequence: row.sequence,
        at: Timestamp::from_micros(row.attempted_at),
        http_status: row.http_status,
        error: row.error,
        duration_millis: row.duration_millis,
    }
}
