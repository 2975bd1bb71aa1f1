//! Table `outbox`: messages, the ones to be sent and the ones that were. No link is in it; that is derived when the message
//! is sent. A row is pending while `due_at` is set.

use sea_orm::entity::prelude::*;
use serde::Deserialize;

/// A row.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Deserialize)]
#[sea_orm(table_name = "outbox")]
pub(in crate::store) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(in crate::store) account_id: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(in crate::store) id: Uuid,
    pub(in crate::store) invitation_id: Uuid,
    pub(in crate::store) recipient: i32,
    pub(in crate::store) created_at: i64,
    pub(in crate::store) purpose: String,
    pub(in crate::store) state: String,
    pub(in crate::store) due_at: Option<i64>,
    pub(in crate::store) planned_at: Option<i64>,
    pub(in crate::store) lease: Option<Uuid>,
    pub(in crate::store) attempts: i32,
    pub(in crate::store) last_error: Option<String>,
    pub(in crate::store) sent_at: Option<i64>,
    pub(in crate::store) address: Option<String>,
    pub(in crate::store) about: Option<Uuid>,
    pub(in crate::store) for_expire_at: Option<i64>,
}

/// There are no relations: rows of one aggregate are loaded together.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(in crate::store) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
