//! Links and senders on the recipient's own machine, in mail that is real.

use super::{Settings, load};
use crate::config::reread_mail;

const FROM: (&str, &str) = ("INVITATION__MAIL__FROM", "Example <no-reply@example.com>");
const SMTP: (&str, &str) = ("INVITATION__MAIL__URL", "smtps://mail.example.com");

fn links(template: &str) -> [(&'static str, &str); 4] {
    [
        ("INVITATION__LINKS__CONNECTION", template),
        ("INVITATION__LINKS__USER", template),
        ("INVITATION__LINKS__GUEST", template),
        ("INVITATION__LINKS__GENERAL", template),
    ]
}

fn refused(settings: Settings<'_>) -> usize {
    load(settings).map_or_else(|error| error.problems.len(), |_| 0)
}

#[test]
fn real_mail_leads_to_no_loopback_host_unless_that_is_allowed() {
    for host in ["localhost", "LOCALHOST.", "app.localhost", "127.0.0.1:8080", "127.1.2.3", "[::1]", "0.0.0.0"] {
        let template = format!("http://{host}/{{token}}");
        let settings = [&links(&template)[..], &[FROM, SMTP]].concat();
        assert_eq!(refused(&settings), 4, "{host}");
        let allowed = [&settings[..], &[("INVITATION__LINKS__ALLOW_LOCALHOST", "true")]].concat();
        assert_eq!(refused(&allowed), 0, "{host}");
        let folder = [&links(&template)[..], &[FROM, ("INVITATION__MAIL__URL", "dir:mail")]].concat();
        assert_eq!(refused(&folder), 0, "nobody gets what is in a folder");
    }
    let settings = [&links("https://localhost.example.com/{token}")[..], &[FROM, SMTP]].concat();
    assert_eq!(refused(&settings), 0);
    assert_eq!(refused(&[&settings[..], &[("INVITATION__MAIL__FROM", "invitation@localhost")]].concat()), 1);
}

#[test]
fn mail_url_that_is_read_again_is_checked_like_the_first() {
    let config = load(&[FROM, ("INVITATION__MAIL__URL", "dir:mail")]).unwrap();
    let again = |url: &str| reread_mail(&config.mail, (&config.delivery, &config.links), url);
    assert!(again("smtps://mail.example.com").unwrap_err().contains("localhost"));
    assert!(again("dir:other").is_ok());
    let own = load(&[&links("https://example.com/{token}")[..], &[FROM]].concat()).unwrap();
    assert!(reread_mail(&own.mail, (&own.delivery, &own.links), "smtps://mail.example.com").is_ok());
}
