//! The checks of what the service speaks to beside its database: the mail server, NATS, endpoints and the certificate it shows.

use std::time::Duration;

use super::folder;
use super::report::Report;
use crate::clock::Clock;
use crate::commands::Exit;
use crate::config::{Config, MailTransport};
use crate::domain::webhook::networks::Networks;
use crate::mail::transport::{SendFailure, Transport};
use crate::nats::try_connect;
use crate::webhook::client::WebhookClient;

/// The time before the end of a certificate from which it is worth a warning.
const RENEWAL: Duration = Duration::from_secs(14 * 24 * 60 * 60);

/// Greets the mail server, encrypts and logs in. No message is sent.
pub(super) async fn mail(config: &Config, report: &mut Report) {
    let server = match &config.mail.transport {
        MailTransport::Log => {
            return report
                .warning("mail", "mail.url is log:, so nobody gets mail: set it to smtps://USER:PASSWORD@HOST");
        }
        MailTransport::Directory(path) => {
            folder::check("mail", path, report);
            let text = format!("mail.url is a folder, {}, so nobody gets mail", path.display());
            return report.warning("mail", text);
        }
        MailTransport::Smtp(server) => server,
    };
    if !config.delivery.enabled {
        report.warning("mail", "delivery.enabled is false: another process has to send");
    }
    let tried = match Transport::new(&config.mail) {
        Ok(transport) => transport.try_connect().await,
        // The check of the configuration has said so.
        Err(_) => return,
    };
    match tried {
        Ok(text) => report.ok("mail", text),
        Err(error) => {
            let exit = match error.kind {
                SendFailure::Retry => Exit::Unreachable,
                SendFailure::Misconfigured
                | SendFailure::Refused
                | SendFailure::BadAddress
                | SendFailure::Suppressed
                | SendFailure::Needless => Exit::Configuration,
            };
            let text = format!("{}: {error}: check mail.url, mail.starttls and mail.ca_file", server.address());
            report.problem("mail", exit, text);
        }
    }
}

/// Connects to NATS.
pub(super) async fn nats(config: &Config, report: &mut Report) {
    let Some(nats) = &config.events.nats else { return };
    match try_connect(nats).await {
        Ok(servers) => report.ok("nats", format!("{servers} answers, and takes the login")),
        Err(error) => report.problem("nats", Exit::Unreachable, error.to_string()),
    }
}

/// Looks for the certificates by which those of endpoints are checked.
pub(super) fn webhooks(config: &Config, report: &mut Report) {
    if !config.webhooks.enabled {
        return report.ok("webhooks", "webhooks.enabled is false: another process has to post");
    }
    let networks = Networks::new(config.webhooks.allowed_networks.iter().copied());
    match WebhookClient::new(networks, config.webhooks.timeout) {
        Ok(_) => report.ok("webhooks", "this machine has certificates to check endpoints by"),
        Err(error) => {
            let text = format!("{error}: no event is posted; install ca-certificates, or set SSL_CERT_FILE");
            report.problem("webhooks", Exit::Failed, text);
        }
    }
}

/// Looks how long the certificate of the server is valid.
pub(super) fn certificate(config: &Config, report: &mut Report) {
    let Some(tls) = &config.grpc.tls else {
        if !config.grpc.is_on_loopback() {
            report
                .warning("certificate", "calls are served in clear text: set grpc.tls.cert_file and grpc.tls.key_file");
        }
        return;
    };
    let (now, end) = (Clock::system().now(), tls.identity.not_after);
    let text = format!("{} is valid until {end}", tls.cert_file.display());
    if end <= now {
        report.problem(
            "certificate",
            Exit::Configuration,
            format!("{} has been invalid since {end}: renew it", tls.cert_file.display()),
        );
    } else if end.earlier(RENEWAL) <= now {
        report.warning("certificate", format!("{text}: renew it"));
    } else {
        report.ok("certificate", text);
    }
}
