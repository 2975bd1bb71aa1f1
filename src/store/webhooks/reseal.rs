//! Seals secrets with another key, because their key is going to leave the ring. Of all accounts.

use sea_orm::sea_query::{Expr, ExprTrait as _};
use sea_orm::{
    ColumnTrait as _, EntityTrait as _, FromQueryResult, QueryFilter as _, QueryOrder as _, QuerySelect as _,
};
use uuid::Uuid;

use crate::domain::value::text::AccountId;
use crate::store::Store;
use crate::store::sql::entity::webhook_endpoint::{Column, Entity};
use crate::store::sql::error::StoreError;
use crate::store::within;

/// The number of endpoints that are read at a time.
const PAGE_SIZE: u64 = 500;
/// The time limit of a page.
const PAGE_LIMIT: std::time::Duration = std::time::Duration::from_secs(30);

/// An endpoint with its sealed secrets.
#[derive(FromQueryResult)]
struct Found {
    account_id: String,
    id: Uuid,
    secret: String,
    previous_secret: Option<String>,
}

impl Store {
    /// Replaces the texts for which `reseal` returns another one, and returns the number of endpoints. A rotation of a
    /// secret at the same time is not overwritten.
    pub async fn reseal_webhook_secrets(
        &self,
        reseal: impl Fn(&AccountId, Uuid, &str) -> Option<String>,
    ) -> Result<u64, StoreError> {
        let (mut resealed, mut after) = (0, (String::new(), Uuid::nil()));
        loop {
            let page = within(PAGE_LIMIT, self.sealed_behind(&after)).await?;
            for found in &page {
                let Ok(account) = AccountId::parse(&found.account_id) else { continue };
                let secret = reseal(&account, found.id, &found.secret);
                let previous = found.previous_secret.as_ref().and_then(|sealed| reseal(&account, found.id, sealed));
                if secret.is_some() || previous.is_some() {
                    resealed += within(PAGE_LIMIT, self.replace_sealed(found, secret, previous)).await?;
                }
            }
            match page.last() {
                Some(last) if page.len() as u64 == PAGE_SIZE => after = (last.account_id.clone(), last.id),
                _ => return Ok(resealed),
            }
        }
    }

    async fn sealed_behind(&self, (account, endpoint): &(String, Uuid)) -> Result<Vec<Found>, StoreError> {
        // Rows are compared as a whole, which is one range of the primary key.
        let key = Expr::tuple([Expr::col(Column::AccountId), Expr::col(Column::Id)]);
        let select = Entity::find()
            .select_only()
            .columns([Column::AccountId, Column::Id, Column::Secret, Column::PreviousSecret])
            .filter(key.gt(Expr::tuple([Expr::val(account.as_str()), Expr::val(*endpoint)])))
            .order_by_asc(Column::AccountId)
            .order_by_asc(Column::Id)
            .limit(PAGE_SIZE);
        Ok(select.into_model::<Found>().all(&self.database.read).await?)
    }

    /// Replaces both secrets, if the present one is still the one that was read: a rotation changes both.
    async fn replace_sealed(
        &self,
        found: &Found,
        secret: Option<String>,
        previous: Option<String>,
    ) -> Result<u64, StoreError> {
        let update = Entity::update_many()
            .col_expr(Column::Secret, Expr::val(secret).if_null(Expr::col(Column::Secret)))
            .col_expr(Column::PreviousSecret, Expr::val(previous).if_null(Expr::col(Column::PreviousSecret)))
            .filter(Column::AccountId.eq(found.account_id.as_str()))
            .filter(Column::Id.eq(found.id))
            .filter(Column::Secret.eq(found.secret.as_str()));
        Ok(update.exec(&self.database.write).await?.rows_affected)
    }
}
