//! Messages to people: their purposes, their states, and the changes of a state.

pub mod backoff;
pub mod bounce;
pub mod message_id;
pub mod notice;
pub mod planned;
pub mod reminder;
pub mod repeats;

use strum::{EnumString, IntoStaticStr, VariantArray};
use uuid::Uuid;

use super::invitation::Invitation;
use super::invitation::recipient::Recipient;
use super::invitation::state::State;
use super::secret::verification;
use super::value::email::Email;
use super::value::id::InvitationId;
use super::value::time::Timestamp;
use super::value::word;

/// The reason for which a message is cancelled when a later one brings its recipient the link.
pub const REPLACED: &str = "a later message replaces it";

/// The reason for which a message to a recipient who was removed is cancelled.
pub const REMOVED: &str = "the recipient was removed";

/// The reason for which a message is suppressed whose address has had as many as it may; see also
/// [`ADDRESS_SUPPRESSED`](super::suppression::ADDRESS_SUPPRESSED).
pub const SUPPRESSED: &str = "the address has had as many messages today as it may, from all accounts together";

/// The purpose of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumString, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum Purpose {
    /// A message that brings a recipient the link.
    Invitation,
    /// A message that reminds a recipient who has not answered.
    Reminder,
    /// A message that notifies the inviter of acceptances.
    AcceptanceNotice,
    /// A message that brings a person the code that verifies their address.
    VerificationCode,
    /// A message that notifies the inviter of recipients who declined.
    DeclineNotice,
    /// A message that notifies the inviter of recipients whose mail did not arrive.
    FailureNotice,
    /// A message that notifies the inviter of the expiry.
    ExpiryNotice,
}

impl Purpose {
    /// Every purpose.
    pub const ALL: [Self; Self::VARIANTS.len()] = word::array(Self::VARIANTS);

    /// Returns the code for it in the database, in events and in the names of templates.
    pub fn code(self) -> &'static str {
        self.into()
    }

    /// Reverses [`Purpose::code`].
    pub fn from_code(code: &str) -> Option<Self> {
        code.parse().ok()
    }

    /// Returns whether its messages bring a recipient the link.
    pub fn brings_link(self) -> bool {
        matches!(self, Self::Invitation | Self::Reminder)
    }

    /// Returns whether its messages are notices to the inviter.
    pub fn is_notice(self) -> bool {
        matches!(self, Self::AcceptanceNotice | Self::DeclineNotice | Self::FailureNotice | Self::ExpiryNotice)
    }
}

/// The state of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumString, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum DeliveryState {
    /// The message waits: for its turn, for its time, or for the next attempt.
    Queued,
    /// A process has leased the message and is sending it.
    Sending,
    /// The mail server has accepted the message.
    Sent,
    /// The message reached the mailbox, as the provider reports.
    Delivered,
    /// The message bounced, as the provider reports.
    Bounced,
    /// The message has failed for good; it can be queued again.
    Failed,
    /// The message was no longer needed when its turn came.
    Cancelled,
    /// The message is not sent, because its address is suppressed or has had as many as it may.
    Suppressed,
}

impl DeliveryState {
    /// Every state.
    pub const ALL: [Self; Self::VARIANTS.len()] = word::array(Self::VARIANTS);

    /// Returns the code for it in the database.
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
    /// The mail server has accepted the message.
    Sent,
    /// The message has failed for good, for this reason.
    Failed(String),
    /// The message has failed for good, because its address will never take mail.
    BadAddress(String),
    /// The message was not sent, because its address is suppressed.
    Suppressed,
}

/// A provider's report about a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryReport {
    /// The message reached the mailbox.
    Delivered,
    /// The message bounced.
    Bounced,
    /// The message was opened.
    Opened,
    /// Its recipient reports it as spam.
    Complained,
}

impl DeliveryReport {
    /// Returns the state that follows from the report; `None` if the state stays.
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
    /// The message's id, the same over retries.
    pub id: Uuid,
    /// The invitation.
    pub invitation: InvitationId,
    /// The purpose.
    pub purpose: Purpose,
    /// The recipient's ordinal; 0 for a message to a person who is no recipient.
    pub recipient: u16,
    /// The address of a person who is neither a recipient nor the inviter.
    pub address: Option<Email>,
    /// The verification of a code.
    pub about: Option<Uuid>,
    /// The end of the hour that a notice reports, or the expiry that a reminder names: the reminder is cancelled if the
    /// expiry is another by then. `None` if the message names no moment.
    pub moment: Option<Timestamp>,
    /// The moment of the decision.
    pub created_at: Timestamp,
    /// The moment at which it is sent; before the decision for a message that precedes others.
    pub due_at: Timestamp,
}

/// An enqueued message, with its state.
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
    /// Returns the address it goes to, if it is still known. A notice goes to the inviter of the time when it is sent.
    pub fn address<'a>(&'a self, invitation: &'a Invitation) -> Option<&'a Email> {
        if self.message.purpose.is_notice() {
            return invitation.details.shared().inviter.as_ref()?.email.as_ref();
        }
        let recipient = || invitation.recipient(self.message.recipient).and_then(|recipient| recipient.email());
        self.message.address.as_ref().or_else(recipient)
    }

    /// Returns the reason why it need not be sent any more, if there is one.
    pub fn needless(&self, invitation: &Invitation, now: Timestamp) -> Option<&'static str> {
        if self.message.purpose.is_notice() {
            return notice::needless(self, invitation, now);
        }
        if invitation.state_at(now) != State::Active {
            return Some("the invitation is no longer ACTIVE");
        }
        let recipient = invitation.recipient(self.message.recipient);
        match self.message.purpose {
            Purpose::Reminder if self.message.moment.is_some() && self.message.moment != invitation.facts.expire_at => {
                Some("the expiry has moved")
            }
            Purpose::VerificationCode if verification::is_too_old(self.message.created_at, now) => {
                Some("the code is too old")
            }
            Purpose::VerificationCode if self.address(invitation).is_none() => Some("its address is no longer kept"),
            _ if recipient.is_some_and(Recipient::is_removed) => Some(REMOVED),
            _ if recipient.is_some_and(|recipient| !recipient.is_open()) => Some("the recipient has answered"),
            _ => None,
        }
    }
}
