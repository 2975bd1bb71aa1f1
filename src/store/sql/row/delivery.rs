//! Messages.

use super::{account, at, corrupt};
use crate::domain::delivery::{Delivery, DeliveryState, NewDelivery, Purpose};
use crate::domain::invitation::Invitation;
use crate::domain::value::email::Email;
use crate::domain::value::id::InvitationId;
use crate::domain::value::text::AccountId;
use crate::domain::value::time::Timestamp;
use crate::store::sql::entity::outbox;
use crate::store::sql::error::StoreError;
use crate::telemetry::traces::Origin;

/// Reads a message and its account.
pub(in crate::store) fn delivery_from(row: outbox::Model) -> Result<(AccountId, Delivery), StoreError> {
    let corrupt = corrupt("outbox", &row.id);
    let address = row.address.as_deref().map(Email::parse).transpose();
    let message = NewDelivery {
        id: row.id,
        invitation: InvitationId(row.invitation_id),
        purpose: Purpose::from_code(&row.purpose).ok_or_else(|| corrupt("purpose", "is not a purpose"))?,
        recipient: u16::try_from(row.recipient).map_err(|_| corrupt("recipient", "is out of range"))?,
        address: address.map_err(|_| corrupt("address", "is not an address"))?,
        about: row.about,
        moment: at(row.moment),
        created_at: Timestamp::from_micros(row.created_at),
        due_at: Timestamp::from_micros(row.planned_at.or(row.due_at).unwrap_or(row.created_at)),
    };
    let delivery = Delivery {
        message,
        state: DeliveryState::from_code(&row.state).ok_or_else(|| corrupt("state", "is not a state"))?,
        lease: row.lease,
        attempts: u32::try_from(row.attempts).map_err(|_| corrupt("attempts", "is negative"))?,
        last_error: row.last_error,
        sent_at: at(row.sent_at),
        due_at: at(row.due_at.or(row.planned_at)),
    };
    let account = AccountId::parse(&row.account_id).map_err(|_| corrupt("account_id", "is not an account"))?;
    Ok((account, delivery))
}

/// Returns the row of a message that a later command of the same save cancels.
pub(in crate::store) fn cancelled_outbox_row(
    invitation: &Invitation,
    delivery: &NewDelivery,
    reason: &str,
) -> outbox::Model {
    settled_outbox_row(outbox_row(invitation, delivery), DeliveryState::Cancelled, reason)
}

/// Returns the row of a message that is not sent, for a reason that its address has.
pub(in crate::store) fn suppressed_outbox_row(
    invitation: &Invitation,
    delivery: &NewDelivery,
    reason: &str,
) -> outbox::Model {
    settled_outbox_row(outbox_row(invitation, delivery), DeliveryState::Suppressed, reason)
}

fn settled_outbox_row(row: outbox::Model, state: DeliveryState, reason: &str) -> outbox::Model {
    let (state, last_error) = (state.code().to_owned(), Some(reason.to_owned()));
    outbox::Model { state, due_at: None, planned_at: None, last_error, ..row }
}

/// Returns the row of a message to be sent.
pub(in crate::store) fn outbox_row(invitation: &Invitation, delivery: &NewDelivery) -> outbox::Model {
    let planned = delivery.due_at > delivery.created_at;
    outbox::Model {
        account_id: account(invitation),
        id: delivery.id,
        invitation_id: delivery.invitation.0,
        recipient: i32::from(delivery.recipient),
        created_at: delivery.created_at.micros(),
        purpose: delivery.purpose.code().to_owned(),
        state: DeliveryState::Queued.code().to_owned(),
        due_at: (!planned).then_some(delivery.due_at.micros()),
        planned_at: planned.then_some(delivery.due_at.micros()),
        lease: None,
        attempts: 0,
        last_error: None,
        sent_at: None,
        address: delivery.address.as_ref().map(|address| address.original().to_owned()),
        address_key: delivery.address.as_ref().map(|address| address.key().to_owned()),
        about: delivery.about,
        moment: delivery.moment.map(Timestamp::micros),
        traceparent: Origin::of_present_span().map(|origin| origin.to_traceparent()),
    }
}
