//! The sections `[mail]` and `[notices]`.

use toml::Value;

use super::{REDACTED, format_duration, section};
use crate::config::{Encryption, MailConfig, MailTransport, SmtpConfig};
use crate::domain::delivery::notice::Notices;

pub(super) fn render(mail: &MailConfig, file: Option<String>) -> String {
    let MailConfig { transport, smtp, from, from_inviter, reply_to, unsubscribe, templates, locale } = mail;
    let SmtpConfig { starttls, ca_file, timeout, connections, helo } = smtp;
    let url = match transport {
        MailTransport::Log => "log:".to_owned(),
        MailTransport::Directory(path) => format!("dir:{}", path.display()),
        MailTransport::Smtp(server) => {
            let scheme = if server.encryption == Encryption::Implicit { "smtps" } else { "smtp" };
            let credentials = if server.credentials.is_some() { format!("{REDACTED}@") } else { String::new() };
            format!("{scheme}://{credentials}{}", server.address())
        }
    };
    let path =
        |path: &Option<std::path::PathBuf>| path.as_ref().map(|path| path.display().to_string()).unwrap_or_default();
    let head = match file {
        Some(file) => section("mail").text("url_file", file).comment(&format!("which says {url}")),
        None => section("mail").text("url", url),
    };
    head.text("from", from.to_string())
        .value("from_inviter", Value::Boolean(*from_inviter))
        .text("reply_to", reply_to.to_string())
        .text("unsubscribe", unsubscribe.to_string())
        .text("templates", path(templates))
        .text("locale", locale.clone())
        .text("starttls", if *starttls { "required" } else { "none" }.to_owned())
        .text("ca_file", path(ca_file))
        .text("timeout", format_duration(*timeout))
        .number("connections", i64::from(*connections))
        .text("helo", helo.clone())
        .0
}

pub(super) fn render_notices(notices: Notices) -> String {
    let Notices { accepted, declined, failed, expired } = notices;
    let switches = [("accepted", accepted), ("declined", declined), ("failed", failed), ("expired", expired)];
    switches.into_iter().fold(section("notices"), |section, (key, on)| section.value(key, Value::Boolean(on))).0
}
