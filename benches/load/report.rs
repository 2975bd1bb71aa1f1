//! The table.

use std::fmt;
use std::time::Duration;

use crate::drive::{Measured, Rpc};
use crate::pgbench::Script;

/// Rows as they are measured, shown on standard error as they come.
pub(crate) struct Report {
    rpcs: Vec<(&'static str, Rpc, usize, Measured)>,
    pgbench: Vec<(Script, usize, f64)>,
}

impl Report {
    pub(crate) fn new() -> Self {
        Self { rpcs: Vec::new(), pgbench: Vec::new() }
    }

    pub(crate) fn rpc(&mut self, database: &'static str, rpc: Rpc, in_flight: usize, measured: Measured) {
        eprintln!("{database} {} {in_flight}: {:.0} calls/s", rpc.name(), measured.per_second);
        self.rpcs.push((database, rpc, in_flight, measured));
    }

    pub(crate) fn pgbench(&mut self, script: Script, clients: usize, per_second: f64) {
        eprintln!("pgbench {} {clients}: {per_second:.0} statements/s", script.name());
        self.pgbench.push((script, clients, per_second));
    }

    /// Returns how often faster a cell on PostgreSQL is than pgbench with as many clients as make it fast.
    fn ratio(&self, database: &str, rpc: Rpc, per_second: f64) -> Option<f64> {
        let wanted = match rpc {
            Rpc::Create => Script::Create,
            Rpc::Get | Rpc::Preview => Script::Select,
            Rpc::Accept | Rpc::AcceptHot => Script::Accept,
        };
        let yardstick = self.pgbench.iter().find(|(script, clients, _)| *script == wanted && *clients == 32);
        yardstick.filter(|_| database == "postgresql").map(|(_, _, yardstick)| per_second / yardstick)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = ["database", "rpc", "in flight", "calls/s", "p50 ms", "p99 ms", "x pgbench 32"];
        let [database, rpc, in_flight, calls, p50, p99, ratio] = head;
        writeln!(f, "{database:<11} {rpc:<11} {in_flight:>9} {calls:>9} {p50:>8} {p99:>8} {ratio:>13}")?;
        for (database, rpc, in_flight, measured) in &self.rpcs {
            let Measured { per_second, p50, p99 } = measured;
            let ratio = self.ratio(database, *rpc, *per_second).map(|ratio| format!("{ratio:.2}")).unwrap_or_default();
            let (rpc, p50, p99) = (rpc.name(), millis(*p50), millis(*p99));
            writeln!(f, "{database:<11} {rpc:<11} {in_flight:>9} {per_second:>9.0} {p50:>8} {p99:>8} {ratio:>13}")?;
        }
        for (script, clients, per_second) in &self.pgbench {
            writeln!(f, "{:<11} {:<11} {clients:>9} {per_second:>9.0}", "pgbench", script.name())?;
        }
        Ok(())
    }
}

fn millis(duration: Duration) -> String {
    format!("{:.2}", duration.as_secs_f64() * 1_000.0)
}
