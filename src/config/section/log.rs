//! Section `[log]`: what is logged, and in which form.
//!
//! The subscriber is set up by `telemetry`.

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

/// The settings of the log.
#[derive(Clone, Debug)]
pub struct LogConfig {
    /// The filter, in the syntax of `EnvFilter`.
    pub level: String,
    /// The form of a line.
    pub format: LogFormat,
}

#[derive(Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct RawLog {
    level: String,
    format: String,
}

impl RawLog {
    pub(in crate::config) fn validate(self, problems: &mut Problems) -> Checked<LogConfig> {
        let RawLog { level, format } = self;
        let level = problems.check("log.level", parse_level(level));
        let format = value::choice(
            problems,
            "log.format",
            &format,
            &[("auto", LogFormat::Auto), ("text", LogFormat::Text), ("json", LogFormat::Json)],
        );
        Ok(LogConfig { level: level?, format: format? })
    }
}

fn parse_level(level: String) -> Result<String, String> {
    let example = "such as \"info\" or \"info,invitation_service=debug\"";
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
