//! Messages that are due, claimed by lease, and what is to be posted of them.

use std::collections::HashMap;
use std::time::Duration;

use sea_orm::sea_query::ColumnType::{BigInteger, Text, Uuid as UuidType};
use sea_orm::{ConnectionTrait, DbBackend, QueryResult, Statement, Value};
use uuid::Uuid;

use super::ANSWER;
use crate::domain::invitation::event::Event;
use crate::domain::value::id::InvitationId;
use crate::domain::value::text::AccountId;
use crate::domain::value::time::Timestamp;
use crate::domain::webhook::Endpoint;
use crate::store::Store;
use crate::store::executor::load::parse_json;
use crate::store::queue::{ClaimRequest, WEBHOOK_MESSAGES};
use crate::store::sql::entity::{event, webhook_endpoint, webhook_message};
use crate::store::sql::error::StoreError;
use crate::store::sql::rows_param::{Columns, RowsParam};
use crate::store::within;

/// A message that is claimed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimedMessage {
    /// Whose it is.
    pub account: AccountId,
    /// Names it for good, over attempts and redeliveries.
    pub id: Uuid,
    /// To which endpoint it goes.
    pub endpoint: Uuid,
    /// Of which invitation it tells.
    pub invitation: InvitationId,
    /// Which of the invitation's events it tells.
    pub sequence: i64,
    /// How often it has been tried, this time included.
    pub attempts: u32,
    /// When it was tried first.
    pub first_tried_at: Option<Timestamp>,
    /// Whose turn it is.
    pub lease: Uuid,
}

/// What is posted, and where.
#[derive(Clone, Debug)]
pub struct MessageContent {
    /// Where, as it is now.
    pub endpoint: Endpoint,
    /// What happened.
    pub event: Event,
}

impl Store {
    /// Claims due messages for a lease, the oldest of each endpoint first, beginning behind the endpoint that was served
    /// last.
    pub async fn claim_webhook_messages(
        &self,
        lease: Uuid,
        lasts: Duration,
        limit: u32,
        after: &(String, Uuid),
    ) -> Result<Vec<ClaimedMessage>, StoreError> {
        let claim = ClaimRequest { lease, lasts, limit, after: vec![after.0.as_str().into(), after.1.into()] };
        let read = |row| claimed_from(row, lease);
        within(ANSWER, WEBHOOK_MESSAGES.claim::<webhook_message::Entity, _>(&self.database, claim, read)).await
    }

    /// Puts back a claimed message whose content cannot be read, as if it had not been claimed.
    pub async fn put_back_webhook_message(&self, message: &ClaimedMessage) -> Result<(), StoreError> {
        let row = (message.account.as_str(), message.id, message.lease);
        within(ANSWER, WEBHOOK_MESSAGES.put_back(&self.database, row)).await.map(drop)
    }

    /// Reads what is to be posted of claimed messages, by their ids, or why that cannot be read. One whose endpoint is gone is
    /// not among them.
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
        let found = within(ANSWER, async { Ok(reading.await?) }).await?;
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
        problem: "is no account",
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
