//! TLS and credentials: nothing is said to a server that cannot show who it is.

use std::fs;

use invitation_service::mail::transport::{SendError, SendFailure, Transport};
use tempfile::TempDir;

use super::authority::Authority;
use super::build::{mail_config, mail_to};
use super::sink::{Act, Sink, Tls};

/// Sends by a URL in which `PORT` is the server's.
async fn send(url: &str, sink: &Sink, ca_file: &str) -> Result<(), SendError> {
    let url = url.replace("PORT", &sink.port().to_string());
    let settings = [("url", url.as_str()), ("ca_file", ca_file), ("timeout", "5s")];
    let transport = Transport::new(&mail_config(&settings)).unwrap();
    assert!(!format!("{transport:?}").contains("hunter2"));
    transport.send(&mail_to("jane@example.org")).await
}

#[tokio::test(crate = "crate::support::limit")]
async fn starttls_and_smtps_with_either_mechanism_bring_the_mail() {
    let authority = Authority::vouching_for("localhost");
    for (scheme, tls) in
        [("smtp", Tls::AfterStarttls(authority.acceptor.clone())), ("smtps", Tls::Implicit(authority.acceptor.clone()))]
    {
        for mechanism in ["AUTH PLAIN LOGIN", "AUTH LOGIN"] {
            let sink = Sink::start(&[], &[mechanism], tls.clone()).await;
            send(&format!("{scheme}://user:hunter2@localhost:PORT"), &sink, &authority.ca_file()).await.unwrap();
            assert_eq!(sink.taken().0, [1], "{scheme} {mechanism}");
            let said = sink.said();
            let auth = said.iter().position(|line| line.starts_with("AUTH")).unwrap();
            let starttls = said.iter().position(|line| line == "STARTTLS");
            assert_eq!(starttls.is_some(), scheme == "smtp");
            assert!(starttls.is_none_or(|starttls| starttls < auth), "{said:?}");
        }
    }
}

#[tokio::test(crate = "crate::support::limit")]
async fn wrong_credentials_pause_everything() {
    let authority = Authority::vouching_for("localhost");
    let sink = Sink::start(&[], &["AUTH PLAIN"], Tls::Implicit(authority.acceptor.clone())).await;
    let error = send("smtps://user:wrong@localhost:PORT", &sink, &authority.ca_file()).await.unwrap_err();
    assert_eq!(error.kind, SendFailure::Misconfigured);
    assert_eq!(error.text, "the mail server answered 535 5.7.8 to AUTH");
    assert!(!sink.said().iter().any(|line| line.starts_with("MAIL")));

    let none = Sink::start(&[], &["AUTH GSSAPI"], Tls::Implicit(authority.acceptor.clone())).await;
    let error = send("smtps://user:hunter2@localhost:PORT", &none, &authority.ca_file()).await.unwrap_err();
    assert_eq!(error.kind, SendFailure::Misconfigured);

    let busy = [("AUTH", Act::Say("454 4.7.0 later"))];
    let busy = Sink::start(&busy, &["AUTH PLAIN"], Tls::Implicit(authority.acceptor.clone())).await;
    let error = send("smtps://user:hunter2@localhost:PORT", &busy, &authority.ca_file()).await.unwrap_err();
    assert_eq!(error.kind, SendFailure::Retry);
}

#[tokio::test(crate = "crate::support::limit")]
async fn server_that_cannot_show_who_it_is_hears_nothing() {
    let authority = Authority::vouching_for("localhost");
    let other = Authority::vouching_for("other.example");
    for (acceptor, ca_file) in [
        (&authority.acceptor, String::new()),
        (&other.acceptor, other.ca_file()),
        (&other.acceptor, authority.ca_file()),
    ] {
        for (scheme, tls) in
            [("smtp", Tls::AfterStarttls(acceptor.clone())), ("smtps", Tls::Implicit(acceptor.clone()))]
        {
            let sink = Sink::start(&[], &["AUTH PLAIN"], tls).await;
            let error = send(&format!("{scheme}://user:hunter2@localhost:PORT"), &sink, &ca_file).await.unwrap_err();
            assert_eq!(error.kind, SendFailure::Misconfigured, "{error}");
            assert_eq!(error.text, "the mail server's certificate is not valid for us");
            let before = if scheme == "smtp" { vec!["EHLO example.com", "STARTTLS"] } else { vec![] };
            assert_eq!(sink.said(), before);
        }
    }
}

#[tokio::test(crate = "crate::support::limit")]
async fn server_without_tls_where_it_is_expected_hears_nothing() {
    let authority = Authority::vouching_for("localhost");
    let sink = Sink::start(&[], &["AUTH PLAIN"], Tls::Never).await;
    let error = send("smtps://user:hunter2@localhost:PORT", &sink, &authority.ca_file()).await.unwrap_err();
    assert_eq!(error.kind, SendFailure::Misconfigured, "{error}");
    assert!(!sink.said().concat().contains("AUTH"), "{:?}", sink.said());

    let refusing = [("STARTTLS", Act::Say("454 4.7.0 TLS not available"))];
    let refusing = Sink::start(&refusing, &["AUTH PLAIN"], Tls::AfterStarttls(authority.acceptor.clone())).await;
    let error = send("smtp://user:hunter2@localhost:PORT", &refusing, &authority.ca_file()).await.unwrap_err();
    assert_eq!(error.kind, SendFailure::Retry, "{error}");
    assert!(!refusing.said().concat().contains("AUTH"), "{:?}", refusing.said());
}

#[tokio::test(crate = "crate::support::limit")]
async fn cleartext_behind_starttls_is_no_answer() {
    let authority = Authority::vouching_for("localhost");
    let forged = [
        "220 go ahead\r\n250 forged",
        "220 go ahead\r\n250-forged\r\n250 AUTH PLAIN\r\n235 in\r\n250 ok\r\n250 ok\r\n354 go\r\n250 taken",
        "220 go ahead\r\n250",
    ];
    for answer in forged {
        let tls = Tls::AfterStarttls(authority.acceptor.clone());
        let sink = Sink::start(&[("STARTTLS", Act::Say(answer))], &["AUTH PLAIN"], tls).await;
        let error = send("smtp://user:hunter2@localhost:PORT", &sink, &authority.ca_file()).await.unwrap_err();
        assert_eq!((error.kind, error.text.as_str()), (SendFailure::Misconfigured, "TLS with the mail server failed"));
        assert_eq!(sink.said(), ["EHLO example.com", "STARTTLS"]);
    }
}

#[test]
fn authorities_that_cannot_be_read_stop_the_start() {
    let folder = TempDir::new().unwrap();
    let empty = folder.path().join("empty.pem");
    fs::write(&empty, "no certificate").unwrap();
    for path in [folder.path().join("none.pem"), empty] {
        let path = path.display().to_string();
        let config = mail_config(&[("url", "smtps://mail.example.com"), ("ca_file", &path)]);
        let error = Transport::new(&config).unwrap_err().to_string();
        assert!(error.starts_with("mail.ca_file: ") && error.contains(&path), "{error}");
    }
}
