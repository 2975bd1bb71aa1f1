//! Messages to people: claimed and settled by the mail worker, listed and queued again by callers. Sending a message or
//! giving it up is an event of its invitation, and so a command; leases, attempts and cancellations are not.

use std::time::Duration;

use sea_orm::sea_query::ColumnType::{BigInteger, Integer, Text, Uuid as UuidType};
use sea_orm::{ConnectionTrait, DbBackend, QueryResult, QuerySelect as _, QueryTrait as _, Statement, Value};
use uuid::Uuid;

use super::{ClaimLimit, ClaimRequest, OUTBOX};
use crate::domain::delivery::{Delivery, DeliveryState, Purpose};
use crate::domain::invitation::Invitation;
use crate::domain::reach::Reach;
use crate::domain::value::id::InvitationId;
use crate::domain::value::text::AccountId;
use crate::domain::value::time::Timestamp;
use crate::store::events::notifications::Topic;
use crate::store::executor::load::{Extent, invitation_body, parse_json};
use crate::store::read::filter::in_range;
use crate::store::read::invitations::invitation_from;
use crate::store::read::unreadable::FullPage;
use crate::store::read::{ACCOUNT, Cursor, Params, Read, SortKey, direction, within};
use crate::store::requests::{Known, WriteOnce, recall, remember};
use crate::store::sql::entity::outbox;
use crate::store::sql::error::StoreError;
use crate::store::sql::retry::retry;
use crate::store::sql::row::delivery_from;
use crate::store::sql::rows_param::{Columns, RowsParam, by_index, json_array, statement_clock};
use crate::store::suppressions::by_keys;
use crate::store::{Reads, Store, TimeRange};

/// The number of planned messages that one statement makes due, and of failed messages that one call queues again.
const CHUNK_ROWS: i64 = 1_000;

/// A claimed message and its account.
#[derive(Clone, Debug)]
pub struct ClaimedDelivery {
    /// The account of the message.
    pub account: AccountId,
    /// The message, with the lease of its holder.
    pub delivery: Delivery,
    /// The span that queued it, if that is traced.
    pub traceparent: Option<String>,
}

/// The rows that a message is about, as they are when the message is to be sent.
#[derive(Clone, Debug)]
pub struct Topicality {
    /// The invitation with no recipient except the message's, and the moment at which it was read.
    pub invitation: Read<Invitation>,
    /// Whether a later message brings its recipient the same link, or has brought it.
    pub is_replaced: bool,
}

/// The filters of failed messages to be queued again.
#[derive(Clone, Debug, Default)]
pub struct RedeliveryQuery {
    /// Only messages of this invitation.
    pub invitation: Option<InvitationId>,
    /// Only messages that were created in this span.
    pub created: TimeRange,
    /// No messages with a link to an invitation that gives another role than these; `None` for any.
    pub roles: Option<Vec<String>>,
}

/// The filters of a list of an invitation's messages, by age.
#[derive(Clone, Debug)]
pub struct DeliveryQuery {
    /// The invitation.
    pub invitation: InvitationId,
    /// Only the message with this id.
    pub id: Option<Uuid>,
    /// Only messages in these states; empty means all.
    pub states: Vec<DeliveryState>,
    /// Only messages to the recipient with this ordinal.
    pub recipient: Option<u16>,
    /// Only messages that were created in this span.
    pub created: TimeRange,
    /// Whether the oldest come first, instead of the newest.
    pub ascending: bool,
    /// The most rows.
    pub limit: u64,
    /// The place behind which the list continues.
    pub after: Option<Cursor>,
}

impl DeliveryQuery {
    /// Returns the query for all messages of an invitation, the newest first.
    pub fn of(invitation: InvitationId, limit: u64) -> Self {
        let (id, states, recipient, ascending, after) = (None, Vec::new(), None, false, None);
        Self { invitation, id, states, recipient, created: TimeRange::default(), ascending, limit, after }
    }
}

impl Store {
    /// Claims due messages for a lease, in turns by account and the oldest of each first, beginning behind the account that
    /// was served last.
    pub async fn claim_deliveries(
        &self,
        lease: Uuid,
        lasts: Duration,
        limit: impl Into<ClaimLimit>,
        after: &str,
    ) -> Result<Vec<ClaimedDelivery>, StoreError> {
        let claim = ClaimRequest { lease, lasts, limit: limit.into(), after: vec![after.into()] };
        let read = |mut row: outbox::Model| {
            let traceparent = row.traceparent.take();
            delivery_from(row).map(|(account, delivery)| ClaimedDelivery { account, delivery, traceparent })
        };
        OUTBOX.claim::<outbox::Entity, _>(&self.database, claim, read).await
    }

    /// Reads the rows that a claimed message is about; `None` if its invitation is deleted. It is called after the
    /// claim, so that the rows are current when the message is sent.
    pub async fn topicality(&self, claimed: &ClaimedDelivery) -> Result<Option<Topicality>, StoreError> {
        let backend = self.database.backend();
        let keys = Columns::list([("account_id", Text), ("invitation_id", UuidType), ("recipient", Integer)]);
        let keys = keys.and([("purpose", Text), ("created_at", BigInteger)]);
        let message = &claimed.delivery.message;
        let (account, recipient) = (claimed.account.as_str(), i32::from(message.recipient));
        let (purpose, created_at) = (message.purpose.code(), message.created_at.micros());
        let key = [account.into(), message.invitation.0.into(), recipient.into(), purpose.into(), created_at.into()];
        // There may be a thousand recipients, each with a message of their own.
        let extent = Extent { recipients: "t.ordinal = k.recipient", messages: "false", ..Extent::PLAIN };
        let clock_at = 1 + keys.width(backend);
        let sql = format!(
            "SELECT {now} AS now, {body} AS body, CASE WHEN {is_replaced} THEN 1 ELSE 0 END AS is_replaced
            FROM {keys} JOIN invitation i ON i.account_id = k.account_id AND i.id = k.invitation_id",
            now = statement_clock(backend, clock_at),
            body = invitation_body(backend, &extent),
            is_replaced = is_replaced(backend),
            keys = keys.keys_of(backend, 1, "k"),
        );
        let mut values = RowsParam::new(keys, std::iter::once(key)).params(backend);
        values.push(self.database.clock().map(Timestamp::micros).into());
        let found = self.database.read.query_one_raw(Statement::from_sql_and_values(backend, sql, values)).await?;
        found.map(|row| topicality_from(&row)).transpose()
    }

    /// Returns whether an address, which may be stored under any of some keys, is suppressed at present.
    pub async fn is_suppressed(&self, account: &AccountId, keys: &[String]) -> Result<bool, StoreError> {
        let select = by_keys(self.database.backend(), account, keys).limit(1);
        Ok(self.database.read.query_one(select.as_query()).await?.is_some())
    }

    /// Puts a claimed message back for another attempt after a delay, if it still has the lease. An attempt that failed
    /// for a reason outside the message does not count.
    pub async fn release_delivery(
        &self,
        claimed: &ClaimedDelivery,
        delay: Duration,
        counts: bool,
        error: &str,
    ) -> Result<bool, StoreError> {
        let now = statement_clock(self.database.backend(), 4);
        let assignment = format!("state = 'queued', due_at = {now} + $5, attempts = attempts - $6, last_error = $7");
        let delay = i64::try_from(delay.as_micros()).unwrap_or(i64::MAX);
        let values = vec![
            self.database.clock().map(Timestamp::micros).into(),
            delay.into(),
            i32::from(!counts).into(),
            error.into(),
        ];
        self.settle_claimed(claimed, &assignment, values).await
    }

    /// Puts back a claimed message whose invitation cannot be read, as if it had not been claimed.
    pub async fn put_back_delivery(&self, claimed: &ClaimedDelivery) -> Result<(), StoreError> {
        let ClaimedDelivery { account, delivery, .. } = claimed;
        let row = (account.as_str(), delivery.message.id, delivery.lease.unwrap_or_default());
        OUTBOX.put_back(&self.database, row).await.map(drop)
    }

    /// Cancels a claimed message that need not be sent any more, if it still has the lease. This counts as no attempt.
    pub async fn cancel_delivery(&self, claimed: &ClaimedDelivery, reason: &str) -> Result<bool, StoreError> {
        let assignment = "state = 'cancelled', due_at = NULL, attempts = attempts - 1, last_error = $4,
            address = CASE WHEN purpose = 'verification_code' THEN NULL ELSE address END,
            address_key = CASE WHEN purpose = 'verification_code' THEN NULL ELSE address_key END";
        self.settle_claimed(claimed, assignment, vec![reason.into()]).await
    }

    async fn settle_claimed(
        &self,
        claimed: &ClaimedDelivery,
        assignment: &str,
        values: Vec<Value>,
    ) -> Result<bool, StoreError> {
        let ClaimedDelivery { account, delivery, .. } = claimed;
        let row = (account.as_str(), delivery.message.id, delivery.lease.unwrap_or_default());
        OUTBOX.settle(&self.database, row, assignment, values).await
    }

    /// Makes planned messages due whose time has come, and returns their number.
    pub async fn plan_deliveries(&self) -> Result<u64, StoreError> {
        let backend = self.database.backend();
        let sql = format!(
            "{picked} UPDATE outbox AS o SET due_at = o.planned_at, planned_at = NULL FROM {keys}
            WHERE o.account_id = p.account_id AND o.id = p.id AND o.planned_at IS NOT NULL",
            picked = picked(&format!(
                "WHERE o.planned_at <= {} ORDER BY o.planned_at LIMIT $2",
                statement_clock(backend, 1)
            )),
            keys = picked_keys(backend),
        );
        let values = [self.database.clock().map(Timestamp::micros).into(), CHUNK_ROWS.into()];
        let planned = self.database.write.execute_raw(Statement::from_sql_and_values(backend, sql, values)).await?;
        Ok(planned.rows_affected())
    }

    /// Queues failed messages again and returns their number, at most a thousand per call; `None` if another request had the
    /// request_id. Once per request_id.
    pub async fn redeliver_deliveries(
        &self,
        reach: &Reach,
        query: &RedeliveryQuery,
        once: &WriteOnce,
    ) -> Result<Option<u64>, StoreError> {
        let backend = self.database.backend();
        let mut params = Params::new(self.database.clock().map(Timestamp::micros), reach.account());
        let tag = if query.invitation.is_some() { "invitation" } else { "failed" };
        let mut all = vec![by_index(backend, tag, "o", ACCOUNT), "o.state = 'failed'".to_owned()];
        all.extend(query.invitation.map(|id| format!("o.invitation_id = {}", params.push(id.0))));
        all.extend(in_range("o.created_at", query.created, &mut params));
        all.extend(within(reach, &mut params).map(|within| {
            format!(
                "(SELECT true FROM invitation i WHERE i.account_id = {ACCOUNT} AND i.id = o.invitation_id AND {within})"
            )
        }));
        all.extend(query.roles.as_ref().map(|roles| without_other_roles(backend, roles, &mut params)));
        let sql = format!(
            "{picked} UPDATE outbox AS o SET state = 'queued', due_at = {now}, attempts = 0 FROM {keys}
            WHERE o.account_id = p.account_id AND o.id = p.id AND o.state || '' = 'failed'",
            picked = picked(&format!("WHERE {} ORDER BY o.created_at, o.id LIMIT {CHUNK_ROWS}", all.join(" AND "))),
            keys = picked_keys(backend),
            now = statement_clock(backend, 1),
        );
        let statement = Statement::from_sql_and_values(backend, sql, params.0);
        retry(|| async {
            let transaction = self.database.begin_write_with_lock_wait().await?;
            match recall(&transaction, reach.account(), once.request.as_ref()).await? {
                Known::Another => return Ok(None),
                Known::Done { changed, .. } => return Ok(Some(changed.unwrap_or_default().unsigned_abs())),
                Known::New => {}
            }
            let queued = transaction.execute_raw(statement.clone()).await?.rows_affected();
            if once.validate_only {
                return Ok(Some(queued));
            }
            let about = (Uuid::nil(), i64::try_from(queued).ok());
            remember(&transaction, reach.account(), once.request.as_ref(), about, self.database.clock.now()).await?;
            transaction.commit().await?;
            self.notifications.notify(Topic::Outbox);
            Ok(Some(queued))
        })
        .await
    }
}

impl Reads {
    /// Reads a page of the messages of an invitation, with the invitation, whose recipients they name; `None` if the
    /// reach includes no such invitation.
    pub async fn list_deliveries(
        &self,
        reach: &Reach,
        query: &DeliveryQuery,
    ) -> Result<Option<(Read<Invitation>, Vec<Delivery>)>, StoreError> {
        let (mut query, mut page) = (query.clone(), FullPage::new(query.limit));
        loop {
            let Some((invitation, found)) = self.deliveries_of(reach, &query).await? else { return Ok(None) };
            let read_on = page.add(query.limit, found)?;
            let Some(read_on) = read_on else { return Ok(Some((invitation, page.into_rows()))) };
            query = DeliveryQuery { after: Some(read_on.after), limit: read_on.limit, ..query };
        }
    }

    /// Reads messages, each with the place behind which the list continues.
    async fn deliveries_of(&self, reach: &Reach, query: &DeliveryQuery) -> Result<Option<Listed>, StoreError> {
        let backend = self.database.backend();
        let (compare, order) = direction(!query.ascending);
        let mut params = Params::new(self.database.clock().map(Timestamp::micros), reach.account());
        let invitation = params.push(query.invitation.0);
        // The id of a reminder contains its due time, so ids are no order of creation.
        let after = query.after.as_ref().map(|Cursor { key, id, .. }| {
            let (at, id) = (params.push(key.clone()), params.push(*id));
            format!("(t.created_at, t.id) {compare} ({at}, {id})")
        });
        let mut all = vec![by_index(backend, "invitation", "t", ACCOUNT), format!("t.invitation_id = {invitation}")];
        all.extend(after);
        all.extend(in_range("t.created_at", query.created, &mut params));
        all.extend(query.id.map(|id| format!("t.id = {}", params.push(id))));
        all.extend(query.recipient.map(|ordinal| format!("t.recipient = {}", params.push(i32::from(ordinal)))));
        if !query.states.is_empty() {
            let states = query.states.iter().map(|state| state.code());
            all.push(format!("t.state || '' IN ({})", params.list(states)));
        }
        let page = format!(
            "(SELECT * FROM outbox t WHERE {all} ORDER BY t.created_at {order}, t.id {order} LIMIT {}) o",
            params.push(query.limit.cast_signed()),
            all = all.join(" AND "),
        );
        let page = json_array(backend, &Columns::of::<outbox::Entity>().json_of(backend, "o"), &page);
        let cast = if backend == DbBackend::Postgres { "::text" } else { "" };
        let within = within(reach, &mut params).map(|within| format!(" AND {within}")).unwrap_or_default();
        let sql = format!(
            "SELECT {now} AS now, {body} AS body, {page}{cast} AS page FROM invitation i
            WHERE i.account_id = {ACCOUNT} AND i.id = {invitation}{within}",
            now = statement_clock(backend, 1),
            body = invitation_body(backend, &Extent::PLAIN),
        );
        let found = self.database.list(reach, Statement::from_sql_and_values(backend, sql, params.0)).await?;
        let Some(row) = found.into_iter().next() else { return Ok(None) };
        let page = row.try_get::<Option<String>>("", "page")?.unwrap_or_else(|| "[]".to_owned());
        let mut page: Vec<outbox::Model> = parse_json(&page, "outbox")?;
        // An array has no order of its own.
        page.sort_by_key(|row| (row.created_at, row.id));
        if !query.ascending {
            page.reverse();
        }
        let listed = |row: outbox::Model| {
            let cursor = Cursor { key: SortKey::Number(row.created_at), ..Cursor::of_id(row.id) };
            (cursor, delivery_from(row).map(|(_, delivery)| delivery))
        };
        Ok(Some((invitation_from(&row)?, page.into_iter().map(listed).collect())))
    }
}

/// An invitation and some of its messages.
type Listed = (Read<Invitation>, Vec<(Cursor, Result<Delivery, StoreError>)>);

/// Returns the common table expression `picked`: the keys of some messages, each of which is then looked up.
fn picked(rows: &str) -> String {
    format!("WITH picked AS MATERIALIZED (SELECT o.account_id, o.id FROM outbox o {rows})")
}

/// Returns the condition under which message `o` brings no link to an invitation that gives another role than some.
fn without_other_roles(backend: DbBackend, roles: &[String], params: &mut Params) -> String {
    let given = if backend == DbBackend::Postgres {
        "jsonb_array_elements_text(i.details->'roles') AS role (value)"
    } else {
        "json_each(i.details, '$.roles') AS role"
    };
    let is_other = match roles {
        [] => "true".to_owned(),
        roles => format!("role.value NOT IN ({})", params.list(roles.iter().map(String::as_str))),
    };
    format!(
        "(o.purpose NOT IN ('{}', '{}') OR NOT EXISTS (SELECT 1 FROM invitation i CROSS JOIN {given}
            WHERE i.account_id = {ACCOUNT} AND i.id = o.invitation_id AND {is_other}))",
        Purpose::Invitation.code(),
        Purpose::Reminder.code(),
    )
}

/// Returns the condition under which a later message has taken the place of message `k`: one that was being sent when the
/// later one was made, or that was queued again. Messages of one moment belong to one save, which brings nobody two links.
fn is_replaced(backend: DbBackend) -> String {
    format!(
        "k.purpose = '{invitation}' AND EXISTS (SELECT 1 FROM outbox n WHERE {by_invitation} AND n.invitation_id = i.id
            AND n.created_at > k.created_at AND n.recipient = k.recipient AND n.purpose = '{invitation}'
            AND n.state NOT IN ('{cancelled}', '{failed}', '{suppressed}'))",
        by_invitation = by_index(backend, "invitation", "n", "k.account_id"),
        invitation = Purpose::Invitation.code(),
        cancelled = DeliveryState::Cancelled.code(),
        failed = DeliveryState::Failed.code(),
        suppressed = DeliveryState::Suppressed.code(),
    )
}

/// Returns the table expression `p` over the picked keys. PostgreSQL is made to expect one row: see `Columns::keys_of`.
fn picked_keys(backend: DbBackend) -> &'static str {
    if backend == DbBackend::Postgres {
        "(SELECT * FROM picked WHERE account_id || '' = account_id) AS p"
    } else {
        "picked AS p"
    }
}

fn topicality_from(row: &QueryResult) -> Result<Topicality, StoreError> {
    let is_replaced = row.try_get::<i32>("", "is_replaced")? == 1;
    Ok(Topicality { invitation: invitation_from(row)?, is_replaced })
}
