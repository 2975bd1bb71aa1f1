//! Metrics in the form of Prometheus: which there are is in `table`, and `exporter` hands them out.
//!
//! The values of labels are constants of the code: nothing that a caller sends, and no address, becomes a label.

pub mod exporter;
pub mod files;
#[cfg(target_os = "linux")]
mod process;
pub(crate) mod table;

use std::time::Duration;

use metrics::{Key, Label, Level, Metadata, Recorder};

pub use table::descriptions;

const METADATA: Metadata<'static> = Metadata::new("metrics", Level::INFO, None);

/// The kind of a metric.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum MetricKind {
    /// A number that only grows.
    Counter,
    /// A number as it is at present.
    Gauge,
    /// The number of values up to each of these limits.
    Histogram(&'static [f64]),
}

/// A metric as the documents and `/metrics` describe it.
#[derive(Clone, Copy, Debug)]
pub struct Description {
    /// The name, with its unit.
    pub name: &'static str,
    /// The kind.
    pub kind: MetricKind,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// The meaning, in a sentence without an end.
    pub help: &'static str,
}

impl Description {
    fn key(&self, values: &[&'static str]) -> Key {
        let labels = self.labels.iter().zip(values).map(|(name, value)| Label::from_static_parts(name, value));
        Key::from_parts(self.name, labels.collect::<Vec<_>>())
    }
}

/// Registers a metric where there is somebody to hand it out.
fn register<T>(register: impl FnOnce(&dyn Recorder) -> T) -> Option<T> {
    exporter::is_installed().then(|| metrics::with_recorder(register))
}

/// A counter with so many labels.
pub(crate) struct Counter<const N: usize>(Description);

impl<const N: usize> Counter<N> {
    /// Begins at 0, so that the first one is an increase.
    pub(crate) fn begin(&self, values: [&'static str; N]) {
        drop(register(|recorder| recorder.register_counter(&self.0.key(&values), &METADATA)));
    }

    /// Adds one.
    pub(crate) fn count(&self, values: [&'static str; N]) {
        self.add(1, values);
    }

    /// Takes over a number that the system counts.
    #[cfg(target_os = "linux")]
    fn set(&self, number: u64, values: [&'static str; N]) {
        if let Some(counter) = register(|recorder| recorder.register_counter(&self.0.key(&values), &METADATA)) {
            counter.absolute(number);
        }
    }

    /// Adds a number.
    pub(crate) fn add(&self, number: u64, values: [&'static str; N]) {
        if number == 0 {
            return;
        }
        if let Some(counter) = register(|recorder| recorder.register_counter(&self.0.key(&values), &METADATA)) {
            counter.increment(number);
        }
    }
}

/// A gauge with so many labels.
pub(crate) struct Gauge<const N: usize>(Description);

impl<const N: usize> Gauge<N> {
    /// Sets the present number.
    pub(crate) fn set(&self, number: f64, values: [&'static str; N]) {
        if let Some(gauge) = register(|recorder| recorder.register_gauge(&self.0.key(&values), &METADATA)) {
            gauge.set(number);
        }
    }

    /// Sets the present number of things.
    pub(crate) fn set_count(&self, number: usize, values: [&'static str; N]) {
        self.set(count_to_f64(number), values);
    }
}

/// A histogram with so many labels.
pub(crate) struct Histogram<const N: usize>(Description);

impl<const N: usize> Histogram<N> {
    /// Notes a value.
    pub(crate) fn note(&self, value: f64, values: [&'static str; N]) {
        if let Some(histogram) = self.handle(values) {
            histogram.record(value);
        }
    }

    /// Returns the histogram of these labels, for a place that notes many values; `None` if nobody hands it out.
    pub(crate) fn handle(&self, values: [&'static str; N]) -> Option<metrics::Histogram> {
        register(|recorder| recorder.register_histogram(&self.0.key(&values), &METADATA))
    }
}

/// Returns microseconds in seconds, and 0 for less than none.
pub(crate) fn micros_to_seconds(micros: i64) -> f64 {
    Duration::from_micros(micros.max(0).unsigned_abs()).as_secs_f64()
}

/// Returns a number of things as a value.
pub(crate) fn count_to_f64(count: usize) -> f64 {
    u64_to_f64(u64::try_from(count).unwrap_or(u64::MAX))
}

/// Returns a whole number as a value, the same up to 2^53.
fn u64_to_f64(number: u64) -> f64 {
    let (high, low) = (u32::try_from(number >> 32), u32::try_from(number & u64::from(u32::MAX)));
    f64::from(high.unwrap_or_default()) * 4_294_967_296.0 + f64::from(low.unwrap_or_default())
}
