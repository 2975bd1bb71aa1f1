//! What commands have to know before they are decided, by which the store knows what to load.

use uuid::Uuid;

use super::{Action, Command, Target, Way};
use crate::domain::group::loaded::Loaded;
use crate::domain::invitation::acceptance::Subject;
use crate::domain::invitation::elsewhere::elsewhere;
use crate::domain::invitation::recipient::Address;
use crate::domain::invitation::slot::SlotKey;
use crate::domain::kind::Scope;
use crate::domain::value::id::{AcceptanceId, InvitationId};

/// The general invitations into a scope that are meant for one of some addresses and not ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sought {
    /// Into this scope; none for those without one.
    pub scope: Option<Scope>,
    /// For one of these.
    pub addresses: Vec<Address>,
}

/// What a command has to know before it can be decided.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
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
    pub sought: Option<Sought>,
    /// A message, and its invitation.
    pub delivery: Option<Uuid>,
    /// Whether that invitation's recipients do not matter: there may be a thousand, and a message for each.
    pub without_recipients: bool,
}

impl Command {
    /// Returns what it has to know beforehand, apart from its remembered request.
    pub fn needs(&self) -> Needs {
        let named =
            |target: &Target| Needs { invitation: Some(target.id), newest_acceptances: true, ..Needs::default() };
        let reached = |way: &Way| Needs { invitation: Some(way.invitation()), ..Needs::default() };
        match &self.action {
            Action::Create(create) => Needs { slots: create.slots(), sought: create.sought(), ..Needs::default() },
            Action::Accept(accept) => Needs {
                subject: Some(accept.acceptor.subject.clone()),
                created_connection: accept.created_connection.as_ref().map(|connection| connection.id),
                ..reached(&accept.way)
            },
            Action::Decline(decline) => reached(&decline.way),
            Action::RecordEngagement(record) => Needs { invitation: Some(record.link.invitation), ..Needs::default() },
            Action::VerifyEmail(verify) => Needs { invitation: Some(verify.link.invitation), ..Needs::default() },
            Action::Expire(expire) => Needs { invitation: Some(expire.id), ..Needs::default() },
            Action::Revoke(revoke) => named(&revoke.target),
            Action::Resend(resend) => named(&resend.target),
            Action::UpdateGuest(update) => named(&update.target),
            Action::Delete(delete) => named(&delete.target),
            Action::SettleDelivery(settle) => {
                Needs { delivery: Some(settle.delivery), without_recipients: true, ..Needs::default() }
            }
            Action::ReportDelivery(report) => Needs { delivery: Some(report.delivery), ..Needs::default() },
            Action::SyncAutojoin(sync) => Needs { slots: vec![SlotKey::autojoin(&sync.scope)], ..Needs::default() },
            Action::UpdateCreatedConnection(update) => Needs {
                acceptance: update.acceptance,
                created_connection: Some(update.connection.id),
                ..named(&update.target)
            },
        }
    }

    /// Returns what else it has to know, as only the invitation tells; most commands need no second look.
    pub fn needs_further(&self, loaded: &Loaded) -> Needs {
        let invitation = self.invitation().and_then(|id| loaded.invitation(&self.account, id).ok());
        let Some(invitation) = invitation else { return Needs::default() };
        match &self.action {
            Action::Resend(_) | Action::UpdateGuest(_) => {
                Needs { slots: SlotKey::of(&invitation.details, invitation.addresses()), ..Needs::default() }
            }
            Action::Accept(accept) => Needs { sought: elsewhere(invitation, accept, loaded.now), ..Needs::default() },
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
            | Action::Expire(_) => Needs::default(),
        }
    }
}
