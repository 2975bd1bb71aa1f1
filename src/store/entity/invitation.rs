//! Table `invitation`: facts, counters of use, and the columns that are searched. Details are JSON and never searched.

use sea_orm::entity::prelude::*;
use serde::Deserialize;

/// A row.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Deserialize)]
#[sea_orm(table_name = "invitation")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) account_id: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) id: Uuid,
    pub(crate) kind: String,
    pub(crate) scope_type: String,
    pub(crate) scope_id: String,
    pub(crate) resource_id: Option<Uuid>,
    pub(crate) creator: String,
    pub(crate) max_uses: Option<i32>,
    pub(crate) use_count: i32,
    pub(crate) expire_at: Option<i64>,
    pub(crate) accepted_at: Option<i64>,
    pub(crate) declined_at: Option<i64>,
    pub(crate) revoked_at: Option<i64>,
    pub(crate) revision: i64,
    pub(crate) generation: i32,
    pub(crate) key_id: i32,
    pub(crate) mails: bool,
    pub(crate) details: Json,
    pub(crate) created_at: i64,
    pub(crate) updated_at: i64,
    pub(crate) accepted_elsewhere_at: Option<i64>,
    pub(crate) emptied_at: Option<i64>,
    pub(crate) archived_at: Option<i64>,
    pub(crate) deleted_at: Option<i64>,
    pub(crate) first_sent_at: Option<i64>,
    pub(crate) last_sent_at: Option<i64>,
    pub(crate) updater: String,
    pub(crate) inviter_user_id: Option<String>,
    pub(crate) widget_configuration_id: Option<String>,
    pub(crate) sort_email: String,
    pub(crate) expiry_told_at: Option<i64>,
}

/// None: rows of one aggregate are loaded together.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
