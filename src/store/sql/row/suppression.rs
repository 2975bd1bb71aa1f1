//! Suppressions of addresses, and the events of those that belong to no invitation.

use super::corrupt;
use crate::domain::invitation::event::payload::SuppressionPayload;
use crate::domain::invitation::event::{EventData, EventType, NO_INVITATION, Payload};
use crate::domain::suppression::{Suppression, SuppressionReason};
use crate::domain::value::id::InvitationId;
use crate::domain::value::text::AccountId;
use crate::domain::value::time::Timestamp;
use crate::store::sql::entity::{event, suppression};
use crate::store::sql::error::StoreError;

/// Returns the account of a suppression.
pub(in crate::store) fn account_of_row(row: &suppression::Model) -> Result<AccountId, StoreError> {
    let corrupt = corrupt("suppression", &row.id);
    AccountId::parse(&row.account_id).map_err(|_| corrupt("account_id", "is not an account"))
}

impl TryFrom<suppression::Model> for Suppression {
    type Error = StoreError;

    fn try_from(row: suppression::Model) -> Result<Self, StoreError> {
        let corrupt = corrupt("suppression", &row.id);
        Ok(Self {
            id: row.id,
            reason: SuppressionReason::from_code(&row.reason).ok_or_else(|| corrupt("reason", "is not a reason"))?,
            key: row.address_key,
            masked: row.masked_email,
            source: row.invitation_id.map(InvitationId).zip(row.delivery_id),
            creator: row.creator,
            created_at: Timestamp::from_micros(row.created_at),
        })
    }
}

/// Returns the row of a suppression.
pub(in crate::store) fn suppression_row(account: &AccountId, suppression: &Suppression) -> suppression::Model {
    let (invitation, delivery) = suppression.source.unzip();
    suppression::Model {
        account_id: account.as_str().to_owned(),
        id: suppression.id,
        address_key: suppression.key.clone(),
        masked_email: suppression.masked.clone(),
        reason: suppression.reason.code().to_owned(),
        invitation_id: invitation.map(|id| id.0),
        delivery_id: delivery,
        creator: suppression.creator.clone(),
        created_at: suppression.created_at.micros(),
    }
}

/// Returns the row of the one event of a suppression that belongs to no invitation: its place is the suppression's own id.
pub(in crate::store) fn suppression_event_row(
    account: &AccountId,
    (id, suppression): (uuid::Uuid, &Suppression),
    request_id: Option<String>,
) -> event::Model {
    let cause = suppression.reason.into();
    let payload = SuppressionPayload { suppression: suppression.id, cause, delivery: None, recipient: None };
    let payload = Payload::Suppression(payload).json();
    let data = EventData { state: NO_INVITATION.to_owned(), scope: None, pass_through: None, payload };
    event::Model {
        account_id: account.as_str().to_owned(),
        invitation_id: suppression.id,
        sequence: 1,
        id,
        kind: NO_INVITATION.to_owned(),
        event_type: EventType::SuppressionCreated.name().to_owned(),
        occurred_at: suppression.created_at.micros(),
        actor: suppression.creator.clone(),
        request_id,
        // Fields of plain types cannot fail.
        data: serde_json::to_value(data).unwrap_or_default(),
        position: None,
    }
}
