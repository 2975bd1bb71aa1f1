//! `dev`: a service to try, with its mail caught and nothing left behind.

use std::fs;
use std::path::Path;

use super::server::{Server, refusal, run};
use super::tools::{self, shell};
use crate::support::folder::folder;

async fn get(url: &str) -> String {
    let output = shell(&format!("curl -sS -i -m 5 {url}")).await;
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Gets a page again and again until it has a text; the limit of the test ends it.
async fn until(url: &str, text: &str) -> String {
    loop {
        let page = get(url).await;
        if page.contains(text) {
            return page;
        }
    }
}

/// Returns the address behind a word of a line.
fn behind<'a>(line: &'a str, word: &str) -> &'a str {
    line.split(word).nth(1).unwrap().split([' ', '/']).next().unwrap()
}

#[tokio::test(crate = "crate::support::limit")]
async fn lines_of_dev_lead_from_an_invitation_to_its_mail() {
    let folder = folder();
    let temporary = folder.path().display().to_string();
    let free = ["--listen", "127.0.0.1:0", "--dev-listen", "127.0.0.1:0", "--pages-listen", "127.0.0.1:0"];
    // The configuration of a production service does not count.
    let environment = [("TMPDIR", temporary.as_str()), ("INVITATION__STORE__URL", "postgres://127.0.0.1:1/none")];
    let arguments = [&["dev"], &free[..], &["--log-level", "info", "--log-format", "json"]].concat();
    let server = Server::start_exactly(folder.path(), &arguments, &environment).await;
    let see = server.printed("See: ").await;
    let try_it = server.printed("Try: curl").await;
    let output = shell(try_it.strip_prefix("Try: ").unwrap()).await;
    let created = String::from_utf8(output.stdout).unwrap();
    assert!(created.contains("\"invitationUri\":\"http://127.0.0.1:"), "{created}");
    let at = behind(&see, "See: http://").to_owned();
    // Events of all invitations are listed once they have their place in the one order.
    let page = until(&format!("http://{at}/dev"), "invitation.created").await;
    assert!(page.contains("ann@example.org"), "{page}");
    assert!(page.to_lowercase().contains("content-security-policy: default-src 'none'"), "{page}");
    let mails = until(&format!("http://{at}/dev/mail"), "href=\"/dev/mail/").await;
    let mail = mails.split("href=\"/dev/mail/").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let message = get(&format!("http://{at}/dev/mail/{mail}")).await;
    assert!(message.contains("Team Seven") && message.contains("<iframe"), "{message}");
    let html = get(&format!("http://{at}/dev/mail/{mail}/html")).await;
    assert!(html.contains("sandbox") && html.contains("<base target=\"_blank\">"), "{html}");
    assert!(html.contains("href=\"http://127.0.0.1:"), "the link: {html}");
    let elsewhere = get(&format!("-H 'host: evil.example' http://{at}/dev")).await;
    assert!(elsewhere.starts_with("HTTP/1.1 421") && !elsewhere.contains("ann@"), "{elsewhere}");
    if tools::grpcurl() {
        let line = server.printed("Try: grpcurl").await;
        let output = shell(line.strip_prefix("Try: ").unwrap()).await;
        assert!(output.status.success(), "{output:?}");
    }
    server.stop().await;
    assert!(is_empty(folder.path()), "everything is gone");
}

fn is_empty(folder: &Path) -> bool {
    fs::read_dir(folder).unwrap().next().is_none()
}

#[tokio::test(crate = "crate::support::limit")]
async fn dev_is_for_this_machine_alone() {
    let folder = folder();
    for flag in ["--listen", "--dev-listen", "--pages-listen"] {
        let output = run(folder.path(), &["dev", flag, "0.0.0.0:0"], &[]).await;
        let text = refusal(&output);
        assert!(output.status.code() == Some(3) && text.contains(flag) && text.contains("loopback"), "{text}");
    }
    let output = run(folder.path(), &["dev", "--store-url", "postgres://h/d"], &[]).await;
    assert_eq!(output.status.code(), Some(2), "no other database");
}
