//! Table `request`: the request_ids that succeeded, or whose calls have begun, with a keyed hash of their bodies.

use sea_orm::entity::prelude::*;
use serde::Deserialize;

/// A row.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Deserialize)]
#[sea_orm(table_name = "request")]
pub(in crate::store) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(in crate::store) account_id: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(in crate::store) method: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(in crate::store) request_id: String,
    pub(in crate::store) key_id: i32,
    pub(in crate::store) mac: String,
    /// The invitation or webhook endpoint that it was about; nil for a call over several invitations.
    pub(in crate::store) invitation_id: Uuid,
    pub(in crate::store) acceptance_id: Option<Uuid>,
    pub(in crate::store) created_at: i64,
    /// The number of things it changed, where that is not simply one; NULL also for a call that is not finished.
    pub(in crate::store) changed: Option<i64>,
}

/// There are no relations: rows of one aggregate are loaded together.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(in crate::store) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
