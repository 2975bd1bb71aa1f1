//! Section `[delivery]`: the worker that sends messages to people, whatever the transport.

use std::ops::RangeInclusive;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::error::{Checked, Problems};
use crate::config::value;

const LEASE: RangeInclusive<Duration> = Duration::from_secs(15)..=Duration::from_secs(600);

/// The settings of the mail worker.
#[derive(Clone, Copy, Debug)]
pub struct DeliveryConfig {
    /// Whether this process sends messages.
    pub enabled: bool,
    /// The time for which a message belongs to the process that is sending it.
    pub lease: Duration,
    /// The number of messages that may be sent within a second; `None` is no limit.
    pub per_second: Option<u32>,
    /// The number of attempts after which a message has FAILED.
    pub attempts: u32,
}

#[derive(Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct RawDelivery {
    enabled: String,
    lease: String,
    per_second: String,
    attempts: String,
}

impl RawDelivery {
    pub(in crate::config) fn validate(self, problems: &mut Problems) -> Checked<DeliveryConfig> {
        let RawDelivery { enabled, lease, per_second, attempts } = self;
        let enabled = value::choice(problems, "delivery.enabled", &enabled, &[("true", true), ("false", false)]);
        let lease = value::duration(problems, "delivery.lease", &lease, LEASE);
        let per_second = value::number(problems, "delivery.per_second", &per_second, 0..=100_000);
        let attempts = value::number(problems, "delivery.attempts", &attempts, 1..=50);
        let per_second = per_second.map(|number| Some(number).filter(|number| *number > 0));
        Ok(DeliveryConfig { enabled: enabled?, lease: lease?, per_second: per_second?, attempts: attempts? })
    }
}
