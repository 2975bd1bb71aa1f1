//! Checks whether the standby can be read.

use std::convert::Infallible;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::periodic_task::{PeriodicTask, TickResult};
use crate::store::Store;

/// The pause between two checks: reads that wait for a silent standby are asked of the primary that soon.
const CHECK_INTERVAL: Duration = Duration::from_millis(250);

/// Checks the standby until stopped, if there is one.
pub(crate) async fn run(store: Store, stop: CancellationToken) {
    if !store.has_standby() {
        return;
    }
    let task = PeriodicTask { name: "standby", notified: None, gather: Duration::ZERO, interval: CHECK_INTERVAL, stop };
    let check = || async {
        store.check_standby().await;
        Ok::<_, Infallible>(TickResult::Done)
    };
    task.run(check).await;
}
