//! The one source of the present moment. Nothing else in the crate asks the operating system for the time.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use crate::domain::time::Timestamp;

/// Tells the time: the machine's, or one that a test moves by hand.
#[derive(Clone, Debug)]
pub enum Clock {
    /// The machine's clock.
    System,
    /// A clock that stands still until it is advanced; shared by all clones. Microseconds since 1970.
    Manual(Arc<AtomicI64>),
}

impl Clock {
    /// Makes a clock that stands at `now`.
    pub fn manual(now: Timestamp) -> Self {
        Self::Manual(Arc::new(AtomicI64::new(now.micros())))
    }

    /// Returns the present moment.
    #[expect(clippy::disallowed_methods, reason = "this is the place the ban points to")]
    pub fn now(&self) -> Timestamp {
        match self {
            Self::System => Timestamp::from_micros(chrono::Utc::now().timestamp_micros()),
            Self::Manual(micros) => Timestamp::from_micros(micros.load(Ordering::SeqCst)),
        }
    }

    /// Returns the moment that takes the place of the database's own clock, which is none outside of tests.
    pub fn in_place_of_the_database(&self) -> Option<Timestamp> {
        match self {
            Self::System => None,
            Self::Manual(_) => Some(self.now()),
        }
    }

    /// Moves a manual clock forward; the machine's clock stays as it is.
    pub fn advance(&self, by: Duration) {
        if let Self::Manual(micros) = self {
            let by = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
            micros.fetch_add(by, Ordering::SeqCst);
        }
    }
}
