//! The moment by which a call has to be answered: the caller's `grpc-timeout`, or the service's own limit if that is
//! earlier.

use std::time::Duration;

use http::HeaderMap;
use tokio::time::Instant;

/// The moment at which a caller stops waiting for an answer, or for the start of a stream; and the moment at which a
/// stream has to end, if there is one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline(pub(crate) Instant, Option<Instant>);

impl Deadline {
    /// Parses `grpc-timeout`: at most 8 digits and a unit. A malformed value is ignored.
    pub(crate) fn of(metadata: &HeaderMap, limit: Duration) -> Self {
        let asked = metadata.get("grpc-timeout").and_then(|value| parse(value.to_str().ok()?));
        let now = Instant::now();
        Self(now + asked.map_or(limit, |asked| asked.min(limit)), asked.and_then(|asked| now.checked_add(asked)))
    }

    /// Returns the moment at which a stream has to end: the caller's, since the service's limit is for single answers.
    pub(crate) fn of_stream(self) -> Option<Instant> {
        self.1
    }

    /// Returns the time until the caller stops waiting.
    pub(crate) fn left(&self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// Returns whether the caller has stopped waiting.
    pub(crate) fn has_passed(self) -> bool {
        self.0 <= Instant::now()
    }
}

fn parse(value: &str) -> Option<Duration> {
    let (digits, unit) = value.split_at_checked(value.len().checked_sub(1)?)?;
    if !(1..=8).contains(&digits.len()) || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let amount: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(amount * 3_600)),
        "M" => Some(Duration::from_secs(amount * 60)),
        "S" => Some(Duration::from_secs(amount)),
        "m" => Some(Duration::from_millis(amount)),
        "u" => Some(Duration::from_micros(amount)),
        "n" => Some(Duration::from_nanos(amount)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stream_lasts_as_long_as_its_caller_wants() {
        let limit = Duration::from_secs(10);
        let mut metadata = HeaderMap::new();
        assert_eq!(Deadline::of(&metadata, limit).of_stream(), None);
        metadata.insert("grpc-timeout", http::HeaderValue::from_static("1H"));
        let deadline = Deadline::of(&metadata, limit);
        assert_eq!(deadline.of_stream().unwrap() - deadline.0, Duration::from_secs(3_590));
    }

    #[test]
    fn timeouts_are_read_as_the_protocol_writes_them() {
        for (value, millis) in
            [("1H", 3_600_000), ("2M", 120_000), ("3S", 3_000), ("4m", 4), ("5000u", 5), ("6000000n", 6)]
        {
            assert_eq!(parse(value), Some(Duration::from_millis(millis)), "{value}");
        }
        for value in ["", "S", "1", "1s", "123456789S", "-1S", "1.5S", "ä"] {
            assert_eq!(parse(value), None, "{value}");
        }
    }
}
