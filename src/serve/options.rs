//! The settings of a configuration in the words of the parts that need them.

use crate::config::{Config, ReminderTimes, RemindersConfig, RetentionConfig};
use crate::domain::delivery::reminder::{Schedule, Schedules};
use crate::domain::quota::{Quotas, RecipientQuota};
use crate::domain::secret::key_ring::KeyRing;
use crate::domain::suppression::SuppressionRule;
use crate::domain::webhook::networks::Networks;
use crate::store::Retention;

pub(super) fn retention(config: &Config) -> Retention {
    let RetentionConfig { events, deliveries, ended_invitations } = config.retention;
    let counts_open = config.limits.open_invitations_per_account.is_some();
    Retention { events, deliveries, ended_invitations, counts_open, publishes: config.events.nats.is_some() }
}

pub(super) fn quotas(config: &Config, ring: &KeyRing) -> Quotas {
    let limits = &config.limits;
    let recipient = |limit| RecipientQuota { limit, ring: ring.clone() };
    Quotas {
        open_invitations: limits.open_invitations_per_account,
        per_inviter: limits.invitations_per_inviter_per_day,
        per_recipient: limits.mails_per_recipient_per_day.map(recipient),
        resends: limits.resends,
        suppressions: Some(SuppressionRule { ring: ring.clone() }),
    }
}

pub(super) fn networks(config: &Config) -> Networks {
    Networks::new(config.webhooks.allowed_networks.iter().copied())
}

pub(super) fn schedules(reminders: &RemindersConfig) -> Schedules {
    reminders.clone().map(|ReminderTimes { after, before_expiry }| Schedule { after, before_expiry })
}
