//! Section `[reminders]`: when recipients who have not answered are written to again, per kind.

use std::ops::RangeInclusive;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::error::{Checked, Problems};
use super::value;

/// The most reminders of one sort.
const MOST: usize = 5;
const SPAN: RangeInclusive<Duration> = Duration::from_secs(3_600)..=Duration::from_secs(3_650 * 86_400);

/// When recipients are reminded.
#[derive(Clone, Debug)]
pub struct RemindersConfig {
    /// Recipients of connection invitations.
    pub connection: ReminderTimes,
    /// Recipients of user invitations.
    pub user: ReminderTimes,
    /// Recipients of guest invitations.
    pub guest: ReminderTimes,
    /// Recipients of general invitations.
    pub general: ReminderTimes,
}

/// When the recipients of one kind are reminded: an hour to ten years, at most five of each, distinct.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReminderTimes {
    /// How long after the invitation was made.
    pub after: Vec<Duration>,
    /// How long before it expires.
    pub before_expiry: Vec<Duration>,
}

#[derive(Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawReminders {
    connection_after: String,
    connection_before_expiry: String,
    user_after: String,
    user_before_expiry: String,
    guest_after: String,
    guest_before_expiry: String,
    general_after: String,
    general_before_expiry: String,
}

impl RawReminders {
    pub(super) fn validate(self, problems: &mut Problems) -> Checked<RemindersConfig> {
        // All are checked before any is missed, so that every problem is told at once.
        let connection = times(problems, "connection", &self.connection_after, &self.connection_before_expiry);
        let user = times(problems, "user", &self.user_after, &self.user_before_expiry);
        let guest = times(problems, "guest", &self.guest_after, &self.guest_before_expiry);
        let general = times(problems, "general", &self.general_after, &self.general_before_expiry);
        Ok(RemindersConfig { connection: connection?, user: user?, guest: guest?, general: general? })
    }
}

fn times(problems: &mut Problems, kind: &str, after: &str, before_expiry: &str) -> Checked<ReminderTimes> {
    let after = spans(problems, &format!("reminders.{kind}_after"), after);
    let before_expiry = spans(problems, &format!("reminders.{kind}_before_expiry"), before_expiry);
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
    fn a_list_of_durations_has_at_most_five_from_an_hour_to_ten_years() {
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
