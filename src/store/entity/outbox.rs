//! Table `outbox`: messages, the ones to be sent and the ones that were. No link is in it; that is derived when the message
//! is sent. A row is pending while `due_at` is set.

use sea_orm::entity::prelude::*;
use serde::Deserialize;

/// A row.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Deserialize)]
#[sea_orm(table_name = "outbox")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) account_id: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) id: Uuid,
    pub(crate) invitation_id: Uuid,
    pub(crate) recipient: i32,
    pub(crate) created_at: i64,
    pub(crate) purpose: String,
    pub(crate) state: String,
    pub(crate) due_at: Option<i64>,
    pub(crate) planned_at: Option<i64>,
    pub(crate) lease: Option<Uuid>,
    pub(crate) attempts: i32,
    pub(crate) last_error: Option<String>,
    pub(crate) sent_at: Option<i64>,
    pub(crate) address: Option<String>,
    pub(crate) about: Option<Uuid>,
    pub(crate) for_expire_at: Option<i64>,
}

/// None: rows of one aggregate are loaded together.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
