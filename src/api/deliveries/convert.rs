//! Messages.

use crate::api::convert::timestamp;
use crate::api::resource::{delivery_name, recipient_name};
use crate::domain::delivery::message_id::MessageId;
use crate::domain::delivery::{Delivery, DeliveryState, NewDelivery, Purpose};
use crate::pb;

/// Converts a message to an address, which may not be known any more, sent from a domain.
pub(in crate::api) fn delivery(delivery: &Delivery, address: Option<&str>, domain: &str) -> pb::Delivery {
    let NewDelivery { id, invitation: about, recipient, purpose, created_at, .. } = delivery.message;
    // A message that precedes others has a due time before its creation.
    let next_attempt = delivery.due_at.filter(|_| delivery.state == DeliveryState::Queued);
    pb::Delivery {
        name: delivery_name(about, id),
        channel: pb::DeliveryChannel::Email.into(),
        recipient: if recipient == 0 { String::new() } else { recipient_name(about, recipient) },
        state: state(delivery.state).into(),
        attempts: i32::try_from(delivery.attempts).unwrap_or(i32::MAX),
        last_error: delivery.last_error.clone().unwrap_or_default(),
        message_id: MessageId::new(id, domain).to_string(),
        create_time: Some(timestamp(created_at)),
        send_time: delivery.sent_at.map(timestamp),
        purpose: self::purpose(purpose).into(),
        next_attempt_time: next_attempt.map(|due_at| timestamp(due_at.max(created_at))),
        address: address.unwrap_or_default().to_owned(),
    }
}

/// Converts the state of a message.
pub(in crate::api) fn state(state: DeliveryState) -> pb::DeliveryState {
    match state {
        DeliveryState::Queued => pb::DeliveryState::Queued,
        DeliveryState::Sending => pb::DeliveryState::Sending,
        DeliveryState::Sent => pb::DeliveryState::Sent,
        DeliveryState::Delivered => pb::DeliveryState::Delivered,
        DeliveryState::Bounced => pb::DeliveryState::Bounced,
        DeliveryState::Failed => pb::DeliveryState::Failed,
        DeliveryState::Cancelled => pb::DeliveryState::Cancelled,
        DeliveryState::Suppressed => pb::DeliveryState::Suppressed,
    }
}

/// Converts the purpose of a message.
pub(in crate::api) fn purpose(purpose: Purpose) -> pb::DeliveryPurpose {
    match purpose {
        Purpose::Invitation => pb::DeliveryPurpose::Invitation,
        Purpose::Reminder => pb::DeliveryPurpose::Reminder,
        Purpose::AcceptanceNotice => pb::DeliveryPurpose::AcceptanceNotice,
        Purpose::VerificationCode => pb::DeliveryPurpose::VerificationCode,
        Purpose::DeclineNotice => pb::DeliveryPurpose::DeclineNotice,
        Purpose::FailureNotice => pb::DeliveryPurpose::FailureNotice,
        Purpose::ExpiryNotice => pb::DeliveryPurpose::ExpiryNotice,
    }
}
