//! The commands: everything that changes an invitation, and what each needs to know beforehand.

mod accept;
mod create;
mod decline;
mod delete;
mod expire;
pub(super) mod read_set;
mod record_engagement;
mod report_delivery;
mod resend;
mod revoke;
mod settle_delivery;
mod sync_autojoin;
#[cfg(test)]
mod tests;
mod update_created_connection;
mod update_guest;
mod verify_email;

use uuid::Uuid;

use super::delivery::reminder::Schedules;
use super::invitation::refusal::Refusal;
use super::kind::Kind;
use super::secret::token::Claims;
use super::value::id::{IdSeed, InvitationId};
use super::value::text::AccountId;
use super::value::time::{Timestamp, Ttl};
use crate::domain::decide::{Context, Decided};
use crate::domain::group::loaded::Loaded;
use crate::domain::invitation::Invitation;

pub use super::decide::request::{REMEMBERED_FOR, Request, RequestKey};
pub use accept::AcceptInvitation;
pub use create::{CreateInvitation, OnConflict};
pub use decline::DeclineInvitation;
pub use delete::DeleteInvitation;
pub use expire::ExpireInvitation;
pub use read_set::{OpenSearch, ReadSet};
pub use record_engagement::RecordEngagement;
pub use report_delivery::ReportDelivery;
pub use resend::ResendInvitation;
pub use revoke::RevokeInvitation;
pub use settle_delivery::SettleDelivery;
pub use sync_autojoin::SyncAutojoin;
pub use update_created_connection::UpdateCreatedConnection;
pub use update_guest::UpdateGuestInvitation;
pub use verify_email::VerifyEmail;

/// Something to be done for one caller.
#[derive(Clone, Debug)]
pub struct Command {
    /// The account of the caller's credential.
    pub account: AccountId,
    /// The name of the caller's credential.
    pub actor: String,
    /// The organizations whose invitations the command may be about; `None` for those of the whole account.
    pub hosts: Option<Vec<Uuid>>,
    /// The idempotency key, if the caller sent one.
    pub request: Option<Request>,
    /// Makes the ids of what the command creates.
    pub seed: IdSeed,
    /// What is to be done.
    pub action: Action,
}

/// What is to be done. One variant, one file in `decide`.
#[derive(Clone, Debug)]
pub enum Action {
    /// Make an invitation.
    Create(Box<CreateInvitation>),
    /// Accept one.
    Accept(Box<AcceptInvitation>),
    /// Decline one.
    Decline(DeclineInvitation),
    /// Revoke one.
    Revoke(RevokeInvitation),
    /// Send one again.
    Resend(ResendInvitation),
    /// Count what people do with a link.
    RecordEngagement(RecordEngagement),
    /// Note that a code has proved an address.
    VerifyEmail(VerifyEmail),
    /// Change a connection that an acceptor made.
    UpdateCreatedConnection(UpdateCreatedConnection),
    /// Change the caller-set fields of a guest invitation.
    UpdateGuest(UpdateGuestInvitation),
    /// Make a user invitation invisible to its own service.
    Delete(DeleteInvitation),
    /// Set the domains whose addresses join a scope by themselves.
    SyncAutojoin(Box<SyncAutojoin>),
    /// Say how an attempt to send a message ended it.
    SettleDelivery(SettleDelivery),
    /// Take the provider's word on a message.
    ReportDelivery(ReportDelivery),
    /// Tell that one has expired.
    Expire(ExpireInvitation),
}

impl Action {
    /// Returns the recipient whose mailed link opened the invitation; 0 for any other link, or a name.
    pub fn recipient(&self) -> u16 {
        match self {
            Self::Accept(accept) => accept.access.recipient(),
            Self::Decline(decline) => decline.access.recipient(),
            _ => 0,
        }
    }
}

/// The name of an existing invitation and the version of it that the caller knows.
#[derive(Clone, Debug)]
pub struct Target {
    /// Which.
    pub id: InvitationId,
    /// The kind the name is of; none for a name that fits any.
    pub kind: Option<Kind>,
    /// Whether it is as good as none once its own service was told to forget it.
    pub hides_deleted: bool,
    /// The etag it must have.
    pub etag: Option<String>,
}

/// When an invitation expires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    /// Some time after the decision.
    After(Ttl),
    /// At a moment, which has to be in the future when it is decided.
    At {
        /// The moment.
        at: Timestamp,
        /// The field it came in.
        field: &'static str,
    },
}

impl Expiry {
    /// Returns the moment, given that of the decision.
    pub fn at(self, now: Timestamp) -> Result<Timestamp, Refusal> {
        match self {
            Self::After(ttl) => Ok(now.plus(ttl)),
            Self::At { at, field: _ } if at > now && at <= now.plus(Ttl::LONGEST) => Ok(at),
            Self::At { at: _, field } => {
                Err(Refusal::InvalidField { field, description: "must be in the future, at most 100 years ahead" })
            }
        }
    }
}

/// How an invitation is got at by whoever it is meant for.
#[derive(Clone, Debug)]
pub enum Access {
    /// Through a link, by what its token says.
    Link(Claims),
    /// By its name, on behalf of the person.
    Name(Target),
}

impl Access {
    /// Returns the invitation it leads to.
    pub fn invitation(&self) -> InvitationId {
        match self {
            Self::Link(claims) => claims.invitation,
            Self::Name(target) => target.id,
        }
    }

    /// Returns the recipient whose mailed link it is; 0 for any other way.
    pub fn recipient(&self) -> u16 {
        match self {
            Self::Link(claims) => claims.recipient,
            Self::Name(_) => 0,
        }
    }
}

impl Command {
    /// Returns every key that its request may be remembered by.
    pub fn request_keys(&self) -> impl Iterator<Item = RequestKey> {
        self.request.iter().flat_map(|request| request.keys(&self.account))
    }

    /// Returns the invitation it is about, which a create has not got yet.
    pub fn invitation(&self) -> Option<InvitationId> {
        self.read_set().invitation
    }

    /// Returns the rules of what is to be done.
    pub(in crate::domain) fn rules(&self) -> &dyn CommandRules {
        match &self.action {
            Action::Create(create) => create.as_ref(),
            Action::Accept(accept) => accept.as_ref(),
            Action::Decline(decline) => decline,
            Action::Revoke(revoke) => revoke,
            Action::Resend(resend) => resend,
            Action::RecordEngagement(record) => record,
            Action::VerifyEmail(verify) => verify,
            Action::UpdateCreatedConnection(update) => update,
            Action::UpdateGuest(update) => update,
            Action::Delete(delete) => delete,
            Action::SyncAutojoin(sync) => sync.as_ref(),
            Action::SettleDelivery(settle) => settle,
            Action::ReportDelivery(report) => report,
            Action::Expire(expire) => expire,
        }
    }

    /// Returns what it has to know beforehand, apart from its remembered request.
    pub fn read_set(&self) -> ReadSet {
        self.rules().read_set()
    }

    /// Returns what else it has to know, as only the invitation tells; most commands need no second look.
    pub fn second_read_set(&self, loaded: &Loaded) -> ReadSet {
        let invitation = self.invitation().and_then(|id| loaded.invitation(&self.account, id).ok());
        invitation.map_or_else(ReadSet::default, |invitation| self.rules().second_read_set(invitation, loaded.now))
    }

    /// Returns whether the organizations that the caller may act for let the command be about an invitation. A replay is held
    /// to it as well, so that it shows no more than a first call would.
    pub fn reaches(&self, invitation: &Invitation) -> bool {
        invitation.details.is_hosted_by(self.hosts.as_deref())
    }

    /// Returns how many rows it may write at most, by which groups are kept to a size.
    pub fn weight(&self, reminders: &Schedules) -> usize {
        self.rules().weight(reminders)
    }

    /// Returns about how many bytes of memory the command occupies, by which queues are kept to a size.
    pub fn bytes(&self) -> usize {
        BYTES + self.rules().bytes()
    }
}

/// The rules of one command. A new command has a file of its own, which answers every question here.
pub(in crate::domain) trait CommandRules {
    /// Returns what the command has to know before it can be decided.
    fn read_set(&self) -> ReadSet;
    /// Returns what else it has to know, as only its invitation tells.
    fn second_read_set(&self, invitation: &Invitation, now: Timestamp) -> ReadSet;
    /// Returns how many rows the command may write at most.
    fn weight(&self, reminders: &Schedules) -> usize;
    /// Returns the bytes of its lists and of its JSON; its other fields are bounded to some hundred characters each.
    fn bytes(&self) -> usize;
    /// Decides the command on what was loaded.
    fn decide(&self, loaded: &Loaded, command: &Command, context: &Context) -> Result<Decided, Refusal>;
}

/// The bytes of a command without lists and JSON.
const BYTES: usize = 1_024;
/// The bytes of an entry of a list beside its text.
pub(in crate::domain) const ENTRY_BYTES: usize = 128;

/// Returns the bytes of a list of texts.
pub(in crate::domain) fn text_bytes<'a>(texts: impl IntoIterator<Item = &'a String>) -> usize {
    texts.into_iter().map(|text| ENTRY_BYTES + text.len()).sum()
}
