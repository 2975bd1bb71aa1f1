//! Table `verification`: the codes that addresses were asked to prove themselves with. Neither a code nor an address is in it:
//! codes are derived from `id` by the key `key_id`, addresses are kept as keyed hashes.

use sea_orm::entity::prelude::*;
use serde::Deserialize;

/// A row.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Deserialize)]
#[sea_orm(table_name = "verification")]
pub(in crate::store) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(in crate::store) account_id: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(in crate::store) invitation_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(in crate::store) address_mac: String,
    pub(in crate::store) id: Uuid,
    pub(in crate::store) key_id: i32,
    pub(in crate::store) tries: i32,
    pub(in crate::store) created_at: i64,
    pub(in crate::store) asked: i32,
    pub(in crate::store) asked_since: i64,
}

/// None: a row stands for itself.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(in crate::store) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
