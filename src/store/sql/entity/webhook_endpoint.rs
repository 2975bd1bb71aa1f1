//! Table `webhook_endpoint`: where events are posted. Its secrets are encrypted.

use sea_orm::entity::prelude::*;
use serde::Deserialize;

/// A row.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Deserialize)]
#[sea_orm(table_name = "webhook_endpoint")]
pub(in crate::store) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(in crate::store) account_id: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(in crate::store) id: Uuid,
    pub(in crate::store) uri: String,
    pub(in crate::store) event_types: Json,
    pub(in crate::store) disabled_at: Option<i64>,
    pub(in crate::store) disabled_reason: Option<String>,
    pub(in crate::store) secret: String,
    pub(in crate::store) previous_secret: Option<String>,
    pub(in crate::store) previous_until: Option<i64>,
    pub(in crate::store) failing_since: Option<i64>,
    pub(in crate::store) revision: i64,
    pub(in crate::store) creator: String,
    pub(in crate::store) created_at: i64,
    pub(in crate::store) updated_at: i64,
    /// Events up to this position are not posted to it.
    pub(in crate::store) since_position: i64,
}

/// There are no relations: rows are read by themselves.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(in crate::store) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
