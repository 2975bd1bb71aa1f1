//! The texts of the save. Its parameters are the sets of [`sets`], known here by their place in that list, and the clock.
//!
//! PostgreSQL has two texts, each one statement: `create_sql` for new invitations, which can lose nothing but their
//! request_id, and `save_sql` for everything, which fails as a whole (a division by zero) unless every invitation still
//! has the revision it was loaded with and, where it is accepted, has not expired by the clock after any wait for its lock.
//! SQLite has one writer, so nothing can have changed; the same sets go through `sqlite_sqls`, and the rows affected are
//! a second wall.

use sea_orm::sea_query::ColumnType::{BigInteger, Boolean, Text, Uuid as UuidType};
use sea_orm::{DbBackend, EntityTrait};

use super::entity::{acceptance, engagement, event, invitation, label, outbox, recipient, request};
use super::set::{Columns, clock};

/// The columns of the sets that a save consists of. What only makes new invitations uses the first six.
pub(super) fn sets() -> [Columns; 12] {
    [
        /* 1 */ Columns::of::<invitation::Entity>(),
        /* 2 */ Columns::of::<label::Entity>(),
        /* 3 */ Columns::of::<recipient::Entity>(),
        /* 4 */ Columns::of::<event::Entity>(),
        /* 5 */ Columns::of::<outbox::Entity>(),
        /* 6 */ Columns::of::<request::Entity>(),
        /* 7 */ update_columns(),
        /* 8 */ Columns::of::<recipient::Entity>(),
        /* 9 */ Columns::of::<acceptance::Entity>(),
        /* 10 */ Columns::of::<acceptance::Entity>(),
        /* 11 */ engagement_columns(),
        /* 12 */ event_columns(),
    ]
}

/// Returns the number of the first parameter of a set, or of the clock for the one behind the last. On SQLite every set has
/// a statement of its own.
fn first(backend: DbBackend, set: usize) -> usize {
    if backend == DbBackend::Postgres {
        1 + sets()[..set - 1].iter().map(|columns| columns.width(backend)).sum::<usize>()
    } else {
        1
    }
}

/// The columns of an invitation that change after it was made.
const MUTABLE: [&str; 9] = [
    "use_count",
    "expire_at",
    "accepted_at",
    "declined_at",
    "revoked_at",
    "revision",
    "generation",
    "key_id",
    "updated_at",
];

/// The texts of one database's saves.
pub(super) enum SaveSql {
    /// One statement each.
    Postgres {
        /// For new invitations alone.
        create: String,
        /// For everything.
        save: String,
    },
    /// Several, in one transaction, each with the number of the set it takes.
    Sqlite(Vec<(String, usize)>),
}

impl SaveSql {
    pub(super) fn new(backend: DbBackend) -> Self {
        if backend == DbBackend::Postgres {
            Self::Postgres { create: create_sql(), save: save_sql() }
        } else {
            Self::Sqlite(sqlite_sqls())
        }
    }
}

pub(super) fn update_columns() -> Columns {
    Columns::of::<invitation::Entity>().and([("loaded_revision", BigInteger), ("unexpired", Boolean)])
}

pub(super) fn engagement_columns() -> Columns {
    Columns::list([
        ("account_id", Text),
        ("invitation_id", UuidType),
        ("views", BigInteger),
        ("clicks", BigInteger),
        ("unfurls", BigInteger),
        ("events", BigInteger),
    ])
}

pub(super) fn event_columns() -> Columns {
    Columns::of::<event::Entity>().and([("before_last", BigInteger)])
}

/// Returns `INSERT INTO table (columns) SELECT columns FROM a set` with a condition.
fn insert<E: EntityTrait>(backend: DbBackend, table: &str, set: usize, condition: &str) -> String {
    let columns = Columns::of::<E>();
    let rows = columns.rows_of(backend, first(backend, set), "r");
    format!("INSERT INTO {table} ({}) SELECT {} FROM {rows} {condition}", columns.names(), columns.names_of("r"))
}

/// Makes invitations with their children on PostgreSQL and returns the ids of those it made. One whose request_id is taken,
/// now or earlier, is left out with everything that belongs to it.
fn create_sql() -> String {
    let pg = DbBackend::Postgres;
    let made = "JOIN created c ON c.account_id = r.account_id AND c.id = r.invitation_id";
    format!(
        "WITH claimed AS ({request} ON CONFLICT DO NOTHING RETURNING account_id, invitation_id),
        asked AS (SELECT account_id, invitation_id FROM {requests}),
        created AS ({invitation} ON CONFLICT DO NOTHING RETURNING account_id, id),
        l AS ({label}), p AS ({recipient}), e AS ({event}), o AS ({outbox})
        SELECT id FROM created",
        request = insert::<request::Entity>(pg, "request", 6, ""),
        requests = Columns::of::<request::Entity>().rows_of(pg, first(pg, 6), "r"),
        invitation = insert::<invitation::Entity>(
            pg,
            "invitation",
            1,
            "WHERE (r.account_id, r.id) NOT IN (SELECT account_id, invitation_id FROM asked)
                OR (r.account_id, r.id) IN (SELECT account_id, invitation_id FROM claimed)"
        ),
        label = insert::<label::Entity>(pg, "label", 2, made),
        recipient = insert::<recipient::Entity>(pg, "recipient", 3, made),
        event = insert::<event::Entity>(pg, "event", 4, made),
        outbox = insert::<outbox::Entity>(pg, "outbox", 5, made),
    )
}

/// Saves a group of any commands on PostgreSQL, or fails as a whole. Locks are taken in the order of the ids, invitations
/// before counters.
fn save_sql() -> String {
    let pg = DbBackend::Postgres;
    let events = event_columns();
    let event_names = Columns::of::<event::Entity>().names();
    let event_values =
        Columns::of::<event::Entity>().names_of("r").replace("r.sequence", "c.last_sequence - r.before_last");
    format!(
        "WITH target AS MATERIALIZED (SELECT * FROM {updated}),
        locked AS MATERIALIZED (SELECT t.* FROM target t
            JOIN invitation i ON i.account_id = t.account_id AND i.id = t.id ORDER BY i.id FOR UPDATE OF i),
        updated AS (UPDATE invitation i SET {set} FROM locked r
            WHERE i.account_id = r.account_id AND i.id = r.id AND i.revision = r.loaded_revision
            RETURNING NOT r.unexpired OR i.expire_at IS NULL OR i.expire_at > {clock} AS holds),
        guard AS MATERIALIZED (SELECT 1 / ((SELECT count(*) FROM updated WHERE holds) = (SELECT count(*) FROM target))::int AS ok),
        counted AS ({engagement} RETURNING account_id, invitation_id, last_sequence),
        event_ AS (INSERT INTO event ({event_names}) SELECT {event_values} FROM {event_rows}
            JOIN counted c ON c.account_id = r.account_id AND c.invitation_id = r.invitation_id),
        created AS ({invitation}), label_ AS ({label}), recipient_ AS ({recipient}), created_event AS ({created_event}),
        outbox_ AS ({outbox}), request_ AS ({request}), acceptance_ AS ({accepted}),
        reaccepted AS ({reaccepted}), declined AS ({declined})
        SELECT ok FROM guard",
        updated = update_columns().keys_of(pg, first(pg, 7), "u"),
        set = set_mutable(),
        clock = clock(pg, first(pg, 13)),
        engagement = upsert_engagement(pg, "JOIN guard ON guard.ok = 1"),
        event_rows = events.rows_of(pg, first(pg, 12), "r"),
        invitation = insert::<invitation::Entity>(pg, "invitation", 1, ""),
        label = insert::<label::Entity>(pg, "label", 2, ""),
        recipient = insert::<recipient::Entity>(pg, "recipient", 3, ""),
        created_event = insert::<event::Entity>(pg, "event", 4, ""),
        outbox = insert::<outbox::Entity>(pg, "outbox", 5, ""),
        request = insert::<request::Entity>(pg, "request", 6, ""),
        accepted = insert::<acceptance::Entity>(pg, "acceptance", 9, ""),
        reaccepted = update_acceptances(pg),
        declined = update_recipients(pg),
    )
}

/// The statements of a save on SQLite, each with the parameters it uses, in an order that keeps events behind their count.
fn sqlite_sqls() -> Vec<(String, usize)> {
    let lite = DbBackend::Sqlite;
    let event_values =
        Columns::of::<event::Entity>().names_of("r").replace("r.sequence", "c.last_sequence - r.before_last");
    vec![
        (
            format!(
                "UPDATE invitation AS i SET {} FROM {} WHERE i.account_id = r.account_id AND i.id = r.id
                AND i.revision = r.loaded_revision",
                set_mutable(),
                update_columns().rows_of(lite, 1, "r")
            ),
            7,
        ),
        (insert::<invitation::Entity>(lite, "invitation", 1, ""), 1),
        (insert::<label::Entity>(lite, "label", 2, ""), 2),
        (insert::<recipient::Entity>(lite, "recipient", 3, ""), 3),
        (insert::<event::Entity>(lite, "event", 4, ""), 4),
        (insert::<outbox::Entity>(lite, "outbox", 5, ""), 5),
        (insert::<request::Entity>(lite, "request", 6, ""), 6),
        (update_recipients(lite), 8),
        (insert::<acceptance::Entity>(lite, "acceptance", 9, ""), 9),
        (update_acceptances(lite), 10),
        (upsert_engagement(lite, "WHERE true"), 11),
        (
            format!(
                "INSERT INTO event ({}) SELECT {event_values} FROM {} JOIN engagement c ON c.account_id = r.account_id
                AND c.invitation_id = r.invitation_id",
                Columns::of::<event::Entity>().names(),
                event_columns().rows_of(lite, 1, "r")
            ),
            12,
        ),
    ]
}

fn set_mutable() -> String {
    MUTABLE.map(|column| format!("{column} = r.{column}")).join(", ")
}

/// Adds to the counters; the first event of an invitation, its creation, is counted without a row.
fn upsert_engagement(backend: DbBackend, condition: &str) -> String {
    format!(
        "INSERT INTO engagement ({}) SELECT r.account_id, r.invitation_id, r.views, r.clicks, r.unfurls, 1 + r.events
        FROM {} {condition} ORDER BY r.invitation_id
        ON CONFLICT (account_id, invitation_id) DO UPDATE SET views = engagement.views + excluded.views,
            clicks = engagement.clicks + excluded.clicks, unfurls = engagement.unfurls + excluded.unfurls,
            last_sequence = engagement.last_sequence + excluded.last_sequence - 1",
        Columns::of::<engagement::Entity>().names(),
        engagement_columns().rows_of(backend, first(backend, 11), "r"),
    )
    .replace("ORDER BY r.invitation_id", if backend == DbBackend::Postgres { "ORDER BY r.invitation_id" } else { "" })
}

fn update_recipients(backend: DbBackend) -> String {
    format!(
        "UPDATE recipient AS i SET accepted_at = r.accepted_at, declined_at = r.declined_at FROM {}
        WHERE i.account_id = r.account_id AND i.invitation_id = r.invitation_id AND i.ordinal = r.ordinal",
        Columns::of::<recipient::Entity>().keys_of(backend, first(backend, 8), "r")
    )
}

fn update_acceptances(backend: DbBackend) -> String {
    format!(
        "UPDATE acceptance AS i SET created_connection_id = r.created_connection_id, details = r.details FROM {}
        WHERE i.account_id = r.account_id AND i.invitation_id = r.invitation_id AND i.id = r.id",
        Columns::of::<acceptance::Entity>().keys_of(backend, first(backend, 10), "r")
    )
}
