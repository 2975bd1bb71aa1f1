//! The tables of the deletion of old rows.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::big_integer;

use super::super::Dialect;

/// One row for each account of which events were deleted: the highest position of them. Resume tokens of earlier positions are
/// refused.
pub(super) fn pruned_events(dialect: Dialect) -> TableCreateStatement {
    dialect
        .table("pruned_events", &["account_id"])
        .col(dialect.key_text("account_id"))
        .col(big_integer("position"))
        .take()
}

/// One row for each table that is walked from end to end for rows to be deleted: the place behind which the walk goes on, by
/// whichever replica. The walk along events has a position in place of an id, and no account.
pub(super) fn prune_walk(dialect: Dialect) -> TableCreateStatement {
    dialect
        .table("prune_walk", &["name"])
        .col(dialect.key_text("name"))
        .col(dialect.key_text("account_id"))
        .col(dialect.uuid("id"))
        .take()
}
