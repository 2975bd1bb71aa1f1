//! Records the end of sending a message. A process that has lost the lease is refused: another one is sending the
//! message, or has sent it.

use uuid::Uuid;

use super::{Command, CommandRules, ReadSet};
use crate::domain::decide::{Changes, Context, Decided, Maker};
use crate::domain::delivery::reminder::Schedules;
use crate::domain::delivery::{Delivery, DeliveryEnd, DeliveryState};
use crate::domain::group::loaded::Loaded;
use crate::domain::invitation::Invitation;
use crate::domain::invitation::event::EventType;
use crate::domain::invitation::refusal::Refusal;
use crate::domain::value::time::Timestamp;

/// Records the end of an attempt to send a message.
#[derive(Clone, Debug)]
pub struct SettleDelivery {
    /// The id of the message.
    pub delivery: Uuid,
    /// The lease under which it was sent; without it the command is refused.
    pub lease: Uuid,
    /// The result of the attempt.
    pub end: DeliveryEnd,
}

impl CommandRules for SettleDelivery {
    fn read_set(&self) -> ReadSet {
        ReadSet { delivery: Some(self.delivery), without_recipients: true, ..ReadSet::default() }
    }

    fn second_read_set(&self, _invitation: &Invitation, _now: Timestamp) -> ReadSet {
        ReadSet::default()
    }

    fn weight(&self, _reminders: &Schedules) -> usize {
        4
    }

    fn bytes(&self) -> usize {
        0
    }

    fn decide(&self, loaded: &Loaded, command: &Command, _context: &Context) -> Result<Decided, Refusal> {
        let before = loaded.delivery(command.account(), self.delivery)?;
        if before.state != DeliveryState::Sending || before.lease != Some(self.lease) {
            return Err(Refusal::LeaseLost);
        }
        let invitation = loaded.invitation(command.account(), before.message.invitation)?;
        let settled = Delivery { lease: None, due_at: None, ..before.clone() };
        let (delivery, event_type, detail) = match &self.end {
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
}
