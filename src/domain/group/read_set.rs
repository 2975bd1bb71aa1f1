//! The read set of a command: the rows that the store loads before the command is decided.

use uuid::Uuid;

use crate::domain::command::Target;
use crate::domain::invitation::Invitation;
use crate::domain::invitation::acceptance::Subject;
use crate::domain::invitation::recipient::Address;
use crate::domain::invitation::slot::SlotKey;
use crate::domain::kind::Scope;
use crate::domain::quota::QuotaKey;
use crate::domain::value::id::{AcceptanceId, InvitationId};

/// A search for general invitations to a scope that are meant for one of some addresses and have not ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenSearch {
    /// The scope; `None` for invitations without one.
    pub scope: Option<Scope>,
    /// The addresses, of which an invitation has one.
    pub addresses: Vec<Address>,
}

/// The rows that a command is decided on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadSet {
    /// The invitation.
    pub invitation: Option<InvitationId>,
    /// Whether the answer shows its newest acceptances.
    pub newest_acceptances: bool,
    /// The subject whose acceptance of it is read.
    pub subject: Option<Subject>,
    /// The id of an acceptance of it.
    pub acceptance: Option<AcceptanceId>,
    /// The connection whose acceptance of it is read.
    pub created_connection: Option<Uuid>,
    /// The slots whose holders are read.
    pub slots: Vec<SlotKey>,
    /// The search for open invitations.
    pub open_search: Option<OpenSearch>,
    /// Invitations that the search has found.
    pub found: Vec<InvitationId>,
    /// The message that is read with its invitation.
    pub delivery: Option<Uuid>,
    /// The counts of quotas.
    pub quotas: Vec<QuotaKey>,
    /// The keys of addresses that may be suppressed.
    pub suppressions: Vec<String>,
    /// The scopes whose seats are read.
    pub scopes: Vec<Scope>,
    /// The people whose seats are read, each with the id of the scope's settings.
    pub seats: Vec<(Uuid, Subject)>,
    /// Whether the recipients of that invitation are left out: there may be a thousand, with a message for each.
    pub without_recipients: bool,
}

impl ReadSet {
    /// Returns the read set of a command about an invitation.
    pub(in crate::domain) fn of(invitation: InvitationId) -> Self {
        Self { invitation: Some(invitation), ..Self::default() }
    }

    /// Returns the read set of a command about a named invitation; its answer shows the newest acceptances.
    pub(in crate::domain) fn of_named(target: &Target) -> Self {
        Self { newest_acceptances: true, ..Self::of(target.id) }
    }

    /// Returns the read set of a command that takes the slots of its invitation again.
    pub(in crate::domain) fn of_slots(invitation: &Invitation) -> Self {
        Self { slots: SlotKey::of(&invitation.details, invitation.addresses()), ..Self::default() }
    }
}
