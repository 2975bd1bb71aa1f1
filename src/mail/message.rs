//! A message that is ready to be sent.

use std::fmt;

use uuid::Uuid;

use crate::config::Mailbox;
use crate::domain::delivery::message_id::MessageId;
use crate::domain::value::email::Email;
use crate::domain::value::time::Timestamp;

/// A message with everything that is on it. Its texts hold a link or a code, so they are never printed.
#[derive(Clone)]
pub struct Mail {
    /// The delivery's id.
    pub id: Uuid,
    /// The sender.
    pub from: Mailbox,
    /// The address for answers, if it is not the sender's.
    pub reply_to: Option<ReplyAddress>,
    /// The recipient's address.
    pub to: Email,
    /// The recipient's name.
    pub to_name: Option<String>,
    /// The subject: one line.
    pub subject: String,
    /// The text, with bare line feeds.
    pub text: String,
    /// The same as HTML.
    pub html: String,
    /// The Message-ID, the same at every attempt.
    pub message_id: MessageId,
    /// The moment at which it was composed.
    pub date: Timestamp,
    /// Further headers, names and values in ASCII.
    pub headers: Vec<(&'static str, String)>,
}

/// An address for answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReplyAddress {
    /// One of the operator's.
    Operator(Mailbox),
    /// The inviter's.
    Inviter(Email),
}

/// Shows the id of the message and the address, masked.
impl fmt::Debug for Mail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mail").field("id", &self.id).field("to", &self.to.masked()).finish_non_exhaustive()
    }
}
