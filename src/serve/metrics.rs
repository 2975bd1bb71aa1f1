//! The metrics of a running service: who hands them out, and the gauges that are set before each answer.

use crate::auth::authenticator::Authenticator;
use crate::auth::jwt::JwtVerifier;
use crate::background::backlog::Backlog;
use crate::background::{Background, key_expiry};
use crate::clock::Clock;
use crate::server::health::service::HealthService;
use crate::server::in_flight::InFlight;
use crate::store::Store;
use crate::telemetry::metrics::exporter::Exporter;
use crate::telemetry::metrics::micros_to_seconds;
use crate::telemetry::metrics::table::{CALLS_IN_FLIGHT, CLOCK_OFFSET, JWKS_AGE, READY};

/// The parts of a service that metrics are about.
pub(super) struct Observed {
    pub(super) store: Store,
    pub(super) authenticator: Authenticator,
    pub(super) jwt: Option<JwtVerifier>,
    pub(super) clock: Clock,
    pub(super) health: HealthService,
    pub(super) in_flight: InFlight,
    /// Whether this process publishes events to NATS.
    pub(super) publishes: bool,
}

/// Starts what the exporter needs of a running service.
pub(super) fn observe(exporter: &Exporter, background: &Background, observed: Observed) {
    let Observed { store, authenticator, jwt, clock, health, in_flight, publishes } = observed;
    let backlog = Backlog::default();
    background.spawn(backlog.clone().run(store.clone(), publishes, background.stop()));
    background.spawn(key_expiry::run(authenticator, clock.clone(), background.stop()));
    exporter.on_scrape(move || {
        store.set_gauges();
        backlog.set_gauges();
        CALLS_IN_FLIGHT.set_count(in_flight.count(), []);
        READY.set(f64::from(u8::from(health.is_ready())), []);
        if let Some(offset) = clock.database_offset() {
            CLOCK_OFFSET.set(micros_to_seconds(offset) - micros_to_seconds(offset.saturating_neg()), []);
        }
        if let Some(jwt) = &jwt {
            // There may have been such an issuer before the file of issuers changed.
            JWKS_AGE.set(jwt.age_of_fetched_keys().map_or(f64::NAN, |age| age.as_secs_f64()), []);
        }
    });
    tokio::spawn(exporter.clone().run_upkeep());
}
