//! Composing: a delivery and its invitation become one message with one link.

use std::path::PathBuf;

use super::message::{Mail, ReplyAddress};
use crate::config::{LinksConfig, MailConfig, Mailbox, ReplyTo, Unsubscribe};
use crate::domain::delivery::message_id::MessageId;
use crate::domain::delivery::{Delivery, Purpose};
use crate::domain::invitation::Invitation;
use crate::domain::secret::key_ring::KeyRing;
use crate::domain::secret::token::Token;
use crate::domain::value::time::Timestamp;

mod check;
mod context;
mod html;
pub(crate) mod name;
mod templates;

pub use check::ContentError;
pub use context::About;
use context::MailContext;
use templates::{Templates, Title};

/// The reason why a message cannot be composed. It holds neither an address nor a link.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ComposeError {
    /// The message has no address.
    #[error("the message has no address")]
    NoAddress,
    /// The key that signs the invitation's links is no longer in the ring.
    #[error("the key that signs the link has left token.keys")]
    KeyRetired,
    /// The subject that the purpose needs is missing.
    #[error("the content of the notice or the code of the message is missing")]
    NotAbout,
    /// A template fails with what this invitation holds.
    #[error("template {name}: {reason}")]
    Template {
        /// The template.
        name: String,
        /// The failure, without values.
        reason: String,
    },
    /// The message would hold another number of links than it should, or load something.
    #[error("{0}: {1}")]
    Content(String, ContentError),
}

/// The reason why the templates cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TemplatesError {
    /// The folder or a file in it cannot be read.
    #[error("mail.templates: {0}: {1}")]
    Read(PathBuf, std::io::Error),
    /// A file has no name that anything asks for.
    #[error("mail.templates: {0} is not the name of a template: see src/mail/templates/README.md")]
    Name(String),
    /// A template is no template, or cannot be rendered.
    #[error("mail.templates: {0}: {1}")]
    Broken(String, minijinja::Error),
    /// A message made of sample values cannot be composed.
    #[error("mail.templates: {0}")]
    Sample(ComposeError),
    /// A language is not complete.
    #[error("mail.templates: there is no {0}")]
    Missing(String),
    /// The default language has no templates.
    #[error("mail.locale: there are no templates for {0:?}")]
    Locale(String),
}

/// Composes messages; made once, at the start, when every template is tried.
#[derive(Debug)]
pub struct Composer {
    templates: Templates,
    links: LinksConfig,
    ring: KeyRing,
    from: Mailbox,
    from_inviter: bool,
    reply_to: ReplyTo,
    unsubscribe: Unsubscribe,
}

/// Tries every template, as a start does.
///
/// # Errors
/// The first template that cannot be used.
pub fn check_templates(mail: &MailConfig) -> Result<(), TemplatesError> {
    Templates::load(mail.templates.as_deref(), &mail.locale).map(drop)
}

impl Composer {
    /// Reads the templates and tries each of them with sample values.
    ///
    /// # Errors
    /// The first template that cannot be used.
    pub fn new(mail: &MailConfig, links: &LinksConfig, ring: KeyRing) -> Result<Self, TemplatesError> {
        Ok(Self {
            templates: Templates::load(mail.templates.as_deref(), &mail.locale)?,
            links: links.clone(),
            ring,
            from: mail.from.clone(),
            from_inviter: mail.from_inviter,
            reply_to: mail.reply_to.clone(),
            unsubscribe: mail.unsubscribe.clone(),
        })
    }

    /// Composes the message of a delivery; the link is derived now and stored nowhere.
    ///
    /// # Errors
    /// A missing part, or a template that fails with this invitation. Another attempt would fail as well.
    pub fn compose(
        &self,
        delivery: &Delivery,
        invitation: &Invitation,
        about: About<'_>,
        now: Timestamp,
    ) -> Result<Mail, ComposeError> {
        let message = &delivery.message;
        let to = delivery.address(invitation).ok_or(ComposeError::NoAddress)?.clone();
        let link = match message.purpose {
            Purpose::Invitation | Purpose::Reminder => Some(self.link(invitation, message.recipient)?),
            // An inviter needs no link, and who proves an address has come by one.
            Purpose::AcceptanceNotice
            | Purpose::DeclineNotice
            | Purpose::FailureNotice
            | Purpose::ExpiryNotice
            | Purpose::VerificationCode => None,
        };
        let title = Title::of(message.purpose, &invitation.details);
        let sender = self.from.name.clone().unwrap_or_else(|| self.from.domain.clone());
        let context = MailContext::of(delivery, invitation, about, &sender)?;
        let locale = self.templates.choose(title, context::locale(invitation));
        let written = self.templates.write(title, &locale, &context, link.as_deref())?;
        Ok(Mail {
            id: message.id,
            from: self.from(message.purpose, invitation),
            reply_to: self.reply_to(message.purpose, invitation),
            to,
            to_name: Some(context.recipient).filter(|name| !name.is_empty()),
            subject: written.subject,
            text: written.text,
            html: written.html,
            message_id: MessageId::new(message.id, &self.from.domain),
            date: now,
            headers: self.headers(delivery),
        })
    }

    fn link(&self, invitation: &Invitation, recipient: u16) -> Result<String, ComposeError> {
        let token = Token::sign(&invitation.claims(recipient), &self.ring).ok_or(ComposeError::KeyRetired)?;
        Ok(self.links.link(invitation.details.kind(), &token))
    }

    /// Returns the sender, with the inviter's name before its own if that is wanted. The address is always the sender's own.
    fn from(&self, purpose: Purpose, invitation: &Invitation) -> Mailbox {
        let inviter = name::sender_name(invitation.details.shared().inviter_name());
        let inviter = inviter.filter(|_| self.from_inviter && purpose.brings_link());
        let Some(inviter) = inviter else { return self.from.clone() };
        let own = self.from.name.as_deref().unwrap_or(&self.from.domain);
        Mailbox { name: Some(format!("{inviter} via {own}")), ..self.from.clone() }
    }

    /// Returns the address for answers, if it is not the sender's. Only answers of recipients go to the inviter: whoever asks for
    /// a code need not be invited.
    fn reply_to(&self, purpose: Purpose, invitation: &Invitation) -> Option<ReplyAddress> {
        let inviter = invitation.details.shared().inviter.as_ref();
        let to_inviter = matches!(self.reply_to, ReplyTo::Inviter(_)) && purpose.brings_link();
        let email = inviter.and_then(|inviter| inviter.email.clone()).filter(|_| to_inviter);
        let own = || self.reply_to.mailbox().cloned().map(ReplyAddress::Operator);
        email.map(ReplyAddress::Inviter).or_else(own)
    }

    fn headers(&self, delivery: &Delivery) -> Vec<(&'static str, String)> {
        // So that no out-of-office note answers, and no list treats it as a letter of a person's.
        let mut headers = vec![
            ("Auto-Submitted", "auto-generated".to_owned()),
            ("X-Auto-Response-Suppress", "All".to_owned()),
            ("List-Unsubscribe", format!("<{}>", self.unsubscribe.url(delivery.message.id))),
        ];
        if let Unsubscribe::Https(_) = self.unsubscribe {
            headers.push(("List-Unsubscribe-Post", "List-Unsubscribe=One-Click".to_owned()));
        }
        headers
    }
}
