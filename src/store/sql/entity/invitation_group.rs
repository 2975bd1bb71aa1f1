//! Table `invitation_group`: the groups of general invitations, but for the one that is the scope.

use sea_orm::entity::prelude::*;
use serde::Deserialize;

/// A row.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Deserialize)]
#[sea_orm(table_name = "invitation_group")]
pub(in crate::store) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(in crate::store) account_id: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(in crate::store) scope_type: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(in crate::store) scope_id: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(in crate::store) created_at: i64,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(in crate::store) invitation_id: Uuid,
}

/// There are no relations: rows of one aggregate are loaded together.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(in crate::store) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
