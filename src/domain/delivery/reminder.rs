//! Reminders: the times of further messages to recipients who have not answered.
//!
//! They are planned when an invitation is created or its expiry changes. Whether one is still needed is checked when it
//! is sent ([`super::Delivery::needless`]), so nothing has to be deleted.

use std::time::Duration;

use super::Purpose;
use super::planned::PlannedMessage;
use crate::domain::kind::{Kind, PerKind};
use crate::domain::value::time::Timestamp;

/// The reminder times of one kind of invitation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Schedule {
    /// The times since the invitation was created.
    pub after: Vec<Duration>,
    /// The times before it expires.
    pub before_expiry: Vec<Duration>,
}

/// The schedule of each kind.
pub type Schedules = PerKind<Schedule>;

/// A planned reminder to any recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Planned {
    /// The moment at which it is sent.
    pub due_at: Timestamp,
    /// The expiry that it names, `None` if it counts from the creation.
    pub for_expire_at: Option<Timestamp>,
}

impl Schedule {
    /// No recipient gets a reminder.
    pub const NONE: Self = Self { after: Vec::new(), before_expiry: Vec::new() };

    /// Returns the reminders of an invitation that is created now, in order.
    pub fn for_new(&self, expire_at: Option<Timestamp>, now: Timestamp) -> Vec<Planned> {
        let after = self.after.iter().map(|span| Planned { due_at: now.later(*span), for_expire_at: None });
        let mut planned: Vec<_> = after.chain(self.before(expire_at)).collect();
        planned.retain(|planned| planned.is_between(now, expire_at));
        planned.sort_by_key(|planned| (planned.due_at, planned.for_expire_at));
        // Two reminders at one moment would be the same mail twice.
        planned.dedup_by_key(|planned| planned.due_at);
        planned
    }

    /// Returns the reminders of an invitation whose expiry has changed: those that name the expiry.
    pub fn for_moved(&self, expire_at: Option<Timestamp>, now: Timestamp) -> Vec<Planned> {
        self.before(expire_at).filter(|planned| planned.is_between(now, expire_at)).collect()
    }

    /// Returns the most reminders that one recipient gets.
    pub fn len(&self) -> usize {
        self.after.len() + self.before_expiry.len()
    }

    /// Returns whether there are no reminders.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn before(&self, expire_at: Option<Timestamp>) -> impl Iterator<Item = Planned> {
        let planned = move |span: &Duration| {
            expire_at.map(|expire_at| Planned { due_at: expire_at.earlier(*span), for_expire_at: Some(expire_at) })
        };
        self.before_expiry.iter().filter_map(planned)
    }
}

impl Schedules {
    /// No recipient gets a reminder.
    pub const NONE: Self = Self::new([const { Schedule::NONE }; Kind::ALL.len()]);

    /// Returns the most reminders that one recipient of any kind gets.
    pub fn most(&self) -> usize {
        self.iter().map(|(_, schedule)| schedule.len()).max().unwrap_or_default()
    }
}

impl Planned {
    /// Returns the message to a recipient. An expiry that is moved there and back sends no second one.
    pub fn to(self, recipient: u16) -> PlannedMessage {
        let Self { due_at, for_expire_at } = self;
        PlannedMessage { purpose: Purpose::Reminder, recipient, due_at, moment: for_expire_at }
    }

    /// Returns whether it is in the future, and before the invitation can no longer be accepted.
    fn is_between(&self, now: Timestamp, expire_at: Option<Timestamp>) -> bool {
        self.due_at > now && expire_at.is_none_or(|expire_at| self.due_at < expire_at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::fixtures::{NOW, minutes};

    const HOUR: i64 = 60;

    fn hours(hours: &[u64]) -> Vec<Duration> {
        hours.iter().map(|hours| Duration::from_secs(hours * 3_600)).collect()
    }

    /// The hours from now at which reminders are due, with an `e` for those that speak of the expiry.
    fn shown(planned: &[Planned], expire_at: Option<Timestamp>) -> String {
        let hour = |planned: &Planned| {
            assert!(planned.for_expire_at.is_none() || planned.for_expire_at == expire_at);
            let speaks = if planned.for_expire_at.is_some() { "e" } else { "" };
            format!("{}{speaks}", (planned.due_at.micros() - NOW.micros()) / 3_600_000_000)
        };
        planned.iter().map(hour).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn reminders_are_planned_after_creation_and_before_expiry() {
        for (after, before, expiry, new, moved) in [
            (&[][..], &[][..], Some(100), "", ""),
            (&[24, 72], &[], None, "24 72", ""),
            (&[24, 72], &[48], None, "24 72", ""),
            (&[72, 24], &[], Some(100), "24 72", ""),
            (&[24, 72], &[48, 12], Some(100), "24 52e 72 88e", "52e 88e"),
            (&[24, 100, 101], &[], Some(100), "24", ""),
            (&[], &[99, 100, 101], Some(100), "1e", "1e"),
            (&[28], &[72], Some(100), "28", "28e"),
            (&[1], &[1], Some(-5), "", ""),
        ] {
            let schedule = Schedule { after: hours(after), before_expiry: hours(before) };
            let expire_at = expiry.map(|hours| minutes(hours * HOUR));
            assert_eq!(shown(&schedule.for_new(expire_at, NOW), expire_at), new, "{schedule:?}, {expiry:?}");
            let mut planned = schedule.for_moved(expire_at, NOW);
            planned.sort_by_key(|planned| planned.due_at);
            assert_eq!(shown(&planned, expire_at), moved, "{schedule:?}, {expiry:?}");
        }
    }
}
