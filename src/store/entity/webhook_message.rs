//! Table `webhook_message`: one event to be posted to one endpoint.

use sea_orm::entity::prelude::*;
use serde::Deserialize;

/// A row.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Deserialize)]
#[sea_orm(table_name = "webhook_message")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) account_id: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) id: Uuid,
    pub(crate) endpoint_id: Uuid,
    pub(crate) invitation_id: Uuid,
    pub(crate) sequence: i64,
    pub(crate) occurred_at: i64,
    pub(crate) state: String,
    pub(crate) due_at: Option<i64>,
    pub(crate) lease: Option<Uuid>,
    pub(crate) attempts: i32,
    pub(crate) first_tried_at: Option<i64>,
    pub(crate) created_at: i64,
}

/// None: rows are read by themselves.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
