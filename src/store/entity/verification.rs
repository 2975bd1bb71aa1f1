//! Table `verification`: the codes that addresses were asked to prove themselves with. Neither a code nor an address is in it:
//! codes are derived from `id` by the key `key_id`, addresses are kept as keyed hashes.

use sea_orm::entity::prelude::*;
use serde::Deserialize;

/// A row.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Deserialize)]
#[sea_orm(table_name = "verification")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) account_id: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) invitation_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) address_mac: String,
    pub(crate) id: Uuid,
    pub(crate) key_id: i32,
    pub(crate) tries: i32,
    pub(crate) created_at: i64,
    pub(crate) asked: i32,
    pub(crate) asked_since: i64,
}

/// None: a row stands for itself.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
