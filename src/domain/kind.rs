//! The kinds of invitation: the details of each, and the rules that each answers.

pub mod connection;
pub mod general;
pub mod guest;
pub mod lifetime;
mod per_kind;
pub mod shared;
pub mod user;

use std::io;
use std::ops::{Deref, DerefMut};

use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr, VariantArray};
use uuid::Uuid;

use super::invitation::acceptance::{Acceptance, AcceptedBy};
use super::invitation::email_rule::Binding;
use super::invitation::recipient::Recipient;
use super::invitation::refusal::Refusal;
use super::invitation::slot::SlotKey;
use super::value::id::InvitationId;
use super::value::rule::{FieldRule, Invalid};
use super::value::text::AccountId;
use super::value::word;
use connection::ConnectionDetails;
use general::{GeneralDetails, Usage};
use guest::GuestDetails;
pub use lifetime::Lifetime;
pub use per_kind::PerKind;
use shared::SharedDetails;
use user::UserDetails;

/// The kind of an invitation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumString, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum Kind {
    /// A contributor connects, or reconnects, a utility account.
    Connection,
    /// A person joins the account with roles.
    User,
    /// An organization becomes a guest.
    Guest,
    /// Anything else: people, groups, shared links, domains.
    General,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; Self::VARIANTS.len()] = word::array(Self::VARIANTS);

    /// Returns the collection in the names of the kind's own service.
    pub fn collection(self) -> &'static str {
        match self {
            Self::Connection => "connectionInvitations",
            Self::User => "userInvitations",
            Self::Guest => "guestInvitations",
            Self::General => "invitations",
        }
    }

    /// Returns the name of an invitation in the service of its kind.
    pub fn typed_name(self, id: InvitationId) -> String {
        format!("{}/{}", self.collection(), id.0)
    }

    /// Returns the field of a request that holds an invitation of the kind.
    pub fn resource_field(self) -> &'static str {
        match self {
            Self::Connection => "connection_invitation",
            Self::User => "user_invitation",
            Self::Guest => "guest_invitation",
            Self::General => "invitation",
        }
    }

    /// Returns the code for the kind in the database.
    pub fn code(self) -> &'static str {
        self.into()
    }

    /// Returns the limits of the time for which an invitation of the kind can be accepted.
    pub fn lifetime(self) -> &'static Lifetime {
        match self {
            Self::Connection | Self::General => &Lifetime::UNLIMITED,
            Self::User => &user::LIFETIME,
            Self::Guest => &guest::LIFETIME,
        }
    }

    /// Parses the details of the kind; `None` if they are not of the kind.
    pub fn details_from(self, json: &serde_json::Value) -> Option<Details> {
        match self {
            Self::Connection => ConnectionDetails::deserialize(json).ok().map(Details::Connection),
            Self::User => UserDetails::deserialize(json).ok().map(Details::User),
            Self::Guest => GuestDetails::deserialize(json).ok().map(Details::Guest),
            Self::General => Box::<GeneralDetails>::deserialize(json).ok().map(Details::General),
        }
    }

    /// Reverses [`Kind::code`].
    pub fn from_code(code: &str) -> Option<Self> {
        code.parse().ok()
    }
}

/// The number of recipients that an invitation of a kind has.
#[derive(Debug)]
pub struct RecipientLimits {
    /// The fewest.
    pub least: usize,
    /// The most.
    pub most: usize,
    /// The error for another number.
    pub rule: &'static str,
}

impl RecipientLimits {
    /// The limits of the kinds that invite one person by their address.
    pub const ONE: Self = Self {
        least: 1,
        most: 1,
        rule: "must leave the invitation one recipient: to correct the address, add one and remove the other in the same call",
    };
}

/// A scope that an invitation admits people to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scope {
    /// The type of scope, for example `company`.
    #[serde(rename = "type")]
    pub scope_type: String,
    /// The scope's id.
    pub id: String,
    /// Its name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
}

impl Scope {
    /// Creates a scope without a name.
    pub fn new(scope_type: &str, id: impl ToString) -> Self {
        Self { scope_type: scope_type.to_owned(), id: id.to_string(), display_name: None }
    }

    /// Returns the scope with a name for people.
    pub fn named(self, display_name: Option<&String>) -> Self {
        Self { display_name: display_name.cloned(), ..self }
    }

    /// Returns whether it is the same scope, whatever its display name is.
    pub fn is(&self, other: &Self) -> bool {
        (&self.scope_type, &self.id) == (&other.scope_type, &other.id)
    }
}

/// The part of an invitation that depends on its kind. Its JSON is that of the kind's own part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Details {
    /// The details of a connection invitation.
    Connection(ConnectionDetails),
    /// The details of a user invitation.
    User(UserDetails),
    /// The details of a guest invitation.
    Guest(GuestDetails),
    /// The details of a general invitation.
    General(Box<GeneralDetails>),
}

impl Details {
    /// Returns the general kind's own part.
    pub fn general(&self) -> Option<&GeneralDetails> {
        match self {
            Self::General(details) => Some(details),
            Self::Connection(_) | Self::User(_) | Self::Guest(_) => None,
        }
    }

    /// Returns the usage of a general invitation.
    pub fn usage(&self) -> Option<Usage> {
        self.general().map(|details| details.usage)
    }

    /// Returns the field of the kind's own message that holds the addresses.
    pub fn recipients_field(&self) -> &'static str {
        match self {
            Self::Connection(_) => "allowed_emails",
            Self::User(_) => "invited_email",
            Self::Guest(_) => "email",
            Self::General(_) => "targets",
        }
    }

    /// Returns the length of the details as JSON.
    pub fn bytes(&self) -> usize {
        let mut counted = Count(0);
        // The bytes counted until an error are the length: details that cannot be written are refused by the save.
        drop(serde_json::to_writer(&mut counted, self));
        counted.0
    }
}

/// The details implement the rules of their kind.
impl Deref for Details {
    type Target = dyn KindRules;

    fn deref(&self) -> &Self::Target {
        match self {
            Self::Connection(details) => details,
            Self::User(details) => details,
            Self::Guest(details) => details,
            Self::General(details) => details.as_ref(),
        }
    }
}

impl DerefMut for Details {
    fn deref_mut(&mut self) -> &mut Self::Target {
        match self {
            Self::Connection(details) => details,
            Self::User(details) => details,
            Self::Guest(details) => details,
            Self::General(details) => details.as_mut(),
        }
    }
}

/// The rules of one kind of invitation. A new kind has a file of its own, which answers every question here.
pub trait KindRules {
    /// Returns the kind.
    fn kind(&self) -> Kind;
    /// Returns the fields that every kind has.
    fn shared(&self) -> &SharedDetails;
    /// Returns the fields that every kind has, to be changed.
    fn shared_mut(&mut self) -> &mut SharedDetails;
    /// Returns the scope that an invitation of an account admits people to.
    fn scope(&self, account: &AccountId) -> Option<Scope>;
    /// Returns the groups that it admits people to beside its scope.
    fn groups(&self) -> &[Scope];
    /// Returns the existing resource the invitation is about, if there is one.
    fn resource_id(&self) -> Option<Uuid>;
    /// Returns the roles an acceptor gets.
    fn roles(&self) -> &[String];
    /// Returns the organization that invites, if it is one.
    fn host(&self) -> Option<Uuid>;
    /// Returns the name of the parent of the organization that invites, empty if there is none.
    fn organization_name(&self) -> &str;
    /// Returns the slots that an invitation to people takes; each of them is given as address type and key.
    fn slots(&self, people: &[String]) -> Vec<SlotKey>;
    /// Returns how many recipients an invitation has, beside those who were removed.
    fn recipient_limits(&self) -> &'static RecipientLimits;
    /// Returns the proof that an acceptor of an invitation to these recipients has to bring.
    fn binding(&self, recipients: &[Recipient]) -> Binding<'_>;
    /// Returns whether a system may accept, which has no address.
    fn admits_systems(&self) -> bool;
    /// Returns the acceptor type of an acceptance.
    fn accepted_by(&self, by_system: bool) -> AcceptedBy;
    /// Checks the organization that an acceptor names as the guest.
    fn check_guest_organization(&self, organization: Option<Uuid>) -> Result<(), Refusal>;
    /// Returns the organization that has become a guest, if it has.
    fn guest_organization(&self) -> Option<Uuid>;
    /// Records in the details how the invitation was accepted.
    fn note_acceptance(&mut self, acceptance: &Acceptance);
    /// Takes out of the details that an acceptance was made, which was undone.
    fn forget_acceptance(&mut self);
    /// Checks that acceptors may bring a connection. The error names the reason.
    fn check_created_connection(&self) -> Result<(), Invalid>;
    /// Returns the name of the kind in the names of mail templates.
    fn mail_name(&self) -> &'static str;
}

/// Refuses a guest organization if the kind has no guests.
fn no_guest_organization(organization: Option<Uuid>) -> Result<(), Refusal> {
    let invalid = Invalid::new(FieldRule::NotAllowed, "must not be set: this is not a guest invitation");
    organization.map_or(Ok(()), |_| Err(Refusal::InvalidField { field: "guest_organization_id", invalid }))
}

/// The error for a connection that comes with an invitation of another kind.
const NO_CONNECTION: Invalid =
    Invalid::new(FieldRule::NotAllowed, "must not be set: this is not a connection invitation");

/// The type of the scope of user invitations.
pub const ACCOUNT_SCOPE: &str = "account";

/// Returns the scope of an account's user invitations.
pub fn account_scope(account: &AccountId) -> Scope {
    Scope::new(ACCOUNT_SCOPE, account.as_str())
}

/// Returns the scope of a company's invitations.
pub fn company_scope(company_id: Uuid) -> Scope {
    Scope::new("company", company_id)
}

/// Returns the scope of an organization's guest invitations.
pub fn organization_scope(organization_id: Uuid) -> Scope {
    Scope::new("organization", organization_id)
}

/// Counts the bytes that are written to it.
struct Count(usize);

impl io::Write for Count {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
