//! Files that change while the service runs: what was before stays at work until the new is known to be good, and no secret of them is
//! logged.

mod database_login;
mod secrets;
mod token_keys;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use invitation_service::pb;
use invitation_service::pb::connection_invitation_service_client::ConnectionInvitationServiceClient;
use tokio::time::{Instant, sleep};

use super::keys::{WITH_KEYS, api_key};
use super::load::COMPANY;
use super::server::{PATIENCE, Server};
use crate::mail::sink::{Sink, Tls};
use crate::support::folder::folder;

/// Writes a file in the way of a careful operator: it is whole at any moment.
fn publish(path: &Path, text: &str) {
    let unfinished = path.with_extension("new");
    fs::write(&unfinished, text).unwrap();
    fs::rename(unfinished, path).unwrap();
}

/// Makes a file with a text, and returns its path and the text of that.
fn file(folder: &Path, name: &str, text: &str) -> (PathBuf, String) {
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    (path.clone(), path.display().to_string())
}

/// Waits until the log has so many lines with a part.
async fn until_logged(server: &Server, part: &str, times: usize) -> Vec<String> {
    let until = Instant::now() + PATIENCE;
    loop {
        let log = server.log();
        let lines: Vec<_> = log.lines().filter(|line| line.contains(part)).map(str::to_owned).collect();
        if lines.len() >= times {
            return lines;
        }
        assert!(Instant::now() < until, "{part:?} is not {times} times in:\n{log}");
        sleep(Duration::from_millis(20)).await;
    }
}

/// Has an address invited by mail.
async fn invite(server: &Server, email: &str) {
    let invitation = pb::ConnectionInvitation {
        company_id: COMPANY.to_owned(),
        allowed_emails: vec![email.to_owned()],
        ..Default::default()
    };
    let create = pb::CreateConnectionInvitationRequest {
        connection_invitation: Some(invitation),
        send_email: Some(true),
        ..Default::default()
    };
    ConnectionInvitationServiceClient::new(server.channel().await).create_connection_invitation(create).await.unwrap();
}

#[tokio::test(crate = "crate::support::limit")]
async fn changed_mail_url_ends_the_pause_after_a_refused_login() {
    let (folder, sink) = (folder(), Sink::start(&[], &["AUTH PLAIN"], Tls::Never).await);
    let url = |password: &str| format!("smtp://user:{password}@127.0.0.1:{}", sink.port());
    let (path, text) = file(folder.path(), "mail-url", &url("outdated"));
    let environment = [
        ("INVITATION__MAIL__URL_FILE", text.as_str()),
        ("INVITATION__MAIL__STARTTLS", "none"),
        ("INVITATION__LINKS__ALLOW_LOCALHOST", "true"),
    ];
    let server = Server::ready(folder.path(), &[], &environment).await;
    invite(&server, "ann@example.org").await;
    server.logged("the mail server answered 535").await;
    publish(&path, "smtp://user:outdated@mail.example.org?password=hunter2");
    let line = server.logged("a file that changed cannot be used").await;
    assert!(line.contains("password") && line.contains("mail-url"), "{line}");
    publish(&path, &url("hunter2"));
    let line = server.logged("the login to the mail server was read again").await;
    assert!(
        line.contains("\"changed\":\"password\"") && line.contains("mail-url") && line.contains("fingerprint"),
        "{line}"
    );
    invite(&server, "bob@example.org").await;
    // The pause would have lasted for half a minute.
    let until = Instant::now() + Duration::from_secs(10);
    while sink.taken().0.is_empty() {
        assert!(Instant::now() < until, "{}", server.log());
        sleep(Duration::from_millis(20)).await;
    }
    let log = server.log();
    assert!(!log.contains("hunter2") && !log.contains("outdated"), "{log}");
    server.stop().await;
}

#[tokio::test(crate = "crate::support::limit")]
async fn sighup_makes_the_service_look_at_its_files_and_nothing_else() {
    let folder = folder();
    api_key(folder.path(), "acme", "*").await;
    let server = Server::ready(folder.path(), &WITH_KEYS, &[]).await;
    let path = folder.path().join("keys.toml");
    let good = fs::read_to_string(&path).unwrap();
    publish(&path, "broken");
    until_logged(&server, "a file that changed cannot be used", 1).await;
    sleep(Duration::from_secs(2)).await;
    assert_eq!(until_logged(&server, "a file that changed cannot be used", 1).await.len(), 1, "{}", server.log());
    server.signal("HUP").await;
    server.logged("SIGHUP").await;
    // Whoever asks wants to know that the file is still broken.
    until_logged(&server, "a file that changed cannot be used", 2).await;
    publish(&path, &good);
    server.signal("HUP").await;
    until_logged(&server, "SIGHUP", 2).await;
    server.stop().await;
}
