//! The read set of a command: the rows that the store loads before the command is decided.

use uuid::Uuid;

use super::Target;
use crate::domain::invitation::Invitation;
use crate::domain::invitation::acceptance::Subject;
use crate::domain::invitation::recipient::Address;
use crate::domain::invitation::slot::SlotKey;
use crate::domain::kind::Scope;
use crate::domain::value::id::{AcceptanceId, InvitationId};

/// The general invitations into a scope that are meant for one of some addresses and not ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenSearch {
    /// Into this scope; none for those without one.
    pub scope: Option<Scope>,
    /// For one of these.
    pub addresses: Vec<Address>,
}

/// The rows that a command is decided on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadSet {
    /// The invitation.
    pub invitation: Option<InvitationId>,
    /// Whether its newest acceptances belong in the answer.
    pub newest_acceptances: bool,
    /// A subject's acceptance of it.
    pub subject: Option<Subject>,
    /// An acceptance of it.
    pub acceptance: Option<AcceptanceId>,
    /// The acceptance of it that made this connection.
    pub created_connection: Option<Uuid>,
    /// Who has these slots, and the invitations that do.
    pub slots: Vec<SlotKey>,
    /// Invitations that are found by whom they are for.
    pub open_search: Option<OpenSearch>,
    /// A message, and its invitation.
    pub delivery: Option<Uuid>,
    /// Whether that invitation's recipients do not matter: there may be a thousand, and a message for each.
    pub without_recipients: bool,
}

impl ReadSet {
    /// Returns the read set of a command about an invitation.
    pub(super) fn of(invitation: InvitationId) -> Self {
        Self { invitation: Some(invitation), ..Self::default() }
    }

    /// Returns the read set of a command about a named invitation; its answer shows the newest acceptances.
    pub(super) fn of_named(target: &Target) -> Self {
        Self { newest_acceptances: true, ..Self::of(target.id) }
    }

    /// Returns the read set of a command that takes the slots of its invitation anew.
    pub(super) fn of_slots(invitation: &Invitation) -> Self {
        Self { slots: SlotKey::of(&invitation.details, invitation.addresses()), ..Self::default() }
    }
}
