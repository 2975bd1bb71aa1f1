//! Puts a changed file of client certificates to work: connections that are open have the callers that it now names.

use tokio_util::sync::CancellationToken;

use super::entry_file::{Change, follow};
use crate::auth::client_certificate::ClientCertificates;
use crate::config::{ClientCertificateEntry, EntryFile};

/// Follows the file of client certificates until stopped.
pub(super) async fn run(
    certificates: ClientCertificates,
    file: EntryFile<ClientCertificateEntry>,
    stop: CancellationToken,
) {
    let replace = |Change { now, fingerprint, .. }: Change<'_, ClientCertificateEntry>| {
        certificates.replace(now).map_err(|error| error.to_string())?;
        tracing::info!(entries = now.len(), fingerprint, "client certificates were read again");
        Ok(())
    };
    follow("client certificates", file, stop, replace).await;
}
