//! Whom a message is from, and who gets the answers.

use std::fs;

use invitation_service::domain::delivery::notice::NoticeContent;
use invitation_service::domain::delivery::{Delivery, Purpose};
use invitation_service::domain::invitation::Invitation;
use invitation_service::domain::kind::shared::Inviter;
use invitation_service::mail::compose::About;
use invitation_service::mail::transport::Transport;
use tempfile::TempDir;

use super::build::{DELIVERY, composer, delivery, delivery_to, email, invitation, mail_config, notice, seconds, user};

const BY_INVITER: [(&str, &str); 2] = [("reply_to", "inviter"), ("from_inviter", "true")];

/// An invitation by a person with a name and an address.
fn by(name: &str, address: Option<&str>) -> Invitation {
    let mut invitation = invitation(user(name));
    let inviter = invitation.details.shared_mut().inviter.get_or_insert_with(Inviter::default);
    inviter.email = address.map(email);
    invitation
}

/// The headers `From` and `Reply-To` of a message as it is sent with some settings.
async fn sender(settings: &[(&str, &str)], invitation: &Invitation, (message, about): (Delivery, About<'_>)) -> String {
    let folder = TempDir::new().unwrap();
    let url = format!("dir:{}", folder.path().display());
    let settings = [settings, &[("url", url.as_str())]].concat();
    let mail = composer(&settings).compose(&message, invitation, about, seconds(5)).unwrap();
    Transport::new(&mail_config(&settings)).unwrap().send(&mail).await.unwrap();
    let text = fs::read_to_string(folder.path().join(format!("{DELIVERY}.eml"))).unwrap();
    let (head, _) = text.split_once("\r\n\r\n").unwrap();
    let head = head.replace("\r\n ", " ");
    let wanted = |line: &&str| line.starts_with("From: ") || line.starts_with("Reply-To: ") || line.starts_with("Bcc");
    head.split("\r\n").filter(wanted).collect::<Vec<_>>().join(" | ")
}

async fn of_invitation(settings: &[(&str, &str)], invitation: &Invitation) -> String {
    sender(settings, invitation, (delivery(Purpose::Invitation), About::Nothing)).await
}

#[tokio::test(crate = "crate::support::limit")]
async fn answers_go_to_the_inviter_where_that_is_wanted() {
    let own = "From: Example <no-reply@example.com>";
    let helped = [("reply_to", "inviter, Help <help@example.com>")];
    for (settings, address, wanted) in [
        (&[][..], Some("ann@acme.example"), own.to_owned()),
        (&[("reply_to", "inviter")], Some("ann@acme.example"), format!("{own} | Reply-To: ann@acme.example")),
        (&[("reply_to", "inviter")], None, own.to_owned()),
        (&helped, None, format!("{own} | Reply-To: Help <help@example.com>")),
        (&helped, Some("ann@acme.example"), format!("{own} | Reply-To: ann@acme.example")),
        (&[("reply_to", "a@example.com")], Some("ann@acme.example"), format!("{own} | Reply-To: a@example.com")),
    ] {
        assert_eq!(of_invitation(settings, &by("Ann", address)).await, wanted, "{settings:?} {address:?}");
    }
}

#[tokio::test(crate = "crate::support::limit")]
async fn only_mail_to_recipients_is_from_the_inviter() {
    let invitation = by("Ann", Some("ann@acme.example"));
    let content = NoticeContent::of(1, []);
    let about = |purpose| match purpose {
        Purpose::Invitation | Purpose::Reminder => (delivery(purpose), About::Nothing),
        Purpose::VerificationCode => (delivery_to(purpose, "jane@example.org"), About::Code("012345")),
        Purpose::AcceptanceNotice | Purpose::DeclineNotice | Purpose::FailureNotice | Purpose::ExpiryNotice => {
            (notice(purpose), About::Notice(&content))
        }
    };
    for purpose in Purpose::ALL {
        let wanted = match purpose.brings_link() {
            true => "From: \"Ann via Example\" <no-reply@example.com> | Reply-To: ann@acme.example",
            false => "From: Example <no-reply@example.com>",
        };
        assert_eq!(sender(&BY_INVITER, &invitation, about(purpose)).await, wanted, "{purpose:?}");
    }
}

#[tokio::test(crate = "crate::support::limit")]
async fn no_name_of_an_inviter_forges_a_sender() {
    let own = "From: Example <no-reply@example.com>";
    for name in [
        "",
        "ceo@bank.example",
        "ceo＠bank.example",
        "bank.example",
        "https://bank.example",
        "Ann <ceo@bank.example>",
        "x\r\nBcc: eve@example.org",
        "\u{202e}\u{200b}",
        "\"\"",
    ] {
        assert_eq!(of_invitation(&[("from_inviter", "true")], &by(name, None)).await, own, "{name:?}");
    }
    for (name, shown) in [
        ("Ann \"The Boss\" Lee, (CEO)", "Ann The Boss Lee CEO via Example"),
        ("Ann\r\n\t\u{202e}Lee", "Ann Lee via Example"),
        ("J.R.R. Tolkien", "J.R.R. Tolkien via Example"),
    ] {
        let wanted = format!("From: \"{shown}\" <no-reply@example.com>");
        assert_eq!(of_invitation(&[("from_inviter", "true")], &by(name, None)).await, wanted, "{name:?}");
    }
    for name in ["Zoë Müller", "山田太郎", "=?utf-8?q?ceo=40bank?=", &"Ann ".repeat(70)] {
        let sent = of_invitation(&[("from_inviter", "true")], &by(name, None)).await;
        assert!(sent.starts_with("From: =?utf-8?b?") && sent.ends_with("<no-reply@example.com>"), "{sent}");
        assert!(sent.len() < 250 && !sent.contains("?q?"), "{sent}");
    }
}
