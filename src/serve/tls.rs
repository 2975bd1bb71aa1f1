//! Puts changed certificates to work: later connections are served with them, and those that are open go on. A client whose
//! certificate is by none of the present authorities has no caller any more.

use std::sync::{Mutex, PoisonError};

use crate::auth::client_certificate::ClientCertificates;
use crate::background::watched_file::{self, Content, Follow};
use crate::clock::Clock;
use crate::config::TlsConfig;
use crate::telemetry::metrics::table::CERTIFICATE_EXPIRY;
use crate::telemetry::metrics::{files, micros_to_seconds};
use crate::tls::client::ClientAuthorities;
use crate::tls::{ServerIdentity, ServerTls};

/// Follows the files of the certificate, its key and the authorities of clients until stopped.
pub(super) async fn run(
    tls: ServerTls,
    certificates: Option<ClientCertificates>,
    config: TlsConfig,
    clock: Clock,
    follow: Follow,
) {
    let TlsConfig { cert_file, key_file, identity, client_ca_file, client_authorities, client_auth } = config;
    let (certificate_file, authorities_file) = (cert_file.display().to_string(), client_ca_file.clone());
    let authorities_file = authorities_file.map(|path| path.display().to_string());
    log("the certificate of this server was read", &certificate_file, &identity, &clock);
    let at_work = Mutex::new((identity, client_authorities));
    let paths = [cert_file, key_file].into_iter().chain(client_ca_file).collect();
    let apply = |contents: &[Content]| {
        let (certificate, key, authorities) = match contents {
            [certificate, key] => (certificate, key, None),
            [certificate, key, authorities] => (certificate, key, Some(authorities)),
            _ => return Err("two or three files are expected".to_owned()),
        };
        let identity = ServerIdentity::parse(&certificate.text, &key.text)?;
        let parse = |content: &Content| ClientAuthorities::parse(&content.text, client_auth.is_required());
        let authorities = authorities.map(parse).transpose().map_err(|problem| format!("client_ca_file: {problem}"))?;
        let mut at_work = at_work.lock().unwrap_or_else(PoisonError::into_inner);
        let is_same_chain = at_work.0.has_same_chain(&identity);
        let are_same_authorities = match (&at_work.1, &authorities) {
            (Some(before), Some(now)) => before.are_the_same(now),
            _ => true,
        };
        if is_same_chain && are_same_authorities {
            return Ok(());
        }
        if !is_same_chain && identity.not_after <= clock.now() {
            return Err(format!("the certificate has expired at {}", identity.not_after));
        }
        tls.replace(&identity, authorities.as_ref())?;
        if !is_same_chain {
            log("the certificate of this server was read again", &certificate_file, &identity, &clock);
        }
        if let Some(authorities) = authorities.as_ref().filter(|_| !are_same_authorities) {
            let fingerprints = authorities.fingerprints();
            log_event!(
                info,
                CLIENT_AUTHORITIES_READ,
                file = authorities_file,
                fingerprints,
                "the authorities of clients were read again"
            );
            if let Some(certificates) = &certificates {
                certificates.trust(authorities.clone());
            }
        }
        *at_work = (identity, authorities);
        Ok(())
    };
    watched_file::run_together(files::TLS, paths, follow, apply).await;
}

fn log(message: &str, file: &str, identity: &ServerIdentity, clock: &Clock) {
    let ServerIdentity { fingerprint, not_after, .. } = identity;
    CERTIFICATE_EXPIRY.set(micros_to_seconds(not_after.micros()), []);
    if *not_after <= clock.now() {
        log_event!(warn, CERTIFICATE_READ, file, fingerprint, %not_after, "{message}, and has expired: clients refuse it");
    } else {
        log_event!(info, CERTIFICATE_READ, file, fingerprint, %not_after, "{message}");
    }
}
