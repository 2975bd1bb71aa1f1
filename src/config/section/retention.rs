//! Section `[retention]`: the ages after which rows that users see are deleted.

use std::ops::RangeInclusive;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::error::{Checked, Problems};
use crate::config::value;

/// The word for a retention without an end.
pub(in crate::config) const OFF: &str = "off";

const LONGEST: Duration = Duration::from_secs(36_525 * 86_400);
/// A follower that is away over a night finds what it has missed.
const EVENTS: RangeInclusive<Duration> = Duration::from_secs(86_400)..=LONGEST;
/// Mail providers report for some days that a message came back.
const DELIVERIES: RangeInclusive<Duration> = Duration::from_secs(7 * 86_400)..=LONGEST;
/// Expired invitations are renewed for some weeks.
const ENDED_INVITATIONS: RangeInclusive<Duration> = Duration::from_secs(30 * 86_400)..=LONGEST;

/// The ages after which rows are deleted; `None` keeps them.
#[derive(Clone, Copy, Debug)]
pub struct RetentionConfig {
    /// The age of an event.
    pub events: Option<Duration>,
    /// The age of a message to a person.
    pub deliveries: Option<Duration>,
    /// The time since an invitation ended.
    pub ended_invitations: Option<Duration>,
}

#[derive(Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct RawRetention {
    events: String,
    deliveries: String,
    ended_invitations: String,
}

impl RawRetention {
    pub(in crate::config) fn validate(self, problems: &mut Problems) -> Checked<RetentionConfig> {
        let RawRetention { events, deliveries, ended_invitations } = self;
        let events = age(problems, "retention.events", &events, EVENTS);
        let deliveries = age(problems, "retention.deliveries", &deliveries, DELIVERIES);
        let ended_invitations = age(problems, "retention.ended_invitations", &ended_invitations, ENDED_INVITATIONS);
        Ok(RetentionConfig { events: events?, deliveries: deliveries?, ended_invitations: ended_invitations? })
    }
}

fn age(problems: &mut Problems, field: &str, text: &str, range: RangeInclusive<Duration>) -> Checked<Option<Duration>> {
    if text == OFF { Ok(None) } else { value::duration(problems, field, text, range).map(Some) }
}
