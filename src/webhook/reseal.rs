//! Keeps the secrets of endpoints sealed by the signing key, so that the keys before it can leave the ring.

use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::Outage;
use crate::domain::secret::key_ring::KeyRing;
use crate::domain::webhook::signature::Secret;
use crate::entropy::Entropy;
use crate::store::Store;

/// The time between two looks: another process may have signed with the key before meanwhile.
const EVERY: Duration = Duration::from_secs(3_600);
/// The time until the next look while the database does not answer.
const AGAIN: Duration = Duration::from_secs(10);

/// Seals with the signing key the secrets that an older key has sealed, until stopped. It also runs where nothing is posted, since
/// endpoints are created there too.
pub async fn run(store: Store, ring: KeyRing, stop: CancellationToken) {
    let entropy = Entropy::system();
    let mut outage = Outage::default();
    loop {
        let resealed = store.reseal_webhook_secrets(|account, endpoint, sealed| {
            Secret::reseal(&ring, account, endpoint, sealed, entropy.bytes())
        });
        let wait = tokio::select! {
            resealed = resealed => match outage.seen(resealed) {
                Some(0) => EVERY,
                Some(endpoints) => {
                    tracing::info!(endpoints, "webhook secrets are sealed by the signing key");
                    EVERY
                }
                None => AGAIN,
            },
            () = stop.cancelled() => return,
        };
        tokio::select! {
            () = sleep(wait) => {}
            () = stop.cancelled() => return,
        }
    }
}
