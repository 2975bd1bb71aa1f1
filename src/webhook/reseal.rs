//! Keeps the secrets of endpoints sealed by the signing key, so that the keys before it can leave the ring.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::background::periodic_task::{PeriodicTask, TickResult};
use crate::domain::secret::key_ring::KeyRing;
use crate::domain::webhook::signature::Secret;
use crate::entropy::Entropy;
use crate::store::{Store, StoreError};

/// The time between two looks: another process may have signed with the key before meanwhile.
const INTERVAL: Duration = Duration::from_secs(3_600);

/// Seals with the signing key the secrets that an older key has sealed, until stopped. It also runs where nothing is posted, since
/// endpoints are created there too.
pub async fn run(store: Store, ring: KeyRing, stop: CancellationToken) {
    let entropy = Entropy::system();
    let tick = async || {
        let reseal =
            |account: &_, endpoint, sealed: &_| Secret::reseal(&ring, account, endpoint, sealed, entropy.bytes());
        let endpoints = store.reseal_webhook_secrets(reseal).await?;
        if endpoints > 0 {
            log_event!(info, WEBHOOK_SECRETS_RESEALED, endpoints, "webhook secrets are sealed by the signing key");
        }
        Ok::<_, StoreError>(TickResult::Done)
    };
    let task =
        PeriodicTask { name: "webhook_reseal", notified: None, gather: Duration::ZERO, interval: INTERVAL, stop };
    task.run(tick).await;
}
