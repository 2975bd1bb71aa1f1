//! Updates and deletes endpoints.

use sea_orm::sea_query::{Expr, ExprTrait as _};
use sea_orm::{
    ColumnTrait as _, ConnectionTrait, EntityTrait as _, QueryFilter as _, QuerySelect as _, QueryTrait as _, Set,
};
use uuid::Uuid;

use super::endpoints::find_for_update;
use super::row::{disabled_reason, event_types_json, format};
use super::{CHUNK_ROWS, EndpointRefusal, LAST_POSITION};
use crate::domain::delivery::DeliveryState;
use crate::domain::value::etag::StaleEtag;
use crate::domain::value::text::AccountId;
use crate::domain::value::time::Timestamp;
use crate::domain::webhook::Endpoint;
use crate::store::Store;
use crate::store::requests::{Known, WriteOnce, recall, remember};
use crate::store::sql::database::Database;
use crate::store::sql::entity::{webhook_attempt, webhook_endpoint, webhook_message};
use crate::store::sql::error::StoreError;
use crate::store::sql::retry::retry;
use crate::store::sql::rows_param::in_index;

impl Store {
    /// Updates an endpoint to the result of `decide`, once per request_id; `None` from `decide` leaves it as it is.
    pub async fn change_webhook_endpoint(
        &self,
        account: &AccountId,
        id: Uuid,
        once: &WriteOnce,
        decide: impl Fn(&Endpoint) -> Result<Option<Endpoint>, StaleEtag>,
    ) -> Result<Result<Endpoint, EndpointRefusal>, StoreError> {
        retry(|| async {
            let transaction = self.database.begin_write_with_lock_wait().await?;
            // The endpoint is locked before the request is looked up: a call with the same request that is under way
            // has then finished.
            let found = find_for_update(&transaction, account, id).await?;
            let known = recall(&transaction, account, once.request.as_ref()).await?;
            if known == Known::Another {
                return Ok(Err(EndpointRefusal::RequestIdReused));
            }
            let Some(before) = found else { return Ok(Err(EndpointRefusal::NotFound(id))) };
            if matches!(known, Known::Done { about, .. } if about == id) {
                return Ok(Ok(before));
            }
            let decided = match decide(&before) {
                Err(StaleEtag) => return Ok(Err(EndpointRefusal::Stale)),
                Ok(None) if once.request.is_none() => return Ok(Ok(before)),
                Ok(decided) => decided,
            };
            if once.validate_only {
                return Ok(Ok(decided.unwrap_or(before)));
            }
            if let Some(after) = &decided {
                save_endpoint(&transaction, account, &before, after).await?;
            }
            let after = decided.unwrap_or_else(|| before.clone());
            remember(&transaction, account, once.request.as_ref(), (id, None), self.database.clock.now()).await?;
            transaction.commit().await?;
            if before.is_disabled_by(&after) {
                cancel_pending(&self.database, account.as_str(), id).await?;
            }
            Ok(Ok(after))
        })
        .await
    }

    /// Deletes an endpoint with all its messages and attempts, once per request_id.
    ///
    /// It is disabled first, so that it gets no new messages, and its row is deleted last: a retry with the same etag
    /// or the same request_id completes an interrupted deletion.
    pub async fn delete_webhook_endpoint(
        &self,
        account: &AccountId,
        id: Uuid,
        once: &WriteOnce,
        check: impl Fn(&Endpoint) -> Result<(), StaleEtag>,
    ) -> Result<Result<(), EndpointRefusal>, StoreError> {
        if let Err(refusal) = self.begin_deletion(account, id, once, check).await? {
            return Ok(Err(refusal));
        }
        if once.validate_only {
            return Ok(Ok(()));
        }
        while delete_messages(&self.database, account, id).await? >= CHUNK_ROWS {}
        while delete_attempts(&self.database, account, id).await? >= CHUNK_ROWS {}
        let delete = webhook_endpoint::Entity::delete_by_id((account.as_str().to_owned(), id));
        delete.exec(&self.database.write).await?;
        Ok(Ok(()))
    }

    /// Disables an endpoint and remembers the request; the rest of the deletion can be repeated.
    async fn begin_deletion(
        &self,
        account: &AccountId,
        id: Uuid,
        once: &WriteOnce,
        check: impl Fn(&Endpoint) -> Result<(), StaleEtag>,
    ) -> Result<Result<(), EndpointRefusal>, StoreError> {
        retry(|| async {
            let transaction = self.database.begin_write_with_lock_wait().await?;
            let found = find_for_update(&transaction, account, id).await?;
            match recall(&transaction, account, once.request.as_ref()).await? {
                Known::New => {}
                Known::Done { .. } => return Ok(Ok(())),
                Known::Another => return Ok(Err(EndpointRefusal::RequestIdReused)),
            }
            let Some(found) = found else { return Ok(Err(EndpointRefusal::NotFound(id))) };
            if check(&found).is_err() {
                return Ok(Err(EndpointRefusal::Stale));
            }
            if once.validate_only {
                return Ok(Ok(()));
            }
            let now = self.database.clock.now();
            let disabled_at = Expr::col(webhook_endpoint::Column::DisabledAt).if_null(now.micros());
            let disable = webhook_endpoint::Entity::update_many()
                .col_expr(webhook_endpoint::Column::DisabledAt, disabled_at)
                .filter(webhook_endpoint::Column::AccountId.eq(account.as_str()))
                .filter(webhook_endpoint::Column::Id.eq(id));
            disable.exec(&transaction).await?;
            remember(&transaction, account, once.request.as_ref(), (id, None), now).await?;
            transaction.commit().await?;
            Ok(Ok(()))
        })
        .await
    }
}

/// Writes the changed endpoint, which is locked.
async fn save_endpoint<C: ConnectionTrait>(
    db: &C,
    account: &AccountId,
    before: &Endpoint,
    after: &Endpoint,
) -> Result<(), StoreError> {
    use webhook_endpoint::{ActiveModel, Column, Entity};
    let (previous, until) = after.secrets.previous.clone().unzip();
    let row = ActiveModel {
        uri: Set(after.uri.clone()),
        event_types: Set(event_types_json(after)),
        format: Set(format(after)),
        disabled_at: Set(after.disabled_at.map(Timestamp::micros)),
        disabled_reason: Set(disabled_reason(after)),
        secret: Set(after.secrets.present.clone()),
        previous_secret: Set(previous),
        previous_until: Set(until.map(Timestamp::micros)),
        revision: Set(after.revision),
        updated_at: Set(after.updated_at.micros()),
        ..ActiveModel::default()
    };
    let mut update =
        Entity::update_many().set(row).filter(Column::AccountId.eq(account.as_str())).filter(Column::Id.eq(before.id));
    // The health is written by the worker alone, except for an endpoint that begins anew.
    if before.is_enabled_by(after) {
        update = update
            .col_expr(Column::FailingSince, Expr::val(None::<i64>))
            .col_expr(Column::SincePosition, Expr::cust(LAST_POSITION));
    }
    update.exec(db).await?;
    Ok(())
}

/// Deletes some of the messages to an endpoint, and returns their number.
async fn delete_messages(database: &Database, account: &AccountId, endpoint: Uuid) -> Result<u64, StoreError> {
    use webhook_message::{Column, Entity};
    let some = Entity::find()
        .select_only()
        .column(Column::Id)
        .filter(in_index(database.backend(), "event", Column::AccountId, account.as_str()))
        .filter(Column::EndpointId.eq(endpoint))
        .limit(CHUNK_ROWS);
    let delete = Entity::delete_many()
        .filter(Column::AccountId.eq(account.as_str()))
        .filter(Column::EndpointId.eq(endpoint))
        .filter(Column::Id.in_subquery(some.into_query()));
    Ok(delete.exec(&database.write).await?.rows_affected)
}

/// Deletes some of the attempts at an endpoint, and returns their number.
async fn delete_attempts(database: &Database, account: &AccountId, endpoint: Uuid) -> Result<u64, StoreError> {
    use webhook_attempt::{Column, Entity};
    let own = Column::AccountId.eq(account.as_str()).and(Column::EndpointId.eq(endpoint));
    let some = Entity::find().select_only().column(Column::Id).filter(own.clone()).limit(CHUNK_ROWS);
    let delete = Entity::delete_many().filter(own).filter(Column::Id.in_subquery(some.into_query()));
    Ok(delete.exec(&database.write).await?.rows_affected)
}

/// Cancels the messages that wait for an endpoint. A message that is being posted is left to its worker, who finds the
/// endpoint disabled before another attempt.
pub(super) async fn cancel_pending(database: &Database, account: &str, endpoint: Uuid) -> Result<(), StoreError> {
    use webhook_message::{Column, Entity};
    let some = Entity::find()
        .select_only()
        .column(Column::Id)
        .filter(in_index(database.backend(), "pending", Column::AccountId, account))
        .filter(Column::EndpointId.eq(endpoint))
        .filter(Column::DueAt.is_not_null())
        .filter(Column::Lease.is_null())
        .limit(CHUNK_ROWS)
        .into_query();
    let cancel = Entity::update_many()
        .col_expr(Column::State, Expr::val(DeliveryState::Cancelled.code()))
        .col_expr(Column::DueAt, Expr::val(None::<i64>))
        .filter(Column::AccountId.eq(account))
        .filter(Column::Id.in_subquery(some));
    while cancel.clone().exec(&database.write).await?.rows_affected >= CHUNK_ROWS {}
    Ok(())
}
