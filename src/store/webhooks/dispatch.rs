//! Creates messages from events: one for each endpoint that subscribes to the event.
//!
//! Follows the positions of events of all accounts, each event once; a message has the account of its event, and only
//! endpoints of that account are joined to it.

use std::time::Duration;

use sea_orm::{ConnectionTrait, DbBackend, Statement, Value};
use uuid::Uuid;

use super::{CHUNK_ROWS, LAST_POSITION};
use crate::domain::delivery::DeliveryState;
use crate::domain::value::id::IdSeed;
use crate::store::sql::entity::webhook_message::{Entity, Model};
use crate::store::sql::error::StoreError;
use crate::store::sql::retry::retry;
use crate::store::sql::rows_param::{Columns, RowsParam, index_key};
use crate::store::within;
use crate::store::{Store, Topic};

/// The number of events that one transaction dispatches.
const BATCH_EVENTS: i64 = 1_000;
/// The time limit of that transaction: with many endpoints it writes many messages.
const TRANSACTION_LIMIT: Duration = Duration::from_secs(30);

/// The position of the dispatcher, the last position, and whether there is any enabled endpoint.
struct Ahead {
    followed: i64,
    head: i64,
    wanted: bool,
}

impl Store {
    /// Writes the messages for the next events, and returns whether there are more events to look at.
    ///
    /// Of several replicas one dispatches at a time; the others return at once, since nothing is left for them.
    pub async fn dispatch_webhooks(&self, seed: &IdSeed) -> Result<bool, StoreError> {
        within(TRANSACTION_LIMIT, retry(|| self.dispatch_next(seed))).await
    }

    async fn dispatch_next(&self, seed: &IdSeed) -> Result<bool, StoreError> {
        let Ahead { followed, head, wanted } = self.ahead().await?;
        if head <= followed {
            return Ok(false);
        }
        if !wanted {
            // A new endpoint gets no earlier events, so without endpoints there is nothing to do except to keep the
            // position from falling behind without bound.
            if head - followed >= BATCH_EVENTS {
                self.follow(&self.database.write, head).await?;
            }
            return Ok(false);
        }
        let backend = self.database.backend();
        let transaction = self.database.begin_write().await?;
        let lock = if backend == DbBackend::Postgres { " FOR UPDATE SKIP LOCKED" } else { "" };
        let sql = format!("SELECT position FROM follower WHERE name = 'webhooks'{lock}");
        let Some(row) = transaction.query_one_raw(Statement::from_string(backend, sql)).await? else {
            return Ok(false);
        };
        let position: i64 = row.try_get_by_index(0)?;
        let now = self.database.clock.now().micros();
        let values: [Value; 2] = [position.into(), BATCH_EVENTS.into()];
        let select = Statement::from_sql_and_values(backend, matching_sql(backend), values);
        let (mut last, mut events, mut messages) = (position, 0, Vec::new());
        for row in transaction.query_all_raw(select).await? {
            let at: i64 = row.try_get("", "position")?;
            events += i64::from(at > last);
            last = last.max(at);
            let Some(endpoint_id) = row.try_get::<Option<Uuid>>("", "endpoint_id")? else { continue };
            messages.push(Model {
                account_id: row.try_get("", "account_id")?,
                id: seed.nth(u32::try_from(messages.len()).unwrap_or(u32::MAX)),
                endpoint_id,
                invitation_id: row.try_get("", "invitation_id")?,
                sequence: row.try_get("", "sequence")?,
                occurred_at: row.try_get("", "occurred_at")?,
                state: DeliveryState::Queued.code().to_owned(),
                due_at: Some(now),
                lease: None,
                attempts: 0,
                first_tried_at: None,
            });
        }
        let any = !messages.is_empty();
        insert(&transaction, messages, "NOTHING").await?;
        self.follow(&transaction, last).await?;
        transaction.commit().await?;
        if any {
            self.notifications.notify(Topic::Webhook);
        }
        Ok(events >= BATCH_EVENTS)
    }

    async fn ahead(&self) -> Result<Ahead, StoreError> {
        let sql = format!(
            "SELECT position AS followed, {LAST_POSITION} AS head,
                (SELECT count(*) FROM (SELECT 1 FROM webhook_endpoint WHERE disabled_at IS NULL LIMIT 1) w) AS wanted
            FROM follower WHERE name = 'webhooks'"
        );
        let row = self.database.read.query_one_raw(Statement::from_string(self.database.backend(), sql)).await?;
        let Some(row) = row else {
            return Err(StoreError::Refused("the row `webhooks` is missing in the table `follower`".to_owned()));
        };
        let wanted: i64 = row.try_get("", "wanted")?;
        Ok(Ahead { followed: row.try_get("", "followed")?, head: row.try_get("", "head")?, wanted: wanted > 0 })
    }

    async fn follow<C: ConnectionTrait>(&self, db: &C, position: i64) -> Result<(), StoreError> {
        let sql = "UPDATE follower SET position = $1 WHERE name = 'webhooks' AND position < $1";
        db.execute_raw(Statement::from_sql_and_values(self.database.backend(), sql, [position.into()])).await?;
        Ok(())
    }
}

/// Returns the next events, each with the endpoints that subscribe to it, or with none. The condition that always holds
/// makes PostgreSQL look up the endpoints of an account, instead of reading all there are: see `Columns::keys_of`.
fn matching_sql(backend: DbBackend) -> String {
    let wants = wants(backend);
    format!(
        "SELECT e.account_id, e.invitation_id, e.sequence, e.occurred_at, e.position, w.id AS endpoint_id
        FROM (SELECT * FROM (SELECT account_id, invitation_id, sequence, occurred_at, position, event_type FROM event
            WHERE position > $1 ORDER BY position LIMIT $2) n WHERE n.account_id || '' = n.account_id) e
        LEFT JOIN webhook_endpoint w ON w.account_id = e.account_id AND w.disabled_at IS NULL
            AND w.since_position < e.position AND {wants}
        ORDER BY e.position, w.id"
    )
}

/// Returns the condition that endpoint `w` subscribes to the type of event `e`, or to its family.
pub(super) fn wants(backend: DbBackend) -> &'static str {
    if backend == DbBackend::Postgres {
        "(w.event_types = '[]'::jsonb OR jsonb_exists(w.event_types, e.event_type)
            OR jsonb_exists(w.event_types, split_part(e.event_type, '.', 1) || '.*'))"
    } else {
        // A text that is not JSON would fail the statement for the endpoints of all accounts.
        "CASE WHEN json_valid(w.event_types) THEN json_array_length(w.event_types) = 0
            OR e.event_type IN (SELECT value FROM json_each(w.event_types))
            OR (substr(e.event_type, 1, instr(e.event_type, '.')) || '*') IN (SELECT value FROM json_each(w.event_types)) END"
    }
}

/// Inserts messages; `otherwise` handles a message of the same event to the same endpoint that exists already.
pub(super) async fn insert<C: ConnectionTrait>(
    db: &C,
    messages: Vec<Model>,
    otherwise: &str,
) -> Result<(), StoreError> {
    let backend = db.get_database_backend();
    let columns = Columns::of::<Entity>();
    let sql = format!(
        "INSERT INTO webhook_message ({names}) SELECT {names} FROM {rows} WHERE true
        ON CONFLICT ({key}, endpoint_id, invitation_id, sequence) DO {otherwise}",
        key = index_key(backend, "event"),
        names = columns.names(),
        rows = columns.rows_of(backend, 1, "s"),
    );
    let chunk = usize::try_from(CHUNK_ROWS).unwrap_or(usize::MAX);
    for chunk in messages.chunks(chunk) {
        let values = RowsParam::of(chunk.iter().cloned()).params(backend);
        db.execute_raw(Statement::from_sql_and_values(backend, sql.clone(), values)).await?;
    }
    Ok(())
}
