//! The erasures of people: tombstones of addresses, which are kept as keyed hashes.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "erasure")]
pub(in crate::store) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(in crate::store) account_id: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(in crate::store) id: Uuid,
    pub(in crate::store) key_id: i32,
    pub(in crate::store) mac: String,
    pub(in crate::store) erased_at: i64,
    /// The moment at which nothing of the person was left to be erased.
    pub(in crate::store) done_at: Option<i64>,
    /// The moment until which an attempt is at work, unless it says so again.
    pub(in crate::store) leased_until: i64,
    pub(in crate::store) invitations: i64,
    pub(in crate::store) acceptances: i64,
    pub(in crate::store) events: i64,
    pub(in crate::store) messages: i64,
}

without_relations!();
