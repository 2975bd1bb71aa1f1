//! The CPU time and the memory that processes take, as Linux counts them in /proc.

use std::fs;
use std::time::Duration;

use crate::Outcome;

/// The length of a tick of the CPU times in /proc, which is the same on every Linux that is in use.
const TICK: Duration = Duration::from_millis(10);

/// A process whose CPU time is counted.
#[derive(Clone, Copy)]
pub(crate) struct Process {
    id: u32,
    /// Whether what it starts is counted with it.
    with_children: bool,
}

/// The fields of /proc/PID/stat that matter here.
struct Stat {
    parent: u32,
    own: u64,
    /// The time of the children that have ended.
    ended: u64,
}

impl Process {
    /// Returns a process without its children.
    pub(crate) fn alone(id: u32) -> Self {
        Self { id, with_children: false }
    }

    /// Returns a process with all that it starts.
    pub(crate) fn with_children(id: u32) -> Self {
        Self { id, with_children: true }
    }

    /// Returns the CPU time that it has taken since its start.
    pub(crate) fn cpu(self) -> Outcome<Duration> {
        let stat = Stat::read(self.id).ok_or_else(|| format!("process {} has ended", self.id))?;
        let mut ticks = stat.own;
        if self.with_children {
            let others = fs::read_dir("/proc")?.flatten();
            let others = others.filter_map(|entry| Stat::read(entry.file_name().to_str()?.parse().ok()?));
            ticks += stat.ended + others.filter(|other| other.parent == self.id).map(|child| child.own).sum::<u64>();
        }
        Ok(TICK * u32::try_from(ticks)?)
    }

    /// Begins to look for the most memory anew.
    pub(crate) fn forget_peak(self) -> Outcome {
        Ok(fs::write(format!("/proc/{}/clear_refs", self.id), "5")?)
    }

    /// Returns the most memory that it has had since then, in KiB.
    pub(crate) fn peak_memory(self) -> Outcome<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id))?;
        let peak =
            status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse().ok());
        Ok(peak.ok_or("the kernel does not show the peak of the memory")?)
    }
}

impl Stat {
    fn read(id: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        // The name, in parentheses, may have anything in it.
        let fields: Vec<_> = stat.rsplit_once(") ")?.1.split(' ').collect();
        let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
        let parent = u32::try_from(number(1)?).ok()?;
        Some(Self { parent, own: number(11)? + number(12)?, ended: number(13)? + number(14)? })
    }
}

/// Counts the CPU time of processes between two moments.
pub(crate) struct Meter {
    processes: Vec<Process>,
    before: Vec<Duration>,
}

impl Meter {
    /// Begins to count.
    pub(crate) fn start(processes: Vec<Process>) -> Outcome<Self> {
        let before = processes.iter().map(|process| process.cpu()).collect::<Outcome<_>>()?;
        Ok(Self { processes, before })
    }

    /// Returns the time of each process since then.
    pub(crate) fn stop(self) -> Outcome<Vec<Duration>> {
        let spent = self.processes.iter().zip(self.before);
        spent.map(|(process, before)| Ok(process.cpu()?.saturating_sub(before))).collect()
    }
}
