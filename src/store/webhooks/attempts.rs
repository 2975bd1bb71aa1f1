//! Reads of attempts: one by its name, and pages of the requests to one endpoint.

use sea_orm::{
    ColumnTrait as _, EntityTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _, QueryTrait as _,
};
use uuid::Uuid;

use crate::domain::value::id::InvitationId;
use crate::domain::value::text::AccountId;
use crate::domain::value::time::Timestamp;
use crate::store::Reads;
use crate::store::read::{Cursor, behind, order, page_of_owner};
use crate::store::sql::entity::webhook_attempt::{Column, Entity, Model};
use crate::store::sql::entity::webhook_endpoint;
use crate::store::sql::error::StoreError;
use crate::store::sql::row::{row_from, rows_with_id};

/// The filters of a list of an endpoint's attempts, by age.
#[derive(Clone, Debug)]
pub struct AttemptQuery {
    /// The endpoint.
    pub endpoint: Uuid,
    /// Only attempts that succeeded, or only those that failed.
    pub succeeded: Option<bool>,
    /// Only attempts to post the event with this sequence of this invitation.
    pub event: Option<(InvitationId, i64)>,
    /// Whether the oldest come first, instead of the newest.
    pub ascending: bool,
    /// The most rows.
    pub limit: u64,
    /// The place behind which the list continues.
    pub after: Option<Cursor>,
}

/// A request to an endpoint, as it is listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookAttempt {
    /// The attempt's id.
    pub id: Uuid,
    /// The `webhook-id` of the request: the id of the event.
    pub webhook_id: Uuid,
    /// The invitation that the message is about.
    pub invitation: InvitationId,
    /// The sequence of the event among the events of its invitation.
    pub sequence: i64,
    /// The moment of the request.
    pub at: Timestamp,
    /// The status of the answer, if there was one.
    pub http_status: Option<i32>,
    /// The reason why the attempt failed, if it did.
    pub error: Option<String>,
    /// The duration of the request, in milliseconds.
    pub duration_millis: i32,
}

impl AttemptQuery {
    /// Returns the query for all attempts at an endpoint, the newest first.
    pub fn of(endpoint: Uuid, limit: u64) -> Self {
        Self { endpoint, succeeded: None, event: None, ascending: false, limit, after: None }
    }
}

impl Reads {
    /// Reads an attempt at an endpoint, if the account has it.
    pub async fn get_webhook_attempt(
        &self,
        account: &AccountId,
        endpoint: Uuid,
        id: Uuid,
    ) -> Result<Option<WebhookAttempt>, StoreError> {
        let select = Entity::find_by_id((account.as_str().to_owned(), endpoint, id));
        let _turn = self.database.read_turns.short(account).await?;
        let found = rows_with_id(&self.database.reading_for(account), select).await?.pop();
        found.map(|(_, row)| row.map(attempt_from)).transpose()
    }

    /// Reads a page of attempts; `None` if the account has no such endpoint.
    pub async fn list_webhook_attempts(
        &self,
        account: &AccountId,
        query: &AttemptQuery,
    ) -> Result<Option<Vec<WebhookAttempt>>, StoreError> {
        let order = order(query.ascending);
        let page = Entity::find()
            .filter(Column::AccountId.eq(account.as_str()))
            .filter(Column::EndpointId.eq(query.endpoint))
            .apply_if(query.succeeded, |page, succeeded| {
                page.filter(if succeeded { Column::Error.is_null() } else { Column::Error.is_not_null() })
            })
            .apply_if(query.event, |page, (invitation, sequence)| {
                page.filter(Column::InvitationId.eq(invitation.0)).filter(Column::Sequence.eq(sequence))
            })
            .apply_if(query.after.as_ref(), |page, cursor| page.filter(behind(Column::Id, cursor.id, query.ascending)))
            .order_by(Column::Id, order.clone())
            .limit(query.limit);
        let endpoint = webhook_endpoint::Entity::find_by_id((account.as_str().to_owned(), query.endpoint));
        let select = page_of_owner(endpoint, page, (Column::Id, order));
        let rows = self.database.list_of_account(account, self.database.backend().build(&select)).await?;
        if rows.is_empty() {
            return Ok(None);
        }
        let mut attempts = Vec::new();
        for row in rows {
            if row.try_get::<Option<Uuid>>("", "id")?.is_some() {
                attempts.push(attempt_from(row_from::<Entity>(&row)?));
            }
        }
        Ok(Some(attempts))
    }
}

fn attempt_from(row: Model) -> WebhookAttempt {
    WebhookAttempt {
        id: row.id,
        webhook_id: row.webhook_id,
        invitation: InvitationId(row.invitation_id),
        sequence: row.sequence,
        at: Timestamp::from_micros(row.attempted_at),
        http_status: row.http_status,
        error: row.error,
        duration_millis: row.duration_millis,
    }
}
