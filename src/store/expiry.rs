//! The invitations that have expired, and the acceptances whose time is over, that have no event of it yet.

use sea_orm::{ConnectionTrait, DbBackend, QueryResult, Statement};
use uuid::Uuid;

use super::Store;
use super::sql::error::StoreError;
use super::sql::rows_param::nil_uuid;

/// The place in the order of expiry: of an invitation, or of one of its acceptances.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ExpiryPlace {
    /// The moment of expiry, in microseconds.
    pub expire_at: i64,
    /// The account, as the row has it.
    pub account_id: String,
    /// The invitation.
    pub id: Uuid,
    /// The acceptance; nil for the invitation itself.
    pub acceptance: Uuid,
}

impl ExpiryPlace {
    /// Returns the place before all that expires at a moment.
    pub fn before(expire_at: i64) -> Self {
        Self { expire_at, account_id: String::new(), id: Uuid::nil(), acceptance: Uuid::nil() }
    }
}

/// Returns the text that finds what expired behind the row ($1, $2, $3, $4) and up to $5, is not recorded as expired and has not ended
/// otherwise: the rules of `Facts::state_at` and `Acceptance::state_at`, in SQL. Each table is read along its own index.
fn expired_sql(backend: DbBackend) -> String {
    let nil = nil_uuid(backend);
    format!(
        "SELECT * FROM (SELECT expire_at, account_id, id, {nil} AS acceptance FROM invitation
            WHERE (expire_at, account_id, id) > ($1, $2, $3) AND expire_at <= $5
                AND (expiry_told_at IS NULL OR expiry_told_at <> expire_at)
                AND revoked_at IS NULL AND declined_at IS NULL AND accepted_elsewhere_at IS NULL AND emptied_at IS NULL
                AND (max_uses IS NULL OR use_count < max_uses)
            ORDER BY expire_at, account_id, id LIMIT $6) invitations
        UNION ALL SELECT * FROM (SELECT grant_expire_at, account_id, invitation_id, id FROM acceptance
            WHERE (grant_expire_at, account_id, invitation_id, id) > ($1, $2, $3, $4) AND grant_expire_at <= $5
                AND (grant_told_at IS NULL OR grant_told_at <> grant_expire_at) AND released_at IS NULL
            ORDER BY grant_expire_at, account_id, invitation_id, id LIMIT $6) grants
        ORDER BY 1, 2, 3, 4 LIMIT $6"
    )
}

impl Store {
    /// Returns up to `limit` places behind `after` and up to `until`, of all accounts: time passes for all of them.
    pub async fn expired(&self, after: &ExpiryPlace, until: i64, limit: i64) -> Result<Vec<ExpiryPlace>, StoreError> {
        let ExpiryPlace { expire_at, account_id, id, acceptance } = after.clone();
        let values = [expire_at.into(), account_id.into(), id.into(), acceptance.into(), until.into(), limit.into()];
        let backend = self.database.backend();
        let statement = Statement::from_sql_and_values(backend, expired_sql(backend), values);
        let rows = self.database.read.query_all_raw(statement).await?;
        let place = |row: &QueryResult| {
            let (expire_at, account_id) = (row.try_get("", "expire_at")?, row.try_get("", "account_id")?);
            let (id, acceptance) = (row.try_get("", "id")?, row.try_get("", "acceptance")?);
            Ok(ExpiryPlace { expire_at, account_id, id, acceptance })
        };
        rows.iter().map(place).collect()
    }
}
