//! The Message-ID of a message: its delivery's id before the `@`, so that a provider's feedback leads back to the delivery.

use std::fmt;

use uuid::Uuid;

use crate::domain::value::text;

/// A Message-ID (RFC 5322), the same at every attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageId {
    delivery: Uuid,
    domain: String,
}

impl MessageId {
    /// Creates the Message-ID of a delivery from a sender's domain.
    pub fn new(delivery: Uuid, domain: &str) -> Self {
        Self { delivery, domain: domain.to_owned() }
    }

    /// Parses the delivery's id out of a Message-ID, with or without its angle brackets. The domain may be any: it
    /// changes with the sender's address, and providers report on earlier messages too.
    pub fn parse(value: &str) -> Option<Uuid> {
        let value = value.trim();
        let inner = value.strip_prefix('<').and_then(|rest| rest.strip_suffix('>')).unwrap_or(value);
        let (delivery, domain) = inner.split_once('@')?;
        let is_domain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
        if domain.is_empty() || !domain.chars().all(is_domain) {
            return None;
        }
        text::uuid(delivery).ok()
    }
}

/// Formats the Message-ID as in the header, with its angle brackets.
impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{}@{}>", self.delivery, self.domain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: Uuid = Uuid::from_u128(0x0192_0000_0000_7000_8000_0000_0000_0001);

    #[test]
    fn message_id_parses_with_and_without_brackets() {
        let written = MessageId::new(ID, "mail.example.org").to_string();
        assert_eq!(written, "<01920000-0000-7000-8000-000000000001@mail.example.org>");
        assert_eq!(MessageId::parse(&written), Some(ID));
        assert_eq!(MessageId::parse(written.trim_matches(['<', '>'])), Some(ID));
        assert_eq!(MessageId::parse(&format!(" {written} ")), Some(ID));
    }

    #[test]
    fn foreign_message_id_is_none() {
        let id = ID.to_string();
        for value in [
            "",
            "<>",
            &id,
            &format!("{id}@"),
            &format!("@{id}"),
            &format!("<{id}@example.org"),
            &format!("{id}@example.org>"),
            &format!("<<{id}@example.org>>"),
            &format!("{id}@a@b"),
            &format!("{}@example.org", ID.simple()),
            "abc@example.org",
        ] {
            assert_eq!(MessageId::parse(value), None, "{value}");
        }
    }
}
