//! The upkeep of seats: holds of open invitations are deleted once their time is over.

use std::time::Duration;

use sea_orm::DbBackend;

use crate::domain::seat::HOLD_GRACE;

/// The time for which a hold is kept after its expiry: a process that is a little behind the database's clock has to find it while it
/// counts.
pub(super) const SWEEP_DELAY: Duration = HOLD_GRACE.saturating_add(Duration::from_secs(60));

/// Returns the texts that delete up to $2 holds whose time was over at $1, and note in the settings that they lapsed. The last one that
/// returns a row says how many.
pub(super) fn sweep_sqls(backend: DbBackend) -> Vec<String> {
    let lapse = |sums: &str| {
        format!(
            "UPDATE scope_settings SET lapsed = scope_settings.lapsed + g.number FROM ({sums}) g
            WHERE scope_settings.account_id = g.account_id AND scope_settings.id = g.scope_uid"
        )
    };
    let old = "seat_hold t WHERE t.open_until <= $1 ORDER BY t.open_until, t.account_id, t.invitation_id LIMIT $2";
    if backend == DbBackend::Postgres {
        // Saves lock the settings in the same order.
        let lapse = lapse("SELECT s.account_id, s.scope_uid, s.number FROM locked l JOIN sums s ON s.scope_uid = l.id");
        return vec![format!(
            "WITH old AS MATERIALIZED (SELECT t.ctid FROM {old} FOR UPDATE OF t SKIP LOCKED),
            gone AS (DELETE FROM seat_hold WHERE ctid = ANY (ARRAY(SELECT ctid FROM old))
                RETURNING account_id, scope_uid, uses),
            sums AS MATERIALIZED (SELECT account_id, scope_uid, sum(uses)::bigint AS number FROM gone
                GROUP BY account_id, scope_uid),
            locked AS MATERIALIZED (SELECT s.id FROM scope_settings s
                WHERE (s.account_id, s.id) IN (SELECT account_id, scope_uid FROM sums) ORDER BY s.id
                FOR NO KEY UPDATE OF s),
            lapsed AS ({lapse})
            SELECT count(*) AS swept FROM gone"
        )];
    }
    let sums = format!(
        "SELECT account_id, scope_uid, sum(uses) AS number FROM (SELECT * FROM {old}) GROUP BY account_id, scope_uid"
    );
    let key = "account_id, invitation_id, open_until";
    vec![
        lapse(&sums),
        format!("SELECT count(*) AS swept FROM (SELECT 1 FROM {old})"),
        format!("DELETE FROM seat_hold WHERE ({key}) IN (SELECT {key} FROM {old})"),
    ]
}
