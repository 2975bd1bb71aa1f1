//! Table `webhook_attempt`: what was posted to an endpoint and what came of it.

use sea_orm::entity::prelude::*;
use serde::Deserialize;

/// A row.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Deserialize)]
#[sea_orm(table_name = "webhook_attempt")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) account_id: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) endpoint_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) id: Uuid,
    pub(crate) message_id: Uuid,
    pub(crate) invitation_id: Uuid,
    pub(crate) sequence: i64,
    pub(crate) attempted_at: i64,
    pub(crate) http_status: Option<i32>,
    pub(crate) error: Option<String>,
    pub(crate) duration_millis: i32,
}

/// None: rows are read by themselves.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
