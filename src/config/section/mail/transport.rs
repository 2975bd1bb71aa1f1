//! The transports that `mail.url` can name.

use std::path::PathBuf;

use percent_encoding::percent_decode_str;
use secrecy::SecretString;
use url::{Host, Url};

use crate::config::parameters::{not_a_url, refuse_unknown};
use crate::config::value;

/// The transport of mail.
#[derive(Clone, Debug)]
pub enum MailTransport {
    /// Nothing is sent: a log line stands for each message.
    Log,
    /// A folder gets one file per message.
    Directory(PathBuf),
    /// A mail server takes the messages.
    Smtp(SmtpServer),
}

/// A mail server and how to get in.
#[derive(Clone, Debug)]
pub struct SmtpServer {
    /// Its name or address; what its certificate has to be for.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The encryption of the connection.
    pub encryption: Encryption,
    /// User and password, where it wants some.
    pub credentials: Option<(SecretString, SecretString)>,
}

/// The encryption of a connection to a mail server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encryption {
    /// TLS starts with the first byte.
    Implicit,
    /// TLS starts after STARTTLS, without which nothing is sent.
    Starttls,
    /// Nothing is encrypted.
    None,
}

impl SmtpServer {
    /// Returns `host:port`.
    pub fn address(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

impl MailTransport {
    /// Parses `log:`, `dir:PATH`, `smtp://...` or `smtps://...`; the error text never quotes the URL, which may hold a
    /// password.
    pub(super) fn parse(text: &str, starttls: bool) -> Result<MailTransport, String> {
        if text == "log:" {
            return Ok(MailTransport::Log);
        }
        if let Some(path) = text.strip_prefix("dir:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            if path.is_empty() || value::has_control(path) {
                return Err("must name a folder, as in dir:data/mail".to_owned());
            }
            return Ok(MailTransport::Directory(PathBuf::from(path)));
        }
        let encryption = match (text.split_once("://").map(|(scheme, _)| scheme), starttls) {
            (Some("smtps"), _) => Encryption::Implicit,
            (Some("smtp"), true) => Encryption::Starttls,
            (Some("smtp"), false) => Encryption::None,
            (Some(_) | None, _) => {
                return Err("must be log:, dir:PATH, smtp://USER:PASSWORD@HOST:PORT or smtps://...".to_owned());
            }
        };
        parse_smtp(text, encryption).map(MailTransport::Smtp)
    }
}

fn parse_smtp(text: &str, encryption: Encryption) -> Result<SmtpServer, String> {
    let url = Url::parse(text).map_err(|error| not_a_url(text, &error))?;
    refuse_unknown(&url, &[])?;
    // A raw `#`, `?` or `/` in a password silently cuts the URL short there.
    if url.fragment().is_some() || url.query().is_some() || !matches!(url.path(), "" | "/") || value::has_control(text)
    {
        return Err("must end with the port: percent-encode `/`, `?` and `#` in the password".to_owned());
    }
    // The URL parser leaves hosts of schemes that it does not know as they are.
    let host = url.host_str().filter(|host| !host.is_empty()).ok_or("must name a host, as in smtp://HOST:587")?;
    let bare = host.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
    let host = Host::parse(host).map_err(|_| "must name a host, as in smtp://HOST:587")?;
    let loopback = match &host {
        Host::Domain(name) => name == "localhost",
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    };
    let user = decode(url.username())?;
    let password = decode(url.password().unwrap_or_default())?;
    let credentials = match (user.is_empty(), password.is_empty()) {
        (true, true) => None,
        (false, false) => Some((user.into(), password.into())),
        (true, false) | (false, true) => return Err("must have both a user and a password, or neither".to_owned()),
    };
    if credentials.is_some() && encryption == Encryption::None && !loopback {
        return Err("must not send a password in the clear: use smtps:// or mail.starttls = \"required\"".to_owned());
    }
    let port = url.port().unwrap_or(match encryption {
        Encryption::Implicit => 465,
        Encryption::Starttls => 587,
        Encryption::None => 25,
    });
    Ok(SmtpServer { host: bare, port, encryption, credentials })
}

fn decode(text: &str) -> Result<String, String> {
    let text = percent_decode_str(text).decode_utf8().map_err(|_| "must have a user and a password in UTF-8")?;
    if value::has_control(&text) {
        Err("must not contain control characters".to_owned())
    } else {
        Ok(text.into_owned())
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    fn server(text: &str, starttls: bool) -> SmtpServer {
        match MailTransport::parse(text, starttls).unwrap() {
            MailTransport::Smtp(server) => server,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_url_says_which_way() {
        assert!(matches!(MailTransport::parse("log:", true), Ok(MailTransport::Log)));
        let folder = MailTransport::parse("dir:data/mail", true);
        assert!(matches!(folder, Ok(MailTransport::Directory(path)) if path == *"data/mail"));
        for (text, starttls, address, encryption) in [
            ("smtps://mail.example.com", true, "mail.example.com:465", Encryption::Implicit),
            ("smtp://mail.example.com", true, "mail.example.com:587", Encryption::Starttls),
            ("smtp://mail.example.com", false, "mail.example.com:25", Encryption::None),
            ("smtp://[::1]:2525/", false, "[::1]:2525", Encryption::None),
        ] {
            let server = server(text, starttls);
            assert_eq!((server.address().as_str(), server.encryption), (address, encryption));
            assert!(server.credentials.is_none());
        }
    }

    #[test]
    fn credentials_are_percent_decoded_and_not_printed() {
        let server = server("smtp://us%40er:p%2Fhunter2%25%+f@mail.example.com:26", true);
        assert!(!format!("{server:?}").contains("hunter2"));
        let (user, password) = server.credentials.unwrap();
        assert_eq!((user.expose_secret(), password.expose_secret()), ("us@er", "p/hunter2%%+f"));
    }

    #[test]
    fn a_password_is_never_sent_in_the_clear_but_to_this_machine() {
        for host in ["mail.example.com", "10.0.0.1", "localhost.example.com", "[fd00::1]"] {
            let text = format!("smtp://u:hunter2@{host}");
            let error = MailTransport::parse(&text, false).unwrap_err();
            assert!(error.contains("in the clear") && !error.contains("hunter2"), "{error}");
            assert!(MailTransport::parse(&text, true).is_ok());
        }
        for host in ["localhost", "127.0.0.1", "[::1]"] {
            assert!(MailTransport::parse(&format!("smtp://u:p@{host}"), false).is_ok(), "{host}");
        }
    }

    #[test]
    fn what_leads_nowhere_is_refused() {
        for text in [
            "",
            "log",
            "dir:",
            "mail.example.com",
            "http://mail.example.com",
            "smtp://",
            "smtp://u@mail.example.com",
            "smtp://:p@mail.example.com",
            "smtp://mail.example.com/path",
            "smtp://mail.example.com?tls=none",
            "smtp://u:p#1@mail.example.com",
            "smtp://u:%0Ap@mail.example.com",
        ] {
            assert!(MailTransport::parse(text, true).is_err(), "{text}");
        }
    }
}
