//! A message on the wire (RFC 5322): headers, and both forms of the body, in seven bits.

use std::time::{Duration, SystemTime};

use lettre::address::{Address, Envelope};
use lettre::message::header::{ContentTransferEncoding, ContentType, HeaderName, HeaderValue};
use lettre::message::{Body, Mailbox, Message, MultiPart, SinglePart};
use unicode_normalization::UnicodeNormalization as _;

use crate::config;
use crate::domain::value::email::Email;
use crate::mail::message::{Mail, ReplyAddress};
use crate::mail::transport::{SendError, SendFailure};

/// A message as it is sent, with its envelope.
pub(in crate::mail) struct Formatted {
    pub(crate) from: Address,
    pub(crate) to: Address,
    pub(in crate::mail) bytes: Vec<u8>,
}

impl Formatted {
    /// Returns whether any server can take it. Bodies are encoded, so it is the recipient's address that decides.
    pub(crate) fn is_ascii(&self) -> bool {
        self.bytes.is_ascii() && <Address as AsRef<str>>::as_ref(&self.to).is_ascii()
    }
}

/// Writes a message down.
pub(in crate::mail) fn format(mail: &Mail) -> Result<Formatted, SendError> {
    let from = operator(&mail.from)?;
    let to = recipient(&mail.to);
    // Without an envelope the library would parse the header again, and refuse letters that are written with marks.
    let envelope = Envelope::new(Some(from.email.clone()), vec![to.clone()]);
    let mut builder = Message::builder()
        .envelope(envelope.map_err(|_| unfit("the message has no envelope"))?)
        .from(from.clone())
        .to(Mailbox::new(mail.to_name.as_deref().map(header_text), to.clone()))
        .subject(header_text(&mail.subject))
        .message_id(Some(mail.message_id.to_string()))
        .date(date(mail));
    if let Some(reply_to) = &mail.reply_to {
        builder = builder.reply_to(match reply_to {
            ReplyAddress::Operator(mailbox) => operator(mailbox)?,
            ReplyAddress::Inviter(email) => Mailbox::new(None, recipient(email)),
        });
    }
    for (name, value) in &mail.headers {
        builder = builder.raw_header(HeaderValue::new(HeaderName::new_from_ascii_str(name), value.clone()));
    }
    let body = MultiPart::alternative()
        // No body that stays as it is holds this boundary: see `part`.
        .boundary(format!("=_{}", mail.id.simple()))
        .singlepart(part(ContentType::TEXT_PLAIN, &mail.text))
        .singlepart(part(ContentType::TEXT_HTML, &mail.html));
    let message = builder.multipart(body).map_err(|_| unfit("the message cannot be written"))?;
    let bytes = message.formatted();
    if !has_whole_line_ends(&bytes) {
        return Err(unfit("the message holds half a line end"));
    }
    Ok(Formatted { from: from.email, to, bytes })
}

/// The longest line of a body that stays as it is, in bytes; RFC 5322 allows 998.
const LONGEST_LINE: usize = 990;

/// Returns a body with line ends as they have to be. It stays as it is if it may, and is in base64 otherwise: some programs spoil
/// the soft line ends of quoted-printable, and with them the link.
fn part(content_type: ContentType, text: &str) -> SinglePart {
    let text = text.replace("\r\n", "\n").replace('\r', "\n").replace('\n', "\r\n");
    let is_plain = text.is_ascii() && !text.contains("=_") && text.lines().all(|line| line.len() <= LONGEST_LINE);
    let part = SinglePart::builder().header(content_type);
    if is_plain {
        // The library would refuse lines that are longer than it likes, but shorter than they may be.
        return part.body(Body::dangerous_pre_encoded(text.into_bytes(), ContentTransferEncoding::SevenBit));
    }
    part.header(ContentTransferEncoding::Base64).body(text)
}

fn operator(mailbox: &config::Mailbox) -> Result<Mailbox, SendError> {
    let address = Address::new(&mailbox.local, &mailbox.domain)
        .map_err(|_| SendError::new(SendFailure::Misconfigured, "the sender's address cannot be written"))?;
    Ok(Mailbox::new(mailbox.name.as_deref().map(header_text), address))
}

/// Returns the address with its domain in ASCII, and its local part as it was given, composed (RFC 6532): only its server may know
/// that two other spellings are one. The library's own check refuses letters that are written with marks; the address was parsed,
/// and has neither a space nor anything that ends a line.
fn recipient(email: &Email) -> Address {
    let local: String = email.original().rsplit_once('@').map_or("", |(local, _)| local).nfc().collect();
    Address::new_dangerous(local, email.domain())
}

/// Returns a text for a header. What looks like an encoded word (RFC 2047) stands for itself: mail programs would decode it, to
/// links and line ends as well.
fn header_text(text: &str) -> String {
    text.replace("=?", "=\u{2060}?")
}

fn unfit(why: &str) -> SendError {
    SendError::new(SendFailure::Refused, why)
}

fn date(mail: &Mail) -> SystemTime {
    let micros = u64::try_from(mail.date.micros()).unwrap_or_default();
    SystemTime::UNIX_EPOCH + Duration::from_micros(micros)
}

/// Returns whether CR and LF occur together only: servers do not agree on the meaning of one alone, and some take `LF . LF` for
/// the end of the message.
fn has_whole_line_ends(bytes: &[u8]) -> bool {
    let mut last = None;
    for byte in bytes {
        if (*byte == b'\n') != (last == Some(b'\r')) {
            return false;
        }
        last = Some(*byte);
    }
    last != Some(b'\r')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_looks_encoded_stands_for_itself_in_a_header() {
        assert_eq!(header_text("=?utf-8?q?a?= =?"), "=\u{2060}?utf-8?q?a?= =\u{2060}?");
        assert_eq!(header_text("1 = 1?"), "1 = 1?");
    }

    #[test]
    fn half_a_line_end_is_found() {
        for (text, whole) in
            [("a\r\nb\r\n", true), ("a\nb", false), ("a\rb", false), ("a\r\r\n", false), ("a\r", false)]
        {
            assert_eq!(has_whole_line_ends(text.as_bytes()), whole, "{text:?}");
        }
    }
}
