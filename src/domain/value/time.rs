//! Moments and durations of the service: microseconds, UTC.

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat};
use serde::{Deserialize, Serialize};

use super::rule::{FieldRule, Invalid};

/// A moment in microseconds since 1970-01-01T00:00:00Z, the finest that both databases and JSON carry without loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The last moment that `google.protobuf.Timestamp` allows: 9999-12-31T23:59:59.999999Z.
    pub const MAX: Self = Self(253_402_300_799_999_999);

    /// Wraps microseconds since 1970.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Parses a moment as RFC 3339 writes it, such as 2027-01-01T00:00:00Z.
    pub fn from_rfc3339(text: &str) -> Option<Self> {
        DateTime::parse_from_rfc3339(text).ok().map(|time| Self(time.timestamp_micros()))
    }

    /// Returns the microseconds since 1970.
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// Returns the moment one time to live later, at most [`Timestamp::MAX`].
    pub fn plus(self, ttl: Ttl) -> Self {
        Self(self.0.saturating_add(ttl.0).min(Self::MAX.0))
    }

    /// Returns the moment a duration later, at most [`Timestamp::MAX`].
    pub fn later(self, by: Duration) -> Self {
        Self(self.0.saturating_add(micros(by)).min(Self::MAX.0))
    }

    /// Returns the moment a duration earlier.
    pub fn earlier(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(micros(by)))
    }

    /// Returns the time since another moment, zero if that is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or_default())
    }
}

fn micros(span: Duration) -> i64 {
    i64::try_from(span.as_micros()).unwrap_or(i64::MAX)
}

/// Formats the moment as RFC 3339 with microseconds.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match DateTime::from_timestamp_micros(self.0) {
            Some(time) => f.write_str(&time.to_rfc3339_opts(SecondsFormat::Micros, true)),
            None => write!(f, "{} us", self.0),
        }
    }
}

/// The time for which an invitation can be accepted, 60 seconds to 100 years, or for which an acceptance counts, at most 10 years.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Ttl(i64);

impl Ttl {
    const MIN: Duration = Duration::from_secs(60);
    const MAX: Duration = Duration::from_secs(100 * 31_557_600);
    /// 7 days.
    pub const WEEK: Self = Self(7 * 24 * 3_600 * 1_000_000);
    /// 365 days.
    pub const YEAR: Self = Self(365 * 24 * 3_600 * 1_000_000);
    /// The longest time to live: a hundred years.
    pub const LONGEST: Self = Self(100 * 31_557_600 * 1_000_000);

    /// The longest time for which an acceptance counts, if not for ever: ten years.
    pub const LONGEST_GRANT: Self = Self(10 * 31_557_600 * 1_000_000);

    /// Parses the span for which an acceptance counts.
    pub fn parse_grant(span: Duration) -> Result<Self, Invalid> {
        let too_long = Invalid::new(FieldRule::OutOfRange, "must be at most 10 years");
        let ttl = Self::parse(span).map_err(|invalid| if span < Self::MIN { invalid } else { too_long })?;
        if ttl > Self::LONGEST_GRANT { Err(too_long) } else { Ok(ttl) }
    }

    /// Returns the microseconds.
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// Parses a span.
    pub fn parse(span: Duration) -> Result<Self, Invalid> {
        if span < Self::MIN {
            return Err(Invalid::new(FieldRule::OutOfRange, "must be at least 60 seconds"));
        }
        if span > Self::MAX {
            return Err(Invalid::new(FieldRule::OutOfRange, "must be at most 100 years"));
        }
        i64::try_from(span.as_micros())
            .map(Self)
            .map_err(|_| Invalid::new(FieldRule::OutOfRange, "must be at most 100 years"))
    }
}

/// Formats the time as the JSON mapping of `google.protobuf.Duration` does, to the microsecond.
impl fmt::Display for Ttl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0 / 1_000_000, self.0 % 1_000_000) {
            (seconds, 0) => write!(f, "{seconds}s"),
            (seconds, micros) => write!(f, "{seconds}.{micros:06}s"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ttl_is_between_a_minute_and_a_century() {
        for (seconds, fits) in
            [(0, false), (59, false), (60, true), (61, true), (3_155_760_000, true), (3_155_760_001, false)]
        {
            assert_eq!(Ttl::parse(Duration::from_secs(seconds)).is_ok(), fits, "{seconds} s");
        }
        assert!(Ttl::parse(Duration::MAX).is_err());
    }

    #[test]
    fn grant_is_between_a_minute_and_ten_years() {
        for (seconds, fits) in [(59, false), (60, true), (315_576_000, true), (315_576_001, false)] {
            assert_eq!(Ttl::parse_grant(Duration::from_secs(seconds)).is_ok(), fits, "{seconds} s");
        }
        assert_eq!(Ttl::parse_grant(Duration::MAX).unwrap_err().description, "must be at most 10 years");
        assert_eq!(Ttl::parse_grant(Duration::ZERO).unwrap_err().description, "must be at least 60 seconds");
    }

    #[test]
    fn no_expiry_leaves_the_calendar_of_protobuf() {
        let century = Ttl::parse(Ttl::MAX).unwrap();
        assert_eq!(Timestamp::MAX.plus(century), Timestamp::MAX);
        assert_eq!(Timestamp::MAX.to_string(), "9999-12-31T23:59:59.999999Z");
    }
}
