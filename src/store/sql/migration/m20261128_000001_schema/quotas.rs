//! The tables of quotas. They are empty while nothing is limited.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, integer};

use super::super::Dialect;

/// One row for each count: `used` is what was taken, less what was given back, since `period_start`; `lapsed` is the part of it
/// that counted until an expiry which has passed. A count of all accounts has an empty account.
pub(super) fn quota(dialect: Dialect) -> TableCreateStatement {
    dialect
        .table("quota", &["account_id", "key"])
        .col(dialect.key_text("account_id"))
        .col(dialect.key_text("key"))
        .col(big_integer("period_start"))
        .col(big_integer("used"))
        .col(big_integer("lapsed"))
        .take()
}

/// One row for each open invitation that is counted: the number of its invitees until `open_until`.
pub(super) fn quota_hold(dialect: Dialect) -> TableCreateStatement {
    dialect
        .table("quota_hold", &["account_id", "invitation_id", "open_until"])
        .col(dialect.key_text("account_id"))
        .col(dialect.uuid("invitation_id"))
        .col(big_integer("open_until"))
        .col(integer("invitees"))
        .take()
}
