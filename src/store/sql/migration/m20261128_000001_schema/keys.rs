//! The tables of keys, which belong to all accounts.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer_null, integer, text};

use super::super::Dialect;

/// A key belongs to all accounts.
pub(super) fn key_check(dialect: Dialect) -> TableCreateStatement {
    dialect
        .table("key_check", &["id"])
        .col(integer("id"))
        .col(dialect.key_text("fingerprint"))
        .col(big_integer_null("signed_at"))
        .col(big_integer_null("retired_at"))
        .take()
}

/// The key that hides the positions of events in resume tokens: it is as old as the positions, and belongs to all accounts.
pub(super) fn resume_key(dialect: Dialect) -> TableCreateStatement {
    dialect.table("resume_key", &["id"]).col(integer("id")).col(text("key")).take()
}
