//! The metrics of a running service: who hands them out, and the gauges that are set before each answer.

use crate::background::{Background, backlog};
use crate::server::health::service::HealthService;
use crate::server::in_flight::InFlight;
use crate::store::Store;
use crate::telemetry::metrics::exporter::Exporter;
use crate::telemetry::metrics::table::{CALLS_IN_FLIGHT, READY};

/// Starts what the exporter needs of a running service.
pub(super) fn observe(
    exporter: &Exporter,
    background: &Background,
    store: &Store,
    health: &HealthService,
    in_flight: &InFlight,
) {
    let (observed, health, in_flight) = (store.clone(), health.clone(), in_flight.clone());
    exporter.look(move || {
        observed.set_gauges();
        CALLS_IN_FLIGHT.set_count(in_flight.count(), []);
        READY.set(f64::from(u8::from(health.is_ready())), []);
    });
    background.spawn(backlog::run(store.clone(), background.stop()));
    tokio::spawn(exporter.clone().keep_up());
}
