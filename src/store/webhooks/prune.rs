//! What is too old to be asked for: attempts, and the messages they were about. Of all accounts, endpoint by endpoint, since
//! that is how their keys begin.

use std::time::Duration;

use uuid::Uuid;

use crate::store::Maintenance;
use crate::store::error::StoreError;

/// How long attempts and settled messages are kept.
const KEPT: Duration = Duration::from_secs(30 * 86_400);

const ATTEMPTS: &str = "DELETE FROM webhook_attempt WHERE (account_id, endpoint_id, id) IN
    (SELECT a.account_id, a.endpoint_id, a.id FROM webhook_endpoint w
    JOIN webhook_attempt a ON a.account_id = w.account_id AND a.endpoint_id = w.id AND a.id < $1 LIMIT $2)";
// PostgreSQL looks again only at the outer condition of a row that it had to wait for, so what makes a message one to be
// forgotten stands there too: it may have been queued again meanwhile.
const MESSAGES: &str = "DELETE FROM webhook_message WHERE due_at IS NULL AND (account_id, id) IN
    (SELECT m.account_id, m.id FROM webhook_endpoint w
    JOIN webhook_message m ON m.account_id = w.account_id AND m.endpoint_id = w.id AND m.occurred_at < $1
    WHERE m.due_at IS NULL LIMIT $2)";

impl Maintenance {
    /// Forgets what was posted more than 30 days ago, and returns how many rows that were.
    pub async fn prune_webhooks(&self) -> Result<u64, StoreError> {
        let before = self.before(KEPT).await?;
        // Ids begin with the milliseconds of their making.
        let least = Uuid::from_u128(u128::try_from(before / 1_000).unwrap_or_default() << 80);
        Ok(self.prune(ATTEMPTS, least.into()).await? + self.prune(MESSAGES, before.into()).await?)
    }
}
