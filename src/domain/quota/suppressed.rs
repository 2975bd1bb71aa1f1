//! Messages that are not sent because of their addresses: what is left out with them, and what the invitation and its events say.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use crate::domain::command::Command;
use crate::domain::decide::{Change, Changes, Maker};
use crate::domain::delivery::{DeliveryState, Purpose};
use crate::domain::group::loaded::Loaded;
use crate::domain::invitation::event::payload::{CreatedPayload, ResentPayload};
use crate::domain::invitation::event::{EventType, Payload};

/// Takes suppressed messages out of what the invitation and its events say was sent, with the reminders that would follow them, and
/// adds an event for each.
pub(super) fn show(
    loaded: &Loaded,
    command: &Command,
    changes: &mut Changes,
    suppressed: &BTreeMap<Uuid, &'static str>,
) {
    if suppressed.is_empty() {
        return;
    }
    let links = || changes.deliveries.iter().filter(|delivery| delivery.purpose == Purpose::Invitation);
    let is_suppressed = |id: &Uuid| suppressed.contains_key(id);
    let is_last = links().next_back().is_some_and(|last| is_suppressed(&last.id));
    let sent = links().filter(|link| !is_suppressed(&link.id)).count();
    let recipients: BTreeSet<u16> = links().filter(|link| is_suppressed(&link.id)).map(|link| link.recipient).collect();
    let is_reminder = |purpose, recipient| purpose == Purpose::Reminder && recipients.contains(&recipient);
    changes.deliveries.retain(|delivery| !is_reminder(delivery.purpose, delivery.recipient));
    for event in &mut changes.events {
        if let Payload::Created(CreatedPayload { mailed_count, .. })
        | Payload::Resent(ResentPayload { mailed_count, .. }) = &mut event.payload
        {
            *mailed_count = mailed_count.saturating_sub(suppressed.len());
        }
        if let Payload::Updated(updated) = &mut event.payload {
            updated.mailed_count = updated.mailed_count.saturating_sub(suppressed.len());
        }
    }
    if let Some(about) = changes.about() {
        let mut maker = Maker::beside(loaded, command);
        let messages = changes.deliveries.iter().filter_map(|message| Some((message, *suppressed.get(&message.id)?)));
        let event =
            |(message, reason)| maker.delivery_event(about, message, EventType::DeliverySuppressed, Some(reason));
        let events: Vec<_> = messages.map(event).collect();
        changes.events.extend(events);
    }
    let Some(Change::Create(about) | Change::Update { invitation: about, .. }) = changes.invitations.first_mut() else {
        return;
    };
    if is_last {
        about.latest_delivery = Some(DeliveryState::Suppressed);
    }
    if sent == 0 {
        let before = loaded.invitation(&about.account, about.id).ok();
        about.first_sent_at = before.and_then(|before| before.first_sent_at);
        about.last_sent_at = before.and_then(|before| before.last_sent_at);
    }
}
