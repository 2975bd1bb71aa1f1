//! Table `invitation`: facts, counters of use, and the columns that are searched. Details are JSON and never searched.

use sea_orm::entity::prelude::*;
use serde::Deserialize;

/// A row.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Deserialize)]
#[sea_orm(table_name = "invitation")]
pub(in crate::store) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(in crate::store) account_id: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(in crate::store) id: Uuid,
    pub(in crate::store) kind: String,
    pub(in crate::store) scope_type: String,
    pub(in crate::store) scope_id: String,
    pub(in crate::store) resource_id: Option<Uuid>,
    pub(in crate::store) creator: String,
    pub(in crate::store) max_uses: Option<i32>,
    pub(in crate::store) use_count: i32,
    pub(in crate::store) expire_at: Option<i64>,
    pub(in crate::store) accepted_at: Option<i64>,
    pub(in crate::store) declined_at: Option<i64>,
    pub(in crate::store) revoked_at: Option<i64>,
    pub(in crate::store) revision: i64,
    pub(in crate::store) generation: i32,
    pub(in crate::store) key_id: i32,
    pub(in crate::store) mails: bool,
    pub(in crate::store) details: Json,
    pub(in crate::store) created_at: i64,
    pub(in crate::store) updated_at: i64,
    pub(in crate::store) accepted_elsewhere_at: Option<i64>,
    pub(in crate::store) emptied_at: Option<i64>,
    pub(in crate::store) archived_at: Option<i64>,
    pub(in crate::store) deleted_at: Option<i64>,
    pub(in crate::store) first_sent_at: Option<i64>,
    pub(in crate::store) last_sent_at: Option<i64>,
    pub(in crate::store) updater: String,
    pub(in crate::store) inviter_user_id: Option<String>,
    pub(in crate::store) widget_configuration_id: Option<String>,
    pub(in crate::store) sort_email: String,
    pub(in crate::store) expiry_told_at: Option<i64>,
}

/// There are no relations: rows of one aggregate are loaded together.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(in crate::store) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
