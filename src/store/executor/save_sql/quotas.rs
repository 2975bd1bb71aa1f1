//! The parts of the save that count what is used of quotas.
//!
//! Whoever adds to a count locks its row until the commit, and no longer: the number after the addition shows whether it was too
//! much. So a count is read without a lock, and nobody has to decide again while there is room.

use sea_orm::DbBackend;
use sea_orm::sea_query::ColumnType::{BigInteger, Integer, Text, Uuid as UuidType};

use super::{Part, insert};
use crate::domain::quota::OPEN_KEY;
use crate::store::sql::entity::quota_hold;
use crate::store::sql::rows_param::Columns;
use crate::store::sql::texts::Layout;

pub(super) fn released_columns() -> Columns {
    Columns::list([("account_id", Text), ("invitation_id", UuidType), ("open_until", BigInteger)])
}

pub(super) fn quota_columns() -> Columns {
    let number = [("period_start", BigInteger), ("added", BigInteger), ("most", BigInteger)];
    Columns::list([("account_id", Text), ("key", Text)]).and(number)
}

/// Deletes the holds of invitations that have ended; some may never have been counted.
pub(super) fn release_holds(layout: &Layout<'_, Part>) -> String {
    let (key, rows) = ("account_id, invitation_id, open_until", layout.keys(Part::Released, "r"));
    if layout.backend == DbBackend::Postgres {
        return format!("DELETE FROM quota_hold WHERE ({key}) IN (SELECT {key} FROM {rows})");
    }
    // SQLite looks values from JSON up by the first one alone, unless a join has found them.
    format!(
        "DELETE FROM quota_hold WHERE ({key}) IN (SELECT h.account_id, h.invitation_id, h.open_until FROM {rows}
            CROSS JOIN quota_hold h ON h.account_id = r.account_id AND h.invitation_id = r.invitation_id
                AND h.open_until = r.open_until)"
    )
}

pub(super) fn resized_columns() -> Columns {
    released_columns().and([("invitees", Integer)])
}

/// Returns the holds that get another number, with the present one and the new one.
fn resizing(layout: &Layout<'_, Part>) -> String {
    format!(
        "SELECT h.account_id, h.invitation_id, h.open_until, h.invitees AS present, r.invitees AS wanted FROM {}
        CROSS JOIN quota_hold h WHERE h.account_id = r.account_id AND h.invitation_id = r.invitation_id
            AND h.open_until = r.open_until",
        layout.keys(Part::Resized, "r")
    )
}

/// Sets the numbers of holds. One that was never counted gets its number when maintenance counts it.
pub(super) fn resize_holds(layout: &Layout<'_, Part>) -> String {
    format!(
        "UPDATE quota_hold AS h SET invitees = o.wanted FROM ({}) o
        WHERE h.account_id = o.account_id AND h.invitation_id = o.invitation_id AND h.open_until = o.open_until",
        resizing(layout)
    )
}

/// Inserts the holds of open invitations; maintenance may have counted one already.
pub(super) fn take_holds(layout: &Layout<'_, Part>) -> String {
    insert::<quota_hold::Entity>(layout, Part::Taken, "WHERE true ON CONFLICT DO NOTHING")
}

/// Returns the statement that adds rows of (account, key, beginning, number, 0) to counts. The row of a former day begins anew.
fn add(rows: &str) -> String {
    format!(
        "INSERT INTO quota (account_id, key, period_start, used, lapsed) {rows}
        ON CONFLICT (account_id, key) DO UPDATE SET
            used = excluded.used + CASE WHEN quota.period_start >= excluded.period_start THEN quota.used ELSE 0 END,
            period_start = CASE WHEN quota.period_start >= excluded.period_start
                THEN quota.period_start ELSE excluded.period_start END"
    )
}

/// Returns the common table expressions of PostgreSQL that write holds and counts, and the condition under which no count is
/// more than it may be.
pub(super) fn charge(layout: &Layout<'_, Part>) -> (Vec<String>, Option<String>) {
    let (mut with, mut sources) = (Vec::new(), Vec::new());
    if layout.has(Part::Released) {
        with.push(format!("released AS ({} RETURNING account_id, invitees)", release_holds(layout)));
        sources.push(format!(
            "SELECT account_id, '{OPEN_KEY}' AS key, 0 AS period_start, -invitees AS added FROM released"
        ));
    }
    if layout.has(Part::Taken) {
        with.push(format!("held AS ({} RETURNING account_id, invitees)", take_holds(layout)));
        sources.push(format!("SELECT account_id, '{OPEN_KEY}' AS key, 0 AS period_start, invitees AS added FROM held"));
    }
    if layout.has(Part::Resized) {
        with.push(format!(
            "resized AS ({} RETURNING o.account_id, o.wanted - o.present AS added)",
            resize_holds(layout)
        ));
        sources.push(format!("SELECT account_id, '{OPEN_KEY}' AS key, 0 AS period_start, added FROM resized"));
    }
    if layout.has(Part::Quotas) {
        let rows = layout.rows(Part::Quotas, "r");
        sources.push(format!("SELECT r.account_id, r.key, r.period_start, r.added FROM {rows}"));
    }
    if sources.is_empty() {
        return (with, None);
    }
    let rows = format!(
        "SELECT c.account_id, c.key, max(c.period_start), sum(c.added)::bigint, 0 FROM ({}) c
        GROUP BY c.account_id, c.key HAVING sum(c.added) <> 0 ORDER BY c.account_id, c.key",
        sources.join(" UNION ALL ")
    );
    with.push(format!("charged AS ({} RETURNING account_id, key, used)", add(&rows)));
    let fits = layout.has(Part::Quotas).then(|| {
        let rows = layout.rows(Part::Quotas, "r");
        format!(
            "(SELECT count(*) FROM charged c JOIN {rows} ON r.account_id = c.account_id AND r.key = c.key
            WHERE c.used > r.most) = 0"
        )
    });
    (with, fits)
}

/// Returns the statement of SQLite that adds to counts. The load has seen what there was, and nobody else writes.
pub(super) fn sqlite_add(layout: &Layout<'_, Part>) -> String {
    let rows = layout.rows(Part::Quotas, "r");
    add(&format!("SELECT r.account_id, r.key, r.period_start, r.added, 0 FROM {rows} WHERE true"))
}

/// Returns the statement of SQLite that counts holds before they are deleted.
pub(super) fn sqlite_count_released(layout: &Layout<'_, Part>) -> String {
    add(&format!(
        "SELECT h.account_id, '{OPEN_KEY}', 0, -sum(h.invitees), 0 FROM {}
        CROSS JOIN quota_hold h ON h.account_id = r.account_id AND h.invitation_id = r.invitation_id
            AND h.open_until = r.open_until
        WHERE true GROUP BY h.account_id",
        layout.keys(Part::Released, "r")
    ))
}

/// Returns the statement of SQLite that counts the changes of holds before they are made.
pub(super) fn sqlite_count_resized(layout: &Layout<'_, Part>) -> String {
    add(&format!(
        "SELECT o.account_id, '{OPEN_KEY}', 0, sum(o.wanted - o.present), 0 FROM ({}) o WHERE true GROUP BY o.account_id",
        resizing(layout)
    ))
}

/// Returns the statement of SQLite that counts new holds before they are inserted.
pub(super) fn sqlite_count_taken(layout: &Layout<'_, Part>) -> String {
    add(&format!(
        "SELECT r.account_id, '{OPEN_KEY}', 0, sum(r.invitees), 0 FROM {} WHERE NOT EXISTS (SELECT 1 FROM quota_hold h
            WHERE h.account_id = r.account_id AND h.invitation_id = r.invitation_id AND h.open_until = r.open_until)
        GROUP BY r.account_id",
        layout.keys(Part::Taken, "r")
    ))
}
