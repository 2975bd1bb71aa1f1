//! The reasons why a command is refused. `server::status` gives each reason its code, its text and its `ErrorReason`.

use std::time::Duration;

use uuid::Uuid;

use crate::domain::kind::Kind;
use crate::domain::value::id::{AcceptanceId, InvitationId};
use crate::domain::value::rule::Invalid;

/// A caller asked for something too often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimited {
    /// The limit's name.
    pub limit: &'static str,
    /// The time to wait.
    pub retry_after: Duration,
}

/// A command would use more of a quota than is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuotaExceeded {
    /// The quota's name.
    pub name: &'static str,
    /// The most that may be used.
    pub limit: u32,
    /// The part that is used.
    pub used: i64,
    /// The number that the command asks for.
    pub asked: i64,
    /// The time after which there is room again, if only time makes it.
    pub retry_after: Option<Duration>,
}

/// A scope has no room for what a command asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScopeFull {
    /// The type of the scope.
    pub scope_type: String,
    /// The scope's id.
    pub scope_id: String,
    /// The number of seats.
    pub seats: i64,
    /// The number of those that are neither occupied nor reserved.
    pub available: i64,
}

/// A rule of the domain that a command breaks. A refused command changes nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The caller can see no invitation with this token or name.
    InvitationNotFound,
    /// The invitation has no such acceptance.
    AcceptanceNotFound(InvitationId, AcceptanceId),
    /// The invitation has no created connection of this id.
    CreatedConnectionNotFound(Uuid),
    /// The id is taken, or the acceptance has another connection.
    CreatedConnectionExists(Uuid),
    /// An equal invitation is ACTIVE already: this one.
    InvitationExists(InvitationId, Kind),
    /// An equal invitation would exist, had the batch not been taken back: an earlier command of it creates that one.
    InvitationExistsInBatch,
    /// More invitations are ACTIVE for its targets than a command may compare, or a batch read.
    TooManyRivals,
    /// It is meant for many, so no recipient can decline it for all.
    NotDeclinable,
    /// The expiry has passed.
    InvitationExpired,
    /// It was revoked.
    InvitationRevoked,
    /// It, or the recipient in question, has declined.
    InvitationDeclined,
    /// It, or the recipient in question, has been used up.
    InvitationFulfilled,
    /// The acceptance was undone.
    AcceptanceReleased,
    /// The acceptance was ended, and its subject may not accept again.
    AcceptanceEnded,
    /// The time for which the subject's acceptance counts is over.
    GrantExpired,
    /// All that would keep a subject from accepting, in the order in which an accept checks it.
    Blocked(Vec<Refusal>),
    /// The caller may not give this role.
    RoleNotGrantable(String),
    /// The name of an invitation that is open to whoever has its link is no proof of having it.
    LinkRequired,
    /// A plain link does not show which recipient declines.
    RecipientUnknown,
    /// A recipient whom the command names has answered already: the one with this ordinal.
    RecipientAnswered(InvitationId, u16),
    /// The service does not update invitations of this kind, which the invitation is of.
    WrongKind(Kind),
    /// It was accepted this often, more often than a new limit would allow.
    MaxUsesBelowUseCount(u32),
    /// The invitation has had as many recipients as it may in its life.
    RecipientsUsedUp,
    /// The request_id was used for another request.
    RequestIdReused,
    /// The etag is stale.
    EtagMismatch,
    /// The etag of the acceptance is stale.
    AcceptanceEtagMismatch,
    /// The acceptor's e-mail address is none of the allowed ones.
    EmailNotAllowed,
    /// Nothing proves that the allowed address is the acceptor's.
    EmailNotVerified,
    /// Another subject has accepted with the proof of the address.
    EmailProofUsed,
    /// The link was rotated as often as its token can count.
    RotationsUsedUp,
    /// The invitation was mailed again too often.
    RateLimited(RateLimited),
    /// The command would use more of a quota than is left.
    QuotaExceeded(QuotaExceeded),
    /// The scope has no seat left.
    ScopeFull(Box<ScopeFull>),
    /// The account has no such message.
    DeliveryNotFound,
    /// Another process has the lease of the message.
    LeaseLost,
    /// A field does not fit the invitation it is meant for.
    InvalidField {
        /// The field's path in the request.
        field: &'static str,
        /// The problem.
        invalid: Invalid,
    },
    /// A field of the resource in the request does not fit the invitation, which is of this kind.
    InvalidFieldOf {
        /// The kind, whose message the field is in.
        kind: Kind,
        /// The field's path in the message.
        field: &'static str,
        /// The problem.
        invalid: Invalid,
    },
    /// An entry of a list does not fit the invitation it is meant for.
    InvalidEntry {
        /// The list's path in the request.
        field: &'static str,
        /// The place of the entry in the list.
        index: usize,
        /// The problem.
        invalid: Invalid,
    },
}

impl Refusal {
    /// Returns whether the state of the invitation, or of the subject's acceptance, is the only reason: see `State::require_active`
    /// and `Acceptance::require_active`.
    pub fn is_about_state(&self) -> bool {
        self.is_about_invitation()
            || matches!(self, Self::AcceptanceReleased | Self::AcceptanceEnded | Self::GrantExpired)
    }

    /// Returns whether the state of the invitation is the only reason.
    pub fn is_about_invitation(&self) -> bool {
        matches!(
            self,
            Self::InvitationExpired | Self::InvitationRevoked | Self::InvitationDeclined | Self::InvitationFulfilled
        )
    }
}

impl From<RateLimited> for Refusal {
    fn from(limited: RateLimited) -> Self {
        Self::RateLimited(limited)
    }
}

/// An error of a command, which may be a refusal.
pub trait AsRefusal {
    /// Returns the refusal, if it is one.
    fn as_refusal(&mut self) -> Option<&mut Refusal>;
}

impl AsRefusal for Refusal {
    fn as_refusal(&mut self) -> Option<&mut Refusal> {
        Some(self)
    }
}
