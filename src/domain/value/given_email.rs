//! The address of a person who accepts. Where no rule compares it, it is taken as it was given.
//!
//! Some addresses that people have are none by RFC 5322, such as `a..b@` of Japanese carriers, and a caller can do nothing about
//! the address of a person. No mail is sent to an acceptor's address.

use std::fmt;

use super::email::Email;
use super::rule::Invalid;
use super::text;

/// An address as an acceptor's is given.
#[derive(Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum GivenEmail {
    /// An address that can be compared.
    Comparable(Email),
    /// A text with an `@` that is equal to no invited address and in no domain.
    Other(String),
}

impl GivenEmail {
    /// Parses an address, or a text of 3 to 254 bytes around an `@` that may be one.
    pub fn parse(value: &str) -> Result<Self, Invalid> {
        let invalid = match Email::parse(value) {
            Ok(email) => return Ok(Self::Comparable(email)),
            Err(invalid) => invalid,
        };
        let given = value.trim_matches(|c| matches!(c, ' ' | '\t' | '\r' | '\n'));
        let has_at = given.rsplit_once('@').is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty());
        let is_bounded = (3..=254).contains(&given.len()) && !given.chars().any(text::is_control);
        if has_at && is_bounded { Ok(Self::Other(given.to_owned())) } else { Err(invalid) }
    }

    /// Returns the address as it was given.
    pub fn original(&self) -> &str {
        match self {
            Self::Comparable(email) => email.original(),
            Self::Other(text) => text,
        }
    }

    /// Returns the text by which acceptances are found: the normalised address, or the text without case.
    pub fn search_key(&self) -> String {
        match self {
            Self::Comparable(email) => email.key().to_owned(),
            Self::Other(text) => Email::normal_part(text),
        }
    }

    /// Returns the address if it can be compared.
    pub fn comparable(&self) -> Option<&Email> {
        match self {
            Self::Comparable(email) => Some(email),
            Self::Other(_) => None,
        }
    }
}

impl From<Email> for GivenEmail {
    fn from(email: Email) -> Self {
        Self::Comparable(email)
    }
}

/// Masks the address, so that `{:?}` cannot write it to a log.
impl fmt::Debug for GivenEmail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Comparable(email) => email.fmt(f),
            Self::Other(_) => f.write_str("***"),
        }
    }
}

impl TryFrom<String> for GivenEmail {
    type Error = String;

    fn try_from(value: String) -> Result<Self, String> {
        Self::parse(&value).map_err(|invalid| invalid.description.to_owned())
    }
}

impl From<GivenEmail> for String {
    fn from(given: GivenEmail) -> Self {
        match given {
            GivenEmail::Comparable(email) => email.into(),
            GivenEmail::Other(text) => text,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_that_is_not_plain_is_kept_as_given() {
        for value in [
            "a..b@docomo.example",
            "\"a..b\"@docomo.example",
            ".a@docomo.example",
            "a.@docomo.example",
            "\"a b\"@x.org",
            "a@b@x.org",
            "a@[127.0.0.1]",
            "a@localhost",
        ] {
            let given = GivenEmail::parse(&format!(" {value}\r\n")).unwrap();
            assert_eq!((given.original(), given.comparable()), (value, None));
            assert_eq!(format!("{given:?}"), "***");
            assert_eq!(GivenEmail::try_from(String::from(given.clone())).unwrap(), given, "as it is stored");
        }
        let plain = GivenEmail::parse(" <Ann@X.org> ").unwrap();
        assert_eq!((plain.original(), plain.comparable().unwrap().key()), ("Ann@X.org", "ann@x.org"));
        assert_eq!(format!("{plain:?}"), "A***@X.org");
    }

    #[test]
    fn text_that_cannot_be_an_address_is_refused() {
        let long = format!("a..b@{}", "x".repeat(250));
        for value in [
            "",
            "a",
            "ann",
            "@",
            "a@",
            "@x.org",
            "a..b@x.org\r\nBcc: b@x.org",
            "a\0.@x.org",
            "a..\u{2028}@x.org",
            &long,
        ] {
            assert!(GivenEmail::parse(value).is_err(), "{value:?}");
        }
    }
}
