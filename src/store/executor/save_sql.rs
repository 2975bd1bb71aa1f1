//! The texts of the save. Their parameters are the sets of [`Part`], addressed by their position, and the clock.
//!
//! PostgreSQL has two texts, each one statement: `create_sql` for new invitations, which can lose nothing but their
//! request_id, and `save_sql` for everything. The latter fails as a whole (a division by zero) unless every invitation
//! still has the revision it was loaded with and, where it is accepted, has not expired by the clock after any wait for
//! its lock, and unless every slot still belongs to the invitation that the load returned.
//! SQLite has one writer, so nothing can have changed; the same sets go through `sqlite_sqls`, and the rows affected
//! are a second check.

mod messages;

use sea_orm::sea_query::ColumnType::{BigInteger, Boolean, Text, Uuid as UuidType};
use sea_orm::{DbBackend, EntityTrait};

use crate::store::sql::entity::{
    acceptance, autojoin_domain, engagement, event, invitation, invitation_group, label, outbox, recipient, request,
    slot,
};
use crate::store::sql::rows_param::{Columns, clock};
use messages::{cancel_replaced, replacing_columns, settle_deliveries, settled_columns};

/// The sets of rows that a save consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum Part {
    /// New invitations.
    Invitations,
    /// The labels of the new invitations.
    Labels,
    /// The recipients of the new invitations.
    Recipients,
    /// The groups of the new invitations.
    Groups,
    /// The first events of the new invitations.
    FirstEvents,
    /// Messages to be sent.
    Outbox,
    /// Requests to be remembered.
    Requests,
    /// Changed invitations, with the conditions for their update.
    Updates,
    /// Changed recipients.
    Answers,
    /// New acceptances.
    Acceptances,
    /// Changed acceptances.
    Reacceptances,
    /// Slots that are taken.
    Slots,
    /// Domains that join from now on.
    Joining,
    /// Domains that no longer join.
    Leaving,
    /// Changed messages, with the conditions for their update.
    DeliveryUpdates,
    /// Messages that replace those which are queued.
    Replacing,
    /// Increments of counters.
    Counts,
    /// Events that are numbered by the counters.
    Events,
}

impl Part {
    /// The parts that new invitations need.
    pub(in crate::store) const OF_CREATES: &[Self] = Self::ALL.split_at(7).0;

    /// All parts, in the order of their parameters; the parts that new invitations need come first.
    pub(in crate::store) const ALL: &[Self] = &[
        Self::Invitations,
        Self::Labels,
        Self::Recipients,
        Self::Groups,
        Self::FirstEvents,
        Self::Outbox,
        Self::Requests,
        Self::Updates,
        Self::Answers,
        Self::Acceptances,
        Self::Reacceptances,
        Self::Slots,
        Self::Joining,
        Self::Leaving,
        Self::DeliveryUpdates,
        Self::Replacing,
        Self::Counts,
        Self::Events,
    ];

    /// Returns the columns of the part.
    pub(in crate::store) fn columns(self) -> Columns {
        match self {
            Self::Invitations => Columns::of::<invitation::Entity>(),
            Self::Labels => Columns::of::<label::Entity>(),
            Self::Recipients | Self::Answers => Columns::of::<recipient::Entity>(),
            Self::Groups => Columns::of::<invitation_group::Entity>(),
            Self::FirstEvents => Columns::of::<event::Entity>(),
            Self::Outbox => Columns::of::<outbox::Entity>(),
            Self::Requests => Columns::of::<request::Entity>(),
            Self::Updates => {
                Columns::of::<invitation::Entity>().and([("loaded_revision", BigInteger), ("unexpired", Boolean)])
            }
            Self::Acceptances | Self::Reacceptances => Columns::of::<acceptance::Entity>(),
            Self::Slots => Columns::of::<slot::Entity>(),
            Self::Joining | Self::Leaving => Columns::of::<autojoin_domain::Entity>(),
            Self::DeliveryUpdates => settled_columns(),
            Self::Replacing => replacing_columns(),
            Self::Counts => engagement_columns(),
            Self::Events => Columns::of::<event::Entity>().and([("before_last", BigInteger)]),
        }
    }

    /// Returns whether the save is a conflict if not every row of the part finds the row that it updates.
    pub(in crate::store) fn is_guarded(self) -> bool {
        matches!(self, Self::Updates | Self::Slots | Self::DeliveryUpdates)
    }

    /// Returns a table expression, called `r`, over the part's rows.
    fn rows(self, backend: DbBackend) -> String {
        self.columns().rows_of(backend, first(backend, Some(self)), "r")
    }

    /// Returns the same expression for rows that are looked up one by one.
    fn keys(self, backend: DbBackend) -> String {
        self.columns().keys_of(backend, first(backend, Some(self)), "r")
    }
}

/// Returns the number of the first parameter of a part, or of the clock, which is the last parameter. On SQLite every
/// part has a statement of its own.
fn first(backend: DbBackend, part: Option<Part>) -> usize {
    let before = Part::ALL.iter().take_while(|other| Some(**other) != part);
    if backend == DbBackend::Postgres { 1 + before.map(|part| part.columns().width(backend)).sum::<usize>() } else { 1 }
}

/// The columns of an invitation that change after its creation.
const MUTABLE: [&str; 20] = [
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
];

/// The texts of the save for one database.
pub(in crate::store) enum SaveSql {
    /// One statement for each purpose.
    Postgres {
        /// The statement for submissions that only create invitations.
        create: String,
        /// The statement for all other groups.
        save: String,
    },
    /// Several statements in one transaction, each with its part.
    Sqlite(Vec<(Part, String)>),
}

impl SaveSql {
    pub(in crate::store) fn new(backend: DbBackend) -> Self {
        if backend == DbBackend::Postgres {
            Self::Postgres { create: create_sql(), save: save_sql() }
        } else {
            Self::Sqlite(sqlite_sqls())
        }
    }
}

fn engagement_columns() -> Columns {
    Columns::list([
        ("account_id", Text),
        ("invitation_id", UuidType),
        ("views", BigInteger),
        ("clicks", BigInteger),
        ("unfurls", BigInteger),
        ("events", BigInteger),
    ])
}

/// Returns `INSERT INTO table (columns) SELECT columns FROM a set` with what follows.
fn insert<E: EntityTrait + Default>(backend: DbBackend, part: Part, rest: &str) -> String {
    let (table, columns, rows) = (E::default(), Columns::of::<E>(), part.rows(backend));
    let table = table.table_name();
    format!("INSERT INTO {table} ({}) SELECT {} FROM {rows} {rest}", columns.names(), columns.names_of("r"))
}

/// Creates invitations with their children on PostgreSQL and returns their ids. An invitation whose request_id is
/// taken, now or earlier, is left out with everything that belongs to it.
fn create_sql() -> String {
    let pg = DbBackend::Postgres;
    let of_created = "JOIN created c ON c.account_id = r.account_id AND c.id = r.invitation_id";
    format!(
        "WITH claimed AS ({request} ON CONFLICT DO NOTHING RETURNING account_id, invitation_id),
        asked AS (SELECT account_id, invitation_id FROM {requests}),
        created AS ({invitation} ON CONFLICT DO NOTHING RETURNING account_id, id),
        l AS ({label}), p AS ({recipient}), g AS ({group}), e AS ({event}), o AS ({outbox})
        SELECT id FROM created",
        request = insert::<request::Entity>(pg, Part::Requests, ""),
        requests = Part::Requests.rows(pg),
        invitation = insert::<invitation::Entity>(
            pg,
            Part::Invitations,
            "WHERE (r.account_id, r.id) NOT IN (SELECT account_id, invitation_id FROM asked)
                OR (r.account_id, r.id) IN (SELECT account_id, invitation_id FROM claimed)"
        ),
        label = insert::<label::Entity>(pg, Part::Labels, of_created),
        recipient = insert::<recipient::Entity>(pg, Part::Recipients, of_created),
        group = insert::<invitation_group::Entity>(pg, Part::Groups, of_created),
        event = insert::<event::Entity>(pg, Part::FirstEvents, of_created),
        outbox = insert::<outbox::Entity>(pg, Part::Outbox, of_created),
    )
}

/// Saves a group of any commands on PostgreSQL, or fails as a whole. Locks are taken in the order of the ids,
/// invitations before slots before counters.
fn save_sql() -> String {
    let pg = DbBackend::Postgres;
    format!(
        "WITH target AS MATERIALIZED (SELECT * FROM {updated}),
        locked AS MATERIALIZED (SELECT t.* FROM target t
            JOIN invitation i ON i.account_id = t.account_id AND i.id = t.id ORDER BY i.id FOR UPDATE OF i),
        updated AS (UPDATE invitation i SET {set} FROM locked r
            WHERE i.account_id = r.account_id AND i.id = r.id AND i.revision = r.loaded_revision
            RETURNING NOT r.unexpired OR i.expire_at IS NULL OR i.expire_at > {clock} AS holds),
        taken AS ({slots} RETURNING 1), settled AS ({settled} RETURNING 1),
        guard AS MATERIALIZED (SELECT 1 / (
            (SELECT count(*) FROM updated WHERE holds) = (SELECT count(*) FROM target)
            AND (SELECT count(*) FROM taken) = (SELECT count(*) FROM {wanted_slots})
            AND (SELECT count(*) FROM settled) = (SELECT count(*) FROM {to_settle}))::int AS ok),
        counted AS ({engagement} RETURNING account_id, invitation_id, last_sequence),
        event_ AS ({events}),
        created AS ({invitation}), label_ AS ({label}), recipient_ AS ({recipient}), group_ AS ({group}),
        created_event AS ({created_event}), outbox_ AS ({outbox}), request_ AS ({request}), acceptance_ AS ({accepted}),
        reaccepted AS ({reaccepted}), answered AS ({answered}), joining AS ({joining}), leaving AS ({leaving}),
        replaced AS ({replaced})
        SELECT ok FROM guard",
        updated = Part::Updates.columns().keys_of(pg, first(pg, Some(Part::Updates)), "u"),
        set = set_mutable(),
        clock = clock(pg, first(pg, None)),
        slots = take_slots(pg),
        wanted_slots = Part::Slots.rows(pg),
        settled = settle_deliveries(pg),
        to_settle = Part::DeliveryUpdates.rows(pg),
        engagement = upsert_engagement(pg, "JOIN guard ON guard.ok = 1 ORDER BY r.invitation_id"),
        events = insert_events(pg, "counted"),
        invitation = insert::<invitation::Entity>(pg, Part::Invitations, ""),
        label = insert::<label::Entity>(pg, Part::Labels, ""),
        recipient = insert::<recipient::Entity>(pg, Part::Recipients, ""),
        group = insert::<invitation_group::Entity>(pg, Part::Groups, ""),
        created_event = insert::<event::Entity>(pg, Part::FirstEvents, ""),
        outbox = insert::<outbox::Entity>(pg, Part::Outbox, KEEP_KNOWN_MESSAGES),
        request = insert::<request::Entity>(pg, Part::Requests, ""),
        accepted = insert::<acceptance::Entity>(pg, Part::Acceptances, ""),
        reaccepted = update_acceptances(pg),
        answered = update_recipients(pg),
        joining = insert::<autojoin_domain::Entity>(pg, Part::Joining, KEEP_KNOWN_DOMAINS),
        leaving = delete_domains(pg),
        replaced = cancel_replaced(pg, "JOIN guard ON guard.ok = 1"),
    )
}

/// Returns the statements of a save on SQLite, in an order that writes events after their counters.
fn sqlite_sqls() -> Vec<(Part, String)> {
    let lite = DbBackend::Sqlite;
    let sql = |part: &Part| match part {
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
            part.rows(lite)
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
    };
    Part::ALL.iter().map(|part| (*part, sql(part))).collect()
}

fn set_mutable() -> String {
    let set = |column| match column {
        // Recording an expiry leaves the revision alone, so a save may not know of it yet: then the later one stays. A
        // save that records the present expiry is right, also if an expiry that was recorded before was a later one.
        "expiry_told_at" => "expiry_told_at = CASE
            WHEN r.expiry_told_at = r.expire_at OR i.expiry_told_at IS NULL OR i.expiry_told_at < r.expiry_told_at
            THEN r.expiry_told_at ELSE i.expiry_told_at END"
            .to_owned(),
        column => format!("{column} = r.{column}"),
    };
    MUTABLE.map(set).join(", ")
}

/// Takes slots, each only from the invitation that it was loaded with. A slot that was never taken is inserted.
fn take_slots(backend: DbBackend) -> String {
    let taken = "WHERE true ORDER BY r.key ON CONFLICT (account_id, key) DO UPDATE
        SET invitation_id = excluded.invitation_id, version = excluded.version WHERE slot.version = excluded.version - 1";
    insert::<slot::Entity>(backend, Part::Slots, taken)
}

/// A domain that one group removes and adds again was never removed.
const KEEP_KNOWN_DOMAINS: &str = "WHERE true ON CONFLICT DO NOTHING";

/// A reminder is planned once, even if its expiry is set again after another one; see `Planned::id`.
const KEEP_KNOWN_MESSAGES: &str = "WHERE true ON CONFLICT DO NOTHING";

fn delete_domains(backend: DbBackend) -> String {
    let key = "account_id, domain, created_at, invitation_id";
    format!("DELETE FROM autojoin_domain WHERE ({key}) IN (SELECT {key} FROM {})", Part::Leaving.keys(backend))
}

/// Adds to the counters. The first event of an invitation, its creation, is counted without a row.
fn upsert_engagement(backend: DbBackend, condition: &str) -> String {
    format!(
        "INSERT INTO engagement ({}) SELECT r.account_id, r.invitation_id, r.views, r.clicks, r.unfurls, 1 + r.events
        FROM {} {condition}
        ON CONFLICT (account_id, invitation_id) DO UPDATE SET views = engagement.views + excluded.views,
            clicks = engagement.clicks + excluded.clicks, unfurls = engagement.unfurls + excluded.unfurls,
            last_sequence = engagement.last_sequence + excluded.last_sequence - 1",
        Columns::of::<engagement::Entity>().names(),
        Part::Counts.rows(backend),
    )
}

/// Numbers events by the counters, which `counted` holds as they are after the save.
fn insert_events(backend: DbBackend, counted: &str) -> String {
    let columns = Columns::of::<event::Entity>();
    format!(
        "INSERT INTO event ({}) SELECT {} FROM {} JOIN {counted} c ON c.account_id = r.account_id
        AND c.invitation_id = r.invitation_id",
        columns.names(),
        columns.names_with("r", "sequence", "c.last_sequence - r.before_last"),
        Part::Events.rows(backend)
    )
}

fn update_recipients(backend: DbBackend) -> String {
    format!(
        "UPDATE recipient AS i SET accepted_at = r.accepted_at, declined_at = r.declined_at,
            open_until = r.open_until FROM {}
        WHERE i.account_id = r.account_id AND i.invitation_id = r.invitation_id AND i.ordinal = r.ordinal",
        Part::Answers.keys(backend)
    )
}

fn update_acceptances(backend: DbBackend) -> String {
    format!(
        "UPDATE acceptance AS i SET created_connection_id = r.created_connection_id, details = r.details FROM {}
        WHERE i.account_id = r.account_id AND i.invitation_id = r.invitation_id AND i.id = r.id",
        Part::Reacceptances.keys(backend)
    )
}
