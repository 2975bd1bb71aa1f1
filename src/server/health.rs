//! `grpc.health.v1`: the empty service is the process, each service by name is its readiness.
//!
//! Liveness never queries the database, so an outage of the database restarts nothing.

pub(crate) mod service;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::domain::secret::key_ring::KeyRing;
use crate::store::{Maintenance, StoreError};

/// The interval of the readiness checks.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// The number of checks between two log lines about one outage.
const CHECKS_PER_OUTAGE_LOG: u32 = 10;
/// The number of checks between two records that the first key signs.
const CHECKS_PER_SIGNING_NOTE: u32 = 600;

/// Watches the database and reports its state to the health service, until the service drains. Cancels `begin` when the
/// database is ready for the first time.
pub(crate) async fn watch(
    reported: Arc<watch::Sender<bool>>,
    mut look: ReadinessCheck,
    begin: CancellationToken,
    drain: CancellationToken,
) {
    let mut was_ready = false;
    let mut looks: u32 = 0;
    loop {
        let seen = look.look().await;
        let ready = seen.is_ok();
        let maintenance = &look.maintenance;
        if ready && !begin.is_cancelled() {
            begin.cancel();
            if let Err(error) = maintenance.warn_of_newer_schema().await {
                tracing::debug!(%error, "the version of the schema could not be read; a newer one is not reported");
            }
        }
        if ready != was_ready {
            reported.send_replace(ready);
            tracing::info!(ready, "readiness changed");
            was_ready = ready;
            looks = 0;
        }
        if !ready && looks.is_multiple_of(CHECKS_PER_OUTAGE_LOG) {
            tracing::warn!(problem = seen.err(), "not ready");
        }
        if ready && looks.is_multiple_of(CHECKS_PER_SIGNING_NOTE) {
            look.note_signing().await;
        }
        looks = looks.wrapping_add(1);
        tokio::select! {
            () = tokio::time::sleep(CHECK_INTERVAL) => {}
            () = drain.cancelled() => break,
        }
    }
    reported.send_replace(false);
}

/// Checks the readiness of the database.
pub(crate) struct ReadinessCheck {
    pub(crate) maintenance: Maintenance,
    /// Whether migrations are missing.
    pub(crate) migrate: bool,
    /// The keys of this process.
    pub(crate) ring: KeyRing,
    /// Whether the key ring fitted when it was compared with the database.
    pub(crate) keys_fit: bool,
}

impl ReadinessCheck {
    /// Returns the reason why the service is not ready, if there is one.
    async fn look(&mut self) -> Result<(), String> {
        match self.try_look().await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(problem)) => Err(problem),
            Err(error) => Err(error.to_string()),
        }
    }

    async fn try_look(&mut self) -> Result<Result<(), String>, StoreError> {
        if self.migrate {
            self.maintenance.migrate().await?;
            self.migrate = false;
        }
        if !self.maintenance.is_ready().await? {
            return Ok(Err("the schema is out of date: run `migrate`".to_owned()));
        }
        if let Some(problem) = self.maintenance.problem_of_reader_role().await? {
            return Ok(Err(format!("store.reader_role: {problem}")));
        }
        let keys = self.ring.fingerprints();
        let fits = if self.keys_fit {
            self.maintenance.still_fits(&keys).await?
        } else {
            let fits = self.maintenance.check_keys(&keys).await?;
            self.keys_fit = fits.is_ok();
            fits
        };
        Ok(fits.map_err(|refused| refused.to_string()))
    }

    /// Records that the first key still signs: as long as it is recorded, a ring without the key is refused.
    async fn note_signing(&self) {
        if let Err(error) = self.maintenance.note_signing(self.ring.signing_key()).await {
            tracing::warn!(%error, "the use of the first key was not recorded; the next check records it");
        }
    }
}
