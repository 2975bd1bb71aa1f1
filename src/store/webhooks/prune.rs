//! What is too old to be asked for: attempts, and the messages they were about. Of all accounts, endpoint by endpoint, since
//! that is how their keys begin.

use std::time::Duration;

use uuid::Uuid;

use crate::store::Maintenance;
use crate::store::error::StoreError;
use crate::store::maintenance::Old;

/// How long attempts and settled messages are kept.
const KEPT: Duration = Duration::from_secs(30 * 86_400);

const ATTEMPTS: Old = Old {
    table: "webhook_attempt",
    key: "account_id, endpoint_id, id",
    rows: "SELECT t.account_id, t.endpoint_id, t.id FROM webhook_endpoint w
        JOIN webhook_attempt t ON t.account_id = w.account_id AND t.endpoint_id = w.id AND t.id < $1",
    still: "true",
};
const MESSAGES: Old = Old {
    table: "webhook_message",
    key: "account_id, id",
    rows: "SELECT t.account_id, t.id FROM webhook_endpoint w
        JOIN webhook_message t ON t.account_id = w.account_id AND t.endpoint_id = w.id AND t.occurred_at < $1
        WHERE t.due_at IS NULL",
    // A settled message may have been queued again meanwhile.
    still: "due_at IS NULL",
};

impl Maintenance {
    /// Forgets what was posted more than 30 days ago, and returns how many rows that were.
    pub async fn prune_webhooks(&self) -> Result<u64, StoreError> {
        let before = self.before(KEPT).await?;
        // Ids begin with the milliseconds of their making.
        let least = Uuid::from_u128(u128::try_from(before / 1_000).unwrap_or_default() << 80);
        Ok(self.prune(&ATTEMPTS, least.into()).await? + self.prune(&MESSAGES, before.into()).await?)
    }
}
