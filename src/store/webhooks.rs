//! Webhooks: the endpoints, the messages to them, and what came of every attempt. They change no invitation, so they are
//! written as they are, without a command.
//!
//! [`dispatch`] follows the order of events and writes messages, which [`claim`] hands out and [`settle`] takes back.

mod attempts;
mod change;
mod claim;
mod dispatch;
mod endpoints;
mod prune;
mod redeliver;
mod reseal;
mod row;
mod settle;

use std::time::Duration;

pub use attempts::{AttemptQuery, WebhookAttempt};
pub use claim::{ClaimedMessage, MessageContent};
pub use endpoints::{EndpointCreated, EndpointQuery};
pub use settle::{Attempt, AttemptOutcome, Disabled, WebhookAttemptResult};

/// Why something is not done to an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndpointRefusal {
    /// The account has none of this id.
    NotFound,
    /// It is not what its changer thinks it is.
    Stale,
    /// Nothing is posted to it.
    Disabled,
    /// The account has as many as it may have.
    TooManyEndpoints,
    /// There are more events than one call may have posted again.
    TooManyEvents,
    /// Another request had this id.
    RequestIdReused,
}

/// How many rows one statement changes, so that none holds its locks for long.
const CHUNK: u64 = 5_000;

/// How long the database may take for what the loops ask of it. One that is gone without a word would hold them for ever.
const ANSWER: Duration = Duration::from_secs(10);

/// The position of the last event that has one.
const HEAD: &str =
    "coalesce((SELECT position FROM event WHERE position IS NOT NULL ORDER BY position DESC LIMIT 1), 0)";
