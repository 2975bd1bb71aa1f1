//! The times at which a failed message is retried, and when retrying ends.

use std::time::{Duration, UNIX_EPOCH};

use crate::domain::delivery::backoff::Backoff;
use crate::domain::value::time::Timestamp;

/// The least time for which a message is retried, from the first attempt on.
pub const TRIED_FOR: Duration = Duration::from_secs(72 * 3_600);
/// The time after which an endpoint is disabled if every attempt has failed.
pub const DISABLED_AFTER: Duration = Duration::from_secs(120 * 3_600);
/// The longest delay that an endpoint may ask for.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(24 * 3_600);

/// The delays between attempts: from seconds to hours.
pub const BACKOFF: Backoff = Backoff { first: Duration::from_secs(10), longest: Duration::from_secs(6 * 3_600) };

/// The time from which on an answer is slow.
const SLOW_ANSWER: Duration = Duration::from_secs(3);

/// Returns the time for which an endpoint rests after an answer that took this long: as long again if it was slow, so that a slow
/// endpoint takes up half of a place.
pub fn rest_after(answer: Duration) -> Option<Duration> {
    Some(answer).filter(|answer| *answer >= SLOW_ANSWER)
}

/// Returns the delay after the `attempts`th attempt: no less than the endpoint asked for.
pub fn delay(attempts: u32, random: u64, asked: Option<Duration>) -> Duration {
    BACKOFF.delay(attempts, random).max(asked.unwrap_or_default())
}

/// Returns whether a message fails for good that was first tried at `first` and has failed again now.
pub fn is_over(first_tried_at: Timestamp, now: Timestamp) -> bool {
    has_passed(first_tried_at, TRIED_FOR, now)
}

/// Returns whether a span has passed since a moment.
pub fn has_passed(since: Timestamp, span: Duration, now: Timestamp) -> bool {
    now.micros().saturating_sub(since.micros()) >= i64::try_from(span.as_micros()).unwrap_or(i64::MAX)
}

/// Parses the header `retry-after`: seconds, or an HTTP date, of at most a day. Returns `None` for any other text.
pub fn retry_after(value: &str, now: Timestamp) -> Option<Duration> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // A number too long to parse is a very long time.
        return Some(value.parse().map_or(MAX_RETRY_AFTER, Duration::from_secs).min(MAX_RETRY_AFTER));
    }
    let date = httpdate::parse_http_date(value).ok()?.duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = Duration::from_micros(u64::try_from(now.micros()).unwrap_or(0));
    Some(date.saturating_sub(now).min(MAX_RETRY_AFTER))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_micros(1_767_225_600_000_000);

    #[test]
    fn nothing_is_tried_sooner_than_asked_for_or_drawn() {
        let asked = Duration::from_secs(3_600);
        assert_eq!(delay(1, u64::MAX, Some(asked)), asked);
        assert!(delay(20, 21_000_000_000, Some(asked)) > asked);
        assert!(delay(1, u64::MAX, None) <= Duration::from_secs(10));
    }

    #[test]
    fn endpoint_rests_after_a_slow_answer_alone() {
        for (millis, wanted) in [(0, None), (2_999, None), (3_000, Some(3_000)), (14_000, Some(14_000))] {
            assert_eq!(rest_after(Duration::from_millis(millis)), wanted.map(Duration::from_millis), "{millis}");
        }
    }

    #[test]
    fn message_is_tried_for_three_days() {
        let at = |hours: i64| Timestamp::from_micros(NOW.micros() + hours * 3_600_000_000);
        assert!(!is_over(NOW, at(71)) && is_over(NOW, at(72)) && is_over(NOW, at(500)));
    }

    #[test]
    fn endpoint_is_disabled_after_five_days_of_failures() {
        let day = 86_400_000_000;
        let at = |micros: i64| Timestamp::from_micros(NOW.micros() + micros);
        assert!(!has_passed(NOW, DISABLED_AFTER, at(5 * day - 1)) && has_passed(NOW, DISABLED_AFTER, at(5 * day)));
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_of_at_most_a_day() {
        for (value, wanted) in [
            ("0", Some(0)),
            (" 120 ", Some(120)),
            ("86400", Some(86_400)),
            ("86401", Some(86_400)),
            ("99999999999999999999999", Some(86_400)),
            ("Thu, 01 Jan 2026 00:02:00 GMT", Some(120)),
            ("Thu, 01 Jan 2026 00:00:00 GMT", Some(0)),
            ("Wed, 31 Dec 2025 00:00:00 GMT", Some(0)),
            ("Fri, 01 Jan 2027 00:00:00 GMT", Some(86_400)),
            // RFC 9110 section 5.6.7 requires recipients to accept the obsolete forms.
            ("Thursday, 01-Jan-26 00:02:00 GMT", Some(120)),
            ("Thu Jan  1 00:02:00 2026", Some(120)),
            ("", None),
            ("-1", None),
            ("1.5", None),
            ("soon", None),
        ] {
            assert_eq!(retry_after(value, NOW), wanted.map(Duration::from_secs), "{value:?}");
        }
    }
}
