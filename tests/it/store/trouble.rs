//! Outages, wrong clocks, and rows of newer releases.

pub(crate) mod clock;
pub(crate) mod future;
pub(crate) mod future_neighbours;
pub(crate) mod outages;
