//! Table `webhook_message`: one event to be posted to one endpoint.

use sea_orm::entity::prelude::*;
use serde::Deserialize;

/// A row.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Deserialize)]
#[sea_orm(table_name = "webhook_message")]
pub(in crate::store) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(in crate::store) account_id: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(in crate::store) id: Uuid,
    pub(in crate::store) endpoint_id: Uuid,
    pub(in crate::store) invitation_id: Uuid,
    pub(in crate::store) sequence: i64,
    pub(in crate::store) occurred_at: i64,
    pub(in crate::store) state: String,
    pub(in crate::store) due_at: Option<i64>,
    pub(in crate::store) lease: Option<Uuid>,
    pub(in crate::store) attempts: i32,
    pub(in crate::store) first_tried_at: Option<i64>,
}

/// There are no relations: rows are read by themselves.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(in crate::store) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
