//! The metrics of the process, as Linux tells them; elsewhere there are none.

use procfs::WithCurrentSystemInfo as _;
use procfs::process::{LimitValue, Process};

use super::table::{
    PROCESS_CPU_SECONDS, PROCESS_MAX_FDS, PROCESS_OPEN_FDS, PROCESS_RESIDENT_BYTES, PROCESS_START_TIME, PROCESS_THREADS,
};
use super::u64_to_f64;

/// Reads the numbers of the process. One that the system does not tell stays as it was.
pub(super) fn update() {
    let Ok(process) = Process::myself() else { return };
    let ticks = procfs::ticks_per_second();
    if let Ok(stat) = process.stat() {
        PROCESS_CPU_SECONDS.set((stat.utime + stat.stime) / ticks, []);
        PROCESS_RESIDENT_BYTES.set(u64_to_f64(stat.rss_bytes().get()), []);
        PROCESS_THREADS.set(u64_to_f64(stat.num_threads.unsigned_abs()), []);
        if let Ok(boot) = procfs::boot_time_secs() {
            PROCESS_START_TIME.set(u64_to_f64(boot + stat.starttime / ticks), []);
        }
    }
    if let Ok(open) = process.fd_count() {
        PROCESS_OPEN_FDS.set_count(open, []);
    }
    if let Ok(limits) = process.limits() {
        let most = match limits.max_open_files.soft_limit {
            LimitValue::Value(most) => u64_to_f64(most),
            LimitValue::Unlimited => f64::INFINITY,
        };
        PROCESS_MAX_FDS.set(most, []);
    }
}
