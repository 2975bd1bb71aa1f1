//! A sender's address with a name, as `mail.from` and `mail.reply_to` take it.

use std::fmt;

use crate::config::value;

/// An address of the operator's own, such as `Example <no-reply@example.com>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mailbox {
    /// The name that people see.
    pub name: Option<String>,
    /// The part before the `@`, in ASCII.
    pub local: String,
    /// The part behind the `@`, in ASCII.
    pub domain: String,
}

impl Mailbox {
    /// Parses `NAME <LOCAL@DOMAIN>` or `LOCAL@DOMAIN`. A domain of one label, such as `localhost`, is taken too.
    pub(super) fn parse(text: &str) -> Result<Mailbox, String> {
        const EXPECTED: &str = "must be an address such as \"Example <no-reply@example.com>\"";
        const LONGEST_NAME: usize = 100;
        if value::has_control(text) {
            return Err("must not contain control characters".to_owned());
        }
        let (name, address) = match text.trim().strip_suffix('>') {
            Some(rest) => rest.rsplit_once('<').ok_or(EXPECTED)?,
            None => ("", text.trim()),
        };
        let name = name.trim();
        let name = name.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(name);
        if name.chars().count() > LONGEST_NAME || name.contains(['"', '<', '>', '\\']) {
            return Err("must have a plain name of at most 100 characters before the address".to_owned());
        }
        let (local, domain) = address.split_once('@').ok_or(EXPECTED)?;
        let is_atom = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c);
        let fits = local.len() <= 64 && local.split('.').all(|atom| !atom.is_empty() && atom.chars().all(is_atom));
        let domain = idna::domain_to_ascii_strict(domain).map_err(|_| EXPECTED)?;
        if !fits || domain.is_empty() || domain.ends_with('.') {
            return Err(EXPECTED.to_owned());
        }
        let name = Some(name.to_owned()).filter(|name| !name.is_empty());
        Ok(Mailbox { name, local: local.to_owned(), domain })
    }

    /// Returns the address without the name.
    pub fn address(&self) -> String {
        format!("{}@{}", self.local, self.domain)
    }
}

/// In the form that it is parsed from.
impl fmt::Display for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "{name} <{}>", self.address()),
            None => f.write_str(&self.address()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        for (text, name, address) in [
            ("invitation-service <invitation@localhost>", Some("invitation-service"), "invitation@localhost"),
            ("no-reply@example.com", None, "no-reply@example.com"),
            ("\"Example, Inc.\" <a.b+c@exämple.org>", Some("Example, Inc."), "a.b+c@xn--exmple-cua.org"),
            ("<a@example.org>", None, "a@example.org"),
        ] {
            let mailbox = Mailbox::parse(text).unwrap();
            assert_eq!((mailbox.name.as_deref(), mailbox.address().as_str()), (name, address), "{text}");
            assert_eq!(Mailbox::parse(&mailbox.to_string()).unwrap(), mailbox);
        }
    }

    #[test]
    fn what_could_forge_a_header_or_be_undeliverable_is_refused() {
        for text in [
            "",
            "Example",
            "a@",
            "@example.org",
            "a@b@c",
            "a b@example.org",
            "ä@example.org",
            "a@example.org\r\nBcc: b@example.org",
            "A \"B\" <a@example.org>",
            "A <a@example.org",
            "A <a@example.org> <b@example.org>",
            "a@example.org.",
        ] {
            assert!(Mailbox::parse(text).is_err(), "{text:?}");
        }
    }
}
