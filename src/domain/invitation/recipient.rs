//! The recipients of an invitation.

use strum::{EnumString, IntoStaticStr, VariantArray};

use crate::domain::command::ENTRY_BYTES;
use crate::domain::value::email::Email;
use crate::domain::value::rule::Invalid;
use crate::domain::value::text;
use crate::domain::value::time::Timestamp;
use crate::domain::value::word;

/// The types of address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EnumString, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum AddressType {
    /// An e-mail address.
    Email,
    /// A phone number.
    Phone,
    /// The caller's own id of a person.
    Internal,
    /// No person: the link is shared.
    Share,
    /// An address that was erased, of whatever type it was.
    Erased,
    /// An address whose recipient was removed, of whatever type it was.
    Removed,
}

impl AddressType {
    /// Every type, in order.
    pub const ALL: [Self; Self::VARIANTS.len()] = word::array(Self::VARIANTS);

    /// Returns the code for the type in the database.
    pub fn code(self) -> &'static str {
        self.into()
    }

    /// Reverses [`AddressType::code`].
    pub fn from_code(code: &str) -> Option<Self> {
        code.parse().ok()
    }
}

/// The address of a recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// An e-mail address, to which this service may mail the link.
    Email(Email),
    /// A phone number in E.164.
    Phone(String),
    /// The caller's own id: the subject who may accept.
    Internal(String),
    /// A link that the inviter shares; the text, which may be empty, names the place.
    Share(String),
    /// An address that was erased: nothing of it is left.
    Erased,
    /// An address whose recipient was removed: nothing of it is left.
    Removed,
}

impl Address {
    /// Parses an address of a type.
    pub fn parse(address_type: AddressType, value: &str) -> Result<Self, Invalid> {
        match address_type {
            AddressType::Email => Email::parse(value).map(Self::Email),
            AddressType::Phone => text::phone(value).map(Self::Phone),
            AddressType::Internal => text::opaque_id(value).map(Self::Internal),
            AddressType::Share if value.is_empty() => Ok(Self::Share(String::new())),
            AddressType::Share => text::free_text(value).map(Self::Share),
            AddressType::Erased => Ok(Self::Erased),
            AddressType::Removed => Ok(Self::Removed),
        }
    }

    /// Returns the type.
    pub fn address_type(&self) -> AddressType {
        match self {
            Self::Email(_) => AddressType::Email,
            Self::Phone(_) => AddressType::Phone,
            Self::Internal(_) => AddressType::Internal,
            Self::Share(_) => AddressType::Share,
            Self::Erased => AddressType::Erased,
            Self::Removed => AddressType::Removed,
        }
    }

    /// Returns the normalised value: equal for two spellings of one address.
    pub fn key(&self) -> &str {
        match self {
            Self::Email(email) => email.key(),
            Self::Phone(value) | Self::Internal(value) | Self::Share(value) => value,
            Self::Erased | Self::Removed => "",
        }
    }

    /// Returns the value as the caller wrote it.
    pub fn original(&self) -> &str {
        match self {
            Self::Email(email) => email.original(),
            Self::Phone(value) | Self::Internal(value) | Self::Share(value) => value,
            Self::Erased | Self::Removed => "",
        }
    }

    /// Returns the e-mail address, if it is one.
    pub fn email(&self) -> Option<&Email> {
        match self {
            Self::Email(email) => Some(email),
            Self::Phone(_) | Self::Internal(_) | Self::Share(_) | Self::Erased | Self::Removed => None,
        }
    }

    /// Returns whether it is the same address, however it is spelled.
    pub fn is(&self, other: &Self) -> bool {
        (self.address_type(), self.key()) == (other.address_type(), other.key())
    }

    /// Returns whether it identifies a person.
    pub fn names_a_person(&self) -> bool {
        !matches!(self, Self::Share(_) | Self::Erased | Self::Removed)
    }
}

/// A recipient of an invitation that is not created yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRecipient {
    /// The address.
    pub address: Address,
    /// Their name for people.
    pub display_name: Option<String>,
    /// Their picture.
    pub avatar_uri: Option<String>,
    /// Whether the person has an account with the caller; `None` if the caller does not say.
    pub existing_user: Option<bool>,
}

impl NewRecipient {
    /// Returns the approximate number of bytes that it occupies. An e-mail address is kept as it was written and as it
    /// is compared.
    pub fn bytes(&self) -> usize {
        let texts = [&self.display_name, &self.avatar_uri];
        ENTRY_BYTES + 2 * self.address.original().len() + texts.into_iter().flatten().map(String::len).sum::<usize>()
    }
}

impl From<Email> for NewRecipient {
    fn from(email: Email) -> Self {
        Self { address: Address::Email(email), display_name: None, avatar_uri: None, existing_user: None }
    }
}

/// The state of a recipient, by their answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecipientState {
    /// The recipient has not answered.
    Open,
    /// The recipient has accepted.
    Accepted,
    /// The recipient has declined.
    Declined,
    /// The recipient was removed, or erased, before they answered.
    Removed,
}

/// One address of an invitation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipient {
    /// The number of the recipient within the invitation, from 1; a mailed token carries it.
    pub ordinal: u16,
    /// The address.
    pub address: Address,
    /// Their name for people.
    pub display_name: Option<String>,
    /// Their picture.
    pub avatar_uri: Option<String>,
    /// Whether the person has an account with the caller; `None` if the caller does not say.
    pub existing_user: Option<bool>,
    /// The moment of the first acceptance with this address.
    pub accepted_at: Option<Timestamp>,
    /// The moment at which the recipient declined.
    pub declined_at: Option<Timestamp>,
}

impl Recipient {
    /// Creates a recipient without an answer.
    pub fn new(ordinal: u16, new: NewRecipient) -> Self {
        let NewRecipient { address, display_name, avatar_uri, existing_user } = new;
        Self { ordinal, address, display_name, avatar_uri, existing_user, accepted_at: None, declined_at: None }
    }

    /// Returns whether a new recipient would be the same one: the same address, with the same words about the person.
    pub fn is(&self, new: &NewRecipient) -> bool {
        self.address.is(&new.address)
            && (&self.display_name, &self.avatar_uri) == (&new.display_name, &new.avatar_uri)
            && self.existing_user == new.existing_user
    }

    /// Returns the e-mail address, if the recipient has one.
    pub fn email(&self) -> Option<&Email> {
        self.address.email()
    }

    /// Returns whether the recipient has not answered yet, so that mail to them makes sense.
    pub fn is_open(&self) -> bool {
        self.state() == RecipientState::Open
    }

    /// Takes in what a new recipient with the same address says about the person, and returns whether that is new.
    pub(in crate::domain) fn describe(&mut self, new: &NewRecipient) -> bool {
        let before = self.clone();
        self.display_name = new.display_name.clone().or(self.display_name.take());
        self.avatar_uri = new.avatar_uri.clone().or(self.avatar_uri.take());
        self.existing_user = new.existing_user.or(self.existing_user);
        *self != before
    }

    /// Takes the recipient off the invitation, and forgets who they are. Their link is dead from then on.
    pub(in crate::domain) fn remove(&mut self) {
        (self.address, self.display_name, self.avatar_uri) = (Address::Removed, None, None);
    }

    /// Returns whether an update has taken the recipient off the invitation.
    pub fn is_removed(&self) -> bool {
        self.address == Address::Removed
    }

    /// Returns whether nothing is left of the address, since it was erased or its recipient removed.
    pub fn is_erased(&self) -> bool {
        matches!(self.address, Address::Erased | Address::Removed)
    }

    /// Returns the state. An acceptance counts before a refusal.
    pub fn state(&self) -> RecipientState {
        match (self.accepted_at, self.declined_at) {
            (Some(_), _) => RecipientState::Accepted,
            (None, Some(_)) => RecipientState::Declined,
            (None, None) if self.is_erased() => RecipientState::Removed,
            (None, None) => RecipientState::Open,
        }
    }
}
