//! The invitations that have expired and have no event of their expiry yet.

use sea_orm::{ConnectionTrait, QueryResult, Statement};
use uuid::Uuid;

use super::Store;
use super::sql::error::StoreError;

/// Finds the invitations that expired behind the row ($1, $2, $3) and up to $4, are not recorded as expired and have not ended
/// otherwise: the rule of
/// `Facts::state_at`, in SQL.
const EXPIRED: &str = "SELECT expire_at, account_id, id FROM invitation
    WHERE (expire_at, account_id, id) > ($1, $2, $3) AND expire_at <= $4
        AND (expiry_told_at IS NULL OR expiry_told_at <> expire_at)
        AND revoked_at IS NULL AND declined_at IS NULL AND accepted_elsewhere_at IS NULL AND emptied_at IS NULL
        AND (max_uses IS NULL OR use_count < max_uses)
    ORDER BY expire_at, account_id, id LIMIT $5";

/// The place of an invitation in the order of expiry.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ExpiryPlace {
    /// The moment of expiry, in microseconds.
    pub expire_at: i64,
    /// The account, as the row has it.
    pub account_id: String,
    /// The invitation.
    pub id: Uuid,
}

impl ExpiryPlace {
    /// Returns the place before all invitations that expire at a moment.
    pub fn before(expire_at: i64) -> Self {
        Self { expire_at, account_id: String::new(), id: Uuid::nil() }
    }
}

impl Store {
    /// Returns up to `limit` places behind `after` and up to `until`, of all accounts: time passes for all of them.
    pub async fn expired(&self, after: &ExpiryPlace, until: i64, limit: i64) -> Result<Vec<ExpiryPlace>, StoreError> {
        let ExpiryPlace { expire_at, account_id, id } = after.clone();
        let values = [expire_at.into(), account_id.into(), id.into(), until.into(), limit.into()];
        let statement = Statement::from_sql_and_values(self.database.backend(), EXPIRED, values);
        let rows = self.database.read.query_all_raw(statement).await?;
        let place = |row: &QueryResult| {
            let (expire_at, account_id) = (row.try_get("", "expire_at")?, row.try_get("", "account_id")?);
            Ok(ExpiryPlace { expire_at, account_id, id: row.try_get("", "id")? })
        };
        rows.iter().map(place).collect()
    }
}
