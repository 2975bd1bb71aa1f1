//! Table `engagement`: counters beside the invitation, so that scanners never touch its row; also counts its events.

use sea_orm::entity::prelude::*;
use serde::Deserialize;

/// A row.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Deserialize)]
#[sea_orm(table_name = "engagement")]
pub(in crate::store) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(in crate::store) account_id: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(in crate::store) invitation_id: Uuid,
    pub(in crate::store) views: i64,
    pub(in crate::store) clicks: i64,
    pub(in crate::store) unfurls: i64,
    pub(in crate::store) last_sequence: i64,
}

/// There are no relations: rows of one aggregate are loaded together.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(in crate::store) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
