//! What happened to invitations, in the past tense. Events hold neither a token nor an address.

use serde_json::{Map, Value};
use uuid::Uuid;

use super::EngagementType;
use crate::domain::delivery::DeliveryReport;
use crate::domain::kind::Kind;
use crate::domain::value::id::InvitationId;
use crate::domain::value::text::AccountId;
use crate::domain::value::time::Timestamp;
use crate::domain::value::word::Word;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventType {
    /// An invitation was made.
    Created,
    /// Its page was seen.
    Viewed,
    /// Its link was followed.
    Clicked,
    /// A preview of its link was fetched.
    Unfurled,
    /// Somebody accepted it.
    Accepted,
    /// A recipient declined it.
    Declined,
    /// It was revoked.
    Revoked,
    /// It was sent again, renewed, or given a new link.
    Resent,
    /// Something else about it changed.
    Updated,
    /// Its person accepted another invitation into the same scope.
    AcceptedElsewhere,
    /// It was put away.
    Archived,
    /// It was taken out again.
    Unarchived,
    /// The domains of an auto-join changed.
    AutojoinUpdated,
    /// Its last use was consumed.
    Fulfilled,
    /// Its time passed while it was ACTIVE.
    Expired,
    /// A code proved an address of it.
    EmailVerified,
    /// The mail server accepted a message.
    DeliverySent,
    /// A message reached its mailbox, as the provider reports.
    DeliveryDelivered,
    /// A message came back, as the provider reports.
    DeliveryBounced,
    /// A message was given up.
    DeliveryFailed,
    /// A message was opened, as the provider reports.
    DeliveryOpened,
    /// A message was called spam, as the provider reports.
    DeliveryComplained,
}

impl EventType {
    /// Every type there is.
    pub const ALL: [Self; 22] = [
        Self::Created,
        Self::Viewed,
        Self::Clicked,
        Self::Unfurled,
        Self::Accepted,
        Self::Declined,
        Self::Revoked,
        Self::Resent,
        Self::Updated,
        Self::AcceptedElsewhere,
        Self::Archived,
        Self::Unarchived,
        Self::AutojoinUpdated,
        Self::Fulfilled,
        Self::Expired,
        Self::EmailVerified,
        Self::DeliverySent,
        Self::DeliveryDelivered,
        Self::DeliveryBounced,
        Self::DeliveryFailed,
        Self::DeliveryOpened,
        Self::DeliveryComplained,
    ];

    /// Returns the name that followers of events see.
    pub fn name(self) -> &'static str {
        match self {
            Self::Created => "invitation.created",
            Self::Viewed => "invitation.viewed",
            Self::Clicked => "invitation.clicked",
            Self::Unfurled => "invitation.unfurled",
            Self::Accepted => "invitation.accepted",
            Self::Declined => "invitation.declined",
            Self::Revoked => "invitation.revoked",
            Self::Resent => "invitation.resent",
            Self::Updated => "invitation.updated",
            Self::AcceptedElsewhere => "invitation.accepted_elsewhere",
            Self::Archived => "invitation.archived",
            Self::Unarchived => "invitation.unarchived",
            Self::AutojoinUpdated => "autojoin.updated",
            Self::Fulfilled => "invitation.fulfilled",
            Self::Expired => "invitation.expired",
            Self::EmailVerified => "invitation.email_verified",
            Self::DeliverySent => "delivery.sent",
            Self::DeliveryDelivered => "delivery.delivered",
            Self::DeliveryBounced => "delivery.bounced",
            Self::DeliveryFailed => "delivery.failed",
            Self::DeliveryOpened => "delivery.opened",
            Self::DeliveryComplained => "delivery.complained",
        }
    }

    /// Reverses [`EventType::name`].
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|event_type| event_type.name() == name)
    }
}

impl From<EngagementType> for EventType {
    fn from(engagement: EngagementType) -> Self {
        match engagement {
            EngagementType::View => Self::Viewed,
            EngagementType::Click => Self::Clicked,
            EngagementType::Unfurl => Self::Unfurled,
        }
    }
}

impl From<DeliveryReport> for EventType {
    fn from(report: DeliveryReport) -> Self {
        match report {
            DeliveryReport::Delivered => Self::DeliveryDelivered,
            DeliveryReport::Bounced => Self::DeliveryBounced,
            DeliveryReport::Opened => Self::DeliveryOpened,
            DeliveryReport::Complained => Self::DeliveryComplained,
        }
    }
}

/// An event as it is decided; the store counts it when it commits.
#[derive(Clone, Debug, PartialEq)]
pub struct NewEvent<K = Kind, T = EventType> {
    /// Names the event for good, over retries and deliveries.
    pub id: Uuid,
    /// Whose it is.
    pub account: AccountId,
    /// To which invitation it happened.
    pub invitation: InvitationId,
    /// The invitation's kind.
    pub kind: K,
    /// What happened.
    pub event_type: T,
    /// When it was decided.
    pub time: Timestamp,
    /// The name of the credential that caused it.
    pub actor: String,
    /// The request_id of the call that caused it.
    pub request_id: Option<String>,
    /// What else there is to say.
    pub data: Map<String, Value>,
}

/// The word of an event, as it is stored: a newer release may have written it.
pub type StoredEvent = NewEvent<Word<Kind>, Word<EventType>>;

impl StoredEvent {
    /// Returns the name of the type that followers of events see.
    pub fn type_name(&self) -> &str {
        self.event_type.text(EventType::name)
    }
}

/// An event as it was committed.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// What was decided.
    pub event: StoredEvent,
    /// Counts the invitation's events from 1.
    pub sequence: i64,
    /// Its place among the events of all invitations, from 1; none until the sequencer has come to it.
    pub position: Option<i64>,
}
