//! The counts of quotas, to show what is left. They are read as a decision reads them.

use sea_orm::{Statement, Value};

use crate::domain::group::loaded::Loaded;
use crate::domain::quota::QuotaKey;
use crate::domain::value::text::AccountId;
use crate::domain::value::time::Timestamp;
use crate::store::Store;
use crate::store::executor::load::quotas::{QuotaRow, quota_keys};
use crate::store::executor::load::{LoadPart, load_sql, parse_json};
use crate::store::sql::error::StoreError;

impl Store {
    /// Reads some counts, and the moment at which they were so.
    pub async fn read_quotas(&self, account: &AccountId, keys: &[QuotaKey]) -> Result<Loaded, StoreError> {
        let backend = self.database.backend();
        let mut values: Vec<Value> = quota_keys(keys.iter()).params(backend);
        values.push(self.database.clock().map(Timestamp::micros).into());
        let sql = load_sql(backend, &[LoadPart::Quotas]);
        let rows = self.database.list_of_account(account, Statement::from_sql_and_values(backend, sql, values)).await?;
        let mut loaded = Loaded::empty(Timestamp::from_micros(0));
        for row in rows {
            match row.try_get::<Option<String>>("", "body")? {
                Some(body) => {
                    let (key, count) = parse_json::<QuotaRow>(&body, "quota")?.parse()?;
                    loaded.put_quota(key, count);
                }
                None => loaded.now = Timestamp::from_micros(row.try_get("", "now")?),
            }
        }
        Ok(loaded)
    }
}
