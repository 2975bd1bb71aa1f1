//! The commands: everything that changes an invitation, and what each needs to know beforehand.

pub(super) mod accept;
pub(super) mod create;
pub(super) mod decline;
pub(super) mod delete;
mod delivery;
pub(super) mod expire;
mod reach;
pub(super) mod read_set;
pub(super) mod record_engagement;
pub(super) mod replay;
pub(super) mod report_delivery;
mod request;
pub(super) mod resend;
pub(super) mod revoke;
pub(super) mod settle_delivery;
pub(super) mod sync_autojoin;
pub(super) mod update_created_connection;
pub(super) mod update_guest;
pub(super) mod verify_email;

use std::collections::BTreeMap;

use uuid::Uuid;

use super::delivery::reminder::Schedules;
use super::invitation::EngagementType;
use super::invitation::acceptance::Acceptor;
use super::invitation::recipient::{Address, NewRecipient};
use super::invitation::refusal::Refusal;
use super::invitation::slot::SlotKey;
use super::kind::connection::NewConnection;
use super::kind::{Details, Kind, Scope};
use super::secret::token::Claims;
use super::secret::verification::EmailProof;
use super::value::email::Email;
use super::value::id::{AcceptanceId, IdSeed, InvitationId};
use super::value::text::AccountId;
use super::value::time::{Timestamp, Ttl};

pub use delivery::{ReportDelivery, SettleDelivery};
pub use read_set::{OpenSearch, ReadSet};
pub use request::{REMEMBERED_FOR, Request, RequestKey};

/// Something to be done for one caller.
#[derive(Clone, Debug)]
pub struct Command {
    /// The account of the caller's credential.
    pub account: AccountId,
    /// The name of the caller's credential.
    pub actor: String,
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

/// The name of an existing invitation and the version of it that the caller knows.
#[derive(Clone, Debug)]
pub struct Target {
    /// Which.
    pub id: InvitationId,
    /// The kind the name is of; none for a name that fits any.
    pub kind: Option<Kind>,
    /// The organizations one of which has to be its host; none where that does not matter.
    pub hosts: Option<Vec<Uuid>>,
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

/// What to do when the same is ACTIVE already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnConflict {
    /// Make another.
    #[default]
    Allow,
    /// Refuse.
    Reject,
    /// Make nothing and return the newest of those there are.
    ReturnExisting,
    /// Revoke those there are.
    Replace,
}

/// Makes an invitation of any kind.
#[derive(Clone, Debug)]
pub struct CreateInvitation {
    /// What its kind has of its own.
    pub details: Details,
    /// How often it may be accepted.
    pub max_uses: Option<u32>,
    /// When it expires; none for never.
    pub expiry: Option<Expiry>,
    /// Whom it is meant for: distinct addresses.
    pub recipients: Vec<NewRecipient>,
    /// Whether each recipient with an e-mail address is mailed their own link.
    pub mails: bool,
    /// The caller's own labels.
    pub labels: BTreeMap<String, String>,
    /// What to do when the same is ACTIVE already. Kinds that allow only one refuse.
    pub on_conflict: OnConflict,
}

impl CreateInvitation {
    /// Returns the slots it will take.
    fn slots(&self) -> Vec<SlotKey> {
        SlotKey::of(&self.details, self.recipients.iter().map(|recipient| &recipient.address))
    }

    /// Returns what it may be in conflict with beside the holders of its slots.
    pub fn open_search(&self) -> Option<OpenSearch> {
        let general = self.details.general().filter(|_| self.on_conflict != OnConflict::Allow)?;
        let addresses = self.recipients.iter().map(|recipient| &recipient.address);
        let addresses = addresses.filter(|address| address.names_a_person()).cloned().collect();
        Some(OpenSearch { scope: general.scope.clone(), addresses })
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

/// Accepts for one subject.
#[derive(Clone, Debug)]
pub struct AcceptInvitation {
    /// Which.
    pub access: Access,
    /// Who accepts, in the caller's words; see [`AcceptInvitation::proven_acceptor`].
    pub acceptor: Acceptor,
    /// What proves their address, if a code has.
    pub proof: Option<EmailProof>,
    /// The connection they made.
    pub created_connection: Option<NewConnection>,
    /// The organization that becomes a guest.
    pub guest_organization_id: Option<Uuid>,
    /// Whether a system accepts for the guest organization; then no address has to be shown.
    pub by_system: bool,
}

/// Declines for one recipient.
#[derive(Clone, Debug)]
pub struct DeclineInvitation {
    /// Which.
    pub access: Access,
    /// For which recipient, where the way does not tell.
    pub address: Option<Address>,
    /// Why.
    pub reason: Option<String>,
}

/// Ends an invitation.
#[derive(Clone, Debug)]
pub struct RevokeInvitation {
    /// Which.
    pub target: Target,
}

/// Sends an invitation again.
#[derive(Clone, Debug)]
pub struct ResendInvitation {
    /// Which.
    pub target: Target,
    /// Whether a new link takes the place of all that were.
    pub rotate: bool,
    /// When it expires from now on; none leaves the expiry as it is.
    pub expiry: Option<Expiry>,
}

/// Counts an engagement.
#[derive(Clone, Debug)]
pub struct RecordEngagement {
    /// What the link's token says.
    pub link: Claims,
    /// What happened.
    pub engagement: EngagementType,
    /// Where, in the caller's words.
    pub source: Option<String>,
}

/// Notes that a code has proved an address.
#[derive(Clone, Debug)]
pub struct VerifyEmail {
    /// What the link's token says.
    pub link: Claims,
    /// The address.
    pub email: Email,
}

/// Changes, or adds, a connection that an acceptor made.
#[derive(Clone, Debug)]
pub struct UpdateCreatedConnection {
    /// Of which invitation.
    pub target: Target,
    /// The connection as it is to be.
    pub connection: NewConnection,
    /// The acceptance it is added to; none when it exists.
    pub acceptance: Option<AcceptanceId>,
}

/// Changes the caller-set fields of a guest invitation; what is none stays.
#[derive(Clone, Debug)]
pub struct UpdateGuestInvitation {
    /// Which.
    pub target: Target,
    /// When it expires.
    pub expiry: Option<Expiry>,
    /// Whether it is put away.
    pub archived: Option<bool>,
    /// The parent organization; the inner none clears it.
    pub parent_organization_id: Option<Option<Uuid>>,
    /// Its name; the inner none clears it.
    pub parent_organization_name: Option<Option<String>>,
}

/// Makes a user invitation invisible to its own service; it is revoked if it is ACTIVE or EXPIRED.
#[derive(Clone, Debug)]
pub struct DeleteInvitation {
    /// Which.
    pub target: Target,
}

/// Sets the domains whose addresses join a scope by themselves.
#[derive(Clone, Debug)]
pub struct SyncAutojoin {
    /// The scope.
    pub scope: Scope,
    /// All the domains there are to be, in ASCII and distinct.
    pub domains: Vec<String>,
    /// The widget it is made with.
    pub widget_configuration_id: Option<String>,
    /// A JSON object that is kept for its maker.
    pub metadata: Option<String>,
}

/// Tells that an invitation has expired, if it has and nobody has told so.
#[derive(Clone, Copy, Debug)]
pub struct ExpireInvitation {
    /// Which.
    pub id: InvitationId,
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

    /// Returns how many rows it may write at most, by which groups are kept to a size.
    pub fn weight(&self, reminders: &Schedules) -> usize {
        match &self.action {
            Action::Create(create) => {
                let messages = if create.mails { 1 + reminders.of(create.details.kind()).len() } else { 0 };
                let recipients = create.recipients.len() * (2 + messages);
                3 + create.labels.len() + create.details.groups().len() + recipients
            }
            Action::SyncAutojoin(sync) => 4 + sync.domains.len(),
            // Who is mailed again is not known before the load; this is what most have.
            Action::Resend(_) => 8 + reminders.most(),
            Action::UpdateGuest(_) => 6 + reminders.guest.len(),
            Action::Accept(_) => 7,
            Action::Decline(_) | Action::Revoke(_) | Action::Delete(_) => 6,
            Action::RecordEngagement(_)
            | Action::VerifyEmail(_)
            | Action::Expire(_)
            | Action::UpdateCreatedConnection(_)
            | Action::SettleDelivery(_)
            | Action::ReportDelivery(_) => 4,
        }
    }
}
