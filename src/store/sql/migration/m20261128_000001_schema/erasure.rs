//! The table of erasures.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, big_integer_null, integer};

use super::super::Dialect;

/// One row for each call that erased a person, with a keyed hash of the address: the tombstone, by which older rows are erased
/// again that come back with a backup. It is kept for as long as the database is. The counts are those of the call.
pub(super) fn erasure(dialect: Dialect) -> TableCreateStatement {
    dialect
        .table("erasure", &["account_id", "id"])
        .col(dialect.key_text("account_id"))
        .col(dialect.uuid("id"))
        .col(integer("key_id"))
        .col(dialect.key_text("mac"))
        .col(big_integer("erased_at"))
        .col(big_integer_null("done_at"))
        .col(big_integer("leased_until"))
        .col(big_integer("invitations"))
        .col(big_integer("acceptances"))
        .col(big_integer("events"))
        .col(big_integer("messages"))
        .take()
}
