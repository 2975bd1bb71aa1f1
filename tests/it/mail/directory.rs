//! Mail as files, and mail that goes nowhere.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use invitation_service::mail::transport::{SendFailure, Transport};
use tempfile::TempDir;

use super::build::{DELIVERY, mail_config, mail_to};

#[tokio::test(crate = "crate::support::limit")]
async fn message_is_one_whole_file_that_only_its_owner_can_read() {
    let folder = TempDir::new().unwrap();
    let mail = folder.path().join("deep/mail");
    let transport = Transport::new(&mail_config(&[("url", &format!("dir:{}", mail.display()))])).unwrap();
    for _ in 0..2 {
        transport.send(&mail_to("jane@example.org")).await.unwrap();
    }
    let files: Vec<_> = fs::read_dir(&mail).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files, [mail.join(format!("{DELIVERY}.eml"))]);
    let message = fs::read_to_string(&files[0]).unwrap();
    assert!(message.contains(&format!("\r\nMessage-ID: <{DELIVERY}@example.com>\r\n")), "{message}");
    assert!(message.ends_with("--\r\n"));
    assert_eq!(fs::metadata(&files[0]).unwrap().permissions().mode() & 0o777, 0o600);
}

#[tokio::test(crate = "crate::support::limit")]
async fn folder_that_is_gone_pauses_everything() {
    let folder = TempDir::new().unwrap();
    let transport = Transport::new(&mail_config(&[("url", &format!("dir:{}", folder.path().display()))])).unwrap();
    drop(folder);
    let error = transport.send(&mail_to("jane@example.org")).await.unwrap_err();
    assert_eq!(error.kind, SendFailure::Misconfigured);
    assert!(!error.text.contains('/'), "{error}");
}

#[tokio::test(crate = "crate::support::limit")]
async fn folder_that_cannot_be_made_stops_the_start() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let config = mail_config(&[("url", &format!("dir:{}/mail", file.display()))]);
    assert!(Transport::new(&config).unwrap_err().to_string().starts_with("mail.url: "));
}

#[tokio::test(crate = "crate::support::limit")]
async fn by_default_nothing_is_sent_and_nothing_fails() {
    let transport = Transport::new(&mail_config(&[])).unwrap();
    transport.send(&mail_to("jane@example.org")).await.unwrap();
}
