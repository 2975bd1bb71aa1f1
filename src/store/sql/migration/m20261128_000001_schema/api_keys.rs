//! The tables of API keys.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, big_integer_null, integer, text};

use super::super::Dialect;

/// The keys, each as its hash. `position` is that of its last change, other than a use, among the changes of all accounts.
pub(super) fn api_key(dialect: Dialect) -> TableCreateStatement {
    dialect
        .table("api_key", &["account_id", "id"])
        .col(dialect.key_text("account_id"))
        .col(dialect.uuid("id"))
        .col(dialect.key_text("key_id"))
        .col(text("display_name"))
        .col(dialect.key_text("hash"))
        .col(dialect.json("permissions"))
        .col(dialect.json("grantable_roles"))
        .col(dialect.uuid_null("organization_id"))
        .col(big_integer_null("expires_at"))
        .col(big_integer_null("revoked_at"))
        .col(big_integer_null("last_used_at"))
        .col(big_integer("revision"))
        .col(big_integer("position"))
        .col(text("creator"))
        .col(big_integer("created_at"))
        .col(big_integer("updated_at"))
        .take()
}

/// One row: the position of the last change of a key. A change takes the next one and keeps the row locked until its commit, so
/// whoever has read up to a position has missed no change before it.
pub(super) fn api_key_position(dialect: Dialect) -> TableCreateStatement {
    dialect.table("api_key_position", &["id"]).col(integer("id")).col(big_integer("position")).take()
}
