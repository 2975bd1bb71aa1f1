//! Endpoints: changed and deleted.

use sea_orm::{ConnectionTrait, DbBackend, Statement, Value};
use uuid::Uuid;

use super::endpoints::find_for_update;
use super::row::event_types_json;
use super::{CHUNK, EndpointRefusal, HEAD};
use crate::domain::command::Request;
use crate::domain::value::text::AccountId;
use crate::domain::value::time::Timestamp;
use crate::domain::webhook::{Endpoint, StaleEtag};
use crate::store::Store;
use crate::store::requests::{Known, recall, remember};
use crate::store::sql::database::Database;
use crate::store::sql::error::StoreError;
use crate::store::sql::rows_param::by_index;

/// How often somebody else's request with the same id, about another endpoint, may come in between.
const ATTEMPTS: usize = 5;

/// Deletes an endpoint; its children go first, in chunks. Parameters: the account, the endpoint, how many.
fn delete_sqls(backend: DbBackend) -> [String; 3] {
    let messages = by_index(backend, "event", "m", "$1");
    [
        format!(
            "DELETE FROM webhook_message WHERE account_id = $1 AND endpoint_id = $2 AND id IN
            (SELECT m.id FROM webhook_message m WHERE {messages} AND m.endpoint_id = $2 LIMIT $3)"
        ),
        "DELETE FROM webhook_attempt WHERE account_id = $1 AND endpoint_id = $2 AND id IN
            (SELECT id FROM webhook_attempt WHERE account_id = $1 AND endpoint_id = $2 LIMIT $3)"
            .to_owned(),
        "DELETE FROM webhook_endpoint WHERE account_id = $1 AND id = $2 AND $3 > 0".to_owned(),
    ]
}

impl Store {
    /// Changes an endpoint as `decide` says; none means it is so already. Once per request_id.
    pub async fn change_webhook_endpoint(
        &self,
        account: &AccountId,
        id: Uuid,
        request: Option<&Request>,
        decide: impl Fn(&Endpoint) -> Result<Option<Endpoint>, StaleEtag>,
    ) -> Result<Result<Endpoint, EndpointRefusal>, StoreError> {
        for _ in 0..ATTEMPTS {
            let transaction = self.database.begin_write_in_turn().await?;
            // Before the request is looked up: whoever has made the same one by now has been waited for.
            let found = find_for_update(&transaction, account, id).await?;
            let known = recall(&transaction, account, request).await?;
            if known == Known::Another {
                return Ok(Err(EndpointRefusal::RequestIdReused));
            }
            let Some(before) = found else { return Ok(Err(EndpointRefusal::NotFound)) };
            if matches!(known, Known::Done { about, .. } if about == id) {
                return Ok(Ok(before));
            }
            let decided = match decide(&before) {
                Err(StaleEtag) => return Ok(Err(EndpointRefusal::Stale)),
                Ok(None) if request.is_none() => return Ok(Ok(before)),
                Ok(decided) => decided,
            };
            if let Some(after) = &decided {
                save_endpoint(&transaction, account, &before, after).await?;
            }
            let after = decided.unwrap_or_else(|| before.clone());
            if remember(&transaction, account, request, (id, None), self.database.clock.now()).await? {
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
    /// It is disabled first, so that nothing more comes in, and is gone only when all of its rows are: what an interrupted
    /// deletion has left is deleted when it is asked for again, with the same etag or the same request_id.
    pub async fn delete_webhook_endpoint(
        &self,
        account: &AccountId,
        id: Uuid,
        request: Option<&Request>,
        check: impl Fn(&Endpoint) -> Result<(), StaleEtag>,
    ) -> Result<Result<(), EndpointRefusal>, StoreError> {
        if let Err(refusal) = self.begin_deletion(account, id, request, check).await? {
            return Ok(Err(refusal));
        }
        for sql in delete_sqls(self.database.backend()) {
            while self.execute_on_endpoint(&sql, account, id).await? >= CHUNK.unsigned_abs() {}
        }
        Ok(Ok(()))
    }

    /// Takes an endpoint out of service and remembers the request, of which all that is left can be done again.
    async fn begin_deletion(
        &self,
        account: &AccountId,
        id: Uuid,
        request: Option<&Request>,
        check: impl Fn(&Endpoint) -> Result<(), StaleEtag>,
    ) -> Result<Result<(), EndpointRefusal>, StoreError> {
        for _ in 0..ATTEMPTS {
            let transaction = self.database.begin_write_in_turn().await?;
            let found = find_for_update(&transaction, account, id).await?;
            match recall(&transaction, account, request).await? {
                Known::New => {}
                Known::Done { .. } => return Ok(Ok(())),
                Known::Another => return Ok(Err(EndpointRefusal::RequestIdReused)),
            }
            let Some(found) = found else { return Ok(Err(EndpointRefusal::NotFound)) };
            if check(&found).is_err() {
                return Ok(Err(EndpointRefusal::Stale));
            }
            let now = self.database.clock.now();
            let sql =
                "UPDATE webhook_endpoint SET disabled_at = coalesce(disabled_at, $3) WHERE account_id = $1 AND id = $2";
            let values: [Value; 3] = [account.as_str().into(), id.into(), now.micros().into()];
            transaction.execute_raw(Statement::from_sql_and_values(self.database.backend(), sql, values)).await?;
            if remember(&transaction, account, request, (id, None), now).await? {
                transaction.commit().await?;
                return Ok(Ok(()));
            }
        }
        Err(StoreError::Conflict)
    }

    async fn execute_on_endpoint(&self, sql: &str, account: &AccountId, id: Uuid) -> Result<u64, StoreError> {
        let values: [Value; 3] = [account.as_str().into(), id.into(), CHUNK.into()];
        let statement = Statement::from_sql_and_values(self.database.backend(), sql, values);
        Ok(self.database.write.execute_raw(statement).await?.rows_affected())
    }
}

/// Writes what a change has made of an endpoint, which is locked.
async fn save_endpoint<C: ConnectionTrait>(
    db: &C,
    account: &AccountId,
    before: &Endpoint,
    after: &Endpoint,
) -> Result<(), StoreError> {
    // How it does is the sender's to say, but for an endpoint that begins anew.
    let sql = format!(
        "UPDATE webhook_endpoint SET uri = $3, event_types = $4, disabled_at = $5, disabled_reason = $6, secret = $7,
            previous_secret = $8, previous_until = $9, revision = $10, updated_at = $11,
            failing_since = CASE WHEN $12 THEN NULL ELSE failing_since END,
            since_position = CASE WHEN $12 THEN {HEAD} ELSE since_position END
        WHERE account_id = $1 AND id = $2"
    );
    let (previous, until) = after.secrets.previous.clone().unzip();
    let values: [Value; 12] = [
        account.as_str().into(),
        before.id.into(),
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
    db.execute_raw(update).await?;
    Ok(())
}

/// Ends what waits to be posted to an endpoint. What is being posted is left to whoever does, who finds it disabled before
/// another attempt.
pub(super) async fn cancel_pending(database: &Database, account: &str, endpoint: Uuid) -> Result<(), StoreError> {
    let backend = database.backend();
    let sql = format!(
        "UPDATE webhook_message SET state = 'cancelled', due_at = NULL WHERE account_id = $1 AND id IN
        (SELECT m.id FROM webhook_message m
        WHERE {} AND m.endpoint_id = $2 AND m.due_at IS NOT NULL AND m.lease IS NULL LIMIT $3)",
        by_index(backend, "pending", "m", "$1")
    );
    loop {
        let values: [Value; 3] = [account.into(), endpoint.into(), CHUNK.into()];
        let cancel = Statement::from_sql_and_values(backend, &sql, values);
        if database.write.execute_raw(cancel).await?.rows_affected() < CHUNK.unsigned_abs() {
            return Ok(());
        }
    }
}
