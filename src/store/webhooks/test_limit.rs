//! Tests of endpoints: how often one may be asked for. What is posted leaves no row.

use std::time::Duration;

use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _, QuerySelect as _};
use uuid::Uuid;

use crate::domain::value::text::AccountId;
use crate::domain::webhook::{Endpoint, TEST_INTERVAL};
use crate::store::Store;
use crate::store::sql::entity::webhook_endpoint::{Column, Entity};
use crate::store::sql::error::StoreError;
use crate::store::sql::retry::retry;
use crate::store::sql::row::rows_with_id;

/// The reason why an endpoint is not tested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TestRefusal {
    /// The account has no endpoint of this id.
    NotFound,
    /// The endpoint was tested a moment ago; it can be tested again after this time.
    TooSoon(Duration),
}

impl Store {
    /// Begins a test of an endpoint, at most one in each [`TEST_INTERVAL`] over all processes, and returns the endpoint.
    pub async fn begin_webhook_test(
        &self,
        account: &AccountId,
        id: Uuid,
    ) -> Result<Result<Endpoint, TestRefusal>, StoreError> {
        retry(|| self.begin_test(account, id)).await
    }

    async fn begin_test(&self, account: &AccountId, id: Uuid) -> Result<Result<Endpoint, TestRefusal>, StoreError> {
        let transaction = self.database.begin_write_with_lock_wait().await?;
        let locked = Entity::find_by_id((account.as_str().to_owned(), id)).lock_exclusive();
        let found = rows_with_id(&transaction, locked).await?.pop();
        let Some(row) = found.map(|(_, row)| row).transpose()? else { return Ok(Err(TestRefusal::NotFound)) };
        let now = self.database.clock.now().micros();
        let interval = i64::try_from(TEST_INTERVAL.as_micros()).unwrap_or(i64::MAX);
        // A last test in the future is that of a clock that was set back since: it limits nothing.
        let since = row.tested_at.map(|tested_at| now.saturating_sub(tested_at)).filter(|since| *since >= 0);
        if let Some(left) = since.map(|since| interval.saturating_sub(since)).filter(|left| *left > 0) {
            return Ok(Err(TestRefusal::TooSoon(Duration::from_micros(left.unsigned_abs()))));
        }
        let update = Entity::update_many()
            .col_expr(Column::TestedAt, Expr::val(now))
            .filter(Column::AccountId.eq(account.as_str()))
            .filter(Column::Id.eq(id));
        update.exec(&transaction).await?;
        transaction.commit().await?;
        Endpoint::try_from(row).map(Ok)
    }
}
