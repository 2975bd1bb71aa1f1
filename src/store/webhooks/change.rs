//! Endpoints: changed and deleted.

use sea_orm::{ConnectionTrait, Statement, Value};
use uuid::Uuid;

use super::endpoints::find;
use super::row::event_types_json;
use super::{CHUNK, EndpointRefusal, HEAD, begin};
use crate::domain::command::Request;
use crate::domain::text::AccountId;
use crate::domain::time::Timestamp;
use crate::domain::webhook::{Endpoint, StaleEtag};
use crate::store::Store;
use crate::store::database::Database;
use crate::store::error::StoreError;
use crate::store::requests::{Known, recall, remember};

/// How often somebody else's changes may come in between.
const ATTEMPTS: usize = 5;

/// What stops events from being posted to an endpoint for good. The children go with it, in chunks.
const DELETE: [&str; 2] = [
    "DELETE FROM webhook_message WHERE account_id = $1 AND endpoint_id = $2 AND id IN
        (SELECT id FROM webhook_message WHERE account_id = $1 AND endpoint_id = $2 LIMIT $3)",
    "DELETE FROM webhook_attempt WHERE account_id = $1 AND endpoint_id = $2 AND id IN
        (SELECT id FROM webhook_attempt WHERE account_id = $1 AND endpoint_id = $2 LIMIT $3)",
];

impl Store {
    /// Changes an endpoint as `decide` says, which is asked again if somebody else was faster; none means it is so already.
    /// Once per request_id.
    pub async fn change_webhook_endpoint(
        &self,
        account: &AccountId,
        id: Uuid,
        request: Option<&Request>,
        decide: impl Fn(&Endpoint) -> Result<Option<Endpoint>, StaleEtag>,
    ) -> Result<Result<Endpoint, EndpointRefusal>, StoreError> {
        for _ in 0..ATTEMPTS {
            let transaction = begin(&self.database).await?;
            let known = recall(&transaction, account, request).await?;
            if known == Known::Another {
                return Ok(Err(EndpointRefusal::RequestIdReused));
            }
            let Some(before) = find(&transaction, account, id).await? else {
                return Ok(Err(EndpointRefusal::NotFound));
            };
            if known == Known::Done(id) {
                return Ok(Ok(before));
            }
            let after = match decide(&before) {
                Err(StaleEtag) => return Ok(Err(EndpointRefusal::Stale)),
                Ok(None) => return Ok(Ok(before)),
                Ok(Some(after)) => after,
            };
            if save_endpoint(&transaction, account, &before, &after).await?
                && remember(&transaction, account, request, id, after.updated_at).await?
            {
                transaction.commit().await?;
                if before.is_disabled_by(&after) {
                    cancel_pending(&self.database, account.as_str(), id).await?;
                }
                return Ok(Ok(after));
            }
        }
        Err(StoreError::Conflict)
    }

    /// Deletes an endpoint with all that was and is to be posted to it, once per request_id.
    ///
    /// It is disabled first, so that nothing more comes in, and is gone only when all of its rows are: an interrupted
    /// deletion can be asked for again with the same etag.
    pub async fn delete_webhook_endpoint(
        &self,
        account: &AccountId,
        id: Uuid,
        request: Option<&Request>,
        check: impl Fn(&Endpoint) -> Result<(), StaleEtag>,
    ) -> Result<Result<(), EndpointRefusal>, StoreError> {
        match recall(&self.database.write, account, request).await? {
            Known::New => {}
            Known::Done(_) => return Ok(Ok(())),
            Known::Another => return Ok(Err(EndpointRefusal::RequestIdReused)),
        }
        let Some(found) = find(&self.database.write, account, id).await? else {
            return Ok(Err(EndpointRefusal::NotFound));
        };
        if check(&found).is_err() {
            return Ok(Err(EndpointRefusal::Stale));
        }
        let disable =
            "UPDATE webhook_endpoint SET disabled_at = coalesce(disabled_at, $3) WHERE account_id = $1 AND id = $2";
        let now = self.database.clock.now();
        self.execute_on_endpoint(disable, account, id, now.micros()).await?;
        for sql in DELETE {
            while self.execute_on_endpoint(sql, account, id, CHUNK).await? >= CHUNK.unsigned_abs() {}
        }
        let transaction = begin(&self.database).await?;
        let sql = "DELETE FROM webhook_endpoint WHERE account_id = $1 AND id = $2";
        let values: [Value; 2] = [account.as_str().into(), id.into()];
        transaction.execute_raw(Statement::from_sql_and_values(self.database.backend(), sql, values)).await?;
        // If it is remembered already, then by somebody who has deleted this very endpoint at the same time.
        remember(&transaction, account, request, id, now).await?;
        transaction.commit().await?;
        Ok(Ok(()))
    }

    async fn execute_on_endpoint(
        &self,
        sql: &str,
        account: &AccountId,
        id: Uuid,
        number: i64,
    ) -> Result<u64, StoreError> {
        let values: [Value; 3] = [account.as_str().into(), id.into(), number.into()];
        let statement = Statement::from_sql_and_values(self.database.backend(), sql, values);
        Ok(self.database.write.execute_raw(statement).await?.rows_affected())
    }
}

/// Writes what a change has made of an endpoint, if it is what the change was decided on.
async fn save_endpoint<C: ConnectionTrait>(
    db: &C,
    account: &AccountId,
    before: &Endpoint,
    after: &Endpoint,
) -> Result<bool, StoreError> {
    // How it does is the sender's to say, but for an endpoint that begins anew.
    let sql = format!(
        "UPDATE webhook_endpoint SET uri = $4, event_types = $5, disabled_at = $6, disabled_reason = $7, secret = $8,
            previous_secret = $9, previous_until = $10, revision = $11, updated_at = $12,
            failing_since = CASE WHEN $13 THEN NULL ELSE failing_since END,
            since_position = CASE WHEN $13 THEN {HEAD} ELSE since_position END
        WHERE account_id = $1 AND id = $2 AND revision = $3"
    );
    let (previous, until) = after.secrets.previous.clone().unzip();
    let values: [Value; 13] = [
        account.as_str().into(),
        before.id.into(),
        before.revision.into(),
        after.uri.clone().into(),
        event_types_json(after).into(),
        after.disabled_at.map(Timestamp::micros).into(),
        after.disabled_reason.clone().into(),
        after.secrets.present.clone().into(),
        previous.into(),
        until.map(Timestamp::micros).into(),
        after.revision.into(),
        after.updated_at.micros().into(),
        before.is_enabled_by(after).into(),
    ];
    let update = Statement::from_sql_and_values(db.get_database_backend(), sql, values);
    Ok(db.execute_raw(update).await?.rows_affected() > 0)
}

/// Ends what waits to be posted to an endpoint. What is being posted is left to whoever does, who finds it disabled before
/// another attempt.
pub(super) async fn cancel_pending(database: &Database, account: &str, endpoint: Uuid) -> Result<(), StoreError> {
    let sql = "UPDATE webhook_message SET state = 'cancelled', due_at = NULL WHERE account_id = $1 AND id IN
        (SELECT id FROM webhook_message
        WHERE account_id = $1 AND endpoint_id = $2 AND due_at IS NOT NULL AND lease IS NULL LIMIT $3)";
    loop {
        let values: [Value; 3] = [account.into(), endpoint.into(), CHUNK.into()];
        let cancel = Statement::from_sql_and_values(database.backend(), sql, values);
        if database.write.execute_raw(cancel).await?.rows_affected() < CHUNK.unsigned_abs() {
            return Ok(());
        }
    }
}
