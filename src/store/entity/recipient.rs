//! Table `recipient`: whom an invitation is meant for. `value` is the normalised address, `original` the given one.

use sea_orm::entity::prelude::*;
use serde::Deserialize;

/// A row.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Deserialize)]
#[sea_orm(table_name = "recipient")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) account_id: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) invitation_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) ordinal: i32,
    pub(crate) recipient_type: String,
    pub(crate) value: String,
    pub(crate) original: String,
    pub(crate) normalizer: i32,
    pub(crate) accepted_at: Option<i64>,
    pub(crate) declined_at: Option<i64>,
    pub(crate) display_name: Option<String>,
    pub(crate) avatar_uri: Option<String>,
    pub(crate) created_at: i64,
    /// Until when the invitation is open, if it is a general one and nothing has ended it; the largest number for no end.
    pub(crate) open_until: Option<i64>,
}

/// None: rows of one aggregate are loaded together.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
