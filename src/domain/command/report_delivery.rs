//! Takes the mail provider's word on a message. It knows best: a message that it reports was sent, whatever this service
//! knows of that, and is not sent again.

use super::{Command, ReportDelivery};
use crate::domain::decide::{Changes, Decided, Maker, Outcome};
use crate::domain::delivery::{Delivery, DeliveryState, NewDelivery};
use crate::domain::group::loaded::Loaded;
use crate::domain::invitation::refusal::Refusal;
use crate::domain::value::scrubbed::scrubbed;

pub(in crate::domain) fn decide(
    loaded: &Loaded,
    command: &Command,
    report: &ReportDelivery,
) -> Result<Decided, Refusal> {
    let before = loaded.delivery(&command.account, report.delivery)?;
    let invitation = loaded.invitation(&command.account, before.message.invitation)?;
    if !invitation.details.is_hosted_by(report.hosts.as_deref()) {
        return Err(Refusal::DeliveryNotFound);
    }
    let NewDelivery { id, invitation: about, .. } = before.message;
    let reported = report.report.state();
    if reported == Some(before.state) {
        let Decided { changes, outcome } = Decided::unchanged(about);
        return Ok(Decided { changes, outcome: Outcome { delivery: Some(id), ..outcome } });
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
    let (event_type, detail) = (report.report.into(), report.detail.as_deref().map(scrubbed));
    let events = vec![Maker::new(loaded, command).delivery_event(invitation, &delivery, event_type, detail.as_deref())];
    let decided = Decided::delivered(delivery, Changes { events, ..Changes::default() });
    // What stays as it is stays in the hands of whoever is sending it.
    let delivery = decided.changes.delivery.filter(|_| state != before.state);
    Ok(Decided { changes: Changes { delivery, ..decided.changes }, outcome: decided.outcome })
}

/// Returns where a message stands that somebody has seen: it was sent, even if nobody knows.
fn seen(delivery: &Delivery) -> DeliveryState {
    let unknown = matches!(delivery.state, DeliveryState::Queued | DeliveryState::Sending | DeliveryState::Failed);
    if unknown && delivery.attempts > 0 { DeliveryState::Sent } else { delivery.state }
}
