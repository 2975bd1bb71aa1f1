//! Watches the end of API keys: the next one is a metric, and is named in the log a week before.

use std::convert::Infallible;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::periodic_task::{PeriodicTask, TickResult};
use crate::auth::authenticator::{Authenticator, NextExpiry};
use crate::clock::Clock;
use crate::telemetry::metrics::micros_to_seconds;
use crate::telemetry::metrics::table::API_KEY_EXPIRY;

/// The interval between two looks at all keys.
const LOOK_INTERVAL: Duration = Duration::from_secs(60);
/// The time before its end from which a key is named in the log.
const NOTICE: Duration = Duration::from_secs(7 * 86_400);

/// Watches until stopped.
pub(crate) async fn run(authenticator: Authenticator, clock: Clock, stop: CancellationToken) {
    if !authenticator.needs_credential() {
        return;
    }
    let (name, notified, gather) = ("key_expiry", None, Duration::ZERO);
    let task = PeriodicTask { name, notified, gather, interval: LOOK_INTERVAL, stop };
    let told = Mutex::new(None);
    let tick = || async {
        let now = clock.now();
        let next = authenticator.next_expiry(now);
        let moment = next.as_ref().map_or(f64::INFINITY, |next| micros_to_seconds(next.expires_at.micros()));
        API_KEY_EXPIRY.set(moment, []);
        let next = next.filter(|next| next.expires_at.earlier(NOTICE) <= now);
        let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
        if *told != next
            && let Some(next) = &next
        {
            log(next);
        }
        *told = next;
        Ok::<_, Infallible>(TickResult::Done)
    };
    task.run(tick).await;
}

fn log(NextExpiry { expires_at, account, api_key }: &NextExpiry) {
    log_event!(warn, API_KEY_EXPIRES, api_key, account, %expires_at, "an API key that is in use ends soon, and no other one before it");
}
