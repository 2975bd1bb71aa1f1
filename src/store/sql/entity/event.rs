//! Table `event`: the audit trail, counted per invitation.

use sea_orm::entity::prelude::*;
use serde::Deserialize;

/// A row.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Deserialize)]
#[sea_orm(table_name = "event")]
pub(in crate::store) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(in crate::store) account_id: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(in crate::store) invitation_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(in crate::store) sequence: i64,
    pub(in crate::store) id: Uuid,
    pub(in crate::store) kind: String,
    pub(in crate::store) event_type: String,
    pub(in crate::store) occurred_at: i64,
    pub(in crate::store) actor: String,
    pub(in crate::store) request_id: Option<String>,
    pub(in crate::store) data: Json,
    pub(in crate::store) position: Option<i64>,
}

/// There are no relations: rows of one aggregate are loaded together.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(in crate::store) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
