//! The texts of the save, composed of the parts that have rows: a plain accept does not pay for what others write. Their
//! parameters are the sets of these parts, in the order of [`Part`], and the clock where invitations are updated.
//!
//! PostgreSQL has two statements: `create_sql` for new invitations, which can lose nothing but their request_id, and `save_sql`
//! for everything. The latter fails as a whole (a division by zero) unless every invitation
//! still has the revision it was loaded with and, where it is accepted, has not expired by the clock after any wait for
//! its lock, unless every slot still belongs to the invitation that the load returned, unless no more of a quota is used than
//! its decision allows, unless there is room in the scopes that seats are taken in, and unless every invitation that something is
//! counted for still exists.
//! SQLite has one writer, whose transaction begins before the load, so nothing can have changed; the same sets go through
//! `sqlite_sqls`, and the rows affected are a second check.

mod answers;
mod erase;
mod messages;
mod part;
mod postgres;
mod quotas;
mod seats;

use sea_orm::{DbBackend, EntityTrait};

use crate::store::sql::entity::{
    acceptance, autojoin_domain, engagement, event, invitation, invitation_group, label, outbox, recipient, request,
    slot, suppression,
};
use crate::store::sql::rows_param::Columns;
use crate::store::sql::texts::{Layout, StatementTexts};
use answers::{update_acceptances, update_recipients};
use erase::{erase_events, erase_messages, release_slots, remove_labels};
use messages::{cancel_removed, cancel_replaced, settle_deliveries};
pub(in crate::store) use part::Part;
pub(in crate::store) use postgres::{create_sql, save_sql};
use quotas::{
    release_holds, resize_holds, sqlite_add, sqlite_count_released, sqlite_count_resized, sqlite_count_taken,
    take_holds,
};
use seats::{change_seats, free_seat_holds, free_seats, sqlite_add_to_scopes, take_seat_holds, take_seats};

/// The columns of an invitation that change after its creation.
const MUTABLE: [&str; 25] = [
    "max_uses",
    "mails",
    "use_count",
    "expire_at",
    "accepted_at",
    "declined_at",
    "revoked_at",
    "revision",
    "generation",
    "key_id",
    "updated_at",
    "accepted_elsewhere_at",
    "emptied_at",
    "archived_at",
    "deleted_at",
    "first_sent_at",
    "last_sent_at",
    "updater",
    "widget_configuration_id",
    "details",
    "expiry_told_at",
    "repeats",
    "creator",
    "inviter_user_id",
    "sort_email",
];

/// The texts of the save for one database.
pub(in crate::store) enum SaveSql {
    /// One statement for each purpose.
    Postgres {
        /// The statement for submissions that only create invitations.
        create: StatementTexts<Part>,
        /// The statement for all other groups.
        save: StatementTexts<Part>,
    },
    /// Several statements in one transaction, each with its part; a few parts have two.
    Sqlite(Vec<(Part, Vec<String>)>),
}

impl SaveSql {
    pub(in crate::store) fn new(backend: DbBackend) -> Self {
        if backend == DbBackend::Postgres {
            Self::Postgres {
                create: StatementTexts::new(Part::OF_CREATES, create_sql),
                save: StatementTexts::new(Part::ALL, save_sql),
            }
        } else {
            Self::Sqlite(sqlite_sqls())
        }
    }
}

/// Returns `INSERT INTO table (columns) SELECT columns FROM a set` with what follows.
fn insert<E: EntityTrait + Default>(layout: &Layout<'_, Part>, part: Part, rest: &str) -> String {
    let (table, columns, rows) = (E::default(), Columns::of::<E>(), layout.rows(part, "r"));
    let table = table.table_name();
    format!("INSERT INTO {table} ({}) SELECT {} FROM {rows} {rest}", columns.names(), columns.names_of("r"))
}

/// Returns the statements of a save on SQLite, in the order of their parts, which writes events after their counters.
fn sqlite_sqls() -> Vec<(Part, Vec<String>)> {
    let sql = |part: &Part| {
        let lite = &Layout { backend: DbBackend::Sqlite, parts: &[*part] };
        let sql = match part {
            Part::Invitations => insert::<invitation::Entity>(lite, *part, ""),
            Part::Labels => insert::<label::Entity>(lite, *part, ""),
            Part::Recipients => insert::<recipient::Entity>(lite, *part, ""),
            Part::Groups => insert::<invitation_group::Entity>(lite, *part, ""),
            Part::FirstEvents => insert::<event::Entity>(lite, *part, ""),
            Part::Outbox => insert::<outbox::Entity>(lite, *part, KEEP_KNOWN_MESSAGES),
            Part::Requests => insert::<request::Entity>(lite, *part, ""),
            Part::Updates => format!(
                "UPDATE invitation AS i SET {} FROM {} WHERE i.account_id = r.account_id AND i.id = r.id
            AND i.revision = r.loaded_revision",
                set_mutable(),
                lite.rows(*part, "r")
            ),
            Part::Answers => update_recipients(lite),
            Part::Acceptances => insert::<acceptance::Entity>(lite, *part, ""),
            Part::Reacceptances => update_acceptances(lite),
            Part::Slots => take_slots(lite),
            Part::Joining => insert::<autojoin_domain::Entity>(lite, *part, KEEP_KNOWN_DOMAINS),
            Part::Leaving => delete_domains(lite),
            Part::DeliveryUpdates => settle_deliveries(lite),
            Part::Replacing => cancel_replaced(lite, ""),
            Part::Counts => upsert_engagement(lite, "WHERE true"),
            Part::Events => insert_events(lite, "engagement"),
            Part::Freed => release_slots(lite),
            Part::Unlabelled => remove_labels(lite),
            Part::Relabelled => insert::<label::Entity>(lite, *part, SET_LABELS),
            Part::Ungrouped => delete_groups(lite),
            Part::Removed => cancel_removed(lite, ""),
            Part::ErasedEvents => erase_events(lite),
            Part::ErasedMessages => erase_messages(lite),
            Part::Released => return Some((*part, vec![sqlite_count_released(lite), release_holds(lite)])),
            Part::Taken => return Some((*part, vec![sqlite_count_taken(lite), take_holds(lite)])),
            Part::Resized => return Some((*part, vec![sqlite_count_resized(lite), resize_holds(lite)])),
            Part::Quotas => sqlite_add(lite),
            Part::Suppressions => insert::<suppression::Entity>(lite, *part, KEEP_KNOWN_SUPPRESSIONS),
            Part::Seats => take_seats(lite),
            Part::Reseats => change_seats(lite),
            Part::Unseats => free_seats(lite),
            Part::SeatHolds => take_seat_holds(lite),
            Part::FreedHolds => free_seat_holds(lite),
            Part::Scopes => sqlite_add_to_scopes(lite),
            // Nobody else can have deleted an invitation. This part is the last one, so the sets of the others keep their order.
            Part::Unchanged | Part::Mailed => return None,
        };
        Some((*part, vec![sql]))
    };
    Part::ALL.iter().filter_map(sql).collect()
}

fn set_mutable() -> String {
    let set = |column| match column {
        "expiry_told_at" => format!("expiry_told_at = {}", told_at("expiry_told_at", "expire_at")),
        column => format!("{column} = r.{column}"),
    };
    MUTABLE.map(set).join(", ")
}

/// Returns an expression for the recorded expiry of row `i` after a save of row `r`.
///
/// Recording an expiry leaves the revision alone, so a save may not know of it yet: then the later one stays. A save that records the
/// present expiry is right, also if an expiry that was recorded before was a later one.
fn told_at(told: &str, expiry: &str) -> String {
    format!(
        "CASE WHEN r.{told} = r.{expiry} OR i.{told} IS NULL OR i.{told} < r.{told}
            THEN r.{told} ELSE i.{told} END"
    )
}

/// Takes slots, each only from the invitation that it was loaded with. A slot that was never taken is inserted.
fn take_slots(layout: &Layout<'_, Part>) -> String {
    let taken = "WHERE true ORDER BY r.key ON CONFLICT (account_id, key) DO UPDATE
        SET invitation_id = excluded.invitation_id, version = excluded.version WHERE slot.version = excluded.version - 1";
    insert::<slot::Entity>(layout, Part::Slots, taken)
}

/// A domain that one group removes and adds again was never removed.
const KEEP_KNOWN_DOMAINS: &str = "WHERE true ON CONFLICT DO NOTHING";

/// An address that another process has suppressed since the load makes the save a conflict: there would be two events.
const KEEP_KNOWN_SUPPRESSIONS: &str = "WHERE true ON CONFLICT DO NOTHING";

/// A reminder is planned once, even if its expiry is set again after another one; see `Planned::id`.
const KEEP_KNOWN_MESSAGES: &str = "WHERE true ON CONFLICT DO NOTHING";

/// A label that an invitation has gets the new value.
const SET_LABELS: &str = "WHERE true ON CONFLICT (account_id, invitation_id, key) DO UPDATE SET value = excluded.value";

/// Returns the statement that deletes groups: on SQLite one row, see [`Part::is_row_by_row`].
fn delete_groups(layout: &Layout<'_, Part>) -> String {
    if layout.backend == DbBackend::Sqlite {
        let key = "account_id, scope_type, scope_id, created_at, invitation_id";
        let rows = layout.keys(Part::Ungrouped, "r");
        return format!("DELETE FROM invitation_group WHERE ({key}) = (SELECT {key} FROM {rows})");
    }
    format!(
        "DELETE FROM invitation_group WHERE (account_id, scope_type, scope_id, created_at, invitation_id) IN (
            SELECT t.account_id, t.scope_type, t.scope_id, t.created_at, t.invitation_id FROM {} JOIN invitation_group t
            ON t.account_id = r.account_id AND t.scope_type = r.scope_type AND t.scope_id = r.scope_id
                AND t.created_at = r.created_at AND t.invitation_id = r.invitation_id)",
        layout.keys(Part::Ungrouped, "r")
    )
}

fn delete_domains(layout: &Layout<'_, Part>) -> String {
    let key = "account_id, domain, created_at, invitation_id";
    format!("DELETE FROM autojoin_domain WHERE ({key}) IN (SELECT {key} FROM {})", layout.keys(Part::Leaving, "r"))
}

/// Adds to the counters. The first event of an invitation, its creation, is counted without a row.
fn upsert_engagement(layout: &Layout<'_, Part>, condition: &str) -> String {
    format!(
        "INSERT INTO engagement ({}) SELECT r.account_id, r.invitation_id, r.views, r.clicks, r.unfurls, 1 + r.events
        FROM {} {condition}
        ON CONFLICT (account_id, invitation_id) DO UPDATE SET views = engagement.views + excluded.views,
            clicks = engagement.clicks + excluded.clicks, unfurls = engagement.unfurls + excluded.unfurls,
            last_sequence = engagement.last_sequence + excluded.last_sequence - 1",
        Columns::of::<engagement::Entity>().names(),
        layout.rows(Part::Counts, "r"),
    )
}

/// Numbers events by the counters, which `counted` holds as they are after the save.
fn insert_events(layout: &Layout<'_, Part>, counted: &str) -> String {
    let columns = Columns::of::<event::Entity>();
    format!(
        "INSERT INTO event ({}) SELECT {} FROM {} JOIN {counted} c ON c.account_id = r.account_id
        AND c.invitation_id = r.invitation_id",
        columns.names(),
        columns.names_with("r", "sequence", "c.last_sequence - r.before_last"),
        layout.rows(Part::Events, "r")
    )
}
