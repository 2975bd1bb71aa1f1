//! The numbers of this process for metrics: its lanes and its connections.

use super::Store;
use crate::telemetry::metrics::table::{COMMANDS_WAITING, CONNECTIONS, CONNECTIONS_MAX};

impl Store {
    /// Sets the gauges of this process.
    pub(crate) fn set_gauges(&self) {
        COMMANDS_WAITING.set_count(self.executor.waiting(), []);
        for (name, pool) in self.database.pools() {
            let (open, idle, most) = pool.connections();
            CONNECTIONS.set_count(open.saturating_sub(idle), [name, "busy"]);
            CONNECTIONS.set_count(idle, [name, "idle"]);
            CONNECTIONS_MAX.set_count(most, [name]);
        }
    }
}
