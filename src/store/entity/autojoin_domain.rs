//! Table `autojoin_domain`: the domains whose addresses join a scope.

use sea_orm::entity::prelude::*;
use serde::Deserialize;

/// A row.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Deserialize)]
#[sea_orm(table_name = "autojoin_domain")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) account_id: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) domain: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) created_at: i64,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) invitation_id: Uuid,
}

/// None: rows of one aggregate are loaded together.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
