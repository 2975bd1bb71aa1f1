//! What a list of invitations can be asked for.

use std::collections::BTreeMap;

use super::{Cursor, SortKey};
use crate::domain::invitation::Invitation;
use crate::domain::invitation::recipient::{Address, Recipient};
use crate::domain::invitation::state::State;
use crate::domain::kind::{Kind, Scope};
use crate::domain::value::time::Timestamp;

/// Which invitations a list has, and in which order. Filters that are set must all hold.
#[derive(Clone, Debug, Default)]
pub struct InvitationQuery {
    /// Only these kinds; empty means all.
    pub kinds: Vec<Kind>,
    /// Only these states; empty means all.
    pub states: Vec<State>,
    /// Only into this scope, or into a group that is the same.
    pub scope: Option<Scope>,
    /// Only about this resource.
    pub resource_id: Option<uuid::Uuid>,
    /// Only by this creator.
    pub creator: Option<String>,
    /// Only by this inviting person.
    pub inviter_user_id: Option<String>,
    /// Only made with this widget.
    pub widget_configuration_id: Option<String>,
    /// Only meant for this address, however it is spelled.
    pub target: Option<Address>,
    /// Only meant for an e-mail address whose normalised form begins with this.
    pub email_prefix: Option<String>,
    /// Only meant for an e-mail address whose normalised form has this in it.
    pub email_query: Option<String>,
    /// Only with all these labels.
    pub labels: BTreeMap<String, String>,
    /// Only what is, or is not, put away.
    pub archived: Option<bool>,
    /// Only what has, or has not, passed its expiry, whatever its state.
    pub expired: Option<bool>,
    /// Only guest invitations that stand like this; empty means all.
    pub guest_statuses: Vec<GuestStatus>,
    /// Only guest invitations of these organizations.
    pub hosts: Option<Vec<uuid::Uuid>>,
    /// Also what its kind's own service was told to forget.
    pub include_deleted: bool,
    /// What the list is sorted by.
    pub order: Order,
    /// The least first, instead of the greatest.
    pub ascending: bool,
    /// How many at most.
    pub limit: u64,
    /// How many rows are looked at, at most, for a page; `None` for any number. A page that is not full by then is short, and
    /// the list says where it goes on.
    pub scan: Option<u64>,
    /// How many are passed over before the first; behind the cursor, if there is one.
    pub skip: u64,
    /// Where to go on.
    pub after: Option<Cursor>,
    /// The moment a first page is judged at; none for the present one.
    pub at: Option<Timestamp>,
}

/// How a guest invitation stands in the eyes of its host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GuestStatus {
    /// Nobody has accepted it.
    Sent,
    /// A person who held the link accepted it.
    AcceptedByGuest,
    /// A system accepted it.
    AcceptedBySystem,
}

/// What a list of invitations is sorted by; ids tell equal ones apart. A moment that has not come is the far future.
///
/// All but the first are for the guest invitations of one scope. What never changes ([`Order::CreateTime`], [`Order::Email`] and
/// [`Order::FirstSent`]) is indexed for them; a page in another order sorts them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// When it was made.
    #[default]
    CreateTime,
    /// The normalised form of the first e-mail address.
    Email,
    /// When it was first sent.
    FirstSent,
    /// When it was last sent.
    LastSent,
    /// When it expires.
    Expire,
    /// When it was accepted.
    Accept,
    /// When it was put away.
    Archive,
    /// When it was last changed.
    Update,
}

impl Order {
    /// Every order there is.
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

    /// Returns the sort key of invitation `i`: where there is an index for it, the very expression that is indexed.
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

    /// Returns the same in Rust.
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
