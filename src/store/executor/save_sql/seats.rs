//! The parts of the save that seat people and count seats.
//!
//! The row of a scope is locked by whoever adds to its counts until the commit, and no longer: the numbers after the addition show whether
//! there was room. So all accepts of a group into a scope are one addition, and no decision waits for another. The settings must be those
//! that the decision was made with.

use sea_orm::DbBackend;
use sea_orm::sea_query::ColumnType::{BigInteger, Text, Uuid as UuidType};

use super::{Part, insert};
use crate::store::executor::load::seats::is_scope_of;
use crate::store::sql::entity::{seat, seat_hold};
use crate::store::sql::rows_param::Columns;
use crate::store::sql::texts::Layout;

pub(super) fn unseat_columns() -> Columns {
    let key = Columns::list([("account_id", Text), ("scope_uid", UuidType), ("subject", Text)]);
    key.and([("id", UuidType), ("version", BigInteger)])
}

pub(super) fn freed_hold_columns() -> Columns {
    Columns::list([("account_id", Text), ("invitation_id", UuidType), ("open_until", BigInteger)])
}

pub(super) fn scope_columns() -> Columns {
    let keys = Columns::list([("account_id", Text), ("id", UuidType), ("revision", BigInteger)]);
    let counts = [("occupied", BigInteger), ("held", BigInteger)];
    keys.and(counts).and([("most_occupied", BigInteger), ("most", BigInteger)])
}

/// Seats people who have no seat: a seat that somebody else has given them meanwhile makes the save a conflict.
pub(super) fn take_seats(layout: &Layout<'_, Part>) -> String {
    let order = "WHERE true ORDER BY r.scope_uid, r.subject ON CONFLICT DO NOTHING";
    insert::<seat::Entity>(layout, Part::Seats, order)
}

/// Returns the statement that changes seats. Their ids tell a seat from another one that the person got after they had left.
pub(super) fn change_seats(layout: &Layout<'_, Part>) -> String {
    format!(
        "UPDATE seat AS t SET holders = r.holders, by_caller = r.by_caller, version = r.version FROM {}
        WHERE t.account_id = r.account_id AND t.scope_uid = r.scope_uid AND t.subject = r.subject
            AND t.id = r.id AND t.version = r.version - 1",
        layout.keys(Part::Reseats, "r")
    )
}

/// Returns the statement that frees seats: on SQLite one, see [`Part::is_row_by_row`].
pub(super) fn free_seats(layout: &Layout<'_, Part>) -> String {
    let (key, rows) = ("account_id, scope_uid, subject", layout.keys(Part::Unseats, "r"));
    if layout.backend == DbBackend::Sqlite {
        // One row, see [`Part::is_row_by_row`].
        return format!("DELETE FROM seat WHERE ({key}, id, version) = (SELECT {key}, id, version FROM {rows})");
    }
    // The version is compared with the deleted row too: one that another transaction changes meanwhile is looked at again, but not
    // what the join has found.
    format!(
        "DELETE FROM seat WHERE ({key}, id, version) IN (SELECT t.account_id, t.scope_uid, t.subject, t.id, t.version
            FROM {rows} CROSS JOIN seat t WHERE t.account_id = r.account_id AND t.scope_uid = r.scope_uid
                AND t.subject = r.subject AND t.id = r.id AND t.version = r.version)"
    )
}

pub(super) fn take_seat_holds(layout: &Layout<'_, Part>) -> String {
    let update = "WHERE true ON CONFLICT (account_id, invitation_id, open_until) DO UPDATE SET uses = excluded.uses";
    insert::<seat_hold::Entity>(layout, Part::SeatHolds, update)
}

pub(super) fn free_seat_holds(layout: &Layout<'_, Part>) -> String {
    let (key, rows) = ("account_id, invitation_id, open_until", layout.keys(Part::FreedHolds, "r"));
    if layout.backend == DbBackend::Postgres {
        return format!("DELETE FROM seat_hold WHERE ({key}) IN (SELECT {key} FROM {rows})");
    }
    // SQLite looks values from JSON up by the first one alone, unless a join has found them.
    format!(
        "DELETE FROM seat_hold WHERE ({key}) IN (SELECT h.account_id, h.invitation_id, h.open_until FROM {rows}
            CROSS JOIN seat_hold h ON h.account_id = r.account_id AND h.invitation_id = r.invitation_id
                AND h.open_until = r.open_until)"
    )
}

/// Adds to the counts of scopes, of rows `r`. Returns whether each addition fits.
fn add(rows: &str) -> String {
    format!(
        "UPDATE scope_settings AS s SET occupied = s.occupied + r.occupied, held = s.held + r.held FROM {rows}
        WHERE s.account_id = r.account_id AND s.id = r.id AND s.revision = r.revision"
    )
}

/// Returns the statement of SQLite that adds to counts. The load has seen what there was, and nobody else writes.
pub(super) fn sqlite_add_to_scopes(layout: &Layout<'_, Part>) -> String {
    add(&layout.keys(Part::Scopes, "r"))
}

/// Returns the common table expressions of PostgreSQL that seat people and count seats, and the conditions under which all of it
/// could be done.
pub(super) fn seated(layout: &Layout<'_, Part>) -> (Vec<String>, Vec<String>) {
    let (mut with, mut holds) = (Vec::new(), Vec::new());
    for (part, name, sql) in [
        (Part::Seats, "seated", take_seats as fn(&Layout<'_, Part>) -> String),
        (Part::Reseats, "reseated", change_seats),
        (Part::Unseats, "unseated", free_seats),
        (Part::FreedHolds, "freed_holds", free_seat_holds),
    ] {
        if layout.has(part) {
            with.push(format!("{name} AS ({} RETURNING 1)", sql(layout)));
            let rows = layout.rows(part, "r");
            holds.push(format!("(SELECT count(*) FROM {name}) = (SELECT count(*) FROM {rows})"));
        }
    }
    if layout.has(Part::SeatHolds) {
        with.push(format!("seat_holds AS ({})", take_seat_holds(layout)));
    }
    if layout.has(Part::Scopes) {
        with.push(format!("wanted_scope AS MATERIALIZED (SELECT * FROM {})", layout.keys(Part::Scopes, "k")));
        with.push(
            "scope_lock AS MATERIALIZED (SELECT k.* FROM wanted_scope k
            JOIN scope_settings s ON s.account_id = k.account_id AND s.id = k.id ORDER BY s.id FOR NO KEY UPDATE OF s)"
                .to_owned(),
        );
        let add = add("scope_lock r");
        with.push(format!(
            "counted_scope AS ({add} RETURNING s.occupied <= r.most_occupied AND s.occupied + s.held <= r.most AS fits)"
        ));
        holds.push("(SELECT count(*) FROM counted_scope WHERE fits) = (SELECT count(*) FROM wanted_scope)".to_owned());
    }
    (with, holds)
}

/// Returns the common table expression of PostgreSQL that looks up the settings of the scopes of new invitations. The lock is in the way
/// of a change of the settings alone, so that no invitation is created without a hold while its scope begins to reserve seats.
pub(super) fn settings_of_created(layout: &Layout<'_, Part>) -> String {
    let scopes = Part::Invitations.columns().some_keys_of(
        layout.first(Some(Part::Invitations)),
        "n",
        &["account_id", "scope_type", "scope_id"],
    );
    format!(
        "settings AS MATERIALIZED (SELECT s.reserve_open FROM {scopes} JOIN scope_settings s ON {} FOR KEY SHARE OF s)",
        is_scope_of(layout.backend, "n")
    )
}
