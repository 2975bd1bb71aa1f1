//! Records a mail provider's report about a message. The provider knows best: a message that it reports was sent,
//! whatever this service knows of it, and is not sent again.

#[cfg(test)]
mod tests;
use uuid::Uuid;

use super::{Command, CommandRules, ReadSet};
use crate::domain::decide::{Affected, Changes, Context, Decided, Maker};
use crate::domain::delivery::bounce::is_hard;
use crate::domain::delivery::reminder::Schedules;
use crate::domain::delivery::{Delivery, DeliveryReport, DeliveryState, NewDelivery};
use crate::domain::group::loaded::Loaded;
use crate::domain::invitation::refusal::Refusal;
use crate::domain::suppression::{SuppressionReason, SuppressionRule};
use crate::domain::value::scrubbed::scrubbed;

/// Records a provider's report about a message.
#[derive(Clone, Debug)]
pub struct ReportDelivery {
    /// The id of the message.
    pub delivery: Uuid,
    /// The report.
    pub report: DeliveryReport,
    /// The provider's explanation.
    pub detail: Option<String>,
}

impl CommandRules for ReportDelivery {
    fn read_set(&self) -> ReadSet {
        ReadSet { delivery: Some(self.delivery), ..ReadSet::default() }
    }

    fn weight(&self, _reminders: &Schedules) -> usize {
        4
    }

    fn decide(&self, loaded: &Loaded, command: &Command, context: &Context) -> Result<Decided, Refusal> {
        let before = loaded.delivery(command.account(), self.delivery)?;
        let invitation = loaded.invitation(command.account(), before.message.invitation)?;
        if !command.reaches(invitation) {
            return Err(Refusal::DeliveryNotFound);
        }
        let NewDelivery { id, invitation: about, .. } = before.message;
        let reported = self.report.state();
        if reported == Some(before.state) {
            let Decided { changes, affected } = Decided::unchanged(about);
            return Ok(Decided { changes, affected: Affected { delivery: Some(id), ..affected } });
        }
        let state = reported.unwrap_or_else(|| seen(before));
        let delivery = match state == before.state {
            true => before.clone(),
            false => Delivery {
                state,
                lease: None,
                due_at: None,
                sent_at: before.sent_at.or(Some(loaded.now)),
                ..before.clone()
            },
        };
        let (event_type, detail) = (self.report.into(), self.detail.as_deref().map(scrubbed));
        let mut maker = Maker::new(loaded, command);
        let mut events = vec![maker.delivery_event(invitation, &delivery.message, event_type, detail.as_deref())];
        let rule = context.quotas.suppressions.as_ref().zip(self.suppresses());
        let suppress = |(rule, reason): (&SuppressionRule, _)| rule.suppress(&mut maker, invitation, before, reason);
        let (suppression, suppressed) = rule.and_then(suppress).unzip();
        events.extend(suppressed);
        let decided = Decided::delivered(delivery, Changes { events, suppression, ..Changes::default() });
        // A message whose state stays is left to the worker that is sending it.
        let delivery = decided.changes.delivery.filter(|_| state != before.state);
        Ok(Decided { changes: Changes { delivery, ..decided.changes }, affected: decided.affected })
    }

    fn may_suppress(&self) -> Option<Uuid> {
        self.suppresses().map(|_| self.delivery)
    }
}

impl ReportDelivery {
    /// Returns the reason for which the address of the message is suppressed, if the report is one.
    fn suppresses(&self) -> Option<SuppressionReason> {
        match self.report {
            DeliveryReport::Bounced if is_hard(self.detail.as_deref()) => Some(SuppressionReason::HardBounce),
            DeliveryReport::Complained => Some(SuppressionReason::Complaint),
            DeliveryReport::Bounced | DeliveryReport::Delivered | DeliveryReport::Opened => None,
        }
    }
}

/// Returns the state of a message that a person has seen: it was sent, even if this service does not know.
fn seen(delivery: &Delivery) -> DeliveryState {
    let unknown = matches!(delivery.state, DeliveryState::Queued | DeliveryState::Sending | DeliveryState::Failed);
    if unknown && delivery.attempts > 0 { DeliveryState::Sent } else { delivery.state }
}
