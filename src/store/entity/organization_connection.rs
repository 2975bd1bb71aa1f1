//! Table `organization_connection`: which organization may act for which other.

use sea_orm::entity::prelude::*;
use serde::Deserialize;

/// A row.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Deserialize)]
#[sea_orm(table_name = "organization_connection")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) account_id: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) id: Uuid,
    pub(crate) requester_id: Uuid,
    pub(crate) target_id: Uuid,
    pub(crate) permissions: Json,
    pub(crate) creator: String,
    pub(crate) created_at: i64,
}

/// None: rows of one aggregate are loaded together.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
