//! The exporter: whether there is one, and where it sends spans, by the standard variables.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{Protocol, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData, SpanExporter};

use super::variables::{is_wanted, variable};
use super::{TRACER, Traces};
use crate::telemetry::log_limiter::LogLimiter;
use crate::telemetry::metrics::table::TRACE_SPANS;

/// The time that the end of the process waits for the last spans.
pub(super) const LAST_SPANS_LIMIT: Duration = Duration::from_secs(1);

const NAME: &str = "invitation-service";

/// The exporter of the library, whose failures would be silent: a batch that the collector does not take is lost.
#[derive(Debug)]
struct Exporter {
    inner: opentelemetry_otlp::SpanExporter,
    log_limiter: Mutex<LogLimiter>,
}

impl SpanExporter for Exporter {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        let result = self.inner.export(batch).await;
        TRACE_SPANS.add(u64::try_from(spans).unwrap_or(u64::MAX), [if result.is_ok() { "sent" } else { "lost" }]);
        if result.is_err() && self.log_limiter.lock().unwrap_or_else(PoisonError::into_inner).is_due() {
            log_event!(warn, TRACES_LOST, spans, "the collector of traces did not take spans, which are lost");
        }
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

/// Begins traces if the environment names a collector, or asks for OTLP.
///
/// The variables are those of OpenTelemetry: OTEL_TRACES_EXPORTER, OTEL_EXPORTER_OTLP_ENDPOINT, _HEADERS, _TIMEOUT and _COMPRESSION
/// and the same with _TRACES_, OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES, OTEL_TRACES_SAMPLER and its _ARG, OTEL_BSP_...,
/// OTEL_SDK_DISABLED.
///
/// # Errors
/// The exporter cannot be built of variables that [`check`](super::check) has let through.
pub fn init() -> Result<Traces, TracesError> {
    if !is_wanted() {
        return Ok(Traces(None));
    }
    let inner = opentelemetry_otlp::SpanExporter::builder().with_tonic().with_protocol(Protocol::Grpc).build();
    // The error has the address, which may have a credential.
    let inner = inner.map_err(|_| TracesError)?;
    let exporter = Exporter { inner, log_limiter: Mutex::default() };
    let mut resource = Resource::builder();
    if variable("OTEL_SERVICE_NAME").is_none()
        && !variable("OTEL_RESOURCE_ATTRIBUTES").is_some_and(|all| all.contains("service.name="))
    {
        resource = resource.with_service_name(NAME);
    }
    let version = opentelemetry::KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
    let resource = resource.with_attribute(version).build();
    let provider = SdkTracerProvider::builder().with_resource(resource).with_batch_exporter(exporter).build();
    // A process begins its traces once.
    drop(TRACER.set(provider.tracer(NAME)));
    Ok(Traces(Some(provider)))
}

/// Traces cannot begin.
#[derive(Debug, thiserror::Error)]
#[error("the variables OTEL_EXPORTER_OTLP_... cannot be used")]
pub struct TracesError;
