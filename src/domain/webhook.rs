//! Endpoints that an account's events are posted to: their fields and their updates.
//!
//! [`networks`] has the addresses that may be posted to, [`retry`] the times of retries, and [`signature`] the proof
//! that this service sent a message.

pub mod networks;
pub mod retry;
pub mod signature;
#[cfg(test)]
mod tests;
pub mod uri;

use std::time::Duration;

use strum::{EnumString, IntoStaticStr};
use uuid::Uuid;

use super::invitation::event::{EventFormat, EventTypeFilter};
use super::value::etag;
use super::value::etag::StaleEtag;
use super::value::time::Timestamp;
use super::value::word::Word;

/// The most endpoints that one account may have.
pub const MAX_ENDPOINTS: usize = 50;

/// The shortest time between two tests of one endpoint, so that tests cannot flood an address.
pub const TEST_INTERVAL: Duration = Duration::from_secs(5);

/// The type of the message that tests an endpoint.
pub const TEST_TYPE: &str = "webhook.test";

/// The reason for disabling an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumString, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum DisabledReason {
    /// The endpoint answered 410 (Gone).
    Gone,
    /// Every attempt failed for [`retry::DISABLED_AFTER`].
    Failing,
}

impl DisabledReason {
    /// Returns the code for it in the database.
    pub fn code(self) -> &'static str {
        self.into()
    }

    /// Reverses [`DisabledReason::code`].
    pub fn from_code(code: &str) -> Option<Self> {
        code.parse().ok()
    }
}

/// An endpoint that events are posted to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The endpoint's id.
    pub id: Uuid,
    /// An https URL; http only where the configuration allows the network.
    pub uri: String,
    /// The types of events that it receives; empty means all.
    pub event_types: Vec<Word<EventTypeFilter>>,
    /// The form in which they are posted.
    pub format: Word<EventFormat>,
    /// The moment since which nothing is posted to it.
    pub disabled_at: Option<Timestamp>,
    /// The reason why the service disabled it, `None` if the service did not.
    pub disabled_reason: Option<Word<DisabledReason>>,
    /// The secrets that sign its messages.
    pub secrets: SealedSecrets,
    /// The moment since which every attempt has failed.
    pub failing_since: Option<Timestamp>,
    /// The number of its changes, from 1.
    pub revision: i64,
    /// The name of the credential that created it.
    pub creator: String,
    /// The moment of its creation.
    pub created_at: Timestamp,
    /// The moment of its last update.
    pub updated_at: Timestamp,
}

/// The secrets of an endpoint as they are stored: encrypted, bound to the account and the endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedSecrets {
    /// The present secret.
    pub present: String,
    /// The previous secret, and the moment until which it signs too.
    pub previous: Option<(String, Timestamp)>,
}

impl SealedSecrets {
    /// Returns the secrets that sign a message now, the present one first.
    pub fn signing(&self, now: Timestamp) -> Vec<&str> {
        let previous = self.previous.iter().filter(|(_, until)| now < *until).map(|(sealed, _)| sealed.as_str());
        [self.present.as_str()].into_iter().chain(previous).collect()
    }
}
/// An update of an endpoint; `None` leaves a field as it is.
#[derive(Clone, Debug, Default)]
pub struct EndpointChange {
    /// The new address.
    pub uri: Option<String>,
    /// The new types.
    pub event_types: Option<Vec<Word<EventTypeFilter>>>,
    /// The new format.
    pub format: Option<EventFormat>,
    /// Whether it is disabled.
    pub disabled: Option<bool>,
}

/// A rotation of an endpoint's secret.
#[derive(Clone, Debug)]
pub struct Rotation {
    /// The new secret, encrypted.
    pub sealed: String,
    /// The moment until which the present secret signs too.
    pub until: Timestamp,
}

impl Endpoint {
    /// Returns its etag, which changes with every change except those of its health.
    pub fn etag(&self) -> String {
        etag::of(self.id, self.revision)
    }

    /// Returns the endpoint after an update, `None` if the update changes nothing.
    fn changed(&self, change: &EndpointChange, now: Timestamp) -> Option<Self> {
        let mut next = self.clone();
        next.uri = change.uri.clone().unwrap_or(next.uri);
        next.event_types = change.event_types.clone().unwrap_or(next.event_types);
        next.format = change.format.map_or(next.format, Word::Known);
        match (change.disabled, self.disabled_at) {
            (Some(true), None) => next.disabled_at = Some(now),
            (Some(false), Some(_)) => {
                (next.disabled_at, next.disabled_reason, next.failing_since) = (None, None, None);
            }
            _ => {}
        }
        (next != *self).then(|| Self { revision: self.revision + 1, updated_at: now, ..next })
    }

    /// Returns the endpoint with another secret; the present one signs too until a moment, if that is in the future.
    fn rotated(&self, sealed: String, until: Timestamp, now: Timestamp) -> Self {
        let previous = Some((self.secrets.present.clone(), until)).filter(|(_, until)| now < *until);
        let secrets = SealedSecrets { present: sealed, previous };
        Self { secrets, revision: self.revision + 1, updated_at: now, ..self.clone() }
    }

    /// Checks the etag, if the caller sent one.
    pub fn check_etag(&self, etag: Option<&str>) -> Result<(), StaleEtag> {
        etag::check(etag, self.id, self.revision)
    }

    /// Decides an update; `None` if it changes nothing.
    pub fn update(
        &self,
        change: &EndpointChange,
        etag: Option<&str>,
        now: Timestamp,
    ) -> Result<Option<Self>, StaleEtag> {
        self.check_etag(etag)?;
        Ok(self.changed(change, now))
    }

    /// Decides a rotation.
    pub fn rotate(&self, rotation: &Rotation, etag: Option<&str>, now: Timestamp) -> Result<Option<Self>, StaleEtag> {
        self.check_etag(etag)?;
        Ok(Some(self.rotated(rotation.sealed.clone(), rotation.until, now)))
    }

    /// Returns whether a change enables it.
    pub fn is_enabled_by(&self, next: &Self) -> bool {
        self.disabled_at.is_some() && next.disabled_at.is_none()
    }

    /// Returns whether a change disables it.
    pub fn is_disabled_by(&self, next: &Self) -> bool {
        self.disabled_at.is_none() && next.disabled_at.is_some()
    }
}
