//! Section `[admin]`: the listener for probes.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::config::error::{Checked, Problems};
use crate::config::value;

/// The settings of the listener for probes.
#[derive(Clone, Debug)]
pub struct AdminConfig {
    /// The address and port to listen on; `None` if there is no such listener.
    pub listen: Option<SocketAddr>,
}

#[derive(Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct RawAdmin {
    listen: Option<String>,
}

impl RawAdmin {
    pub(in crate::config) fn validate(self, problems: &mut Problems) -> Checked<AdminConfig> {
        let RawAdmin { listen } = self;
        let listen = listen.map(|listen| value::address(problems, "admin.listen", &listen)).transpose()?;
        Ok(AdminConfig { listen })
    }
}
