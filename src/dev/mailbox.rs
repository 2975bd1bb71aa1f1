//! The mail that was caught: one file for each message, in a folder.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use mail_parser::{Message, MessageParser};
use serde::Serialize;
use uuid::Uuid;

/// The most messages that a page lists, the newest first.
const LISTED: usize = 200;

/// The folder with the messages.
#[derive(Clone)]
pub(super) struct Mailbox(PathBuf);

/// The list of the messages.
#[derive(Debug, Serialize)]
pub(super) struct Mails {
    messages: Vec<Mail>,
}

/// A message as it is shown.
#[derive(Debug, Default, Serialize)]
pub(super) struct Mail {
    id: String,
    date: String,
    from: String,
    to: String,
    subject: String,
    text: String,
    has_html: bool,
    #[serde(skip)]
    pub(super) html: String,
}

impl Mailbox {
    pub(super) fn new(folder: PathBuf) -> Self {
        Self(folder)
    }

    /// Returns the messages, the newest first.
    pub(super) async fn list(&self) -> Mails {
        let folder = self.0.clone();
        let messages = tokio::task::spawn_blocking(move || listed(&folder)).await.unwrap_or_default();
        Mails { messages }
    }

    /// Returns a message by the id of its delivery.
    pub(super) async fn read(&self, id: &str) -> Option<Mail> {
        // Nothing but an id becomes a part of a path.
        let id = Uuid::parse_str(id).ok()?;
        let path = self.0.join(format!("{id}.eml"));
        let read = tokio::task::spawn_blocking(move || parsed(&path)).await;
        read.ok().flatten()
    }
}

fn listed(folder: &Path) -> Vec<Mail> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    let mails = entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|ending| ending == "eml"));
    let caught_at = |path: &PathBuf| path.metadata().and_then(|metadata| metadata.modified());
    let mut mails: Vec<_> = mails.map(|path| (caught_at(&path).unwrap_or(SystemTime::UNIX_EPOCH), path)).collect();
    mails.sort_unstable_by(|one, other| other.cmp(one));
    mails.iter().take(LISTED).filter_map(|(_, path)| parsed(path)).collect()
}

fn parsed(path: &Path) -> Option<Mail> {
    let bytes = std::fs::read(path).ok()?;
    let message = MessageParser::default().parse(&bytes)?;
    let html = message.body_html(0).map(Cow::into_owned).unwrap_or_default();
    Some(Mail {
        id: path.file_stem()?.to_str()?.to_owned(),
        date: message.date().map(mail_parser::DateTime::to_rfc3339).unwrap_or_default(),
        from: names(message.from()),
        to: names(message.to()),
        subject: message.subject().unwrap_or_default().to_owned(),
        text: body(&message),
        has_html: !html.is_empty(),
        html,
    })
}

fn body(message: &Message<'_>) -> String {
    message.body_text(0).map(Cow::into_owned).unwrap_or_default()
}

/// Returns addresses with their names, as a mail program shows them.
fn names(addresses: Option<&mail_parser::Address<'_>>) -> String {
    let shown = addresses.into_iter().flat_map(|addresses| addresses.iter()).map(|address| {
        match (address.name(), address.address()) {
            (Some(name), Some(address)) => format!("{name} <{address}>"),
            (None, Some(address)) => address.to_owned(),
            (name, None) => name.unwrap_or_default().to_owned(),
        }
    });
    shown.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAIL: &str = "From: Acme <invite@acme.example>\r\nTo: ann@example.org\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n\
        Date: Mon, 30 Nov 2026 10:00:00 +0000\r\nMIME-Version: 1.0\r\nContent-Type: multipart/alternative; boundary=b\r\n\r\n\
        --b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nHello\r\n--b\r\nContent-Type: text/html; charset=utf-8\r\n\
        Content-Transfer-Encoding: quoted-printable\r\n\r\n<p>Gr=C3=BC=C3=9Fe</p>\r\n--b--\r\n";

    #[tokio::test(crate = "crate::limit")]
    async fn message_is_shown_with_both_its_bodies() {
        let folder = tempfile::tempdir().unwrap();
        let id = "01920000-0000-7000-8000-000000000001";
        std::fs::write(folder.path().join(format!("{id}.eml")), MAIL).unwrap();
        std::fs::write(folder.path().join(".part"), MAIL).unwrap();
        let mailbox = Mailbox::new(folder.path().to_owned());
        let listed = mailbox.list().await.messages;
        let [mail] = &listed[..] else { panic!("{listed:?}") };
        assert_eq!((mail.id.as_str(), mail.subject.as_str(), mail.to.as_str()), (id, "Grüße", "ann@example.org"));
        assert_eq!((mail.from.as_str(), mail.date.as_str()), ("Acme <invite@acme.example>", "2026-11-30T10:00:00Z"));
        let read = mailbox.read(id).await.unwrap();
        assert_eq!((read.text.trim(), read.html.trim()), ("Hello", "<p>Grüße</p>"));
        for other in ["../x", "01920000-0000-7000-8000-000000000002", "", "%2e%2e"] {
            assert!(mailbox.read(other).await.is_none(), "{other}");
        }
    }
}
