//! Traces by OTLP, off unless the environment asks for them by the variables of OpenTelemetry.
//!
//! A call is a span, whose parent is that of its `traceparent` (W3C Trace Context). The group that runs its command is a span of the
//! same trace, linked to the other calls of the group, and each statement is one below it. A message that is sent later is a trace of
//! its own, linked to the group that queued it. While traces are off, a span is `None` and costs nothing.

mod caller;
mod exporter;
mod variables;

use std::borrow::Cow;
use std::sync::OnceLock;

pub(crate) use caller::{TRACEPARENT, TraceId};
pub use exporter::{TracesError, init};
use http::HeaderMap;
use opentelemetry::propagation::{Extractor, TextMapPropagator as _};
use opentelemetry::trace::{FutureExt as _, Link, SpanContext, SpanKind, Status, TraceContextExt as _, Tracer as _};
use opentelemetry::{Context, KeyValue, Value};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use uuid::Uuid;
pub(crate) use variables::check;

/// The most links of a span: a group has as many calls as it has commands.
const MAX_LINKS: usize = 64;

/// The most bytes and members of `tracestate`: at least as much as the specification has everybody pass on (W3C, section 3.3.1).
const MAX_STATE: usize = 512;
const MAX_STATE_MEMBERS: usize = 32;

static TRACER: OnceLock<SdkTracer> = OnceLock::new();

/// The running traces. Dropping it sends the last spans.
#[must_use = "traces end when this is dropped"]
#[derive(Debug)]
pub struct Traces(Option<SdkTracerProvider>);

impl Drop for Traces {
    fn drop(&mut self) {
        if let Some(provider) = &self.0 {
            // A collector that is away keeps nobody waiting for longer than the limit.
            drop(provider.shutdown_with_timeout(exporter::LAST_SPANS_LIMIT));
        }
    }
}

/// The headers of a call, for the propagator.
struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        if key == TRACEPARENT {
            TraceId::of_caller(self.0)?;
        }
        let value = self.0.get(key)?.to_str().ok()?;
        // Every span of the trace would have what its caller adds.
        let fits = value.len() <= MAX_STATE && value.split(',').count() <= MAX_STATE_MEMBERS;
        fits.then_some(value)
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(http::HeaderName::as_str).collect()
    }
}

/// A span that is under way, and ends when its last clone is dropped.
#[derive(Clone, Debug, Default)]
pub(crate) struct Span(Option<Context>);

/// The place of a span in its trace, for spans that follow from it elsewhere.
#[derive(Clone, Debug)]
pub(crate) struct Origin(SpanContext);

impl Origin {
    /// Returns the place of the present span; `None` if there is none, or its trace is not recorded.
    pub(crate) fn of_present_span() -> Option<Self> {
        TRACER.get()?;
        let context = Context::map_current(|context| context.span().span_context().clone());
        context.is_sampled().then_some(Self(context))
    }

    /// Reads what [`Origin::to_traceparent`] has written; `None` if it is something else, or traces are off.
    pub(crate) fn from_traceparent(text: &str) -> Option<Self> {
        TRACER.get()?;
        let mut headers = HeaderMap::new();
        headers.insert(TRACEPARENT, text.parse().ok()?);
        let context = TraceContextPropagator::new().extract_with_context(&Context::new(), &Headers(&headers));
        let context = context.span().span_context().clone();
        context.is_valid().then_some(Self(context))
    }

    /// Returns it in the form of the header `traceparent` (W3C).
    pub(crate) fn to_traceparent(&self) -> String {
        let context = &self.0;
        format!("00-{}-{}-{:02x}", context.trace_id(), context.span_id(), context.trace_flags().to_u8())
    }
}

impl Span {
    /// Begins the span of a call of a method.
    pub(crate) fn of_call(headers: &HeaderMap, method: &'static str) -> Self {
        let Some(tracer) = TRACER.get() else { return Self(None) };
        let parent = TraceContextPropagator::new().extract_with_context(&Context::new(), &Headers(headers));
        let attributes = vec![KeyValue::new("rpc.system.name", "grpc"), KeyValue::new("rpc.method", method)];
        let builder = tracer.span_builder(method).with_kind(SpanKind::Server).with_attributes(attributes);
        let span = builder.start_with_context(tracer, &parent);
        Self(Some(parent.with_span(span)))
    }

    /// Begins the span of a group of commands: below the first call of it that is recorded, and linked to the others.
    pub(crate) fn of_group<'a>(origins: impl Iterator<Item = &'a Origin>) -> Self {
        let Some(tracer) = TRACER.get() else { return Self(None) };
        let mut origins = origins;
        let Some(Origin(first)) = origins.next() else { return Self(None) };
        let parent = Context::new().with_remote_span_context(first.clone());
        let links = origins.take(MAX_LINKS).map(|Origin(other)| Link::with_context(other.clone())).collect();
        let span = tracer.span_builder("group").with_links(links).start_with_context(tracer, &parent);
        Self(Some(parent.with_span(span)))
    }

    /// Begins the span in which an event is told to others outside, linked to the one that committed it.
    pub(crate) fn of_event(name: &'static str, id: Uuid, committed_by: Option<&str>) -> Self {
        let span = Self::of_delivery(name, committed_by.and_then(Origin::from_traceparent));
        span.set("invitation.event", id.to_string());
        span
    }

    /// Returns its place in its trace, for the headers of what is sent in it.
    pub(crate) fn traceparent(&self) -> Option<String> {
        let context = self.0.as_ref()?.span().span_context().clone();
        Some(Origin(context).to_traceparent())
    }

    /// Begins the span of a message that is sent because of something that was traced.
    pub(crate) fn of_delivery(name: &'static str, origin: Option<Origin>) -> Self {
        let (Some(tracer), Some(Origin(origin))) = (TRACER.get(), origin) else { return Self(None) };
        let links = vec![Link::with_context(origin)];
        let builder = tracer.span_builder(name).with_kind(SpanKind::Producer).with_links(links);
        let parent = Context::new();
        let span = builder.start_with_context(tracer, &parent);
        Self(Some(parent.with_span(span)))
    }

    /// Begins the span of a statement below the present span, if that is recorded.
    pub(crate) fn of_statement(system: &'static str, sql: &str) -> Self {
        let Some(tracer) = TRACER.get() else { return Self(None) };
        let parent = Context::current();
        if !parent.span().span_context().is_sampled() {
            return Self(None);
        }
        let operation = sql.split_ascii_whitespace().next().unwrap_or_default().to_owned();
        let attributes = vec![
            KeyValue::new("db.system.name", system),
            KeyValue::new("db.operation.name", operation.clone()),
            KeyValue::new("db.query.text", shortened(sql)),
        ];
        let builder = tracer.span_builder(operation).with_kind(SpanKind::Client).with_attributes(attributes);
        let span = builder.start_with_context(tracer, &parent);
        Self(Some(parent.with_span(span)))
    }

    /// Returns the id of its trace.
    pub(crate) fn trace_id(&self) -> Option<TraceId> {
        Some(TraceId(u128::from_be_bytes(self.0.as_ref()?.span().span_context().trace_id().to_bytes())))
    }

    /// Notes a fact.
    pub(crate) fn set(&self, key: &'static str, value: impl Into<Value>) {
        if let Some(context) = &self.0 {
            context.span().set_attribute(KeyValue::new(key, value));
        }
    }

    /// Notes a failure, with a text that names nobody.
    pub(crate) fn fail(&self, description: impl Into<Cow<'static, str>>) {
        if let Some(context) = &self.0 {
            context.span().set_status(Status::error(description));
        }
    }

    /// Runs work for which this is the present span.
    pub(crate) async fn around<F: Future>(&self, work: F) -> F::Output {
        match &self.0 {
            Some(context) => work.with_context(context.clone()).await,
            None => work.await,
        }
    }
}

/// The most bytes of a statement's text in a span. The text has no values, which are parameters.
const MAX_TEXT: usize = 1_000;

fn shortened(sql: &str) -> String {
    let end = sql.floor_char_boundary(MAX_TEXT);
    sql[..end].split_ascii_whitespace().collect::<Vec<_>>().join(" ")
}
