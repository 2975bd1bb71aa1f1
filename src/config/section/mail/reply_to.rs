//! The address for answers, as `mail.reply_to` takes it.

use std::fmt;

use super::Mailbox;

/// The word that stands for the address of the inviter.
const INVITER: &str = "inviter";

/// The mailbox that answers to a message go to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReplyTo {
    /// The sender's.
    Sender,
    /// One of the operator's.
    Mailbox(Mailbox),
    /// The inviter's, in messages to recipients; another one, else the sender's, where there is none.
    Inviter(Option<Mailbox>),
}

impl ReplyTo {
    /// Parses nothing, a mailbox, `inviter`, or `inviter` and a mailbox behind a comma.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text.is_empty() {
            return Ok(Self::Sender);
        }
        let (first, other) = text.split_once(',').map_or((text, None), |(first, other)| (first, Some(other)));
        if first.trim() != INVITER {
            return Mailbox::parse(text).map(Self::Mailbox);
        }
        other.map(Mailbox::parse).transpose().map(Self::Inviter)
    }

    /// Returns the operator's mailbox, if there is one.
    pub fn mailbox(&self) -> Option<&Mailbox> {
        match self {
            Self::Sender => None,
            Self::Mailbox(mailbox) => Some(mailbox),
            Self::Inviter(mailbox) => mailbox.as_ref(),
        }
    }
}

/// In the form that it is parsed from.
impl fmt::Display for ReplyTo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sender => Ok(()),
            Self::Mailbox(mailbox) => mailbox.fmt(f),
            Self::Inviter(None) => f.write_str(INVITER),
            Self::Inviter(Some(mailbox)) => write!(f, "{INVITER}, {mailbox}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reply_to_is_a_mailbox_or_the_inviter() {
        for text in
            ["", "inviter", "Help <help@example.com>", "inviter, Help <help@example.com>", "inviter, a@example.com"]
        {
            assert_eq!(ReplyTo::parse(text).unwrap().to_string(), text);
        }
        let parsed = ReplyTo::parse(" inviter ,a@example.com").unwrap();
        assert_eq!(parsed.mailbox().map(Mailbox::address).as_deref(), Some("a@example.com"));
        let named = ReplyTo::parse("\"Example, Inc.\" <a@example.com>").unwrap();
        assert!(matches!(named, ReplyTo::Mailbox(_)));
        for text in
            ["inviters", "inviter,", "inviter, inviter", "inviter, a", "a@b@c", "inviter, a@example.com\r\nBcc: x@y"]
        {
            assert!(ReplyTo::parse(text).is_err(), "{text:?}");
        }
    }
}
