//! Table `event`: the audit trail, counted per invitation.

use sea_orm::entity::prelude::*;
use serde::Deserialize;

/// A row.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Deserialize)]
#[sea_orm(table_name = "event")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) account_id: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) invitation_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) sequence: i64,
    pub(crate) id: Uuid,
    pub(crate) kind: String,
    pub(crate) event_type: String,
    pub(crate) occurred_at: i64,
    pub(crate) actor: String,
    pub(crate) request_id: Option<String>,
    pub(crate) data: Json,
    pub(crate) position: Option<i64>,
}

/// None: rows of one aggregate are loaded together.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
