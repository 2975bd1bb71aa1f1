//! Table `request`: the request_ids that succeeded, or whose calls have begun, with a keyed hash of their bodies.

use sea_orm::entity::prelude::*;
use serde::Deserialize;

/// A row.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Deserialize)]
#[sea_orm(table_name = "request")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) account_id: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) method: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) request_id: String,
    pub(crate) key_id: i32,
    pub(crate) mac: String,
    /// The invitation or webhook endpoint that it was about; nil for a call over several invitations.
    pub(crate) invitation_id: Uuid,
    pub(crate) acceptance_id: Option<Uuid>,
    pub(crate) created_at: i64,
    /// The number of things it changed, where that is not simply one; NULL also for a call that is not finished.
    pub(crate) changed: Option<i64>,
}

/// None: rows of one aggregate are loaded together.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
