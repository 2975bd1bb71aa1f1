//! Notices to the inviter: what became of an invitation, at most one mail per invitation, purpose and hour.
//!
//! A notice is planned by the commit that it reports, for the end of the hour (the first acceptance's at once); see [`super::planned`]. A link that 500 people
//! accept in an hour has one row and one mail, which counts them when it is sent.

use std::fmt;
use std::time::Duration;

use super::planned::PlannedMessage;
use super::{Delivery, NewDelivery, Purpose};
use crate::domain::command::Command;
use crate::domain::decide::{AcceptanceChange, Change, Changes};
use crate::domain::group::loaded::Loaded;
use crate::domain::invitation::Invitation;
use crate::domain::invitation::event::{EventType, NewEvent, Payload};
use crate::domain::invitation::state::State;
use crate::domain::kind::shared::Inviter;
use crate::domain::value::given_email::GivenEmail;
use crate::domain::value::id::InvitationId;
use crate::domain::value::time::Timestamp;

/// The time that one notice reports, and the least time between two of the same purpose.
const HOUR: Duration = Duration::from_secs(3_600);
/// The time after the creation of an invitation at which its hours begin, except those of acceptances. Most mail that bounces
/// has bounced by then.
const GATHER: Duration = Duration::from_secs(300);
/// The time after the end of an hour at which it is reported: what was decided in the hour is committed by then.
const COMMIT_TIME: Duration = Duration::from_secs(30);

/// The notices that inviters get.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Notices {
    /// Notices of acceptances.
    pub accepted: bool,
    /// Notices of recipients who declined.
    pub declined: bool,
    /// Notices of recipients whose mail did not arrive.
    pub failed: bool,
    /// Notices of expiries.
    pub expired: bool,
}

impl Notices {
    /// Inviters get no notices.
    pub const NONE: Self = Self { accepted: false, declined: false, failed: false, expired: false };

    /// Plans the notices that follow from the events of a command.
    pub(in crate::domain) fn plan(self, loaded: &Loaded, command: &Command, changes: &mut Changes) {
        if self == Self::NONE {
            return;
        }
        let mut notices: Vec<NewDelivery> = Vec::new();
        for event in &changes.events {
            let Some(purpose) = purpose_of(event).filter(|purpose| self.has(*purpose)) else { continue };
            let changed = changes.invitations.iter_mut().find_map(|change| changed(change, event.invitation));
            let loaded = || loaded.invitation(command.account(), event.invitation).ok();
            let Some(invitation) = changed.as_deref().or_else(|| loaded().map(|found| &**found)) else { continue };
            let inviter = invitation.details.shared().inviter.as_ref().filter(|inviter| inviter.email.is_some());
            if inviter.is_none_or(|inviter| is_by_inviter(event, inviter, changes.acceptance.as_ref())) {
                continue;
            }
            let notice = planned(purpose, invitation, event.time).of(invitation.id, event.time);
            if let Some(accepted) = changed.filter(|_| purpose == Purpose::AcceptanceNotice) {
                accepted.repeats.first_told.get_or_insert(event.time);
            }
            if notices.iter().all(|other| other.id != notice.id) {
                notices.push(notice);
            }
        }
        changes.deliveries.extend(notices);
    }

    fn has(self, purpose: Purpose) -> bool {
        let Self { accepted, declined, failed, expired } = self;
        match purpose {
            Purpose::AcceptanceNotice => accepted,
            Purpose::DeclineNotice => declined,
            Purpose::FailureNotice => failed,
            Purpose::ExpiryNotice => expired,
            Purpose::Invitation | Purpose::Reminder | Purpose::VerificationCode => false,
        }
    }
}

/// The content of a notice.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct NoticeContent {
    /// The number of people that it reports; for a notice of an expiry, of those who had accepted.
    pub count: u64,
    /// The first of them, at most [`NAMED_PEOPLE`], as far as they are known.
    pub people: Vec<NamedPerson>,
    /// The data source of the connection that the only one of them created.
    pub connection: Option<String>,
}

/// A person in a notice, by name and address as far as they are known.
#[derive(Clone, PartialEq, Eq)]
pub struct NamedPerson {
    /// Their name.
    pub display_name: Option<String>,
    /// Their address as they, or the inviter, wrote it.
    pub address: Option<String>,
}

/// The number of people that a notice names.
pub const NAMED_PEOPLE: usize = 3;

/// Shows no person.
impl fmt::Debug for NoticeContent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NoticeContent").field("count", &self.count).finish_non_exhaustive()
    }
}

impl NoticeContent {
    /// Creates the content of a notice of some people, with as many names as fit.
    pub fn of(count: u64, people: impl IntoIterator<Item = (Option<String>, Option<String>)>) -> Self {
        let people = people.into_iter().filter(|(name, address)| name.is_some() || address.is_some());
        let people = people.map(|(display_name, address)| NamedPerson { display_name, address });
        Self { count, people: people.take(NAMED_PEOPLE).collect(), connection: None }
    }
}

/// Returns the span that a notice reports: the hour before a moment, and the moment.
pub fn span_before(moment: Timestamp) -> (Timestamp, Timestamp) {
    (moment.earlier(HOUR), moment)
}

/// Returns the reason why a notice need not be sent, if there is one.
pub(super) fn needless(notice: &Delivery, invitation: &Invitation, now: Timestamp) -> Option<&'static str> {
    if notice.address(invitation).is_none() {
        return Some("there is no inviter with an address");
    }
    let is_over = notice.message.purpose == Purpose::ExpiryNotice && invitation.state_at(now) != State::Expired;
    is_over.then_some("the invitation is no longer EXPIRED")
}

/// Returns the purpose of the notice that follows from an event.
fn purpose_of(event: &NewEvent) -> Option<Purpose> {
    let brings_link = || match &event.payload {
        Payload::Delivery(message) => message.purpose.known().is_some_and(Purpose::brings_link),
        _ => false,
    };
    match event.event_type {
        EventType::Accepted => Some(Purpose::AcceptanceNotice),
        EventType::Declined => Some(Purpose::DeclineNotice),
        EventType::Expired => Some(Purpose::ExpiryNotice),
        // A notice that cannot be delivered is no reason for another one.
        EventType::DeliveryFailed | EventType::DeliveryBounced | EventType::DeliverySuppressed => {
            brings_link().then_some(Purpose::FailureNotice)
        }
        _ => None,
    }
}

/// Returns the invitation that a command changes, if it is the one with an id.
fn changed(change: &mut Change, id: InvitationId) -> Option<&mut Invitation> {
    let (Change::Create(invitation) | Change::Update { invitation, .. }) = change;
    Some(invitation).filter(|invitation| invitation.id == id)
}

/// Returns whether the inviter has accepted by themselves: they know it, and a person who tries their own link gets no mail.
fn is_by_inviter(event: &NewEvent, inviter: &Inviter, acceptance: Option<&AcceptanceChange>) -> bool {
    let (Payload::Accepted(accepted), Some(AcceptanceChange::Create(acceptance))) = (&event.payload, acceptance) else {
        return false;
    };
    let email = acceptance.email.as_ref().map(GivenEmail::search_key);
    // Only who was matched with a recipient has proved the address: a stranger could name the inviter's, so that nobody hears of them.
    let is_proven = acceptance.recipient.is_some();
    let is_address = is_proven && inviter.email.as_ref().is_some_and(|own| email.as_deref() == Some(own.key()));
    acceptance.id == accepted.acceptance && (is_address || acceptance.subject.0 == inviter.user_id)
}

/// Returns the notice of the hour that a moment is in. The first acceptance ends its hour, so that the inviter knows of it at once.
fn planned(purpose: Purpose, invitation: &Invitation, now: Timestamp) -> PlannedMessage {
    let first_told = invitation.repeats.first_told.unwrap_or(now);
    let first = match Some(first_told).filter(|_| purpose == Purpose::AcceptanceNotice) {
        Some(first) if now <= first => {
            return PlannedMessage { purpose, recipient: 0, due_at: first, moment: Some(first) };
        }
        Some(first) => first,
        None => invitation.created_at.later(GATHER),
    };
    let hours = now.since(first).as_micros().div_ceil(HOUR.as_micros());
    let end = first.later(HOUR.saturating_mul(u32::try_from(hours).unwrap_or(u32::MAX)));
    PlannedMessage { purpose, recipient: 0, due_at: end.later(COMMIT_TIME), moment: Some(end) }
}
