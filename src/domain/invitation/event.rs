//! Events of invitations, in the past tense. They hold neither a token nor an address.

mod filter;
mod format;
pub mod payload;
mod type_filter;

use strum::{EnumString, IntoStaticStr, VariantArray};
use uuid::Uuid;

use super::EngagementType;
use super::state::State;
use crate::domain::delivery::DeliveryReport;
use crate::domain::kind::{Kind, Scope};
use crate::domain::value::id::InvitationId;
use crate::domain::value::text::AccountId;
use crate::domain::value::time::Timestamp;
use crate::domain::value::word::{self, Word};
pub use filter::EventFilter;
pub use format::EventFormat;
pub use payload::{EventData, Payload};
pub use type_filter::{EventFamily, EventTypeFilter};

/// The type of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumString, IntoStaticStr, VariantArray)]
pub enum EventType {
    /// An invitation was created.
    #[strum(serialize = "invitation.created")]
    Created,
    /// Its page was seen.
    #[strum(serialize = "invitation.viewed")]
    Viewed,
    /// Its link was followed.
    #[strum(serialize = "invitation.clicked")]
    Clicked,
    /// A preview of its link was fetched.
    #[strum(serialize = "invitation.unfurled")]
    Unfurled,
    /// A person accepted it.
    #[strum(serialize = "invitation.accepted")]
    Accepted,
    /// A recipient declined it.
    #[strum(serialize = "invitation.declined")]
    Declined,
    /// It was revoked.
    #[strum(serialize = "invitation.revoked")]
    Revoked,
    /// It was sent again, renewed, or given a new link.
    #[strum(serialize = "invitation.resent")]
    Resent,
    /// It changed in another respect.
    #[strum(serialize = "invitation.updated")]
    Updated,
    /// Its person accepted another invitation into the same scope.
    #[strum(serialize = "invitation.accepted_elsewhere")]
    AcceptedElsewhere,
    /// The acceptance that had closed it was undone.
    #[strum(serialize = "invitation.reopened")]
    Reopened,
    /// It was archived.
    #[strum(serialize = "invitation.archived")]
    Archived,
    /// It was unarchived.
    #[strum(serialize = "invitation.unarchived")]
    Unarchived,
    /// The domains of an auto-join changed.
    #[strum(serialize = "autojoin.updated")]
    AutojoinUpdated,
    /// Its last use was consumed.
    #[strum(serialize = "invitation.fulfilled")]
    Fulfilled,
    /// Its expiry passed while it was ACTIVE.
    #[strum(serialize = "invitation.expired")]
    Expired,
    /// A code verified an address of it.
    #[strum(serialize = "invitation.email_verified")]
    EmailVerified,
    /// The data of a person were erased from it.
    #[strum(serialize = "invitation.recipient_erased")]
    RecipientErased,
    /// An acceptance was undone.
    #[strum(serialize = "acceptance.released")]
    AcceptanceReleased,
    /// An acceptance was ended for good.
    #[strum(serialize = "acceptance.ended")]
    AcceptanceEnded,
    /// The time for which an acceptance counts is over.
    #[strum(serialize = "acceptance.expired")]
    AcceptanceExpired,
    /// The time for which an acceptance counts was changed.
    #[strum(serialize = "acceptance.updated")]
    AcceptanceUpdated,
    /// The mail server accepted a message.
    #[strum(serialize = "delivery.sent")]
    DeliverySent,
    /// A message reached its mailbox, as the provider reports.
    #[strum(serialize = "delivery.delivered")]
    DeliveryDelivered,
    /// A message bounced, as the provider reports.
    #[strum(serialize = "delivery.bounced")]
    DeliveryBounced,
    /// A message failed for good.
    #[strum(serialize = "delivery.failed")]
    DeliveryFailed,
    /// A message was opened, as the provider reports.
    #[strum(serialize = "delivery.opened")]
    DeliveryOpened,
    /// A message was reported as spam, as the provider reports.
    #[strum(serialize = "delivery.complained")]
    DeliveryComplained,
    /// A message was not sent, because its address is suppressed or has had as many as it may.
    #[strum(serialize = "delivery.suppressed")]
    DeliverySuppressed,
    /// An address was suppressed.
    #[strum(serialize = "suppression.created")]
    SuppressionCreated,
}

impl EventType {
    /// Every type.
    pub const ALL: [Self; Self::VARIANTS.len()] = word::array(Self::VARIANTS);

    /// Returns the name that followers of events see.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// Reverses [`EventType::name`].
    pub fn from_name(name: &str) -> Option<Self> {
        name.parse().ok()
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

/// An event as it is decided; the store numbers it when it commits.
#[derive(Clone, Debug, PartialEq)]
pub struct NewEvent<K = Kind, T = EventType, S = State, P = Payload> {
    /// The event's id, the same over retries and deliveries.
    pub id: Uuid,
    /// The account that owns it.
    pub account: AccountId,
    /// The invitation.
    pub invitation: InvitationId,
    /// The invitation's kind.
    pub kind: K,
    /// The type.
    pub event_type: T,
    /// The invitation's state after it.
    pub state: S,
    /// The invitation's scope, if it has one.
    pub scope: Option<Scope>,
    /// The moment of the decision.
    pub time: Timestamp,
    /// The actor that caused it: `apiKeys/{name}`, `issuers/{issuer}/subjects/{subject}`, `users/{subject}`, `anonymous`, or `system/` and a part of this service.
    pub actor: String,
    /// The request_id of the call that caused it.
    pub request_id: Option<String>,
    /// The text that the invitation's creator passes through to followers of events.
    pub pass_through: Option<String>,
    /// The content, depending on the type.
    pub payload: P,
}

impl NewEvent {
    /// Returns whether it tells of people who are invited to an invitation that there was.
    pub fn invites(&self) -> bool {
        matches!(&self.payload, Payload::Updated(updated) if !updated.added.is_empty())
    }

    /// Returns what is stored in one JSON object.
    pub fn data(&self) -> EventData {
        EventData {
            state: self.state.code().to_owned(),
            scope: self.scope.clone(),
            pass_through: self.pass_through.clone(),
            payload: self.payload.json(),
        }
    }
}

/// An event with its stored kind, type and state, which a newer release may have written; an event of an unknown type has
/// no payload.
pub type StoredEvent = NewEvent<Word<Kind>, Word<EventType>, Word<State>, Option<Payload>>;

/// The stored kind and state of an event that belongs to no invitation.
pub const NO_INVITATION: &str = "none";

impl StoredEvent {
    /// Returns whether it belongs to an invitation; the suppression of an address by a caller does not.
    pub fn is_of_invitation(&self) -> bool {
        self.kind.text(Kind::code) != NO_INVITATION
    }

    /// Returns the name of the type that followers of events see.
    pub fn type_name(&self) -> &str {
        self.event_type.text(EventType::name)
    }
}

/// An event as it was committed.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// The event as decided.
    pub event: StoredEvent,
    /// The number of the event among those of its invitation, from 1.
    pub sequence: i64,
    /// Its place among the events of all invitations, from 1; `None` until the sequencer has numbered it.
    pub position: Option<i64>,
    /// The span that committed it (`traceparent` of W3C Trace Context), if that was recorded: those to whom it is told are linked to it.
    pub traceparent: Option<String>,
}
