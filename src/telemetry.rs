//! Logging: one subscriber, on standard error, that cannot be made to print secrets or forged lines.
//!
//! The boundaries decide on the content of the log. Two promises are kept here, whatever the filter says and
//! whatever a value holds: libraries never get below INFO, and one event is one line.

#[macro_use]
pub mod events;

pub(crate) mod cause;
pub mod fields;
mod json;
mod line_writer;
pub(crate) mod log_limiter;
pub mod metrics;
pub mod traces;

use std::fmt;
use std::io::{self, IsTerminal as _, Write};

use tracing::Metadata;
use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::{EnvFilter, FilterExt as _, FilterFn, filter_fn};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Layer, SubscriberExt as _};
use tracing_subscriber::registry::Registry;
use tracing_subscriber::util::SubscriberInitExt as _;

use self::events::TARGETS;
use self::json::{JsonLine, JsonMembers};
use self::line_writer::{LastLines, LineWriter};
use crate::config::{LogConfig, LogFormat};

/// The beginning of the module paths of this service.
const OWN_MODULES: &str = "invitation_service";

/// The reason why logging cannot start.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter is not in the syntax of `EnvFilter`; a loaded configuration never has such a one.
    #[error("log.level: {0}")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// A subscriber is installed already.
    #[error("logging is already set up: {0}")]
    Installed(#[from] tracing_subscriber::util::TryInitError),
    /// No thread can be started.
    #[error("the thread that writes the log cannot be started: {0}")]
    Thread(#[from] io::Error),
}

/// The running log. Dropping it writes the last lines.
#[must_use = "logging ends when this is dropped"]
pub struct Logging(#[expect(dead_code, reason = "works by being dropped")] LastLines);

impl fmt::Debug for Logging {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Logging")
    }
}

/// Installs the subscriber of the process; to be called once, before anything logs.
///
/// Lines are written by a thread of their own, so that a slow reader of the log delays no call: when it is 2 MiB behind, lines are
/// lost.
///
/// # Errors
/// A malformed filter, a second call, or a thread that cannot be started.
pub fn init(config: &LogConfig) -> Result<Logging, TelemetryError> {
    let (writer, last_lines) = LineWriter::start(io::stderr())?;
    subscriber(&config.level, is_json(config), writer)?.try_init()?;
    Ok(Logging(last_lines))
}

/// Returns whether the lines of a log are JSON.
pub fn is_json(config: &LogConfig) -> bool {
    match config.format {
        LogFormat::Auto => !io::stderr().is_terminal(),
        LogFormat::Text => false,
        LogFormat::Json => true,
    }
}

fn subscriber<W>(level: &str, json: bool, writer: W) -> Result<impl Subscriber + Send + Sync, TelemetryError>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let filter = EnvFilter::builder().parse(level)?.and(ceiling());
    // No colours: without escapes of our own, every escape in the output is foreign and can be neutralised.
    let lines = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(OneLine(writer));
    let lines: Box<dyn Layer<Registry> + Send + Sync> =
        if json { lines.fmt_fields(JsonMembers).event_format(JsonLine).boxed() } else { lines.boxed() };
    Ok(tracing_subscriber::registry().with(lines.with_filter(filter)))
}

/// Returns whether a target is one of this service.
fn is_own(target: &str) -> bool {
    TARGETS.iter().any(|(own, _)| *own == target)
}

/// The most that can be turned on: all of this service, and INFO of everything else.
///
/// At DEBUG and TRACE libraries print what passes through them: h2 decoded headers with their credentials, hyper and
/// rustls buffers, sea-orm statements with their values. An allow-list also holds for libraries added later. The name of a target is not
/// enough for it: a library may choose any.
fn ceiling() -> FilterFn<fn(&Metadata<'_>) -> bool> {
    let is_enabled: fn(&Metadata<'_>) -> bool = |metadata| {
        let is_own = metadata.module_path().is_some_and(is_own_module) && is_own(metadata.target());
        *metadata.level() <= if is_own { LevelFilter::TRACE } else { max_library_level(metadata) }
    };
    filter_fn(is_enabled).with_max_level_hint(LevelFilter::TRACE)
}

fn is_own_module(path: &str) -> bool {
    path.strip_prefix(OWN_MODULES).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// Returns the most that a library may log.
fn max_library_level(metadata: &Metadata<'_>) -> LevelFilter {
    let target = metadata.target();
    // The end of a name is that of a module: a library beside it has its own ceiling.
    let is_within =
        |module: &str| target.strip_prefix(module).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"));
    match () {
        // The library logs an error for each invalid certificate, which any endpoint may show; our own line replaces it.
        () if is_within("rustls_platform_verifier") => LevelFilter::OFF,
        // The library logs the value of a parameter that it does not know; our own check of the URL refuses such a one.
        () if is_within("sqlx_postgres::options::parse") => LevelFilter::OFF,
        // Notices of the server ask nothing of anybody, such as that a table is there already, or come once for each connection, such as
        // that the server stops; our own lines say once what is wrong.
        () if is_within("sqlx::postgres::notice") => LevelFilter::ERROR,
        // An outage has a line for each connection that it has cut.
        () if is_within("sqlx_core::pool::connection") || is_within("sqlx_core::pool::inner") => LevelFilter::ERROR,
        () => LevelFilter::INFO,
    }
}

/// Creates writers that keep each event on one line.
///
/// tracing-subscriber neutralises ESC in values but lets CR and LF through, so that a logged value could forge a line.
struct OneLine<W>(W);

impl<'a, W: MakeWriter<'a>> MakeWriter<'a> for OneLine<W> {
    type Writer = OneLineWriter<W::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        OneLineWriter(self.0.make_writer())
    }

    fn make_writer_for(&'a self, meta: &Metadata<'_>) -> Self::Writer {
        OneLineWriter(self.0.make_writer_for(meta))
    }
}

struct OneLineWriter<W>(W);

impl<W: Write> Write for OneLineWriter<W> {
    /// Writes one event: the formatter hands over a whole one, with its line break, in one call.
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        // Nearly all events are, but for their line break, printable ASCII, which needs no replacement.
        if let Some((b'\n', line)) = event.split_last()
            && line.iter().all(|byte| matches!(byte, b' '..=b'~'))
        {
            self.0.write_all(event)?;
            return Ok(event.len());
        }
        let text = String::from_utf8_lossy(event);
        let text = text.strip_suffix('\n').unwrap_or(&text);
        self.0.write_all(format!("{}\n", escape(text)).as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Replaces what breaks lines, drives terminals or reorders text by `\u` escapes, which JSON strings have too.
fn escape(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut escaped, c| {
        match c {
            '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                escaped += &format!("\\u{:04x}", u32::from(c));
            }
            c if c.is_control() => escaped += &format!("\\u{:04x}", u32::from(c)),
            c => escaped.push(c),
        }
        escaped
    })
}

#[cfg(test)]
mod tests;
