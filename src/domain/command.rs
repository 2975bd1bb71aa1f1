//! The commands: everything that changes an invitation, with the rows that each needs for its decision.

mod accept;
mod acceptance;
mod create;
mod decline;
mod delete;
mod erase_recipient;
mod expire;
mod read_sets;
mod reassign;
mod record_created_connection;
mod record_engagement;
mod report_delivery;
mod resend;
mod revoke;
mod rules;
mod settle_delivery;
mod sync_autojoin;
#[cfg(test)]
mod tests;
mod update;
mod verify_email;

use super::delivery::reminder::Schedules;
use super::kind::Kind;
use super::secret::token::Claims;
use super::value::id::{IdSeed, InvitationId};
use super::value::text::AccountId;
use crate::domain::invitation::Invitation;
use crate::domain::reach::Reach;
use crate::domain::value::grantable_roles::GrantableRoles;

pub use super::decide::request::{REMEMBERED_FOR, Request, RequestKey};
pub use super::group::read_set::{OpenSearch, ReadSet};
pub use super::kind::lifetime::{Expiry, ExpiryTime};
pub use accept::{AcceptInvitation, check::CheckAcceptance};
pub use acceptance::AcceptanceTarget;
pub use acceptance::{expire::ExpireGrant, release::ReleaseAcceptance, update::UpdateAcceptance};
pub use create::{CreateInvitation, CreateOutcome, OnConflict};
pub use decline::{DeclineInvitation, is_declinable};
pub use delete::DeleteInvitation;
pub use erase_recipient::EraseRecipient;
pub use expire::ExpireInvitation;
pub(super) use expire::tell_of_opened;
pub use reassign::ReassignInvitation;
pub use record_created_connection::RecordCreatedConnection;
pub use record_engagement::RecordEngagement;
pub use report_delivery::ReportDelivery;
pub use resend::ResendInvitation;
pub use revoke::RevokeInvitation;
pub(in crate::domain) use rules::CommandRules;
pub use settle_delivery::SettleDelivery;
pub use sync_autojoin::SyncAutojoin;
pub(in crate::domain) use update::GIVING_FIELDS;
pub use update::{DEFAULT_SOURCE, Fixed, FixedField, JsonUpdate, KeptText, MapUpdate, UpdateInvitation, UpdatedFields};
pub use verify_email::VerifyEmail;

/// An action for one caller.
#[derive(Clone, Debug)]
pub struct Command {
    /// The invitations that the command may be about.
    pub reach: Reach,
    /// The name of the caller's credential.
    pub actor: String,
    /// The roles that the caller may give.
    pub grantable_roles: GrantableRoles,
    /// The idempotency key, if the caller sent one.
    pub request: Option<Request>,
    /// Derives the ids of the rows that the command creates.
    pub seed: IdSeed,
    /// The action.
    pub action: Action,
}

/// The action of a command. One variant, one file in `command`.
#[derive(Clone, Debug)]
pub enum Action {
    /// Creates an invitation.
    Create(Box<CreateInvitation>),
    /// Accepts an invitation.
    Accept(Box<AcceptInvitation>),
    /// Decides what would keep a subject from accepting.
    CheckAcceptance(Box<CheckAcceptance>),
    /// Declines an invitation.
    Decline(DeclineInvitation),
    /// Revokes an invitation.
    Revoke(RevokeInvitation),
    /// Sends an invitation again.
    Resend(ResendInvitation),
    /// Counts the engagement with a link.
    RecordEngagement(RecordEngagement),
    /// Records that a code has verified an address.
    VerifyEmail(VerifyEmail),
    /// Records what is known of a connection that an acceptor created.
    RecordCreatedConnection(RecordCreatedConnection),
    /// Updates the fields and the recipients of an invitation.
    Update(Box<UpdateInvitation>),
    /// Gives another inviter to an open invitation.
    Reassign(Box<ReassignInvitation>),
    /// Hides a user invitation from its own service.
    Delete(DeleteInvitation),
    /// Sets the domains whose addresses join a scope by themselves.
    SyncAutojoin(Box<SyncAutojoin>),
    /// Records the end of an attempt to send a message.
    SettleDelivery(SettleDelivery),
    /// Records a provider's report about a message.
    ReportDelivery(ReportDelivery),
    /// Records that an invitation has expired.
    Expire(ExpireInvitation),
    /// Erases a person's data from an invitation.
    EraseRecipient(EraseRecipient),
    /// Undoes an acceptance, or ends it.
    ReleaseAcceptance(ReleaseAcceptance),
    /// Changes the time for which an acceptance counts.
    UpdateAcceptance(UpdateAcceptance),
    /// Records that this time is over.
    ExpireGrant(ExpireGrant),
}

impl Action {
    /// Returns the recipient whose mailed link opened the invitation; 0 for any other link, or a name.
    pub fn recipient(&self) -> u16 {
        match self {
            Self::Accept(accept) => accept.access.recipient(),
            Self::CheckAcceptance(check) => check.accept.access.recipient(),
            Self::Decline(decline) => decline.access.recipient(),
            Self::Create(_)
            | Self::Revoke(_)
            | Self::Resend(_)
            | Self::RecordEngagement(_)
            | Self::VerifyEmail(_)
            | Self::RecordCreatedConnection(_)
            | Self::Update(_)
            | Self::Reassign(_)
            | Self::Delete(_)
            | Self::SyncAutojoin(_)
            | Self::SettleDelivery(_)
            | Self::ReportDelivery(_)
            | Self::Expire(_)
            | Self::EraseRecipient(_)
            | Self::ReleaseAcceptance(_)
            | Self::UpdateAcceptance(_)
            | Self::ExpireGrant(_) => 0,
        }
    }
}

/// The name of an existing invitation and the version of it that the caller knows.
#[derive(Clone, Debug)]
pub struct Target {
    /// The invitation's id.
    pub id: InvitationId,
    /// The kind of the name; `None` for a name of any kind.
    pub kind: Option<Kind>,
    /// Whether the invitation counts as missing once the service of its kind has deleted it.
    pub hides_deleted: bool,
    /// The etag it must have.
    pub etag: Option<String>,
}

/// The access of a recipient to the invitation: by link or by name.
#[derive(Clone, Debug)]
pub enum Access {
    /// By link: the claims of its token.
    Link(Claims),
    /// By name, on behalf of the person.
    Name(Target),
    /// By name, on behalf of a person who is invited: an id is no credential, so it does not stand for a link that is open to
    /// whoever has it.
    NameOfInvited(Target),
}

impl Access {
    /// Returns the invitation that the link or the name leads to.
    pub fn invitation(&self) -> InvitationId {
        match self {
            Self::Link(claims) => claims.invitation,
            Self::Name(target) | Self::NameOfInvited(target) => target.id,
        }
    }

    /// Returns the recipient of a mailed link; 0 for any other link, or a name.
    pub fn recipient(&self) -> u16 {
        match self {
            Self::Link(claims) => claims.recipient,
            Self::Name(_) | Self::NameOfInvited(_) => 0,
        }
    }

    /// Returns whether it is only for a person who is invited.
    pub fn is_for_invited(&self) -> bool {
        matches!(self, Self::NameOfInvited(_))
    }
}

impl Command {
    /// Returns the account of the caller's credential.
    pub fn account(&self) -> &AccountId {
        self.reach.account()
    }

    /// Returns every key under which its request may be remembered, and that of the use of a proof.
    pub fn request_keys(&self) -> impl Iterator<Item = RequestKey> {
        let requests = self.request.iter().flat_map(|request| request.keys(self.account()));
        requests.chain(self.rules().use_key(self.account()))
    }

    /// Returns the invitation it is about; `None` for a create.
    pub fn invitation(&self) -> Option<InvitationId> {
        self.read_set().invitation
    }

    /// Returns the rules of the action.
    pub(in crate::domain) fn rules(&self) -> &dyn CommandRules {
        match &self.action {
            Action::Create(create) => create.as_ref(),
            Action::Accept(accept) => accept.as_ref(),
            Action::CheckAcceptance(check) => check.as_ref(),
            Action::Decline(decline) => decline,
            Action::Revoke(revoke) => revoke,
            Action::Resend(resend) => resend,
            Action::RecordEngagement(record) => record,
            Action::VerifyEmail(verify) => verify,
            Action::RecordCreatedConnection(record) => record,
            Action::Update(update) => update.as_ref(),
            Action::Reassign(reassign) => reassign.as_ref(),
            Action::Delete(delete) => delete,
            Action::SyncAutojoin(sync) => sync.as_ref(),
            Action::SettleDelivery(settle) => settle,
            Action::ReportDelivery(report) => report,
            Action::Expire(expire) => expire,
            Action::EraseRecipient(erase) => erase,
            Action::ReleaseAcceptance(release) => release,
            Action::UpdateAcceptance(update) => update,
            Action::ExpireGrant(expire) => expire,
        }
    }

    /// Returns whether the reach of the caller allows the command to be about an invitation. The check covers a replay as
    /// well, so that it shows no more than a first call would.
    pub fn reaches(&self, invitation: &Invitation) -> bool {
        self.reach.includes_invitation(invitation)
    }

    /// Returns whether its caller may run it at all. A person accepts and declines as themselves, and does nothing else; the API
    /// refuses everything else before it makes a command of it.
    pub(in crate::domain) fn is_open_to_its_caller(&self) -> bool {
        let Some(person) = self.reach.person() else { return true };
        match &self.action {
            Action::Accept(accept) => accept.is_by(person),
            Action::Decline(decline) => decline.addresses.iter().all(|address| person.has(address)),
            Action::Create(_)
            | Action::CheckAcceptance(_)
            | Action::Revoke(_)
            | Action::Resend(_)
            | Action::RecordEngagement(_)
            | Action::VerifyEmail(_)
            | Action::RecordCreatedConnection(_)
            | Action::Update(_)
            | Action::Reassign(_)
            | Action::Delete(_)
            | Action::SyncAutojoin(_)
            | Action::SettleDelivery(_)
            | Action::ReportDelivery(_)
            | Action::EraseRecipient(_)
            | Action::ReleaseAcceptance(_)
            | Action::UpdateAcceptance(_)
            | Action::ExpireGrant(_)
            | Action::Expire(_) => false,
        }
    }

    /// Returns the outcome of a create that was answered by an invitation, which it created or not; `None` for another command.
    pub(in crate::domain) fn create_outcome(&self, answered: &Invitation, created: bool) -> Option<CreateOutcome> {
        self.rules().create_outcome(answered, created)
    }

    /// Returns whether the present link of an invitation is the one that the command made when it took effect. A retry
    /// shows the link to the credential that made it, and none that took its place.
    pub(in crate::domain) fn made_link(&self, present: &Invitation) -> bool {
        self.rules().made_link(present, &self.actor)
    }

    /// Returns the most rows that it may write, and the addresses that it searches for, which limits the size of groups.
    pub fn weight(&self, reminders: &Schedules) -> usize {
        self.rules().weight(reminders)
    }

    /// Returns the approximate number of bytes that the command occupies, which limits the size of queues.
    pub fn bytes(&self) -> usize {
        BYTES + self.rules().bytes()
    }
}

/// The bytes of a command without lists and JSON.
const BYTES: usize = 1_024;
/// The bytes of an entry of a list beside its text.
pub(in crate::domain) const ENTRY_BYTES: usize = 128;

/// Returns the bytes of a list of texts.
pub(in crate::domain) fn text_bytes<'a>(texts: impl IntoIterator<Item = &'a String>) -> usize {
    texts.into_iter().map(|text| ENTRY_BYTES + text.len()).sum()
}
