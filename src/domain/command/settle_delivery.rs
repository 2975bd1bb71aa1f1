//! Notes how sending a message ended. Whoever has lost the lease has no say: somebody else is sending it, or has.

use super::{Command, SettleDelivery};
use crate::domain::decide::{Changes, Decided, Maker};
use crate::domain::delivery::{Delivery, DeliveryEnd, DeliveryState};
use crate::domain::group::loaded::Loaded;
use crate::domain::invitation::event::EventType;
use crate::domain::invitation::refusal::Refusal;

pub(in crate::domain) fn decide(
    loaded: &Loaded,
    command: &Command,
    settle: &SettleDelivery,
) -> Result<Decided, Refusal> {
    let before = loaded.delivery(&command.account, settle.delivery)?;
    if before.state != DeliveryState::Sending || before.lease != Some(settle.lease) {
        return Err(Refusal::LeaseLost);
    }
    let invitation = loaded.invitation(&command.account, before.message.invitation)?;
    let settled = Delivery { lease: None, due_at: None, ..before.clone() };
    let (delivery, event_type, detail) = match &settle.end {
        DeliveryEnd::Sent => {
            let sent = Delivery { sent_at: Some(loaded.now), last_error: None, ..settled };
            (Delivery { state: DeliveryState::Sent, ..sent }, EventType::DeliverySent, None)
        }
        DeliveryEnd::Failed(error) => {
            let failed = Delivery { last_error: Some(error.clone()), ..settled };
            (Delivery { state: DeliveryState::Failed, ..failed }, EventType::DeliveryFailed, Some(error.as_str()))
        }
    };
    let events = vec![Maker::new(loaded, command).delivery_event(invitation, &delivery, event_type, detail)];
    Ok(Decided::delivered(delivery, Changes { events, ..Changes::default() }))
}
