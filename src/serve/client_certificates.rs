//! Puts a changed file of client certificates to work: connections that are open have the callers that it now names.

use std::sync::{Mutex, PoisonError};

use tokio_util::sync::CancellationToken;

use super::api_keys::one_line;
use crate::auth::client_certificate::ClientCertificates;
use crate::background::watched_file::{self, Content};
use crate::config::{ClientCertificatesConfig, parse_client_certificates};

/// Follows the file of client certificates until stopped.
pub(super) async fn run(certificates: ClientCertificates, config: ClientCertificatesConfig, stop: CancellationToken) {
    let ClientCertificatesConfig { file: path, entries } = config;
    let file = path.display().to_string();
    let at_work = Mutex::new(entries);
    let apply = |content: &Content| {
        let entries = parse_client_certificates(&file, &content.text).map_err(|error| one_line(&error))?;
        let mut at_work = at_work.lock().unwrap_or_else(PoisonError::into_inner);
        if *at_work == entries {
            return Ok(());
        }
        certificates.replace(&entries).map_err(|error| error.to_string())?;
        let (fingerprint, count) = (&content.fingerprint, entries.len());
        tracing::info!(entries = count, fingerprint, "client certificates were read again");
        *at_work = entries;
        Ok(())
    };
    watched_file::run("client certificates", path, stop, apply).await;
}
