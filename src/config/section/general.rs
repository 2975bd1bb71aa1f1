//! Section `[general]`: the defaults of general invitations.

use std::ops::RangeInclusive;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::error::{Checked, Problems};
use crate::config::value;

const TTL: RangeInclusive<Duration> = Duration::from_secs(60)..=Duration::from_secs(36_525 * 86_400);

/// The defaults of general invitations.
#[derive(Clone, Copy, Debug)]
pub struct GeneralConfig {
    /// The time to live: a minute to a century.
    pub ttl: Duration,
}

#[derive(Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct RawGeneral {
    ttl: String,
}

impl RawGeneral {
    pub(in crate::config) fn validate(self, problems: &mut Problems) -> Checked<GeneralConfig> {
        let RawGeneral { ttl } = self;
        Ok(GeneralConfig { ttl: value::duration(problems, "general.ttl", &ttl, TTL)? })
    }
}
