//! `grpc.health.v1`: the empty service is the process, each service by name is its readiness.
//!
//! Liveness never queries the database, so an outage of the database restarts nothing.

pub(crate) mod probe;
pub(crate) mod service;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::domain::secret::key_ring::KeyRing;
use crate::store::{Maintenance, StoreError};
use crate::telemetry::log_limiter::{self, LogLimiter};
use service::Readiness;

/// The interval of the readiness checks.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// The number of checks between two records that the first key signs.
const CHECKS_PER_SIGNING_NOTE: u32 = 600;

/// Watches the database and reports its state to the health service, until the service drains. Cancels `begin` when the
/// database is ready for the first time.
pub(crate) async fn watch(
    reported: Arc<watch::Sender<Readiness>>,
    mut look: ReadinessCheck,
    begin: CancellationToken,
    drain: CancellationToken,
) {
    let mut was_ready = false;
    let mut looks: u32 = 0;
    let mut log_limiter = LogLimiter::default();
    loop {
        let seen = look.look().await;
        let ready = matches!(seen, Ok(Ok(())));
        let maintenance = &look.maintenance;
        if ready && !begin.is_cancelled() {
            begin.cancel();
            if let Err(error) = maintenance.warn_of_newer_schema().await {
                log_event!(debug, SCHEMA_VERSION_UNREAD, %error, "the version of the schema could not be read; a newer one is not reported");
            }
        }
        if ready != was_ready {
            drop(reported.send_replace(if ready { Ok(()) } else { Err("the reason is looked for".to_owned()) }));
            log_event!(info, READINESS_CHANGED, ready, "readiness changed");
            was_ready = ready;
            looks = 0;
            log_limiter = LogLimiter::default();
        }
        if !ready && log_limiter.is_due() {
            // To find out why may take a while, which callers do not wait for.
            if let Some(problem) = look.problem(seen).await {
                // The tasks that meet the same are silent then.
                log_limiter::note_cause("readiness", &problem);
                log_event!(warn, NOT_READY, problem, "not ready");
                drop(reported.send_replace(Err(problem)));
            }
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
    drop(reported.send_replace(Err("the service drains".to_owned())));
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
    /// Returns the reason why the service is not ready, with what the database says about it.
    async fn problem(&self, seen: Result<Result<(), String>, StoreError>) -> Option<String> {
        match seen {
            Ok(Ok(())) => None,
            Ok(Err(problem)) => Some(problem),
            Err(error) => Some(self.maintenance.explain(error).await.to_string()),
        }
    }

    /// Returns the reason why the service is not ready, if there is one.
    async fn look(&mut self) -> Result<Result<(), String>, StoreError> {
        if self.migrate {
            self.maintenance.try_connect().await?;
            self.maintenance.migrate().await?;
            self.migrate = false;
        }
        if !self.maintenance.is_ready().await? {
            return Ok(Err(self.maintenance.problem_of_schema().await?));
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
            log_event!(warn, SIGNING_NOT_NOTED, %error, "the use of the first key was not recorded; the next check records it");
        }
    }
}
