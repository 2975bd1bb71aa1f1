//! The transports of mail: each sends one message, once. Retrying is the worker's business. A transport can be replaced while messages
//! are being sent: those end as they began.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::Notify;

use super::message::Mail;
use super::smtp::{Smtp, message};
use crate::config::{MailConfig, MailTransport};

mod directory;

use directory::Directory;

/// The meaning of a failure for the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendFailure {
    /// Another attempt may succeed.
    Retry,
    /// This message will never be taken.
    Refused,
    /// No message to this address will ever be taken.
    BadAddress,
    /// Nothing is sent to this address.
    Suppressed,
    /// There is no reason any more to send it.
    Needless,
    /// No message will be sent until the configuration changes: all wait, and the attempt does not count.
    Misconfigured,
}

impl SendFailure {
    /// Every failure.
    pub const ALL: [Self; 6] =
        [Self::Retry, Self::Refused, Self::BadAddress, Self::Suppressed, Self::Needless, Self::Misconfigured];

    /// Returns the word of the failure in the log, which stays the same.
    pub fn word(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Refused => "refused",
            Self::BadAddress => "bad_address",
            Self::Suppressed => "suppressed",
            Self::Needless => "needless",
            Self::Misconfigured => "misconfigured",
        }
    }
}

/// The reason why a message was not sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct SendError {
    /// The meaning for the message.
    pub kind: SendFailure,
    /// The failure, with the codes of the mail server's answer, but without its words, which may hold an address.
    pub text: String,
}

impl SendError {
    /// Creates the error of a failure.
    pub(in crate::mail) fn new(kind: SendFailure, text: impl Into<String>) -> Self {
        Self { kind, text: text.into() }
    }
}

/// The reason why no mail can be sent.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// The folder cannot be made.
    #[error("mail.url: {0}: {1}")]
    Directory(String, std::io::Error),
    /// The file of authorities cannot be used.
    #[error("mail.ca_file: {0}: {1}")]
    Authorities(String, String),
    /// TLS cannot be set up.
    #[error("mail.url: TLS: {0}")]
    Tls(String),
}

/// A transport of messages.
#[derive(Debug)]
pub struct Transport(Access);

/// The transport at work. Clones share it.
#[derive(Clone, Debug)]
pub struct SharedTransport(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    present: RwLock<Arc<Transport>>,
    changes: AtomicU64,
    changed: Notify,
}

impl SharedTransport {
    /// Puts a transport to work.
    pub fn new(transport: Transport) -> Self {
        let present = RwLock::new(Arc::new(transport));
        Self(Arc::new(Shared { present, changes: AtomicU64::default(), changed: Notify::new() }))
    }

    /// Returns the present transport, which messages are sent by until they are there.
    pub fn present(&self) -> Arc<Transport> {
        Arc::clone(&self.0.present.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Sends later messages by another transport. Whatever kept the one before from sending need not concern it.
    pub fn replace(&self, transport: Transport) {
        *self.0.present.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(transport);
        self.0.changes.fetch_add(1, Ordering::Release);
        self.0.changed.notify_one();
    }

    /// Returns the number of changes so far.
    pub(super) fn changes(&self) -> u64 {
        self.0.changes.load(Ordering::Acquire)
    }

    /// Waits for a change since the last wait. One task can do so.
    pub(super) async fn changed(&self) {
        self.0.changed.notified().await;
    }
}

#[derive(Debug)]
enum Access {
    Log,
    Directory(Directory),
    Smtp(Box<Smtp>),
}

impl Transport {
    /// Prepares the configured transport. No connection is opened yet: the mail server may start later.
    ///
    /// # Errors
    /// A folder that cannot be made, or authorities that cannot be read.
    pub fn new(config: &MailConfig) -> Result<Self, TransportError> {
        let access = match &config.transport {
            MailTransport::Log => Access::Log,
            MailTransport::Directory(path) => Access::Directory(Directory::new(path)?),
            MailTransport::Smtp(server) => Access::Smtp(Box::new(Smtp::new(server, &config.smtp)?)),
        };
        Ok(Self(access))
    }

    /// Tries whether messages can be sent, without sending one. Returns what was found.
    ///
    /// # Errors
    /// The reason why none can be sent.
    pub async fn try_connect(&self) -> Result<String, SendError> {
        match &self.0 {
            Access::Log => Ok("mail.url is log:, so nothing is sent".to_owned()),
            Access::Directory(_) => Ok("messages are files in the folder of mail.url".to_owned()),
            Access::Smtp(smtp) => smtp.try_connect().await,
        }
    }

    /// Sends a message. Once this returns `Ok`, the receiver is responsible for it.
    ///
    /// # Errors
    /// The reason why it was not sent, and whether another attempt makes sense. After [`SendFailure::Retry`] it may have been sent
    /// nevertheless: the mail server's answer may be what got lost.
    pub async fn send(&self, mail: &Mail) -> Result<(), SendError> {
        match &self.0 {
            Access::Log => {
                // Not the subject either: it is made of people's names.
                log_event!(info, MAIL_NOT_SENT, delivery = %mail.id, to = mail.to.masked(), "mail is not sent: mail.url is log:");
                Ok(())
            }
            Access::Directory(directory) => directory.write(mail.id, message::format(mail)?.bytes).await,
            Access::Smtp(smtp) => smtp.send(mail).await,
        }
    }
}
