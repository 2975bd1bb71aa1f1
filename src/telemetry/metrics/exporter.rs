//! The recorder of the process, and the text that `/metrics` answers with.

use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tokio::time::sleep;

use super::MetricKind;
use super::table::{self, descriptions};

/// The media type of the text.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The interval at which noted values are put into their buckets: until then each takes memory of its own.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(1);

/// The recorder is one for the process, whatever runs in it.
static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();

/// Returns whether somebody hands metrics out.
pub(super) fn is_installed() -> bool {
    HANDLE.get().is_some()
}

/// A function that sets gauges to their present values.
type Update = Box<dyn Fn() + Send + Sync>;

/// Hands out the metrics of the process. Clones share everything.
#[derive(Clone)]
pub struct Exporter {
    handle: PrometheusHandle,
    on_scrape: Arc<Mutex<Vec<Update>>>,
}

impl fmt::Debug for Exporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Exporter")
    }
}

impl Exporter {
    /// Begins to note metrics: before this nobody notes any.
    pub fn install() -> Self {
        let handle = HANDLE.get_or_init(|| {
            let recorder = recorder();
            let handle = recorder.handle();
            // An error says that another library has installed one, which no dependency does.
            drop(metrics::set_global_recorder(recorder));
            handle
        });
        let exporter = Self { handle: handle.clone(), on_scrape: Arc::default() };
        describe();
        table::BUILD_INFO.set(1.0, [env!("CARGO_PKG_VERSION")]);
        table::begin();
        exporter
    }

    /// Registers a function that sets gauges before each scrape is answered.
    pub fn on_scrape(&self, update: impl Fn() + Send + Sync + 'static) {
        self.on_scrape.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(update));
    }

    /// Drops the registered functions and what they hold, so that it may end. Their gauges stay as they are.
    pub fn clear_on_scrape(&self) {
        self.on_scrape.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Returns all metrics as they are at present.
    pub fn render(&self) -> String {
        self.on_scrape.lock().unwrap_or_else(PoisonError::into_inner).iter().for_each(|update| update());
        #[cfg(target_os = "linux")]
        super::process::update();
        self.handle.render()
    }

    /// Keeps what was noted small until the process ends, whether somebody asks for it or not.
    pub async fn run_upkeep(self) {
        loop {
            sleep(UPKEEP_INTERVAL).await;
            self.handle.run_upkeep();
        }
    }
}

fn recorder() -> metrics_exporter_prometheus::PrometheusRecorder {
    let builder = descriptions().into_iter().fold(PrometheusBuilder::new(), |builder, metric| match metric.kind {
        // The only error is an empty list of limits, which no row of the table has.
        MetricKind::Histogram(limits) => builder
            .set_buckets_for_metric(Matcher::Full(metric.name.to_owned()), limits)
            .unwrap_or_else(|_| PrometheusBuilder::new()),
        MetricKind::Counter | MetricKind::Gauge => builder,
    });
    builder.build_recorder()
}

fn describe() {
    for metric in descriptions() {
        metrics::with_recorder(|recorder| {
            let (name, help) = (metric.name.into(), metric.help.into());
            match metric.kind {
                MetricKind::Counter => recorder.describe_counter(name, None, help),
                MetricKind::Gauge => recorder.describe_gauge(name, None, help),
                MetricKind::Histogram(_) => recorder.describe_histogram(name, None, help),
            }
        });
    }
}
