//! Messages to people: what each is for, where it stands, and what may become of it.

pub mod backoff;
pub mod message_id;
pub mod reminder;

use strum::{EnumString, IntoStaticStr, VariantArray};
use uuid::Uuid;

use super::invitation::Invitation;
use super::invitation::state::State;
use super::secret::verification;
use super::value::email::Email;
use super::value::id::InvitationId;
use super::value::time::Timestamp;
use super::value::word;

/// The purpose of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumString, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum Purpose {
    /// Brings a recipient the link.
    Invitation,
    /// Reminds a recipient who has not answered.
    Reminder,
    /// Notifies the inviter of an acceptance.
    AcceptanceNotice,
    /// Brings a person the code that proves their address.
    VerificationCode,
}

impl Purpose {
    /// Every purpose there is.
    pub const ALL: [Self; Self::VARIANTS.len()] = word::array(Self::VARIANTS);

    /// Returns the word for it in the database, in events and in the names of templates.
    pub fn code(self) -> &'static str {
        self.into()
    }

    /// Reverses [`Purpose::code`].
    pub fn from_code(code: &str) -> Option<Self> {
        code.parse().ok()
    }
}

/// The state of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumString, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum DeliveryState {
    /// It waits: for its turn, for its time, or for the next attempt.
    Queued,
    /// A process has leased it and is sending it.
    Sending,
    /// The mail server has accepted it.
    Sent,
    /// It reached the mailbox, as the provider reports.
    Delivered,
    /// It came back, as the provider reports.
    Bounced,
    /// It was given up; it can be replayed.
    Failed,
    /// Its reason was gone when its turn came.
    Cancelled,
}

impl DeliveryState {
    /// Every state there is.
    pub const ALL: [Self; Self::VARIANTS.len()] = word::array(Self::VARIANTS);

    /// Returns the word for it in the database.
    pub fn code(self) -> &'static str {
        self.into()
    }

    /// Reverses [`DeliveryState::code`].
    pub fn from_code(code: &str) -> Option<Self> {
        code.parse().ok()
    }
}

/// The end of sending a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeliveryEnd {
    /// The mail server has accepted it.
    Sent,
    /// It was given up, for this reason.
    Failed(String),
}

/// A provider's report about a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryReport {
    /// It reached the mailbox.
    Delivered,
    /// It came back.
    Bounced,
    /// It was opened.
    Opened,
    /// Its recipient calls it spam.
    Complained,
}

impl DeliveryReport {
    /// Returns the state it brings a message to, if it does.
    pub fn state(self) -> Option<DeliveryState> {
        match self {
            Self::Delivered => Some(DeliveryState::Delivered),
            Self::Bounced => Some(DeliveryState::Bounced),
            Self::Opened | Self::Complained => None,
        }
    }
}

/// A message that is still to be enqueued. Holds no link and no code: those are derived when it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewDelivery {
    /// Names the message for good, over retries.
    pub id: Uuid,
    /// The invitation.
    pub invitation: InvitationId,
    /// The purpose.
    pub purpose: Purpose,
    /// The recipient's ordinal; 0 for a message to a person who is no recipient.
    pub recipient: u16,
    /// The address, if it is not the recipient's.
    pub address: Option<Email>,
    /// The acceptance of a notice, or the verification of a code.
    pub about: Option<Uuid>,
    /// The expiry that a reminder names: a reminder of another expiry is needless. `None` if it names no expiry.
    pub for_expire_at: Option<Timestamp>,
    /// The moment of the decision.
    pub created_at: Timestamp,
    /// The moment at which it is sent; before the decision for a message that goes before others.
    pub due_at: Timestamp,
}

/// A message as it was enqueued, and what has become of it so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The message as decided.
    pub message: NewDelivery,
    /// Its state.
    pub state: DeliveryState,
    /// The lease of the process that is sending it.
    pub lease: Option<Uuid>,
    /// The number of attempts.
    pub attempts: u32,
    /// The last failure, or the reason of the cancellation. It never holds an address or a link.
    pub last_error: Option<String>,
    /// The moment at which the mail server accepted it.
    pub sent_at: Option<Timestamp>,
    /// The moment of the next attempt, `None` once it is settled.
    pub due_at: Option<Timestamp>,
}

impl Delivery {
    /// Returns the address it goes to, if there still is one.
    pub fn address<'a>(&'a self, invitation: &'a Invitation) -> Option<&'a Email> {
        let recipient = || invitation.recipient(self.message.recipient).and_then(|recipient| recipient.email());
        self.message.address.as_ref().or_else(recipient)
    }

    /// Returns why there is no reason any more to send it, if so.
    pub fn needless(&self, invitation: &Invitation, now: Timestamp) -> Option<&'static str> {
        if self.message.purpose == Purpose::AcceptanceNotice {
            return None;
        }
        if invitation.state_at(now) != State::Active {
            return Some("the invitation is no longer ACTIVE");
        }
        let answered = |recipient: &super::invitation::recipient::Recipient| !recipient.is_open();
        match self.message.purpose {
            Purpose::Reminder
                if self.message.for_expire_at.is_some() && self.message.for_expire_at != invitation.facts.expire_at =>
            {
                Some("the expiry has moved")
            }
            Purpose::VerificationCode if verification::is_too_old(self.message.created_at, now) => {
                Some("the code is too old")
            }
            Purpose::VerificationCode if self.address(invitation).is_none() => Some("its address is no longer kept"),
            _ if invitation.recipient(self.message.recipient).is_some_and(answered) => {
                Some("the recipient has answered")
            }
            _ => None,
        }
    }
}
