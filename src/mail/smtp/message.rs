//! A message on the wire (RFC 5322): headers, and both forms of the body, always encoded.

use std::time::{Duration, SystemTime};

use lettre::Address;
use lettre::message::header::{ContentTransferEncoding, ContentType, HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message, MultiPart, SinglePart};

use crate::config;
use crate::domain::value::email::Email;
use crate::mail::message::Mail;
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
    let to = recipient(&mail.to)?;
    let mut builder = Message::builder()
        .from(from.clone())
        .to(Mailbox::new(mail.to_name.clone(), to.clone()))
        .subject(mail.subject.as_str())
        .message_id(Some(mail.message_id.to_string()))
        .date(date(mail));
    if let Some(reply_to) = &mail.reply_to {
        builder = builder.reply_to(operator(reply_to)?);
    }
    for (name, value) in &mail.headers {
        builder = builder.raw_header(HeaderValue::new(HeaderName::new_from_ascii_str(name), value.clone()));
    }
    let body = MultiPart::alternative()
        // Quoted-printable has no `=_`, so no body can hold this boundary.
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

/// Encodes a body with line ends as they have to be.
fn part(content_type: ContentType, text: &str) -> SinglePart {
    let text = text.replace("\r\n", "\n").replace('\r', "\n").replace('\n', "\r\n");
    SinglePart::builder().header(content_type).header(ContentTransferEncoding::QuotedPrintable).body(text)
}

fn operator(mailbox: &config::Mailbox) -> Result<Mailbox, SendError> {
    let address = Address::new(&mailbox.local, &mailbox.domain)
        .map_err(|_| SendError::new(SendFailure::Misconfigured, "the sender's address cannot be written"))?;
    Ok(Mailbox::new(mailbox.name.clone(), address))
}

/// Returns the address with its domain in ASCII. The local part stays as it was given: only its server may know that two
/// spellings are one.
fn recipient(email: &Email) -> Result<Address, SendError> {
    let local = email.original().rsplit_once('@').map_or("", |(local, _)| local);
    Address::new(local, email.domain()).map_err(|_| unfit("the address cannot be written"))
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
    fn half_a_line_end_is_found() {
        for (text, whole) in
            [("a\r\nb\r\n", true), ("a\nb", false), ("a\rb", false), ("a\r\r\n", false), ("a\r", false)]
        {
            assert_eq!(has_whole_line_ends(text.as_bytes()), whole, "{text:?}");
        }
    }
}
