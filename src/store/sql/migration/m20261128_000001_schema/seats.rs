//! The tables of seats. They are empty while no scope has settings.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, big_integer_null, boolean, integer};

use super::super::Dialect;

/// One row for each scope whose seats are counted. `held` is what open invitations have reserved, with what no longer counts because its
/// time is over; `lapsed` is the part of that whose holds were deleted. `counted_at` is null until the people are counted who accepted before.
pub(super) fn scope_settings(dialect: Dialect) -> TableCreateStatement {
    dialect
        .table("scope_settings", &["account_id", "id"])
        .col(dialect.key_text("account_id"))
        .col(dialect.uuid("id"))
        .col(dialect.key_text("scope_type"))
        .col(dialect.key_text("scope_id"))
        .col(big_integer_null("seats"))
        .col(boolean("reserve_open"))
        .col(big_integer("occupied"))
        .col(big_integer("held"))
        .col(big_integer("lapsed"))
        .col(big_integer("revision"))
        .col(big_integer_null("counted_at"))
        .take()
}

/// One row for each person who has a seat in a scope; `holders` are the acceptances that it is held by.
pub(super) fn seat(dialect: Dialect) -> TableCreateStatement {
    dialect
        .table("seat", &["account_id", "scope_uid", "subject"])
        .col(dialect.key_text("account_id"))
        .col(dialect.uuid("scope_uid"))
        .col(dialect.key_text("subject"))
        .col(dialect.uuid("id"))
        .col(dialect.json("holders"))
        .col(boolean("by_caller"))
        .col(big_integer("occupied_at"))
        .col(big_integer("version"))
        .take()
}

/// One row for each open invitation that reserves seats: the number of its uses that are left, until `open_until`.
pub(super) fn seat_hold(dialect: Dialect) -> TableCreateStatement {
    dialect
        .table("seat_hold", &["account_id", "invitation_id", "open_until"])
        .col(dialect.key_text("account_id"))
        .col(dialect.uuid("invitation_id"))
        .col(big_integer("open_until"))
        .col(dialect.uuid("scope_uid"))
        .col(integer("uses"))
        .take()
}
