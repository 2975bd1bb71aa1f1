//! The query for a list of invitations.

use std::collections::BTreeMap;

use super::{Cursor, SortKey};
use crate::domain::invitation::Invitation;
use crate::domain::invitation::recipient::{Address, Recipient};
use crate::domain::invitation::state::State;
use crate::domain::kind::general::Usage;
use crate::domain::kind::{Kind, Scope};
use crate::domain::value::time::Timestamp;

/// The filters and the order of a list of invitations. Filters that are set must all hold.
#[derive(Clone, Debug, Default)]
pub struct InvitationQuery {
    /// Only these kinds; empty means all.
    pub kinds: Vec<Kind>,
    /// Only these states; empty means all.
    pub states: Vec<State>,
    /// Only invitations to this scope, or to a group that is the same.
    pub scope: Option<Scope>,
    /// Only invitations about this resource.
    pub resource_id: Option<uuid::Uuid>,
    /// Only invitations by this creator.
    pub creator: Option<String>,
    /// Only invitations by this inviting person.
    pub inviter_user_id: Option<String>,
    /// Only invitations that were created with this widget.
    pub widget_configuration_id: Option<String>,
    /// Only invitations of this type, in the words of their creator.
    pub subtype: Option<String>,
    /// Only invitations of these usages; empty means all.
    pub usages: Vec<Usage>,
    /// Only user invitations with this role.
    pub role: Option<String>,
    /// Only guest invitations with this parent organization.
    pub parent_organization_id: Option<uuid::Uuid>,
    /// Only invitations that were created in this span.
    pub created: TimeRange,
    /// Only invitations whose expiry lies in this span.
    pub expires: TimeRange,
    /// Only invitations to this address, however it is spelled.
    pub target: Option<Address>,
    /// Only invitations to an e-mail address whose normalised form begins with this text.
    pub email_prefix: Option<String>,
    /// Only invitations to an e-mail address whose normalised form contains this text.
    pub email_query: Option<String>,
    /// Only invitations with all these labels.
    pub labels: BTreeMap<String, String>,
    /// Only archived invitations (true), or only others (false).
    pub archived: Option<bool>,
    /// Only invitations that have passed their expiry (true), or have not (false), whatever their state.
    pub expired: Option<bool>,
    /// Only guest invitations of these statuses; empty means all.
    pub guest_statuses: Vec<GuestStatus>,
    /// Whether invitations are included that the service of their kind has deleted.
    pub include_deleted: bool,
    /// The most recipients that are read of each invitation; `None` for all. One more is read where the others do not
    /// show that addresses bind the invitation.
    pub first_recipients: Option<u32>,
    /// The order of the list.
    pub order: Order,
    /// Whether the least comes first, instead of the greatest.
    pub ascending: bool,
    /// The most rows.
    pub limit: u64,
    /// The most rows that are looked at for a page; `None` for any number. A page that is not full by then is short,
    /// and has a cursor at which the list continues.
    pub scan: Option<u64>,
    /// The number of rows to skip before the first; behind the cursor, if there is one.
    pub skip: u64,
    /// The place behind which the list continues.
    pub after: Option<Cursor>,
    /// The moment at which a first page is judged; `None` for the present moment.
    pub at: Option<Timestamp>,
}

impl InvitationQuery {
    /// Restricts the query to the invitations that a moment knows, and judges them at it.
    pub fn until(mut self, at: Timestamp) -> Self {
        let end = Timestamp::from_micros(at.micros().saturating_add(1));
        self.created.end = Some(self.created.end.map_or(end, |earlier| earlier.min(end)));
        self.at = Some(at);
        self
    }
}

/// A span of time; an end that is `None` is open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimeRange {
    /// The first moment in it.
    pub start: Option<Timestamp>,
    /// The first moment behind it.
    pub end: Option<Timestamp>,
}

/// The status of a guest invitation, as its host sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GuestStatus {
    /// The invitation is not accepted.
    Sent,
    /// A person who held the link accepted it.
    AcceptedByGuest,
    /// A system accepted it.
    AcceptedBySystem,
}

/// The order of a list of invitations; ids tell equal keys apart. A moment that has not come counts as the far future.
///
/// All orders except the first are for the guest invitations of one scope. Keys that never change
/// ([`Order::CreateTime`], [`Order::Email`] and [`Order::FirstSent`]) are indexed for them; a page in another order is
/// sorted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// The moment of its creation.
    #[default]
    CreateTime,
    /// The normalised form of the first e-mail address.
    Email,
    /// The moment at which it was first sent.
    FirstSent,
    /// The moment at which it was last sent.
    LastSent,
    /// The moment of its expiry.
    Expire,
    /// The moment of its acceptance.
    Accept,
    /// The moment at which it was archived.
    Archive,
    /// The moment of its last change.
    Update,
}

impl Order {
    /// Every order.
    pub const ALL: [Self; 8] = [
        Self::CreateTime,
        Self::Email,
        Self::FirstSent,
        Self::LastSent,
        Self::Expire,
        Self::Accept,
        Self::Archive,
        Self::Update,
    ];

    /// Returns the sort key of invitation `i`: if there is an index for it, exactly the indexed expression.
    pub(super) fn sql(self) -> &'static str {
        match self {
            Self::CreateTime => "i.created_at",
            Self::Email => "i.sort_email",
            Self::FirstSent => "coalesce(i.first_sent_at, 9223372036854775807)",
            Self::LastSent => "coalesce(i.last_sent_at, 9223372036854775807)",
            Self::Expire => "coalesce(i.expire_at, 9223372036854775807)",
            Self::Accept => "coalesce(i.accepted_at, 9223372036854775807)",
            Self::Archive => "coalesce(i.archived_at, 9223372036854775807)",
            Self::Update => "i.updated_at",
        }
    }

    /// Returns the same key in Rust.
    pub(super) fn key_of(self, invitation: &Invitation) -> SortKey {
        let moment = match self {
            Self::Email => {
                let email = invitation.recipients.iter().find_map(Recipient::email);
                return SortKey::Text(email.map(|email| email.key().to_owned()).unwrap_or_default());
            }
            Self::CreateTime => Some(invitation.created_at),
            Self::FirstSent => invitation.first_sent_at,
            Self::LastSent => invitation.last_sent_at,
            Self::Expire => invitation.facts.expire_at,
            Self::Accept => invitation.facts.accepted_at,
            Self::Archive => invitation.archived_at,
            Self::Update => Some(invitation.updated_at),
        };
        SortKey::Number(moment.map_or(i64::MAX, Timestamp::micros))
    }
}
