//! Due messages, claimed by lease, and the content to be posted.

use std::collections::HashMap;
use std::time::Duration;

use sea_orm::sea_query::ColumnType::{BigInteger, Text, Uuid as UuidType};
use sea_orm::{ConnectionTrait, DbBackend, QueryResult, Statement, Value};
use uuid::Uuid;

use super::DATABASE_TIMEOUT;
use crate::domain::invitation::event::Event;
use crate::domain::value::id::InvitationId;
use crate::domain::value::text::AccountId;
use crate::domain::value::time::Timestamp;
use crate::domain::webhook::Endpoint;
use crate::store::Store;
use crate::store::executor::load::parse_json;
use crate::store::queue::{ClaimLimit, ClaimRequest, WEBHOOK_MESSAGES};
use crate::store::sql::entity::{event, webhook_endpoint, webhook_message};
use crate::store::sql::error::StoreError;
use crate::store::sql::rows_param::{Columns, RowsParam};
use crate::store::within;

/// A claimed message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimedMessage {
    /// The account of the message.
    pub account: AccountId,
    /// The message's id, the same over attempts and redeliveries.
    pub id: Uuid,
    /// The endpoint that it is posted to.
    pub endpoint: Uuid,
    /// The invitation that it is about.
    pub invitation: InvitationId,
    /// The sequence of its event among the events of its invitation.
    pub sequence: i64,
    /// The number of attempts, this one included.
    pub attempts: u32,
    /// The moment of the first attempt.
    pub first_tried_at: Option<Timestamp>,
    /// The lease of its holder.
    pub lease: Uuid,
}

/// The endpoint and the event of a message.
#[derive(Clone, Debug)]
pub struct MessageContent {
    /// The endpoint, as it is now.
    pub endpoint: Endpoint,
    /// The event to be posted.
    pub event: Event,
}

impl Store {
    /// Claims due messages for a lease, in turns by account and by endpoint and the oldest of each endpoint first, beginning
    /// behind the endpoint that was served last.
    pub async fn claim_webhook_messages(
        &self,
        lease: Uuid,
        lasts: Duration,
        limit: impl Into<ClaimLimit>,
        after: &(String, Uuid),
    ) -> Result<Vec<ClaimedMessage>, StoreError> {
        let after = vec![after.0.as_str().into(), after.1.into()];
        let claim = ClaimRequest { lease, lasts, limit: limit.into(), after };
        let read = |row| claimed_from(row, lease);
        within(DATABASE_TIMEOUT, WEBHOOK_MESSAGES.claim::<webhook_message::Entity, _>(&self.database, claim, read))
            .await
    }

    /// Puts back a claimed message whose content cannot be read, as if it had not been claimed.
    pub async fn put_back_webhook_message(&self, message: &ClaimedMessage) -> Result<(), StoreError> {
        let row = (message.account.as_str(), message.id, message.lease);
        within(DATABASE_TIMEOUT, WEBHOOK_MESSAGES.put_back(&self.database, row)).await.map(drop)
    }

    /// Reads the contents of claimed messages, by their ids, or the errors that reading them met. A message whose
    /// endpoint is deleted is left out.
    pub async fn webhook_contents(
        &self,
        messages: &[ClaimedMessage],
    ) -> Result<HashMap<Uuid, Result<MessageContent, StoreError>>, StoreError> {
        let backend = self.database.backend();
        let keys = Columns::list([
            ("account_id", Text),
            ("message_id", UuidType),
            ("endpoint_id", UuidType),
            ("invitation_id", UuidType),
            ("sequence", BigInteger),
        ]);
        let cast = if backend == DbBackend::Postgres { "::text" } else { "" };
        let sql = format!(
            "SELECT k.message_id AS message_id, ({endpoint}){cast} AS endpoint, ({event}){cast} AS event FROM {rows}
            JOIN webhook_endpoint w ON w.account_id = k.account_id AND w.id = k.endpoint_id
            JOIN event e ON e.account_id = k.account_id AND e.invitation_id = k.invitation_id AND e.sequence = k.sequence",
            endpoint = Columns::of::<webhook_endpoint::Entity>().json_of(backend, "w"),
            event = Columns::of::<event::Entity>().json_of(backend, "e"),
            rows = keys.keys_of(backend, 1, "k"),
        );
        let row = |message: &ClaimedMessage| -> [Value; 5] {
            let ClaimedMessage { account, id, endpoint, invitation, sequence, .. } = message;
            [account.as_str().into(), (*id).into(), (*endpoint).into(), invitation.0.into(), (*sequence).into()]
        };
        let values = RowsParam::new(keys, messages.iter().map(row)).params(backend);
        let reading = self.database.read.query_all_raw(Statement::from_sql_and_values(backend, sql, values));
        let found = within(DATABASE_TIMEOUT, async { Ok(reading.await?) }).await?;
        found.iter().map(|row| Ok((row.try_get("", "message_id")?, content_from(row)))).collect()
    }
}

fn content_from(row: &QueryResult) -> Result<MessageContent, StoreError> {
    let endpoint: webhook_endpoint::Model = parse_json(&row.try_get::<String>("", "endpoint")?, "webhook_endpoint")?;
    let event: event::Model = parse_json(&row.try_get::<String>("", "event")?, "event")?;
    Ok(MessageContent { endpoint: endpoint.try_into()?, event: event.try_into()? })
}

fn claimed_from(row: webhook_message::Model, lease: Uuid) -> Result<ClaimedMessage, StoreError> {
    let corrupt = || StoreError::Corrupt {
        table: "webhook_message",
        column: "account_id",
        row: row.id.to_string(),
        problem: "is not an account",
    };
    Ok(ClaimedMessage {
        account: AccountId::parse(&row.account_id).map_err(|_| corrupt())?,
        id: row.id,
        endpoint: row.endpoint_id,
        invitation: InvitationId(row.invitation_id),
        sequence: row.sequence,
        attempts: u32::try_from(row.attempts).unwrap_or_default(),
        first_tried_at: row.first_tried_at.map(Timestamp::from_micros),
        lease,
    })
}
