//! Webhooks: the endpoints, the messages to them, and the result of every attempt. They change no invitation, so they
//! are written directly, without a command.
//!
//! [`dispatch`] follows the order of events and writes messages, which [`claim`] hands out and [`settle`] takes back.

mod attempts;
mod change;
mod claim;
mod dispatch;
mod endpoints;
pub(super) mod prune;
mod redeliver;
mod reseal;
mod row;
mod settle;
mod test_limit;

use std::time::Duration;

pub use attempts::{AttemptQuery, WebhookAttempt};
pub use claim::{ClaimedMessage, MessageContent};
pub(super) use endpoints::by_id;
pub use endpoints::{EndpointCreated, EndpointQuery};
pub use redeliver::WantedEvents;
pub use settle::{Attempt, AttemptOutcome, Disabled, WebhookAttemptResult};
pub use test_limit::TestRefusal;
use uuid::Uuid;

/// The reason why a call about an endpoint is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndpointRefusal {
    /// The account has no endpoint of this id.
    NotFound(Uuid),
    /// The endpoint has changed since the caller read it.
    Stale,
    /// The endpoint is disabled.
    Disabled,
    /// The account has the largest number of endpoints.
    TooManyEndpoints,
    /// There are more events than one call may queue again.
    TooManyEvents,
    /// Another request had this request_id.
    RequestIdReused,
}

/// The number of rows that one statement changes, so that none holds its locks for long.
const CHUNK_ROWS: u64 = 5_000;

/// The time limit for the database's answer in the background tasks, which a database that is silently gone would block
/// for ever.
const DATABASE_TIMEOUT: Duration = Duration::from_secs(10);

/// The position of the last event that has one.
const LAST_POSITION: &str =
    "coalesce((SELECT position FROM event WHERE position IS NOT NULL ORDER BY position DESC LIMIT 1), 0)";
