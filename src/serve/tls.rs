//! Puts a changed certificate to work: later connections are served with it, and those that are open stay as they are.

use std::sync::{Mutex, PoisonError};

use tokio_util::sync::CancellationToken;

use crate::background::watched_file::{self, Content};
use crate::clock::Clock;
use crate::config::TlsConfig;
use crate::tls::{ServerIdentity, ServerTls};

/// Follows the files of the certificate and its key until stopped.
pub(super) async fn run(tls: ServerTls, config: TlsConfig, clock: Clock, stop: CancellationToken) {
    let TlsConfig { cert_file, key_file, identity } = config;
    log("the certificate of this server was read", &identity, &clock);
    let at_work = Mutex::new(identity);
    let apply = |contents: &[Content]| {
        let [certificate, key] = contents else { return Err("two files are expected".to_owned()) };
        let identity = ServerIdentity::parse(&certificate.text, &key.text)?;
        let mut at_work = at_work.lock().unwrap_or_else(PoisonError::into_inner);
        if at_work.has_same_chain(&identity) {
            return Ok(());
        }
        if identity.not_after <= clock.now() {
            return Err(format!("the certificate has expired at {}", identity.not_after));
        }
        tls.replace(&identity)?;
        log("the certificate of this server was read again", &identity, &clock);
        *at_work = identity;
        Ok(())
    };
    watched_file::run_together("TLS certificate", vec![cert_file, key_file], stop, apply).await;
}

fn log(message: &str, identity: &ServerIdentity, clock: &Clock) {
    let ServerIdentity { fingerprint, not_after, .. } = identity;
    if *not_after <= clock.now() {
        tracing::warn!(fingerprint, %not_after, "{message}, and has expired: clients refuse it");
    } else {
        tracing::info!(fingerprint, %not_after, "{message}");
    }
}
