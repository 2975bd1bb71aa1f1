//! The time that a lane takes for a row. A queue uses it to reject a call that could only wait for its deadline.

use std::time::Duration;

use tokio::time::Instant;

/// The smallest group that is measured, in rows: in smaller ones the round trip dominates, not the rows.
const MIN_ROWS: usize = 500;
/// The time for which a measurement holds: after it the database may be as fast as ever.
const TTL: Duration = Duration::from_secs(5);

/// The pace of a lane, measured at its latest large group.
#[derive(Debug, Default)]
pub(in crate::store) struct LanePace {
    /// The latest measurement: its moment, and the time for each row.
    measured: Option<(Instant, Duration)>,
}

impl LanePace {
    /// Measures a group by the time that it took and its rows.
    pub(in crate::store) fn group_ended(&mut self, took: Duration, rows: usize) {
        if let Ok(divisor) = u32::try_from(rows)
            && rows >= MIN_ROWS
        {
            self.measured = Some((Instant::now(), took / divisor));
        }
    }

    /// Returns the least time that `rows` rows will take; zero if there is no recent measurement.
    pub(in crate::store) fn time_for(&self, rows: usize) -> Duration {
        let measured = self.measured.filter(|(at, _)| at.elapsed() < TTL);
        let rows = u32::try_from(rows).unwrap_or(u32::MAX);
        measured.map_or(Duration::ZERO, |(_, each)| each.saturating_mul(rows))
    }
}
