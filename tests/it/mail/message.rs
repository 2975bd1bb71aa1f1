//! The message on the wire.

use std::fs;

use invitation_service::domain::delivery::Purpose;
use invitation_service::mail::compose::About;
use invitation_service::mail::transport::Transport;
use tempfile::TempDir;

use super::build::{DELIVERY, composer, delivery, general, invitation, mail_config, seconds};

/// A message as it would be sent, with these settings.
async fn written(settings: &[(&str, &str)], scope: &str) -> String {
    let folder = TempDir::new().unwrap();
    let url = format!("dir:{}", folder.path().display());
    let settings = [settings, &[("url", url.as_str())]].concat();
    let invitation = invitation(general(scope, "Ada", &[("message", "a\u{2028}.\u{2029}b")]));
    let mail = composer(&settings).compose(&delivery(Purpose::Invitation), &invitation, About::Nothing, seconds(5));
    Transport::new(&mail_config(&settings)).unwrap().send(&mail.unwrap()).await.unwrap();
    fs::read_to_string(folder.path().join(format!("{DELIVERY}.eml"))).unwrap()
}

/// The header lines, unfolded.
fn headers(message: &str) -> Vec<String> {
    let (head, _) = message.split_once("\r\n\r\n").unwrap();
    head.replace("\r\n ", " ").split("\r\n").map(str::to_owned).collect()
}

#[tokio::test(crate = "crate::support::limit")]
async fn every_header_is_as_it_should_be() {
    let reply = [("reply_to", "Help <help@example.com>"), ("unsubscribe", "https://example.com/stop/{delivery}")];
    assert_eq!(
        headers(&written(&reply, "Platform").await),
        [
            "From: Example <no-reply@example.com>",
            "To: \"Jane Doe\" <jane@example.org>",
            "Subject: Ada invites you to Platform",
            &format!("Message-ID: <{DELIVERY}@example.com>"),
            "Date: Thu, 01 Jan 2026 00:00:05 +0000",
            "Reply-To: Help <help@example.com>",
            "Auto-Submitted: auto-generated",
            "X-Auto-Response-Suppress: All",
            &format!("List-Unsubscribe: <https://example.com/stop/{DELIVERY}>"),
            "List-Unsubscribe-Post: List-Unsubscribe=One-Click",
            "MIME-Version: 1.0",
            &format!("Content-Type: multipart/alternative; boundary=\"=_{}\"", DELIVERY.simple()),
        ]
    );
    let plain = headers(&written(&[], "Platform").await);
    assert!(plain.contains(&"List-Unsubscribe: <mailto:no-reply@example.com?subject=unsubscribe>".to_owned()));
    assert!(!plain.iter().any(|line| line.starts_with("List-Unsubscribe-Post") || line.starts_with("Reply-To")));
}

#[tokio::test(crate = "crate::support::limit")]
async fn non_ascii_text_is_encoded() {
    let message = written(&[], "Zürich 🙂").await;
    assert!(message.is_ascii(), "{message}");
    assert!(message.contains("\r\nSubject: Ada invites you to =?utf-8?b?WsO8cmljaCDwn5mC?=\r\n"), "{message}");
    assert_eq!(message.matches("Content-Transfer-Encoding: base64").count(), 2);
    assert!(!message.contains("Z=C3=BCrich"), "{message}");
}

#[tokio::test(crate = "crate::support::limit")]
async fn no_line_is_too_long_and_none_ends_in_half_a_line_end() {
    let message = written(&[], &"long ".repeat(60)).await;
    let lines: Vec<&str> = message.split("\r\n").collect();
    assert!(lines.iter().all(|line| line.len() <= 998 && !line.contains(['\r', '\n'])), "{message}");
    assert!(lines.len() > 50);
    // A link stands on one line, which no program can spoil.
    let plain = written(&[], "Platform").await;
    let link = plain.split("\r\n").find(|line| line.starts_with("http")).unwrap_or_else(|| panic!("{plain}"));
    assert!(link.len() > 76 && !plain.contains("=\r\n"), "{link}");
}
