//! Table `webhook_attempt`: what was posted to an endpoint and what came of it.

use sea_orm::entity::prelude::*;
use serde::Deserialize;

/// A row.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Deserialize)]
#[sea_orm(table_name = "webhook_attempt")]
pub(in crate::store) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(in crate::store) account_id: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(in crate::store) endpoint_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(in crate::store) id: Uuid,
    pub(in crate::store) message_id: Uuid,
    pub(in crate::store) invitation_id: Uuid,
    pub(in crate::store) sequence: i64,
    pub(in crate::store) attempted_at: i64,
    pub(in crate::store) http_status: Option<i32>,
    pub(in crate::store) error: Option<String>,
    pub(in crate::store) duration_millis: i32,
}

/// There are no relations: rows are read by themselves.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(in crate::store) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
