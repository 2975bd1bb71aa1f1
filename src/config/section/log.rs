//! Section `[log]`: what is logged, and in which form.
//!
//! The subscriber is set up by `telemetry`.

use std::num::NonZeroU64;

use serde::{Deserialize, Serialize};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::EnvFilter;

use crate::config::error::{Checked, Problems};
use crate::config::value;

/// The form of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Text on a terminal, JSON otherwise.
    Auto,
    /// One line of text per event.
    Text,
    /// One JSON object per event.
    Json,
}

const FORMATS: [(&str, LogFormat); 3] =
    [("auto", LogFormat::Auto), ("text", LogFormat::Text), ("json", LogFormat::Json)];

/// The calls that have a line in the log. Problems and slow calls always have one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoggedCalls {
    /// Every call.
    All,
    /// Problems and slow calls alone.
    Problems,
    /// One of so many of the others, which stands for them.
    OneOf(NonZeroU64),
}

/// The settings of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// The filter, in the syntax of `EnvFilter`.
    pub level: String,
    /// The form of a line.
    pub format: LogFormat,
    /// The calls that have a line.
    pub calls: LoggedCalls,
}

/// The most calls that one line may stand for.
const MAX_SHARE: u64 = 1_000_000;

#[derive(Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct RawLog {
    level: String,
    format: String,
    calls: String,
}

impl RawLog {
    /// Returns the settings as far as they can be used.
    pub(in crate::config) fn usable(&self) -> LogConfig {
        let validated = self.clone().validate(&mut Problems::default());
        validated.unwrap_or_else(|_| LogConfig::of_format(Some(&self.format)))
    }

    pub(in crate::config) fn validate(self, problems: &mut Problems) -> Checked<LogConfig> {
        let RawLog { level, format, calls } = self;
        let level = problems.check("log.level", parse_level(level));
        let format = value::choice(problems, "log.format", &format, &FORMATS);
        let calls = problems.check("log.calls", parse_calls(&calls));
        Ok(LogConfig { level: level?, format: format?, calls: calls? })
    }
}

impl LogConfig {
    /// Returns the settings of a log for which nothing but its format may be known.
    pub(in crate::config) fn of_format(format: Option<&str>) -> Self {
        let known = FORMATS.iter().find(|(name, _)| Some(*name) == format);
        Self {
            level: "info".to_owned(),
            format: known.map_or(LogFormat::Auto, |(_, format)| *format),
            calls: LoggedCalls::All,
        }
    }
}

fn parse_level(level: String) -> Result<String, String> {
    let example = "such as \"info\" or \"info,calls=warn\"";
    // EnvFilter takes a lone misspelt level for the name of a target, and then logs nothing of this service.
    let is_lone_word = !level.contains(['=', ',', '[']);
    if is_lone_word && level.parse::<LevelFilter>().is_err() {
        return Err(format!("must be error, warn, info, debug, trace or off, or directives {example}"));
    }
    match EnvFilter::builder().parse(&level) {
        Ok(_) => Ok(level),
        Err(error) => Err(format!("must be a level or directives {example}: {error}")),
    }
}

fn parse_calls(calls: &str) -> Result<LoggedCalls, &'static str> {
    let share =
        |calls: &str| calls.strip_prefix("1/")?.parse().ok().filter(|calls: &NonZeroU64| calls.get() <= MAX_SHARE);
    match calls {
        "all" => Ok(LoggedCalls::All),
        "problems" => Ok(LoggedCalls::Problems),
        other => share(other)
            .map(LoggedCalls::OneOf)
            .ok_or("must be \"all\", \"problems\", or one of so many such as \"1/100\", up to \"1/1000000\""),
    }
}
