//! The table of suppressed addresses.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, text};

use super::super::Dialect;

/// One row for each address of an account that nothing is sent to. Once the address is erased, `address_key` is a keyed hash of it.
pub(super) fn suppression(dialect: Dialect) -> TableCreateStatement {
    dialect
        .table("suppression", &["account_id", "id"])
        .col(dialect.key_text("account_id"))
        .col(dialect.uuid("id"))
        .col(dialect.key_text("address_key"))
        .col(text("masked_email"))
        .col(dialect.key_text("reason"))
        .col(dialect.uuid_null("invitation_id"))
        .col(dialect.uuid_null("delivery_id"))
        .col(text("creator"))
        .col(big_integer("created_at"))
        .take()
}
