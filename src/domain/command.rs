//! The commands: everything that changes an invitation, and what each needs to know beforehand.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::acceptance::{Acceptor, Subject};
use super::connection::NewConnection;
use super::details::{Details, Kind};
use super::email::Email;
use super::id::{AcceptanceId, IdSeed, InvitationId};
use super::invitation::EngagementType;
use super::key_ring::BodyDigest;
use super::text::AccountId;
use super::time::Ttl;
use super::token::Claims;

/// Something to be done for one caller.
#[derive(Clone, Debug)]
pub struct Command {
    /// The account of the caller's credential.
    pub account: AccountId,
    /// The name of the caller's credential.
    pub actor: String,
    /// By which the caller may try again.
    pub request: Option<Request>,
    /// Makes the ids of what the command creates.
    pub seed: IdSeed,
    /// What is to be done.
    pub action: Action,
}

/// A request_id and what it stands for.
#[derive(Clone, Debug)]
pub struct Request {
    /// The method it was sent to; ids of different methods do not meet.
    pub method: &'static str,
    /// The id.
    pub id: String,
    /// The digest of the body under every key of the ring, the signing one first.
    pub digests: Vec<BodyDigest>,
}

/// Names a remembered request.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestKey {
    /// Whose it is.
    pub account: AccountId,
    /// The method it was sent to.
    pub method: String,
    /// The id.
    pub id: String,
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
    /// Change a connection that an acceptor made.
    UpdateCreatedConnection(UpdateCreatedConnection),
}

/// The name of an existing invitation and the version of it that the caller knows.
#[derive(Clone, Debug)]
pub struct Target {
    /// Which.
    pub id: InvitationId,
    /// The kind the name is of; none for a name that fits any.
    pub kind: Option<Kind>,
    /// The etag it must have.
    pub etag: Option<String>,
}

/// Makes an invitation of any kind.
#[derive(Clone, Debug)]
pub struct CreateInvitation {
    /// What its kind has of its own.
    pub details: Details,
    /// How often it may be accepted.
    pub max_uses: Option<u32>,
    /// How long it can be accepted.
    pub ttl: Option<Ttl>,
    /// Whom it is meant for: distinct addresses.
    pub recipients: Vec<Email>,
    /// Whether each recipient is mailed their own link.
    pub mails: bool,
    /// The caller's own labels.
    pub labels: BTreeMap<String, String>,
}

/// Accepts through a link.
#[derive(Clone, Debug)]
pub struct AcceptInvitation {
    /// What the link's token says.
    pub link: Claims,
    /// Who accepts.
    pub acceptor: Acceptor,
    /// The connection they made.
    pub created_connection: Option<NewConnection>,
}

/// Declines through a link.
#[derive(Clone, Debug)]
pub struct DeclineInvitation {
    /// What the link's token says.
    pub link: Claims,
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
    /// How long it can be accepted from now on; none leaves the expiry as it is.
    pub ttl: Option<Ttl>,
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
}

impl Command {
    /// Returns the key its request is remembered by.
    pub fn request_key(&self) -> Option<RequestKey> {
        self.request.as_ref().map(|request| RequestKey {
            account: self.account.clone(),
            method: request.method.to_owned(),
            id: request.id.clone(),
        })
    }

    /// Returns the invitation it is about, which a create has not got yet.
    pub fn invitation(&self) -> Option<InvitationId> {
        self.needs().invitation
    }

    /// Returns what it has to know beforehand, apart from its remembered request.
    pub fn needs(&self) -> Needs {
        let named =
            |target: &Target| Needs { invitation: Some(target.id), newest_acceptances: true, ..Needs::default() };
        let linked = |link: &Claims| Needs { invitation: Some(link.invitation), ..Needs::default() };
        match &self.action {
            Action::Create(_) => Needs::default(),
            Action::Accept(accept) => Needs {
                subject: Some(accept.acceptor.subject.clone()),
                created_connection: accept.created_connection.as_ref().map(|connection| connection.id),
                ..linked(&accept.link)
            },
            Action::Decline(decline) => linked(&decline.link),
            Action::RecordEngagement(record) => linked(&record.link),
            Action::Revoke(revoke) => named(&revoke.target),
            Action::Resend(resend) => named(&resend.target),
            Action::UpdateCreatedConnection(update) => Needs {
                acceptance: update.acceptance,
                created_connection: Some(update.connection.id),
                ..named(&update.target)
            },
        }
    }

    /// Returns how many rows it may write at most, by which groups are kept to a size.
    pub fn weight(&self) -> usize {
        match &self.action {
            Action::Create(create) => {
                3 + create.labels.len() + create.recipients.len() * (1 + usize::from(create.mails))
            }
            // Who is mailed again is not known before the load; this is what most have.
            Action::Resend(_) => 8,
            Action::Accept(_) | Action::Decline(_) | Action::Revoke(_) => 6,
            Action::RecordEngagement(_) | Action::UpdateCreatedConnection(_) => 4,
        }
    }
}
