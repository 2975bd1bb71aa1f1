//! Section `[mail]`: the transport of mail, its sender, and the folder of its templates.
//!
//! URLs are parsed in `mail/transport.rs`; templates are read in `crate::mail::compose`.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use url::Url;
use uuid::Uuid;

use crate::config::error::{Checked, Problems};
use crate::config::value;
use crate::domain::delivery::message_id::MessageId;

mod mailbox;
mod notices;
mod reply_to;
mod transport;

pub use mailbox::Mailbox;
pub(in crate::config) use notices::RawNotices;
pub use reply_to::ReplyTo;
pub use transport::{Encryption, MailTransport, SmtpServer};

/// The placeholder of the delivery's id in `mail.unsubscribe`.
const DELIVERY_PLACEHOLDER: &str = "{delivery}";
const TIMEOUT_MIN: Duration = Duration::from_millis(100);
const TIMEOUT_MAX: Duration = Duration::from_secs(5 * 60);

/// The settings of mail.
#[derive(Clone, Debug)]
pub struct MailConfig {
    /// The transport.
    pub transport: MailTransport,
    /// The connections to a mail server, if the transport is one.
    pub smtp: SmtpConfig,
    /// The sender.
    pub from: Mailbox,
    /// Whether messages to recipients name the inviter beside the sender: "Ann via Example".
    pub from_inviter: bool,
    /// The mailbox for answers.
    pub reply_to: ReplyTo,
    /// The address that mail programs offer for unsubscribing.
    pub unsubscribe: Unsubscribe,
    /// The folder of templates that take the place of those that are compiled in.
    pub templates: Option<PathBuf>,
    /// The language of mail if the invitation names no language, or one without templates.
    pub locale: String,
}

impl MailConfig {
    /// Returns the settings with the transport of another URL; the error never quotes it.
    pub(in crate::config) fn with_url(&self, text: &str) -> Result<Self, String> {
        let transport = MailTransport::parse(text.trim(), self.smtp.starttls)?;
        Ok(Self { transport, ..self.clone() })
    }

    /// Returns the Message-ID of a delivery's mail.
    pub fn message_id(&self, delivery: Uuid) -> MessageId {
        MessageId::new(delivery, &self.from.domain)
    }
}

/// The connections to a mail server.
#[derive(Clone, Debug)]
pub struct SmtpConfig {
    /// Whether `smtp://` starts with STARTTLS, without which nothing is sent.
    pub starttls: bool,
    /// A PEM file of authorities to trust besides those of the system.
    pub ca_file: Option<PathBuf>,
    /// The longest one step of the dialogue may take.
    pub timeout: Duration,
    /// The most connections that are open at once.
    pub connections: u32,
    /// The host name in EHLO.
    pub helo: String,
}

/// The value of the header List-Unsubscribe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unsubscribe {
    /// A `mailto:` URL to write to.
    Mailto(String),
    /// An https URL to post to (RFC 8058), which has the delivery's id in place of `{delivery}`.
    Https(String),
}

impl Unsubscribe {
    fn parse(text: &str, from: &Mailbox) -> Result<Unsubscribe, String> {
        const EXPECTED: &str = "must be a mailto: or an https: URL";
        if text.is_empty() {
            return Ok(Unsubscribe::Mailto(format!("mailto:{}?subject=unsubscribe", from.address())));
        }
        if !text.is_ascii() || text.contains(|c: char| c.is_ascii_whitespace() || c.is_ascii_control()) {
            return Err("must be in ASCII, without white space: percent-encode the rest".to_owned());
        }
        let sample = text.replace(DELIVERY_PLACEHOLDER, "x");
        if sample.contains(['<', '>', '{', '}', ',']) {
            return Err("must not contain commas, angle brackets, or braces other than {delivery}".to_owned());
        }
        match Url::parse(&sample).map_err(|_| EXPECTED)?.scheme() {
            "mailto" if sample.contains('@') => Ok(Unsubscribe::Mailto(text.to_owned())),
            "https" => Ok(Unsubscribe::Https(text.to_owned())),
            _ => Err(EXPECTED.to_owned()),
        }
    }

    /// Returns the URL in the mail of a delivery.
    pub fn url(&self, delivery: Uuid) -> String {
        let (Unsubscribe::Mailto(url) | Unsubscribe::Https(url)) = self;
        url.replace(DELIVERY_PLACEHOLDER, &delivery.to_string())
    }
}

impl fmt::Display for Unsubscribe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Unsubscribe::Mailto(url) | Unsubscribe::Https(url)) = self;
        f.write_str(url)
    }
}

#[derive(Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct RawMail {
    url: Option<String>,
    url_file: Option<String>,
    from: String,
    from_inviter: String,
    reply_to: String,
    unsubscribe: String,
    templates: String,
    locale: String,
    starttls: String,
    ca_file: String,
    timeout: String,
    connections: String,
    helo: String,
}

impl RawMail {
    /// Parses the section; the second value is the file the URL came from.
    pub(in crate::config) fn validate(self, problems: &mut Problems) -> Checked<(MailConfig, Option<PathBuf>)> {
        let RawMail { url, url_file, from, from_inviter, reply_to, unsubscribe, templates, locale, .. } = &self;
        let from = problems.check("mail.from", Mailbox::parse(from));
        let choices = [("true", true), ("false", false)];
        let from_inviter = value::choice(problems, "mail.from_inviter", from_inviter, &choices);
        let reply_to = problems.check("mail.reply_to", ReplyTo::parse(reply_to));
        let unsubscribe = match &from {
            Ok(from) => problems.check("mail.unsubscribe", Unsubscribe::parse(unsubscribe, from)),
            Err(reported) => Err(*reported),
        };
        let locale = problems.check("mail.locale", parse_locale(locale));
        let smtp = self.smtp(problems, from.as_ref().ok());
        let url = value::secret(problems, "mail.url", url.clone(), url_file.clone());

        let (smtp, url) = (smtp?, url?);
        let (transport, file) = match url {
            None => (MailTransport::Log, None),
            Some(secret) => {
                let field = if secret.file.is_some() { "mail.url_file" } else { "mail.url" };
                let parsed = MailTransport::parse(secret.value.expose_secret(), smtp.starttls);
                (problems.check(field, parsed)?, secret.file)
            }
        };
        let config = MailConfig {
            transport,
            smtp,
            from: from?,
            from_inviter: from_inviter?,
            reply_to: reply_to?,
            unsubscribe: unsubscribe?,
            templates: optional(templates).map(PathBuf::from),
            locale: locale?,
        };
        Ok((config, file))
    }

    fn smtp(&self, problems: &mut Problems, from: Option<&Mailbox>) -> Checked<SmtpConfig> {
        let starttls = value::choice(problems, "mail.starttls", &self.starttls, &[("required", true), ("none", false)]);
        let timeout = value::duration(problems, "mail.timeout", &self.timeout, TIMEOUT_MIN..=TIMEOUT_MAX);
        let connections = value::number(problems, "mail.connections", &self.connections, 1..=100);
        let from_domain = from.map(|from| from.domain.clone()).unwrap_or_default();
        let helo = optional(&self.helo).map_or(Ok(from_domain), parse_helo);
        let helo = problems.check("mail.helo", helo);
        Ok(SmtpConfig {
            starttls: starttls?,
            ca_file: optional(&self.ca_file).map(PathBuf::from),
            timeout: timeout?,
            connections: connections?,
            helo: helo?,
        })
    }
}

/// Empty stands for a value that is not set.
fn optional(text: &str) -> Option<&str> {
    Some(text.trim()).filter(|text| !text.is_empty())
}

pub(in crate::config) fn parse_locale(text: &str) -> Result<String, String> {
    let is_part = |part: &str| (1..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let fits = text.split('-').all(is_part);
    if fits { Ok(text.to_ascii_lowercase()) } else { Err("must be a language such as \"en\" or \"de-AT\"".to_owned()) }
}

fn parse_helo(text: &str) -> Result<String, String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '[' | ']' | ':');
    if text.chars().all(is_part) { Ok(text.to_owned()) } else { Err("must be a host name".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unsubscribe_address_defaults_to_the_sender() {
        let from = Mailbox::parse("Example <no-reply@example.com>").unwrap();
        let parse = |text: &str| Unsubscribe::parse(text, &from);
        let own = "mailto:no-reply@example.com?subject=unsubscribe";
        assert_eq!(parse(""), Ok(Unsubscribe::Mailto(own.to_owned())));
        let link = parse("https://example.com/stop?mail={delivery}").unwrap();
        assert_eq!(link.url(Uuid::nil()), format!("https://example.com/stop?mail={}", Uuid::nil()));
        for text in ["http://example.com/", "https://a/{token}", "https://a/>,<b", "mailto:nobody", "https://ä/", "x"]
        {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
