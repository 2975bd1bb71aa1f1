//! Records the end of sending a message. A process that has lost the lease is refused: another one is sending the
//! message, or has sent it.

use uuid::Uuid;

use super::{Command, CommandRules, ReadSet};
use crate::domain::decide::{Changes, Context, Decided, Maker};
use crate::domain::delivery::reminder::Schedules;
use crate::domain::delivery::{Delivery, DeliveryEnd, DeliveryState};
use crate::domain::group::loaded::Loaded;
use crate::domain::invitation::event::EventType;
use crate::domain::invitation::refusal::Refusal;
use crate::domain::suppression::{ADDRESS_SUPPRESSED, SuppressionReason, SuppressionRule};

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
        // The address that is to be suppressed is that of a recipient.
        let without_recipients = !matches!(self.end, DeliveryEnd::BadAddress(_));
        ReadSet { delivery: Some(self.delivery), without_recipients, ..ReadSet::default() }
    }

    fn weight(&self, _reminders: &Schedules) -> usize {
        4
    }

    fn decide(&self, loaded: &Loaded, command: &Command, context: &Context) -> Result<Decided, Refusal> {
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
            DeliveryEnd::Failed(error) | DeliveryEnd::BadAddress(error) => {
                let failed = Delivery { last_error: Some(error.clone()), ..settled };
                (Delivery { state: DeliveryState::Failed, ..failed }, EventType::DeliveryFailed, Some(error.as_str()))
            }
            DeliveryEnd::Suppressed => {
                let suppressed = Delivery { last_error: Some(ADDRESS_SUPPRESSED.to_owned()), ..settled };
                let detail = Some(ADDRESS_SUPPRESSED);
                (Delivery { state: DeliveryState::Suppressed, ..suppressed }, EventType::DeliverySuppressed, detail)
            }
        };
        let mut maker = Maker::new(loaded, command);
        let mut events = vec![maker.delivery_event(invitation, &delivery.message, event_type, detail)];
        let rule = context.quotas.suppressions.as_ref().filter(|_| self.may_suppress().is_some());
        let suppress =
            |rule: &SuppressionRule| rule.suppress(&mut maker, invitation, before, SuppressionReason::HardBounce);
        let (suppression, suppressed) = rule.and_then(suppress).unzip();
        events.extend(suppressed);
        Ok(Decided::delivered(delivery, Changes { events, suppression, ..Changes::default() }))
    }

    fn may_suppress(&self) -> Option<Uuid> {
        matches!(self.end, DeliveryEnd::BadAddress(_)).then_some(self.delivery)
    }
}
