//! Puts a changed file of client certificates to work: connections that are open have the callers that it now names.

use super::entry_file::{Change, follow};
use crate::auth::client_certificate::ClientCertificates;
use crate::background::watched_file::Follow;
use crate::config::{ClientCertificateEntry, EntryFile};
use crate::telemetry::metrics::files;

/// Follows the file of client certificates until stopped.
pub(super) async fn run(certificates: ClientCertificates, file: EntryFile<ClientCertificateEntry>, files: Follow) {
    let replace = |Change { before, now, file, fingerprint }: Change<'_, ClientCertificateEntry>| {
        certificates.replace(now).map_err(|error| error.to_string())?;
        let withdrawn = before.iter().filter(|entry| !now.contains(entry)).count();
        log_event!(
            info,
            CLIENT_CERTIFICATES_READ,
            file,
            entries = now.len(),
            withdrawn,
            fingerprint,
            "client certificates were read again"
        );
        Ok(())
    };
    follow(files::CLIENT_CERTIFICATES, file, files, replace).await;
}
