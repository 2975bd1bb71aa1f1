//! The pace of the machine: what takes a second on one that nobody else uses takes longer where others build and test.

use std::fs;
use std::thread::available_parallelism;
use std::time::Duration;

/// Returns the time that something may take which is to take at most `limit` on an idle machine.
pub(crate) fn paced(limit: Duration) -> Duration {
    limit.mul_f64(share())
}

/// Returns the number of tasks that want to run, by processor: 1 at least. Elsewhere than on Linux the machine counts as idle.
fn share() -> f64 {
    let load = fs::read_to_string("/proc/loadavg").ok().and_then(|text| text.split(' ').next()?.parse::<f64>().ok());
    let processors = available_parallelism().map_or(1.0, |processors| processors.get() as f64);
    // The average of a minute follows a burst slowly.
    let burst = 2.0;
    load.map_or(1.0, |load| (burst * load / processors).clamp(1.0, 20.0))
}
