//! The exporter: whether there is one, and where it sends spans, by the standard variables.

use std::env;
use std::time::Duration;

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{ExporterBuildError, Protocol, SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;

use super::{TRACER, Traces};

/// The time that the end of the process waits for the last spans.
pub(super) const LAST_SPANS_LIMIT: Duration = Duration::from_secs(1);

const NAME: &str = "invitation-service";

/// The reason why traces cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum TracesError {
    /// The collector's address, or another variable, cannot be used.
    #[error("OTEL_EXPORTER_OTLP_...: {0}")]
    Exporter(#[from] ExporterBuildError),
    /// This service exports by one of the protocols alone.
    #[error("{0}: must be grpc, the only protocol of this service, or not be set")]
    Protocol(&'static str),
    /// Traces go by OTLP or nowhere.
    #[error("OTEL_TRACES_EXPORTER: must be otlp or none")]
    TracesExporter,
}

/// Begins traces if the environment names a collector, or asks for OTLP.
///
/// The variables are those of OpenTelemetry: OTEL_TRACES_EXPORTER, OTEL_EXPORTER_OTLP_ENDPOINT, _HEADERS, _TIMEOUT and _COMPRESSION
/// and the same with _TRACES_, OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES, OTEL_TRACES_SAMPLER and its _ARG, OTEL_BSP_...,
/// OTEL_SDK_DISABLED.
///
/// # Errors
/// A variable that cannot be used.
pub fn init() -> Result<Traces, TracesError> {
    if !is_wanted()? {
        return Ok(Traces(None));
    }
    for name in ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"] {
        if variable(name).is_some_and(|protocol| protocol != "grpc") {
            return Err(TracesError::Protocol(name));
        }
    }
    let exporter = SpanExporter::builder().with_tonic().with_protocol(Protocol::Grpc).build()?;
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

fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

fn is_wanted() -> Result<bool, TracesError> {
    if variable("OTEL_SDK_DISABLED").is_some_and(|disabled| disabled.eq_ignore_ascii_case("true")) {
        return Ok(false);
    }
    match variable("OTEL_TRACES_EXPORTER").as_deref() {
        Some("otlp") => Ok(true),
        Some("none") => Ok(false),
        Some(_) => Err(TracesError::TracesExporter),
        None => {
            let names = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];
            Ok(names.into_iter().any(|name| variable(name).is_some()))
        }
    }
}
