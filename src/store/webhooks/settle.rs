//! Settles attempts: several at a time in one transaction, each only if its lease still holds.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use sea_orm::sea_query::ColumnType::{BigInteger, Text, Uuid as UuidType};
use sea_orm::{ConnectionTrait, DbBackend, Statement, Value};
use uuid::Uuid;

use super::change::cancel_pending;
use super::{ClaimedMessage, DATABASE_TIMEOUT};
use crate::domain::delivery::DeliveryState;
use crate::domain::value::time::Timestamp;
use crate::domain::webhook::{DisabledReason, retry};
use crate::store::Store;
use crate::store::sql::Transaction;
use crate::store::sql::entity::webhook_attempt::{Entity, Model};
use crate::store::sql::error::StoreError;
use crate::store::sql::retry::retry;
use crate::store::sql::rows_param::{Columns, RowsParam, statement_clock};
use crate::store::within;

/// The next state of a message after an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptOutcome {
    /// The endpoint accepted it.
    Arrived,
    /// It is tried again after a delay.
    Retry(Duration),
    /// It has failed for good.
    GivenUp,
    /// It has failed for good, and the endpoint is disabled because it answered 410 (Gone).
    Gone,
    /// It is cancelled, since its endpoint is deleted or disabled.
    Needless,
}

impl AttemptOutcome {
    /// Returns the word of the outcome in the log, which stays the same.
    pub fn word(self) -> &'static str {
        match self {
            Self::Arrived => "arrived",
            Self::Retry(_) => "retry",
            Self::GivenUp => "given_up",
            Self::Gone => "gone",
            Self::Needless => "needless",
        }
    }
}

/// A request to an endpoint, and its result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// The attempt's id; sorts by age.
    pub id: Uuid,
    /// The `webhook-id` of the request: the id of the event.
    pub webhook_id: Uuid,
    /// The status of the answer, if there was one.
    pub http_status: Option<u16>,
    /// The reason why the attempt failed, if it did. Never holds the address.
    pub error: Option<String>,
    /// The duration of the request.
    pub duration: Duration,
}

/// A message that was processed.
#[derive(Clone, Debug)]
pub struct WebhookAttemptResult {
    /// The message.
    pub message: ClaimedMessage,
    /// Its next state.
    pub outcome: AttemptOutcome,
    /// The moment of the attempt, or of the result.
    pub at: Timestamp,
    /// The attempt; `None` if no request was sent.
    pub attempt: Option<Attempt>,
}

/// An endpoint that has just been disabled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disabled {
    /// The endpoint's account.
    pub account: String,
    /// The endpoint's id.
    pub endpoint: Uuid,
}

/// The state of an endpoint after some attempts.
#[derive(Clone, Copy)]
struct EndpointState {
    health: Health,
    /// The moment of the attempt that decides the health.
    at: Timestamp,
    /// The time for which the endpoint rests, if an answer was slow.
    rest: Option<Duration>,
}

/// The health of an endpoint after the last of its attempts; the greatest of several counts if one of them disables it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Health {
    Well,
    Failing,
    Gone,
}

impl Health {
    fn code(self) -> &'static str {
        match self {
            Self::Well => "well",
            Self::Failing => "failing",
            Self::Gone => "gone",
        }
    }
}

impl Store {
    /// Settles claimed messages, and returns the endpoints that it disabled because of their answers. A message whose
    /// lease now belongs to another holder is left alone.
    pub async fn settle_webhook_messages(&self, settled: &[WebhookAttemptResult]) -> Result<Vec<Disabled>, StoreError> {
        within(DATABASE_TIMEOUT, retry(|| self.settle(settled))).await
    }

    async fn settle(&self, settled: &[WebhookAttemptResult]) -> Result<Vec<Disabled>, StoreError> {
        let transaction = self.database.begin_write().await?;
        let held = self.settle_messages(&transaction, settled).await?;
        let held: Vec<&WebhookAttemptResult> =
            settled.iter().filter(|settled| held.contains(&settled.message.id)).collect();
        self.insert_attempts(&transaction, &held).await?;
        let disabled = self.save_health(&transaction, &held).await?;
        transaction.commit().await?;
        for Disabled { account, endpoint } in &disabled {
            cancel_pending(&self.database, account, *endpoint).await?;
        }
        Ok(disabled)
    }

    /// Returns the messages whose lease held.
    async fn settle_messages(
        &self,
        transaction: &Transaction,
        settled: &[WebhookAttemptResult],
    ) -> Result<HashSet<Uuid>, StoreError> {
        let backend = self.database.backend();
        let columns = Columns::list([
            ("account_id", Text),
            ("message_id", UuidType),
            ("held", UuidType),
            ("becomes", Text),
            ("delay", BigInteger),
            ("tried_at", BigInteger),
        ]);
        let now = statement_clock(backend, 1 + columns.width(backend));
        let sql = format!(
            "UPDATE webhook_message AS m SET state = s.becomes, lease = NULL,
                due_at = CASE WHEN s.delay >= 0 THEN {now} + s.delay END,
                first_tried_at = coalesce(m.first_tried_at, s.tried_at)
            FROM {rows} WHERE m.account_id = s.account_id AND m.id = s.message_id AND m.lease = s.held RETURNING id",
            rows = columns.rows_of(backend, 1, "s"),
        );
        let row = |settled: &WebhookAttemptResult| -> [Value; 6] {
            let ClaimedMessage { account, id, lease, .. } = &settled.message;
            let (state, delay) = becomes(settled.outcome);
            let delay = delay.map_or(-1, micros);
            let at = settled.at.micros();
            [account.as_str().into(), (*id).into(), (*lease).into(), state.code().into(), delay.into(), at.into()]
        };
        let mut values = RowsParam::new(columns, settled.iter().map(row)).params(backend);
        values.push(self.database.clock().map(Timestamp::micros).into());
        let rows = transaction.query_all_raw(Statement::from_sql_and_values(backend, sql, values)).await?;
        Ok(rows.iter().map(|row| row.try_get::<Uuid>("", "id")).collect::<Result<_, _>>()?)
    }

    async fn insert_attempts(
        &self,
        transaction: &Transaction,
        held: &[&WebhookAttemptResult],
    ) -> Result<(), StoreError> {
        let backend = self.database.backend();
        let set = RowsParam::of(held.iter().filter_map(|settled| attempt_row(settled)));
        if set.len() == 0 {
            return Ok(());
        }
        let columns = Columns::of::<Entity>();
        let sql = format!(
            "INSERT INTO webhook_attempt ({names}) SELECT {names} FROM {rows}",
            names = columns.names(),
            rows = columns.rows_of(backend, 1, "s"),
        );
        transaction.execute_raw(Statement::from_sql_and_values(backend, sql, set.params(backend))).await?;
        Ok(())
    }

    /// Writes the health of endpoints where it has changed.
    async fn save_health(
        &self,
        transaction: &Transaction,
        held: &[&WebhookAttemptResult],
    ) -> Result<Vec<Disabled>, StoreError> {
        let endpoints = states(held);
        if endpoints.is_empty() {
            return Ok(Vec::new());
        }
        let backend = self.database.backend();
        let columns =
            Columns::list([("account_id", Text), ("endpoint_id", UuidType), ("health", Text), ("at", BigInteger)]);
        let columns = columns.and([("rest", BigInteger)]);
        let first = 1 + columns.width(backend);
        let long = if backend == DbBackend::Postgres { format!("${first}::bigint") } else { format!("${first}") };
        let ends = format!(
            "(h.health = 'gone' OR h.health = 'failing' AND w.failing_since IS NOT NULL AND w.failing_since <= h.at - {long})"
        );
        let sql = format!(
            "UPDATE webhook_endpoint AS w SET
                rests_until = CASE WHEN h.rest >= 0 THEN {now} + h.rest END,
                failing_since = CASE WHEN h.health = 'well' THEN NULL ELSE coalesce(w.failing_since, h.at) END,
                disabled_at = CASE WHEN {ends} THEN h.at ELSE w.disabled_at END,
                disabled_reason = CASE WHEN NOT {ends} THEN w.disabled_reason WHEN h.health = 'gone' THEN '{gone}'
                    ELSE '{failing}' END,
                revision = w.revision + CASE WHEN {ends} THEN 1 ELSE 0 END,
                updated_at = CASE WHEN {ends} THEN h.at ELSE w.updated_at END
            FROM {rows} WHERE w.account_id = h.account_id AND w.id = h.endpoint_id AND w.disabled_at IS NULL
                AND (h.health = 'well' AND w.failing_since IS NOT NULL
                    OR h.health <> 'well' AND (w.failing_since IS NULL OR {ends})
                    OR h.rest >= 0 OR w.rests_until IS NOT NULL)
            RETURNING id, CASE WHEN disabled_at IS NULL THEN 0 ELSE 1 END AS ended",
            gone = DisabledReason::Gone.code(),
            failing = DisabledReason::Failing.code(),
            now = statement_clock(backend, first + 1),
            rows = columns.rows_of(backend, 1, "h"),
        );
        let row = |((account, endpoint), state): (&(&str, Uuid), &EndpointState)| -> [Value; 5] {
            let (health, rest) = (state.health.code(), state.rest.map_or(-1, micros));
            [(*account).into(), (*endpoint).into(), health.into(), state.at.micros().into(), rest.into()]
        };
        let mut values = RowsParam::new(columns, endpoints.iter().map(row)).params(backend);
        values.push(micros(retry::DISABLED_AFTER).into());
        values.push(self.database.clock().map(Timestamp::micros).into());
        let rows = transaction.query_all_raw(Statement::from_sql_and_values(backend, sql, values)).await?;
        let mut ended = HashSet::new();
        for row in rows {
            if row.try_get::<i32>("", "ended")? == 1 {
                ended.insert(row.try_get::<Uuid>("", "id")?);
            }
        }
        let ended = endpoints.keys().filter(|(_, endpoint)| ended.contains(endpoint));
        Ok(ended.map(|(account, endpoint)| Disabled { account: (*account).to_owned(), endpoint: *endpoint }).collect())
    }
}

/// Returns the state of the endpoints of some attempts, in the order of their keys, which is the order of the locks.
fn states<'a>(held: &[&'a WebhookAttemptResult]) -> BTreeMap<(&'a str, Uuid), EndpointState> {
    let mut endpoints = BTreeMap::new();
    for settled in held.iter().filter(|settled| settled.attempt.is_some()) {
        let health = match settled.outcome {
            AttemptOutcome::Arrived => Health::Well,
            AttemptOutcome::Retry(_) | AttemptOutcome::GivenUp => Health::Failing,
            AttemptOutcome::Gone => Health::Gone,
            AttemptOutcome::Needless => continue,
        };
        let key = (settled.message.account.as_str(), settled.message.endpoint);
        let rest = settled.attempt.as_ref().and_then(|attempt| retry::rest_after(attempt.duration));
        let known = endpoints.entry(key).or_insert(EndpointState { health, at: settled.at, rest: None });
        known.rest = known.rest.max(rest);
        if known.health != Health::Gone {
            (known.health, known.at) = (health, settled.at);
        }
    }
    endpoints
}

fn becomes(outcome: AttemptOutcome) -> (DeliveryState, Option<Duration>) {
    match outcome {
        AttemptOutcome::Arrived => (DeliveryState::Sent, None),
        AttemptOutcome::Retry(delay) => (DeliveryState::Queued, Some(delay)),
        AttemptOutcome::GivenUp => (DeliveryState::Failed, None),
        AttemptOutcome::Gone | AttemptOutcome::Needless => (DeliveryState::Cancelled, None),
    }
}

fn attempt_row(settled: &WebhookAttemptResult) -> Option<Model> {
    let WebhookAttemptResult { message, attempt, at, outcome: _ } = settled;
    let attempt = attempt.as_ref()?;
    Some(Model {
        account_id: message.account.as_str().to_owned(),
        endpoint_id: message.endpoint,
        id: attempt.id,
        webhook_id: attempt.webhook_id,
        invitation_id: message.invitation.0,
        sequence: message.sequence,
        attempted_at: at.micros(),
        http_status: attempt.http_status.map(i32::from),
        error: attempt.error.clone().filter(|error| !error.is_empty()),
        duration_millis: i32::try_from(attempt.duration.as_millis()).unwrap_or(i32::MAX),
    })
}

fn micros(span: Duration) -> i64 {
    i64::try_from(span.as_micros()).unwrap_or(i64::MAX)
}
