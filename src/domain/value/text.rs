//! The rules for strings from callers: bounded, and without characters that could forge a header or a log line.

use std::sync::Arc;

use uuid::Uuid;

use super::rule::{FieldRule, Invalid};
use crate::domain::secret::has_secret;

/// The most labels of an invitation, or variables of its mail.
pub const MAX_ENTRIES: usize = 64;
/// The most bytes that an object of the caller's own data may have as JSON.
pub const MAX_JSON_BYTES: usize = 16 * 1024;
/// The characters of a text that is only noted.
const NOTED: usize = 300;

/// Returns whether a character could end a line or steer a terminal.
pub fn is_control(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')
}

/// Parses text of `min` to `max` characters.
fn bounded(value: &str, min: usize, max: usize, length: &'static str) -> Result<(), Invalid> {
    if value.chars().any(is_control) {
        return Err(Invalid::format("must not contain control characters"));
    }
    match value.chars().count() {
        count if count < min => Err(Invalid::new(FieldRule::TooShort, length)),
        count if count > max => Err(Invalid::new(FieldRule::TooLong, length)),
        _ => Ok(()),
    }
}

/// Checks free text: 1 to 300 characters.
pub fn free_text(value: &str) -> Result<String, Invalid> {
    bounded(value, 1, 300, "must have 1 to 300 characters").map(|()| value.to_owned())
}

/// Returns a text that is only noted: on one line, and at most 300 characters, of which a longer one keeps the first. A text of
/// another system, such as the diagnostic of a mail server, is not refused for its form.
pub fn noted(value: &str) -> String {
    on_one_line(value).chars().take(NOTED).collect()
}

fn on_one_line(value: &str) -> String {
    let line: String = value.chars().map(|c| if is_control(c) { ' ' } else { c }).collect();
    let mut words = line.split(' ').filter(|word| !word.is_empty());
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |line, word| line + " " + word)
}

/// Parses a text that a caller gives beside a command, such as a reason: it is put on one line, of at most 300 characters.
pub fn remark(value: &str) -> Result<String, Invalid> {
    let line = on_one_line(value);
    bounded(&line, 0, NOTED, "must have at most 300 characters").map(|()| line)
}

/// Checks an id that means nothing to this service: 1 to 200 characters.
pub fn opaque_id(value: &str) -> Result<String, Invalid> {
    bounded(value, 1, 200, "must have 1 to 200 characters").map(|()| value.to_owned())
}

/// Checks the key of a label: 1 to 63 characters.
pub fn label_key(value: &str) -> Result<String, Invalid> {
    bounded(value, 1, 63, "keys must have 1 to 63 characters").map(|()| value.to_owned())
}

/// Checks the value of a label: at most 255 characters.
pub fn label_value(value: &str) -> Result<String, Invalid> {
    bounded(value, 0, 255, "values must have at most 255 characters").map(|()| value.to_owned())
}

/// Checks the value of a variable of a text: at most 300 characters.
pub fn variable(value: &str) -> Result<String, Invalid> {
    bounded(value, 0, 300, "values must have at most 300 characters").map(|()| value.to_owned())
}

/// Checks a message from one person to another: 1 to 1,000 characters.
pub fn message(value: &str) -> Result<String, Invalid> {
    bounded(value, 1, 1_000, "must have 1 to 1,000 characters").map(|()| value.to_owned())
}

/// Checks the tag of a language: 1 to 35 characters. Whether there is text in the language is seen when it is needed.
pub fn locale(value: &str) -> Result<String, Invalid> {
    bounded(value, 1, 35, "must have 1 to 35 characters").map(|()| value.to_owned())
}

/// Checks a text that is returned unchanged: at most 4,096 characters.
pub fn pass_through(value: &str) -> Result<String, Invalid> {
    bounded(value, 1, 4_096, "must have at most 4,096 characters").map(|()| value.to_owned())
}

/// Checks a sealed text that a caller sends back: 1 to 1,024 visible ASCII characters.
pub fn sealed(value: &str) -> Result<String, Invalid> {
    if (1..=1_024).contains(&value.len()) && value.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(value.to_owned())
    } else {
        Err(Invalid::format("must be a text that this service has returned"))
    }
}

/// Checks a request_id: 1 to 128 visible ASCII characters, which are stored and logged.
pub fn request_id(value: &str) -> Result<String, Invalid> {
    const DESCRIPTION: &str = "must be 1 to 128 visible ASCII characters";
    if has_secret(value) {
        return Err(Invalid::format("must not have a token, an API key or a webhook secret in it"));
    }
    if value.is_empty() || !value.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Invalid::format(DESCRIPTION));
    }
    if value.len() > 128 { Err(Invalid::new(FieldRule::TooLong, DESCRIPTION)) } else { Ok(value.to_owned()) }
}

/// Checks a phone number: `+` and 2 to 15 digits, the first not 0 (E.164).
pub fn phone(value: &str) -> Result<String, Invalid> {
    let digits = value.strip_prefix('+').unwrap_or_default();
    let fits = (2..=15).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    if fits && !digits.starts_with('0') {
        Ok(value.to_owned())
    } else {
        Err(Invalid::format("must be + and 2 to 15 digits (E.164)"))
    }
}

/// Parses a UUID in its hyphenated form.
pub fn uuid(value: &str) -> Result<Uuid, Invalid> {
    let parsed = Uuid::try_parse(value).map_err(|_| Invalid::new(FieldRule::NotAUuid, "must be a UUID"))?;
    // Braces, `urn:uuid:` and missing hyphens are other spellings of one id; one spelling is enough.
    if value.len() == 36 {
        Ok(parsed)
    } else {
        Err(Invalid::new(FieldRule::NotAUuid, "must be a UUID in its hyphenated form"))
    }
}

/// The account that owns a row and that a credential belongs to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountId(Arc<str>);

impl AccountId {
    /// Parses an account: 1 to 200 characters.
    pub fn parse(value: &str) -> Result<Self, Invalid> {
        opaque_id(value).map(|value| Self(value.into()))
    }

    /// Returns the account as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_refused_everywhere() {
        for bad in ["a\rb", "a\nb", "a\0b", "a\u{2028}b", "a\u{2029}b", "a\u{85}b", "a\u{1b}[31m"] {
            assert!(free_text(bad).is_err() && opaque_id(bad).is_err() && label_key(bad).is_err());
            assert!(label_value(bad).is_err() && request_id(bad).is_err() && AccountId::parse(bad).is_err());
        }
    }

    #[test]
    fn lengths_are_counted_in_characters() {
        assert!(free_text(&"ä".repeat(300)).is_ok());
        assert!(free_text(&"ä".repeat(301)).is_err());
        assert!(free_text("").is_err() && opaque_id("").is_err() && label_key("").is_err());
        assert!(label_value("").is_ok() && label_value(&"v".repeat(256)).is_err());
    }

    #[test]
    fn notes_and_remarks_are_one_line_of_a_length() {
        for (value, kept) in [
            ("550 5.1.1 no such\r\n\tmailbox", "550 5.1.1 no such mailbox"),
            ("", ""),
            (" \n ", ""),
            ("a\u{2028}b\0c", "a b c"),
        ] {
            assert_eq!(noted(value), kept);
            assert_eq!(remark(value), Ok(kept.to_owned()));
        }
        assert_eq!(noted(&"ä".repeat(400)), "ä".repeat(300));
        let (longest, longer) = ("ä".repeat(300), "ä".repeat(301));
        assert_eq!(remark(&format!(" {longest}\n")), Ok(longest));
        assert_eq!(remark(&longer).unwrap_err().rule, FieldRule::TooLong);
    }

    #[test]
    fn phones_are_e164_and_uuids_have_hyphens() {
        for (value, fits) in
            [("+4930123456", true), ("4930123456", false), ("+0123", false), ("+1", false), ("+", false)]
        {
            assert_eq!(phone(value).is_ok(), fits, "{value}");
        }
        let id = "01920000-0000-7000-8000-000000000001";
        assert!(uuid(id).is_ok() && uuid(&id.replace('-', "")).is_err() && uuid("x").is_err());
    }
}
