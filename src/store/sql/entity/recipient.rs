//! Table `recipient`: whom an invitation is meant for. `value` is the normalised address, `original` the given one.

use sea_orm::entity::prelude::*;
use serde::Deserialize;

/// A row.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Deserialize)]
#[sea_orm(table_name = "recipient")]
pub(in crate::store) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(in crate::store) account_id: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(in crate::store) invitation_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(in crate::store) ordinal: i32,
    pub(in crate::store) recipient_type: String,
    pub(in crate::store) value: String,
    pub(in crate::store) original: String,
    pub(in crate::store) accepted_at: Option<i64>,
    pub(in crate::store) declined_at: Option<i64>,
    pub(in crate::store) display_name: Option<String>,
    pub(in crate::store) avatar_uri: Option<String>,
    pub(in crate::store) created_at: i64,
    /// Until when the invitation is open, if it is a general one and nothing has ended it; the largest number for no end.
    pub(in crate::store) open_until: Option<i64>,
}

/// There are no relations: rows of one aggregate are loaded together.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(in crate::store) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
