//! Table `label`: the caller's own labels, searchable.

use sea_orm::entity::prelude::*;
use serde::Deserialize;

/// A row.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Deserialize)]
#[sea_orm(table_name = "label")]
pub(in crate::store) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(in crate::store) account_id: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(in crate::store) invitation_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(in crate::store) key: String,
    pub(in crate::store) value: String,
    /// When the invitation was created.
    pub(in crate::store) created_at: i64,
}

/// There are no relations: rows of one aggregate are loaded together.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(in crate::store) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
