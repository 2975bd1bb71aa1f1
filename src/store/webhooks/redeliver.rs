//! Posts events again, or for the first time, at the request of a caller.

use sea_orm::Statement;
use uuid::Uuid;

use super::EndpointRefusal;
use super::dispatch::{insert, wants};
use super::endpoints::find;
use crate::domain::delivery::DeliveryState;
use crate::domain::invitation::event::EventTypeFilter;
use crate::domain::kind::Kind;
use crate::domain::value::etag::StaleEtag;
use crate::domain::value::id::{IdSeed, InvitationId, least_id};
use crate::domain::value::text::AccountId;
use crate::domain::value::time::Timestamp;
use crate::domain::webhook::Endpoint;
use crate::store::read::Params;
use crate::store::requests::{Known, WriteOnce, recall, remember};
use crate::store::sql::entity::webhook_message::Model;
use crate::store::sql::error::StoreError;
use crate::store::sql::retry::retry;
use crate::store::sql::rows_param::by_index;
use crate::store::{Store, Topic};

/// The largest difference, in microseconds, between the time in an event's id, which comes from a process's clock, and
/// the time at which the database saw it.
const MAX_CLOCK_SKEW: i64 = 3_600_000_000;

/// The update that queues an existing message again, as if it had never been tried. A worker that is posting it at this
/// moment has lost the lease.
const REQUEUE: &str = "UPDATE SET state = excluded.state, due_at = excluded.due_at, lease = NULL, attempts = 0,
    first_tried_at = NULL";

/// The events that a caller wants posted again.
#[derive(Clone, Debug)]
pub struct WantedEvents {
    /// The moment from which on they happened.
    pub start: Timestamp,
    /// The moment before which they happened.
    pub end: Timestamp,
    /// Only events of these types and families; empty means all.
    pub types: Vec<EventTypeFilter>,
    /// Only events of these invitations, and of their kinds, if these are given; empty means all.
    pub invitations: Vec<(InvitationId, Option<Kind>)>,
    /// The most events; if there are more, none is queued.
    pub most: usize,
}

impl Store {
    /// Queues events to an endpoint, if it subscribes to their types, and returns their number. Once per request_id.
    pub async fn redeliver_webhook_events(
        &self,
        account: &AccountId,
        endpoint: Uuid,
        once: &WriteOnce,
        wanted: &WantedEvents,
        seed: &IdSeed,
        check: impl Fn(&Endpoint) -> Result<(), StaleEtag>,
    ) -> Result<Result<usize, EndpointRefusal>, StoreError> {
        let (now, most) = (self.database.clock.now(), wanted.most);
        let mut messages = Vec::new();
        for (invitation_id, sequence, occurred_at) in self.events_within(account, endpoint, wanted).await? {
            messages.push(Model {
                account_id: account.as_str().to_owned(),
                id: seed.nth(u32::try_from(messages.len()).unwrap_or(u32::MAX)),
                endpoint_id: endpoint,
                invitation_id,
                sequence,
                occurred_at,
                state: DeliveryState::Queued.code().to_owned(),
                due_at: Some(now.micros()),
                lease: None,
                attempts: 0,
                first_tried_at: None,
            });
        }
        let count = messages.len();
        retry(|| async {
            let transaction = self.database.begin_write_with_lock_wait().await?;
            let known = recall(&transaction, account, once.request.as_ref()).await?;
            if known == Known::Another {
                return Ok(Err(EndpointRefusal::RequestIdReused));
            }
            let found = find(&transaction, account, endpoint).await?;
            let Some(found) = found else { return Ok(Err(EndpointRefusal::NotFound(endpoint))) };
            if let Known::Done { changed, .. } = known {
                // The span may end now, which is later than at the first call: the answer is the number that was queued
                // then.
                let queued = changed.and_then(|changed| usize::try_from(changed).ok());
                return Ok(Ok(queued.unwrap_or_else(|| count.min(most))));
            }
            if check(&found).is_err() {
                return Ok(Err(EndpointRefusal::Stale));
            }
            if count > most {
                return Ok(Err(EndpointRefusal::TooManyEvents));
            }
            if found.disabled_at.is_some() {
                return Ok(Err(EndpointRefusal::Disabled));
            }
            if once.validate_only {
                return Ok(Ok(count));
            }
            let about = (endpoint, i64::try_from(count).ok());
            remember(&transaction, account, once.request.as_ref(), about, now).await?;
            insert(&transaction, messages.clone(), REQUEUE).await?;
            transaction.commit().await?;
            self.notifications.notify(Topic::Webhook);
            Ok(Ok(count))
        })
        .await
    }

    /// Finds events by the time in their ids, which is indexed.
    async fn events_within(
        &self,
        account: &AccountId,
        endpoint: Uuid,
        wanted: &WantedEvents,
    ) -> Result<Vec<(Uuid, i64, i64)>, StoreError> {
        let backend = self.database.backend();
        let WantedEvents { start, end, types, invitations, most } = wanted;
        let least = |micros: i64| least_id(Timestamp::from_micros(micros));
        let mut params = Params(vec![
            account.as_str().into(),
            endpoint.into(),
            least(start.micros().saturating_sub(MAX_CLOCK_SKEW)).into(),
            least(end.micros().saturating_add(MAX_CLOCK_SKEW)).into(),
            start.micros().into(),
            end.micros().into(),
            i64::try_from(*most).unwrap_or(i64::MAX).saturating_add(1).into(),
        ]);
        let mut all = vec![wants(backend).to_owned()];
        if !types.is_empty() {
            let chosen = types.iter().map(|wanted| match wanted {
                EventTypeFilter::Type(event_type) => format!("e.event_type = {}", params.push(event_type.name())),
                // The prefixes are texts of this program, without characters that LIKE or SQL know.
                EventTypeFilter::Family(family) => format!("e.event_type LIKE '{}%'", family.prefix()),
            });
            all.push(format!("({})", chosen.collect::<Vec<_>>().join(" OR ")));
        }
        if !invitations.is_empty() {
            let named = invitations.iter().map(|(id, kind)| {
                let of_kind = kind.map(|kind| format!(" AND e.kind = {}", params.push(kind.code())));
                format!("e.invitation_id = {}{}", params.push(id.0), of_kind.unwrap_or_default())
            });
            all.push(format!("({})", named.collect::<Vec<_>>().join(" OR ")));
        }
        let sql = format!(
            "SELECT e.invitation_id, e.sequence, e.occurred_at FROM event e
            JOIN webhook_endpoint w ON w.account_id = $1 AND w.id = $2
            WHERE {own} AND e.id >= $3 AND e.id < $4 AND e.occurred_at >= $5 AND e.occurred_at < $6 AND {all}
            ORDER BY e.id LIMIT $7",
            own = by_index(backend, "id", "e", "$1"),
            all = all.join(" AND "),
        );
        let rows =
            self.database.list_of_account(account, Statement::from_sql_and_values(backend, sql, params.0)).await?;
        let event = |row: &sea_orm::QueryResult| {
            Ok((row.try_get("", "invitation_id")?, row.try_get("", "sequence")?, row.try_get("", "occurred_at")?))
        };
        rows.iter().map(event).collect()
    }
}
