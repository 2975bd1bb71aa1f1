//! What commands have to know before they are decided, by which the store knows what to load.

use uuid::Uuid;

use super::{Access, Action, Command, Target};
use crate::domain::group::loaded::Loaded;
use crate::domain::invitation::acceptance::Subject;
use crate::domain::invitation::elsewhere::elsewhere;
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

/// What a command has to know before it can be decided.
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

impl Command {
    /// Returns what it has to know beforehand, apart from its remembered request.
    pub fn read_set(&self) -> ReadSet {
        let named =
            |target: &Target| ReadSet { invitation: Some(target.id), newest_acceptances: true, ..ReadSet::default() };
        let reached = |access: &Access| ReadSet { invitation: Some(access.invitation()), ..ReadSet::default() };
        match &self.action {
            Action::Create(create) => {
                ReadSet { slots: create.slots(), open_search: create.open_search(), ..ReadSet::default() }
            }
            Action::Accept(accept) => ReadSet {
                subject: Some(accept.acceptor.subject.clone()),
                created_connection: accept.created_connection.as_ref().map(|connection| connection.id),
                ..reached(&accept.access)
            },
            Action::Decline(decline) => reached(&decline.access),
            Action::RecordEngagement(record) => {
                ReadSet { invitation: Some(record.link.invitation), ..ReadSet::default() }
            }
            Action::VerifyEmail(verify) => ReadSet { invitation: Some(verify.link.invitation), ..ReadSet::default() },
            Action::Expire(expire) => ReadSet { invitation: Some(expire.id), ..ReadSet::default() },
            Action::Revoke(revoke) => named(&revoke.target),
            Action::Resend(resend) => named(&resend.target),
            Action::UpdateGuest(update) => named(&update.target),
            Action::Delete(delete) => named(&delete.target),
            Action::SettleDelivery(settle) => {
                ReadSet { delivery: Some(settle.delivery), without_recipients: true, ..ReadSet::default() }
            }
            Action::ReportDelivery(report) => ReadSet { delivery: Some(report.delivery), ..ReadSet::default() },
            Action::SyncAutojoin(sync) => ReadSet { slots: vec![SlotKey::autojoin(&sync.scope)], ..ReadSet::default() },
            Action::UpdateCreatedConnection(update) => ReadSet {
                acceptance: update.acceptance,
                created_connection: Some(update.connection.id),
                ..named(&update.target)
            },
        }
    }

    /// Returns what else it has to know, as only the invitation tells; most commands need no second look.
    pub fn second_read_set(&self, loaded: &Loaded) -> ReadSet {
        let invitation = self.invitation().and_then(|id| loaded.invitation(&self.account, id).ok());
        let Some(invitation) = invitation else { return ReadSet::default() };
        match &self.action {
            Action::Resend(_) | Action::UpdateGuest(_) => {
                ReadSet { slots: SlotKey::of(&invitation.details, invitation.addresses()), ..ReadSet::default() }
            }
            Action::Accept(accept) => {
                ReadSet { open_search: elsewhere(invitation, accept, loaded.now), ..ReadSet::default() }
            }
            Action::Create(_)
            | Action::Decline(_)
            | Action::RecordEngagement(_)
            | Action::VerifyEmail(_)
            | Action::Revoke(_)
            | Action::Delete(_)
            | Action::SyncAutojoin(_)
            | Action::SettleDelivery(_)
            | Action::ReportDelivery(_)
            | Action::UpdateCreatedConnection(_)
            | Action::Expire(_) => ReadSet::default(),
        }
    }
}
