//! Secrets that another key is to seal, because the one that did is going to leave the ring. Of all accounts.

use sea_orm::{ConnectionTrait, Statement, Value};
use uuid::Uuid;

use super::within;
use crate::domain::value::text::AccountId;
use crate::store::Store;
use crate::store::sql::error::StoreError;

/// How many endpoints are read at a time.
const PAGE: usize = 500;
/// How long a page may take.
const LONGEST: std::time::Duration = std::time::Duration::from_secs(30);

/// An endpoint with what is sealed of it.
struct Found {
    account: String,
    endpoint: Uuid,
    secret: String,
    previous: Option<String>,
}

impl Store {
    /// Replaces what `reseal` returns another text for, and returns of how many endpoints. Whoever rotates a secret at the
    /// same time is not disturbed.
    pub async fn reseal_webhook_secrets(
        &self,
        reseal: impl Fn(&AccountId, Uuid, &str) -> Option<String>,
    ) -> Result<u64, StoreError> {
        let (mut resealed, mut after) = (0, (String::new(), Uuid::nil()));
        loop {
            let page = within(LONGEST, self.sealed_behind(&after)).await?;
            for found in &page {
                let Ok(account) = AccountId::parse(&found.account) else { continue };
                let secret = reseal(&account, found.endpoint, &found.secret);
                let previous = found.previous.as_ref().and_then(|sealed| reseal(&account, found.endpoint, sealed));
                if secret.is_some() || previous.is_some() {
                    resealed += within(LONGEST, self.replace_sealed(found, secret, previous)).await?;
                }
            }
            match page.last() {
                Some(last) if page.len() == PAGE => after = (last.account.clone(), last.endpoint),
                _ => return Ok(resealed),
            }
        }
    }

    async fn sealed_behind(&self, (account, endpoint): &(String, Uuid)) -> Result<Vec<Found>, StoreError> {
        let sql = format!(
            "SELECT account_id, id, secret, previous_secret FROM webhook_endpoint WHERE (account_id, id) > ($1, $2)
            ORDER BY account_id, id LIMIT {PAGE}"
        );
        let values: [Value; 2] = [account.as_str().into(), (*endpoint).into()];
        let rows = self.database.read.query_all_raw(self.on_endpoints(sql, values)).await?;
        let found = |row: &sea_orm::QueryResult| {
            Ok(Found {
                account: row.try_get("", "account_id")?,
                endpoint: row.try_get("", "id")?,
                secret: row.try_get("", "secret")?,
                previous: row.try_get("", "previous_secret")?,
            })
        };
        rows.iter().map(found).collect()
    }

    /// Writes both anew, if the present one is still what was read: a rotation changes both.
    async fn replace_sealed(
        &self,
        found: &Found,
        secret: Option<String>,
        previous: Option<String>,
    ) -> Result<u64, StoreError> {
        let sql =
            "UPDATE webhook_endpoint SET secret = coalesce($4, secret), previous_secret = coalesce($5, previous_secret)
            WHERE account_id = $1 AND id = $2 AND secret = $3";
        let Found { account, endpoint, secret: read, .. } = found;
        let values: [Value; 5] =
            [account.as_str().into(), (*endpoint).into(), read.as_str().into(), secret.into(), previous.into()];
        let update = self.on_endpoints(sql.to_owned(), values);
        Ok(self.database.write.execute_raw(update).await?.rows_affected())
    }

    fn on_endpoints<const N: usize>(&self, sql: String, values: [Value; N]) -> Statement {
        Statement::from_sql_and_values(self.database.backend(), sql, values)
    }
}
