//! Section `[reminders]`: when recipients who have not answered are written to again, per kind.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::error::{Checked, Problems, Reported};
use crate::config::value;
use crate::domain::kind::{Kind, PerKind};

/// The largest number of reminders that count from one moment.
const MOST: usize = 5;
/// The moments that the durations of a key count from.
pub(in crate::config) const AFTER: &str = "after";
pub(in crate::config) const BEFORE_EXPIRY: &str = "before_expiry";
const SPAN: RangeInclusive<Duration> = Duration::from_secs(3_600)..=Duration::from_secs(3_650 * 86_400);

/// The reminder times of each kind.
pub type RemindersConfig = PerKind<ReminderTimes>;

/// The reminder times of one kind: an hour to ten years, at most five of each, distinct.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReminderTimes {
    /// The times since the invitation was created.
    pub after: Vec<Duration>,
    /// The times before it expires.
    pub before_expiry: Vec<Duration>,
}

/// The durations by the code of their kind and the moment they count from.
#[derive(Deserialize, Serialize)]
#[serde(transparent)]
pub(in crate::config) struct RawReminders(BTreeMap<String, String>);

impl Default for RawReminders {
    fn default() -> Self {
        let keys = Kind::ALL.into_iter().flat_map(|kind| [AFTER, BEFORE_EXPIRY].map(|span| key(kind, span)));
        Self(keys.map(|key| (key, String::new())).collect())
    }
}

impl RawReminders {
    pub(in crate::config) fn validate(mut self, problems: &mut Problems) -> Checked<RemindersConfig> {
        let mut texts = |kind, span| self.0.remove(&key(kind, span)).unwrap_or_default();
        let times = PerKind::from_fn(|kind| times(problems, kind, &texts(kind, AFTER), &texts(kind, BEFORE_EXPIRY)));
        // All are checked before the first problem returns, so that every problem is reported at once.
        if times.iter().any(|(_, times)| times.is_err()) {
            return Err(Reported);
        }
        Ok(times.map(Result::unwrap_or_default))
    }
}

/// Returns the key of a kind's reminders within the section.
pub(in crate::config) fn key(kind: Kind, span: &str) -> String {
    format!("{}_{span}", kind.code())
}

fn times(problems: &mut Problems, kind: Kind, after: &str, before_expiry: &str) -> Checked<ReminderTimes> {
    let after = spans(problems, &format!("reminders.{}", key(kind, AFTER)), after);
    let before_expiry = spans(problems, &format!("reminders.{}", key(kind, BEFORE_EXPIRY)), before_expiry);
    Ok(ReminderTimes { after: after?, before_expiry: before_expiry? })
}

fn spans(problems: &mut Problems, field: &str, text: &str) -> Checked<Vec<Duration>> {
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    let mut spans = Vec::new();
    for part in parts {
        spans.push(value::duration(problems, field, part, SPAN)?);
    }
    spans.sort();
    spans.dedup();
    let fits = if spans.len() <= MOST { Ok(spans) } else { Err(format!("must have at most {MOST} durations")) };
    problems.check(field, fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn list_has_at_most_five_durations_from_an_hour_to_ten_years() {
        let hours = |hours: &[u64]| Some(hours.iter().map(|n| Duration::from_secs(n * 3_600)).collect::<Vec<_>>());
        for (text, expected) in [
            ("", hours(&[])),
            (" , ", hours(&[])),
            ("3d, 7d", hours(&[72, 168])),
            ("7d,1h,3d,72h", hours(&[1, 72, 168])),
            ("1d,2d,3d,4d,5d", hours(&[24, 48, 72, 96, 120])),
            ("1d,2d,3d,4d,5d,6d", None),
            ("59m", None),
            ("3651d", None),
            ("3", None),
            ("3d 7d", None),
            ("-3d", None),
        ] {
            let mut problems = Problems::default();
            let spans = spans(&mut problems, "reminders.user_after", text).ok();
            assert_eq!(spans, expected, "{text:?}");
            assert_eq!(problems.is_empty(), expected.is_some(), "{text:?}");
        }
    }
}
