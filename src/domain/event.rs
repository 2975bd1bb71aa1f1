//! What happened to invitations, in the past tense. Events hold neither a token nor an address.

use serde_json::{Map, Value};
use uuid::Uuid;

use super::details::Kind;
use super::id::InvitationId;
use super::invitation::EngagementType;
use super::text::AccountId;
use super::time::Timestamp;

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
}

impl EventType {
    /// Every type there is.
    pub const ALL: [Self; 14] = [
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

/// An event as it is decided; the store counts it when it commits.
#[derive(Clone, Debug, PartialEq)]
pub struct NewEvent {
    /// Names the event for good, over retries and deliveries.
    pub id: Uuid,
    /// Whose it is.
    pub account: AccountId,
    /// To which invitation it happened.
    pub invitation: InvitationId,
    /// The invitation's kind.
    pub kind: Kind,
    /// What happened.
    pub event_type: EventType,
    /// When it was decided.
    pub time: Timestamp,
    /// The name of the credential that caused it.
    pub actor: String,
    /// The request_id of the call that caused it.
    pub request_id: Option<String>,
    /// What else there is to say.
    pub data: Map<String, Value>,
}

/// An event as it was committed.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// What was decided.
    pub event: NewEvent,
    /// Counts the invitation's events from 1.
    pub sequence: i64,
}
