//! E-mail addresses and the one rule by which two of them are the same.
//!
//! The rule does not decide whether mail arrives; the delivery shows that.

use std::fmt;

use icu_casemap::CaseMapper;
use unicode_normalization::UnicodeNormalization;

use super::rule::{FieldRule, Invalid};
use super::text;

/// An address: as it was given, for people, and normalised, for comparisons.
///
/// Normalised means: trimmed, NFC, without case (full case folding, Unicode 3.13), the domain in its ASCII form (IDNA 2008 by UTS 46); `+tag` is kept.
#[derive(Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Email {
    original: String,
    key: String,
}

impl Email {
    /// Parses an address of 3 to 254 bytes with an unquoted local part and a domain of two labels or more.
    pub fn parse(value: &str) -> Result<Self, Invalid> {
        // An address is often pasted with what stood around it in a list or a header.
        let value = value.trim_matches(|c| matches!(c, ' ' | '\t' | '\r' | '\n' | '<' | '>' | ';' | ','));
        // The check precedes trimming, which would remove other line ends as spaces.
        if value.chars().any(text::is_control) {
            return Err(Invalid::format("must not contain control characters"));
        }
        let original = value.trim();
        const LENGTH: &str = "must be an e-mail address of 3 to 254 bytes";
        match original.len() {
            ..3 => return Err(Invalid::new(FieldRule::TooShort, LENGTH)),
            255.. => return Err(Invalid::new(FieldRule::TooLong, LENGTH)),
            3..=254 => {}
        }
        let (local, domain) = original.split_once('@').ok_or(Invalid::format("must be an e-mail address"))?;
        let local = fold(local);
        let key = format!("{}@{}", check_local(&local)?, ascii_domain(domain)?);
        if key.len() > 254 {
            return Err(Invalid::new(FieldRule::TooLong, "must have at most 254 bytes once its domain is in ASCII"));
        }
        Ok(Self { original: original.to_owned(), key })
    }

    /// Returns a part of an address as it is in the key of an address that has it; a domain is taken for one in ASCII already.
    pub fn normal_part(part: &str) -> String {
        fold(part.trim())
    }

    /// Returns the address as it was given.
    pub fn original(&self) -> &str {
        &self.original
    }

    /// Returns the normalised address: equal for two spellings of one mailbox.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Returns the domain in its ASCII form.
    pub fn domain(&self) -> &str {
        self.key.split_once('@').map_or("", |(_, domain)| domain)
    }

    /// Returns the address with its local part hidden but for the first character: `j***@example.org`.
    pub fn masked(&self) -> String {
        let (local, domain) = self.original.split_once('@').unwrap_or_default();
        format!("{}***@{domain}", local.chars().next().unwrap_or('*'))
    }
}

/// Masks the address, so that `{:?}` cannot write it to a log.
impl fmt::Debug for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.masked())
    }
}

impl TryFrom<String> for Email {
    type Error = String;

    fn try_from(value: String) -> Result<Self, String> {
        Self::parse(&value).map_err(|invalid| invalid.description.to_owned())
    }
}

impl From<Email> for String {
    fn from(email: Email) -> Self {
        email.original
    }
}

/// Returns a text in the one form that two spellings of it share: NFC, without case. Folding, unlike lower case, makes one letter of
/// the two sigmas, and of `ß` and `ss`.
fn fold(text: &str) -> String {
    let composed: String = text.nfc().collect();
    let folded = CaseMapper::new().fold_string(&composed);
    folded.nfc().collect()
}

/// Checks a local part: a dot-atom (RFC 5322) that may have letters beyond ASCII (RFC 6531). Quoted ones are refused,
/// since they can hold anything, `@` and spaces included.
fn check_local(local: &str) -> Result<&str, Invalid> {
    let is_atom = |c: char| {
        c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c) || (!c.is_ascii() && c.is_alphanumeric())
    };
    // A combining mark that NFC could not join with its letter is not alphanumeric, yet part of a written name.
    let is_mark = |c: char| !c.is_ascii() && unicode_normalization::char::is_combining_mark(c);
    let fits = local.len() <= 64
        && local.split('.').all(|atom| !atom.is_empty() && atom.chars().all(|c| is_atom(c) || is_mark(c)));
    if fits { Ok(local) } else { Err(Invalid::format("must have a plain local part of at most 64 bytes before the @")) }
}

/// Returns a domain's ASCII form: two labels or more, letters, digits and inner hyphens, no IP literal, no trailing dot.
pub fn ascii_domain(domain: &str) -> Result<String, Invalid> {
    const INVALID: Invalid = Invalid::format("must have a domain name such as example.org behind the @");
    let ascii = idna::domain_to_ascii_strict(domain).map_err(|_| INVALID)?;
    let labels: Vec<&str> = ascii.split('.').collect();
    // All-digit last labels would be IPv4 addresses.
    let ends_in_name = labels.last().is_some_and(|last| last.bytes().any(|byte| byte.is_ascii_alphabetic()));
    if labels.len() >= 2 && ends_in_name && labels.iter().all(|label| !label.is_empty()) {
        Ok(ascii)
    } else {
        Err(INVALID)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_mailbox_have_one_key() {
        for (value, key) in [
            ("jane@example.org", "jane@example.org"),
            ("  Jane@EXAMPLE.org ", "jane@example.org"),
            ("jane+tag@example.org", "jane+tag@example.org"),
            ("ΝΙΚΟΣ@example.org", "νικοσ@example.org"),
            ("νικος@example.org", "νικοσ@example.org"),
            ("\u{212a}arl@example.org", "karl@example.org"),
            ("Weiß@example.org", "weiss@example.org"),
            ("ju\u{308}rgen@example.org", "jürgen@example.org"),
            ("विक्रम@example.org", "विक्रम@example.org"),
            ("jane@exämple.org", "jane@xn--exmple-cua.org"),
            ("jane@exa\u{308}mple.org", "jane@xn--exmple-cua.org"),
            ("jane@xn--exmple-cua.org", "jane@xn--exmple-cua.org"),
            ("J\u{fc}rgen@example.org", "j\u{fc}rgen@example.org"),
            ("Ju\u{308}rgen@example.org", "j\u{fc}rgen@example.org"),
            ("o'neil@sub.example.co.uk", "o'neil@sub.example.co.uk"),
        ] {
            let email = Email::parse(value).unwrap();
            assert_eq!(email.key(), key, "{value}");
            assert_eq!(email.original(), value.trim());
        }
    }

    #[test]
    fn address_that_is_not_plain_is_refused() {
        let long = format!("{}@example.org", "a".repeat(243));
        for value in [
            "",
            "a",
            "a@",
            "@a.org",
            "jane",
            "a@@b.org",
            "a@b@c.org",
            "\"a b\"@b.org",
            "a b@c.org",
            "a@[127.0.0.1]",
            "a@127.0.0.1",
            "a@b.org.",
            "a@.org",
            "a@b..org",
            "a@localhost",
            "a@b.org,c@d.org",
            "Name <a@x.org>",
            "a@x.org\r\nBcc: b@x.org",
            "a\0@x.org",
            "a@x.org\u{2028}",
            "<a@x.org> b",
            "a@x.org; b@x.org",
            "a@x\n.org",
            ".a@x.org",
            "a.@x.org",
            "a..b@x.org",
            "a@-x.org",
            "a@x-.org",
            "a@x_y.org",
            "a@x.org?subject=b",
            "a@x.org/",
            "a:b@x.org",
            "a;b@x.org",
            "a(b)@x.org",
            "a\\b@x.org",
            &long,
        ] {
            assert!(Email::parse(value).is_err(), "{value:?}");
        }
    }

    #[test]
    fn pasted_address_loses_what_stood_around_it() {
        for pasted in
            ["jane@x.org\r\n", "\tjane@x.org\n", "<jane@x.org>", " <jane@x.org>; ", "jane@x.org,", "jane@x.org;\n"]
        {
            let email = Email::parse(pasted).unwrap();
            assert_eq!((email.original(), email.key()), ("jane@x.org", "jane@x.org"), "{pasted:?}");
        }
    }

    #[test]
    fn key_is_its_own_key() {
        for value in ["Jane@EXAMPLE.org", "İ@example.org", "ǰ\u{323}@straße.de", "Σ@example.org"] {
            let email = Email::parse(value).unwrap();
            assert_eq!(Email::parse(email.key()).unwrap().key(), email.key(), "{value}");
        }
    }

    #[test]
    fn debug_and_mask_hide_the_local_part() {
        let email = Email::parse("jane.doe@example.org").unwrap();
        assert_eq!(email.masked(), "j***@example.org");
        assert!(!format!("{email:?}").contains("jane"));
    }
}
