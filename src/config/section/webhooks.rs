//! Section `[webhooks]`: whether and how events are posted to the endpoints of accounts.

use std::ops::RangeInclusive;
use std::time::Duration;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::config::error::{Checked, Problems};
use crate::config::value;

/// The settings of webhooks.
#[derive(Clone, Debug)]
pub struct WebhooksConfig {
    /// Whether this process posts events; endpoints can be created and updated all the same.
    pub enabled: bool,
    /// The time limit of one request.
    pub timeout: Duration,
    /// The number of requests under way at once.
    pub concurrency: u32,
    /// Networks that may be posted to although they are not part of the open Internet.
    pub allowed_networks: Vec<IpNet>,
    /// The time for which the secret before a rotation signs too.
    pub rotation_overlap: Duration,
}

#[derive(Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct RawWebhooks {
    enabled: String,
    timeout: String,
    concurrency: String,
    allowed_networks: String,
    rotation_overlap: String,
}

const TIMEOUT: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(60);
const ROTATION_OVERLAP: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(30 * 86_400);

impl RawWebhooks {
    pub(in crate::config) fn validate(self, problems: &mut Problems) -> Checked<WebhooksConfig> {
        let RawWebhooks { enabled, timeout, concurrency, allowed_networks, rotation_overlap } = self;
        let enabled = value::choice(problems, "webhooks.enabled", &enabled, &[("true", true), ("false", false)]);
        let timeout = value::duration(problems, "webhooks.timeout", &timeout, TIMEOUT);
        let concurrency = value::number(problems, "webhooks.concurrency", &concurrency, 1..=1_024);
        let allowed_networks = problems.check("webhooks.allowed_networks", parse_networks(&allowed_networks));
        let overlap = value::duration(problems, "webhooks.rotation_overlap", &rotation_overlap, ROTATION_OVERLAP);
        Ok(WebhooksConfig {
            enabled: enabled?,
            timeout: timeout?,
            concurrency: concurrency?,
            allowed_networks: allowed_networks?,
            rotation_overlap: overlap?,
        })
    }
}

pub(in crate::config) fn parse_networks(text: &str) -> Result<Vec<IpNet>, String> {
    let entries = text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
    let parsed = entries.map(|entry| {
        parse_network(entry).ok_or_else(|| {
            "must be networks such as \"10.0.0.0/8\" or \"fd00::/8\", comma-separated, with no bits set behind the prefix"
                .to_owned()
        })
    });
    parsed.collect()
}

/// Parses `address/bits`. An address with bits behind the prefix is refused: one of the two is a mistake.
fn parse_network(entry: &str) -> Option<IpNet> {
    // The standard library reads the address: `ipnet` also takes `010.0.0.0`, which some programs read as octal.
    let (address, bits) = entry.split_once('/')?;
    let network = IpNet::new(address.parse().ok()?, bits.parse().ok()?).ok()?;
    (network == network.trunc()).then_some(network)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_addresses_with_the_length_of_their_prefix() {
        let parsed = parse_networks(" 127.0.0.0/8, 10.1.2.3/32,,::1/128 , fd00::/8, 0.0.0.0/0, ::/0").unwrap();
        assert_eq!(parsed.len(), 6);
        assert_eq!(parsed[0], "127.0.0.0/8".parse().unwrap());
        assert!(parse_networks("").unwrap().is_empty());
        for bad in [
            "10.0.0.0",
            "10.0.0.1/8",
            "10.0.0.0/33",
            "::/129",
            "::1/64",
            "localhost/8",
            "10.0.0.0/x",
            "/8",
            "010.0.0.0/8",
        ] {
            assert!(parse_networks(bad).is_err(), "{bad}");
        }
    }
}
