//! The statements of a save on PostgreSQL, each composed of the parts that have rows.

use sea_orm::{DbBackend, EntityTrait};

use super::answers::{update_acceptances, update_recipients};
use super::erase::{erase_events, erase_messages, release_slots, remove_labels};
use super::messages::{cancel_removed, cancel_replaced, settle_deliveries};
use super::quotas::charge;
use super::seats::{seated, settings_of_created};
use super::{
    KEEP_KNOWN_DOMAINS, KEEP_KNOWN_MESSAGES, KEEP_KNOWN_SUPPRESSIONS, Part, SET_LABELS, delete_domains, delete_groups,
    insert, insert_events, set_mutable, take_slots, upsert_engagement,
};
use crate::store::executor::load::is_found;
use crate::store::sql::entity::{
    acceptance, autojoin_domain, event, invitation, invitation_group, label, outbox, recipient, request, suppression,
};
use crate::store::sql::rows_param::clock;
use crate::store::sql::texts::Layout;

/// Creates invitations with their children and returns their ids. An invitation whose request_id is taken, now or earlier, is
/// left out with everything that belongs to it. If a message would go to a suppressed address, or a scope reserves seats, nothing is
/// created: all of it is decided again, on a load that finds the address, or the seats.
pub(in crate::store) fn create_sql(parts: &[Part]) -> String {
    let layout = Layout { backend: DbBackend::Postgres, parts };
    let mut with = Vec::new();
    let mut created = insert::<invitation::Entity>(&layout, Part::Invitations, "");
    with.push(settings_of_created(&layout));
    let mut are_open = "NOT EXISTS (SELECT 1 FROM settings WHERE reserve_open)".to_owned();
    if layout.has(Part::Mailed) {
        let keys = layout.keys(Part::Mailed, "m");
        with.push(format!(
            "suppressed AS MATERIALIZED (SELECT 1 FROM {keys} JOIN suppression s ON {} LIMIT 1)",
            is_found(DbBackend::Postgres, "m")
        ));
        are_open += " AND NOT EXISTS (SELECT 1 FROM suppressed)";
    }
    created += &format!("WHERE {are_open} ");
    if layout.has(Part::Requests) {
        let claim = format!("WHERE {are_open} ON CONFLICT DO NOTHING");
        let claimed = insert::<request::Entity>(&layout, Part::Requests, &claim);
        with.push(format!("claimed AS ({claimed} RETURNING account_id, invitation_id)"));
        with.push(format!("asked AS (SELECT account_id, invitation_id FROM {})", layout.rows(Part::Requests, "r")));
        created += "AND ((r.account_id, r.id) NOT IN (SELECT account_id, invitation_id FROM asked)
            OR (r.account_id, r.id) IN (SELECT account_id, invitation_id FROM claimed))";
    }
    with.push(format!("created AS ({created} ON CONFLICT DO NOTHING RETURNING account_id, id)"));
    for part in parts {
        let child = match part {
            Part::Labels => of_created::<label::Entity>(&layout, *part),
            Part::Recipients => of_created::<recipient::Entity>(&layout, *part),
            Part::Groups => of_created::<invitation_group::Entity>(&layout, *part),
            Part::FirstEvents => of_created::<event::Entity>(&layout, *part),
            Part::Outbox => of_created::<outbox::Entity>(&layout, *part),
            _ => continue,
        };
        with.push(format!("{}_ AS ({child})", part.name()));
    }
    format!("WITH {} SELECT id FROM created", with.join(",\n"))
}

fn of_created<E: EntityTrait + Default>(layout: &Layout<'_, Part>, part: Part) -> String {
    insert::<E>(layout, part, "JOIN created c ON c.account_id = r.account_id AND c.id = r.invitation_id")
}

/// Saves a group of any commands, or fails as a whole. Locks are taken in the order of the ids, invitations before slots before
/// quotas before seats before scopes before counters.
pub(in crate::store) fn save_sql(parts: &[Part]) -> String {
    let layout = Layout { backend: DbBackend::Postgres, parts };
    let (mut with, holds) = guarded(&layout);
    let is_guarded = !holds.is_empty();
    if is_guarded {
        with.push(format!("guard AS MATERIALIZED (SELECT 1 / ({})::int AS ok)", holds.join(" AND ")));
    }
    let counts =
        if is_guarded { "JOIN guard ON guard.ok = 1 ORDER BY r.invitation_id" } else { "ORDER BY r.invitation_id" };
    let replaces = if is_guarded { "JOIN guard ON guard.ok = 1" } else { "" };
    if layout.has(Part::Counts) {
        let counted = upsert_engagement(&layout, counts);
        with.push(format!("counted AS ({counted} RETURNING account_id, invitation_id, last_sequence)"));
    }
    if layout.has(Part::Events) {
        with.push(format!("event_ AS ({})", insert_events(&layout, "counted")));
    }
    for part in parts {
        let sql = match part {
            Part::Updates | Part::Slots | Part::DeliveryUpdates | Part::Unchanged | Part::Counts | Part::Events => {
                continue;
            }
            Part::Released | Part::Taken | Part::Resized | Part::Quotas | Part::Suppressions | Part::Mailed => continue,
            Part::Seats | Part::Reseats | Part::Unseats => continue,
            Part::SeatHolds | Part::FreedHolds | Part::Scopes => continue,
            Part::Invitations => insert::<invitation::Entity>(&layout, *part, ""),
            Part::Labels => insert::<label::Entity>(&layout, *part, ""),
            Part::Recipients => insert::<recipient::Entity>(&layout, *part, ""),
            Part::Groups => insert::<invitation_group::Entity>(&layout, *part, ""),
            Part::FirstEvents => insert::<event::Entity>(&layout, *part, ""),
            Part::Outbox => insert::<outbox::Entity>(&layout, *part, KEEP_KNOWN_MESSAGES),
            Part::Requests => insert::<request::Entity>(&layout, *part, ""),
            // Reading what was updated makes PostgreSQL update first.
            Part::Acceptances if layout.has(Part::Reacceptances) => {
                insert::<acceptance::Entity>(&layout, *part, "WHERE (SELECT count(*) FROM reacceptance_) >= 0")
            }
            Part::Acceptances => insert::<acceptance::Entity>(&layout, *part, ""),
            Part::Reacceptances => format!("{} RETURNING 1", update_acceptances(&layout)),
            Part::Answers => update_recipients(&layout),
            Part::Joining => insert::<autojoin_domain::Entity>(&layout, *part, KEEP_KNOWN_DOMAINS),
            Part::Leaving => delete_domains(&layout),
            Part::Replacing => cancel_replaced(&layout, replaces),
            Part::Freed => release_slots(&layout),
            Part::Unlabelled => remove_labels(&layout),
            Part::Relabelled => insert::<label::Entity>(&layout, *part, SET_LABELS),
            Part::Ungrouped => delete_groups(&layout),
            Part::Removed => cancel_removed(&layout, replaces),
            Part::ErasedEvents => erase_events(&layout),
            Part::ErasedMessages => erase_messages(&layout),
        };
        with.push(format!("{}_ AS ({sql})", part.name()));
    }
    let ok = if is_guarded { "ok FROM guard" } else { "1 AS ok" };
    format!("WITH {} SELECT {ok}", with.join(",\n"))
}

/// Returns the parts that fail the statement if not every row of theirs finds the row that it updates, and the conditions for it.
///
/// An invitation is locked in the weakest way that keeps others from updating it. So a view of its page, which only keeps it
/// from being deleted, waits for no accept, and no accept for a view.
fn guarded(layout: &Layout<'_, Part>) -> (Vec<String>, Vec<String>) {
    let (mut with, mut holds) = (Vec::new(), Vec::new());
    if layout.has(Part::Updates) {
        with.push(format!("target AS MATERIALIZED (SELECT * FROM {})", layout.keys(Part::Updates, "u")));
        with.push(
            "locked AS MATERIALIZED (SELECT t.* FROM target t
            JOIN invitation i ON i.account_id = t.account_id AND i.id = t.id ORDER BY i.id FOR NO KEY UPDATE OF i)"
                .to_owned(),
        );
        with.push(format!(
            "updated AS (UPDATE invitation i SET {set} FROM locked r
            WHERE i.account_id = r.account_id AND i.id = r.id AND i.revision = r.loaded_revision
            RETURNING NOT r.unexpired OR i.expire_at IS NULL OR i.expire_at > {clock} AS holds)",
            set = set_mutable(),
            clock = clock(layout.backend, layout.first(None)),
        ));
        holds.push("(SELECT count(*) FROM updated WHERE holds) = (SELECT count(*) FROM target)".to_owned());
    }
    if layout.has(Part::Slots) {
        with.push(format!("taken AS ({} RETURNING 1)", take_slots(layout)));
        holds.push(format!("(SELECT count(*) FROM taken) = (SELECT count(*) FROM {})", layout.rows(Part::Slots, "r")));
    }
    if layout.has(Part::DeliveryUpdates) {
        with.push(format!("settled AS ({} RETURNING 1)", settle_deliveries(layout)));
        let rows = layout.rows(Part::DeliveryUpdates, "r");
        holds.push(format!("(SELECT count(*) FROM settled) = (SELECT count(*) FROM {rows})"));
    }
    if layout.has(Part::Suppressions) {
        let insert = insert::<suppression::Entity>(layout, Part::Suppressions, KEEP_KNOWN_SUPPRESSIONS);
        with.push(format!("suppressed AS ({insert} RETURNING 1)"));
        let rows = layout.rows(Part::Suppressions, "r");
        holds.push(format!("(SELECT count(*) FROM suppressed) = (SELECT count(*) FROM {rows})"));
    }
    if layout.has(Part::Unchanged) {
        with.push(format!(
            "present AS MATERIALIZED (SELECT i.id FROM {keys}
            JOIN invitation i ON i.account_id = k.account_id AND i.id = k.invitation_id ORDER BY i.id FOR KEY SHARE OF i)",
            keys = layout.keys(Part::Unchanged, "k"),
        ));
        let rows = layout.rows(Part::Unchanged, "r");
        holds.push(format!("(SELECT count(*) FROM present) = (SELECT count(*) FROM {rows})"));
    }
    let (charged, fits) = charge(layout);
    with.extend(charged);
    holds.extend(fits);
    let (seats, fit) = seated(layout);
    with.extend(seats);
    holds.extend(fit);
    (with, holds)
}
