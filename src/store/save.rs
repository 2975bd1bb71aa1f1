//! The save: everything a group changes, in one commit, and only if what it was decided on still holds.
//!
//! PostgreSQL has two texts, each one statement: [`create_sql`] for new invitations, which can lose nothing but their
//! request_id, and [`save_sql`] for everything, which fails as a whole (a division by zero) unless every invitation still
//! has the revision it was loaded with and, where it is accepted, has not expired by the clock after any wait for its lock.
//! SQLite has one writer, so nothing can have changed; the same sets go through [`sqlite_sqls`], and the rows affected are
//! a second wall.

use std::collections::{BTreeMap, BTreeSet};

use sea_orm::sea_query::ColumnType::{BigInteger, Boolean, Integer, Uuid as UuidType};
use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, EntityTrait, Statement, Value};
use serde::Serialize;
use uuid::Uuid;

use super::entity::{acceptance, engagement, event, invitation, label, outbox, recipient, request};
use super::error::StoreError;
use super::load::json_param;
use super::row;
use super::set::{Columns, clock};
use crate::domain::group::{Save, Update};
use crate::domain::id::InvitationId;
use crate::domain::time::Timestamp;

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

/// A changed invitation as a row, with what it is guarded by.
#[derive(Serialize)]
struct UpdateRow {
    #[serde(flatten)]
    row: invitation::Model,
    loaded_revision: i64,
    unexpired: bool,
}

/// What is added to the counters beside an invitation, as a row.
#[derive(Serialize)]
struct EngagementRow<'a> {
    account_id: &'a str,
    invitation_id: Uuid,
    views: i64,
    clicks: i64,
    unfurls: i64,
    events: i64,
}

/// An event as a row: `sequence` counts within the save, from behind, until the database knows where it begins.
#[derive(Serialize)]
struct EventRow {
    #[serde(flatten)]
    row: event::Model,
    before_last: i64,
}

/// The parameters of a save, in their order. Parameter 12 is the clock.
struct Params {
    created: Value,
    labels: Value,
    recipients: Value,
    created_events: Value,
    outbox: Value,
    requests: Value,
    updated: Value,
    changed_recipients: Value,
    accepted: Value,
    reaccepted: Value,
    engagement: Value,
    events: Value,
}

fn update_columns() -> Columns {
    Columns::of::<invitation::Entity>().and([("loaded_revision", BigInteger), ("unexpired", Boolean)])
}

fn engagement_columns() -> Columns {
    use sea_orm::sea_query::ColumnType::Text;
    Columns::list([
        ("account_id", Text),
        ("invitation_id", UuidType),
        ("views", BigInteger),
        ("clicks", BigInteger),
        ("unfurls", BigInteger),
        ("events", BigInteger),
    ])
}

fn event_columns() -> Columns {
    Columns::of::<event::Entity>().and([("before_last", Integer)])
}

/// Returns `INSERT INTO table (columns) SELECT columns FROM the rows in parameter n` with a condition.
fn insert<E: EntityTrait>(backend: DbBackend, table: &str, param: usize, condition: &str) -> String {
    let columns = Columns::of::<E>();
    let rows = columns.rows_of(backend, param, "r");
    format!("INSERT INTO {table} ({}) SELECT {} FROM {rows} {condition}", columns.names(), columns.names_of("r"))
}

/// Makes invitations with their children on PostgreSQL and returns the ids of those it made. One whose request_id is taken,
/// now or earlier, is left out with everything that belongs to it.
pub(super) fn create_sql() -> String {
    let pg = DbBackend::Postgres;
    let made = "JOIN created c ON c.account_id = r.account_id AND c.id = r.invitation_id";
    format!(
        "WITH claimed AS ({request} ON CONFLICT DO NOTHING RETURNING account_id, invitation_id),
        asked AS (SELECT account_id, invitation_id FROM {requests}),
        created AS ({invitation} ON CONFLICT DO NOTHING RETURNING account_id, id),
        l AS ({label}), p AS ({recipient}), e AS ({event}), o AS ({outbox})
        SELECT id FROM created",
        request = insert::<request::Entity>(pg, "request", 6, ""),
        requests = Columns::of::<request::Entity>().rows_of(pg, 6, "r"),
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
pub(super) fn save_sql() -> String {
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
        updated = update_columns().rows_of(pg, 7, "u"),
        set = set_mutable(),
        clock = clock(pg, 13),
        engagement = upsert_engagement(pg, "JOIN guard ON guard.ok = 1"),
        event_rows = events.rows_of(pg, 12, "r"),
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
fn sqlite_sqls() -> [(String, &'static [usize]); 12] {
    let lite = DbBackend::Sqlite;
    let event_values =
        Columns::of::<event::Entity>().names_of("r").replace("r.sequence", "c.last_sequence - r.before_last");
    [
        (
            format!(
                "UPDATE invitation AS i SET {} FROM {} WHERE i.account_id = r.account_id AND i.id = r.id
                AND i.revision = r.loaded_revision",
                set_mutable(),
                update_columns().rows_of(lite, 1, "r")
            ),
            &[7],
        ),
        (insert::<invitation::Entity>(lite, "invitation", 1, ""), &[1]),
        (insert::<label::Entity>(lite, "label", 1, ""), &[2]),
        (insert::<recipient::Entity>(lite, "recipient", 1, ""), &[3]),
        (insert::<event::Entity>(lite, "event", 1, ""), &[4]),
        (insert::<outbox::Entity>(lite, "outbox", 1, ""), &[5]),
        (insert::<request::Entity>(lite, "request", 1, ""), &[6]),
        (update_recipients(lite), &[8]),
        (insert::<acceptance::Entity>(lite, "acceptance", 1, ""), &[9]),
        (update_acceptances(lite), &[10]),
        (upsert_engagement(lite, "WHERE true"), &[11]),
        (
            format!(
                "INSERT INTO event ({}) SELECT {event_values} FROM {} JOIN engagement c ON c.account_id = r.account_id
                AND c.invitation_id = r.invitation_id",
                Columns::of::<event::Entity>().names(),
                event_columns().rows_of(lite, 1, "r")
            ),
            &[12],
        ),
    ]
}

fn set_mutable() -> String {
    MUTABLE.map(|column| format!("{column} = r.{column}")).join(", ")
}

fn param(backend: DbBackend, number: usize) -> usize {
    if backend == DbBackend::Postgres { number } else { 1 }
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
        engagement_columns().rows_of(backend, param(backend, 11), "r"),
    )
    .replace("ORDER BY r.invitation_id", if backend == DbBackend::Postgres { "ORDER BY r.invitation_id" } else { "" })
}

fn update_recipients(backend: DbBackend) -> String {
    format!(
        "UPDATE recipient AS i SET accepted_at = r.accepted_at, declined_at = r.declined_at FROM {}
        WHERE i.account_id = r.account_id AND i.invitation_id = r.invitation_id AND i.ordinal = r.ordinal",
        Columns::of::<recipient::Entity>().rows_of(backend, param(backend, 8), "r")
    )
}

fn update_acceptances(backend: DbBackend) -> String {
    format!(
        "UPDATE acceptance AS i SET created_connection_id = r.created_connection_id, details = r.details FROM {}
        WHERE i.account_id = r.account_id AND i.invitation_id = r.invitation_id AND i.id = r.id",
        Columns::of::<acceptance::Entity>().rows_of(backend, param(backend, 10), "r")
    )
}

impl Params {
    fn new(save: &Save) -> Result<Self, StoreError> {
        let created = || save.created.values().map(AsRef::as_ref);
        let recipients = created().flat_map(|invitation| {
            invitation.recipients.iter().map(move |recipient| row::recipient_row(invitation, recipient))
        });
        let outbox = save.deliveries.iter().map(|(invitation, delivery)| row::outbox_row(invitation, delivery));
        let (created_events, events, counts) = number_events(save);
        let changed_recipients = save.updated.values().flat_map(changed_recipients);
        let acceptance = |(invitation, acceptance)| row::acceptance_row(invitation, acceptance);
        let accepted = save.accepted.values().map(|(invitation, accepted)| acceptance((invitation, accepted)));
        let reaccepted = save.reaccepted.values().map(|(invitation, changed)| acceptance((invitation, changed)));
        let requests = save.requests.iter().map(|(key, remembered)| row::request_row(key, remembered));
        Ok(Self {
            created: rows(created().map(row::invitation_row))?,
            labels: rows(created().flat_map(row::label_rows))?,
            recipients: rows(recipients)?,
            created_events: rows(created_events.into_iter())?,
            outbox: rows(outbox)?,
            requests: rows(requests)?,
            updated: rows(save.updated.values().map(update_row))?,
            changed_recipients: rows(changed_recipients)?,
            accepted: rows(accepted)?,
            reaccepted: rows(reaccepted)?,
            engagement: rows(counts.into_iter())?,
            events: rows(events.into_iter())?,
        })
    }

    fn into_values(self) -> [Value; 12] {
        let Self {
            created,
            labels,
            recipients,
            created_events,
            outbox,
            requests,
            updated,
            changed_recipients,
            accepted,
            reaccepted,
            engagement,
            events,
        } = self;
        [
            created,
            labels,
            recipients,
            created_events,
            outbox,
            requests,
            updated,
            changed_recipients,
            accepted,
            reaccepted,
            engagement,
            events,
        ]
    }
}

fn rows<T: Serialize>(rows: impl Iterator<Item = T>) -> Result<Value, StoreError> {
    json_param(&rows.collect::<Vec<_>>())
}

fn update_row(update: &Update) -> UpdateRow {
    let Update { invitation, loaded_revision, unexpired, recipients: _ } = update;
    UpdateRow { row: row::invitation_row(invitation), loaded_revision: *loaded_revision, unexpired: *unexpired }
}

fn changed_recipients(update: &Update) -> impl Iterator<Item = recipient::Model> {
    let changed =
        update.invitation.recipients.iter().filter(|recipient| update.recipients.contains(&recipient.ordinal));
    changed.map(|recipient| row::recipient_row(&update.invitation, recipient))
}

/// Splits the events into those that make an invitation, which are number 1, and the others, which are numbered from the
/// invitation's counter; returns also what is added to the counters.
fn number_events(save: &Save) -> (Vec<event::Model>, Vec<EventRow>, Vec<EngagementRow<'_>>) {
    let (mut firsts, mut others) = (Vec::new(), Vec::new());
    let mut counts: BTreeMap<InvitationId, EngagementRow<'_>> = BTreeMap::new();
    let mut made = BTreeSet::new();
    for event in &save.events {
        if save.created.contains_key(&event.invitation) && made.insert(event.invitation) {
            firsts.push(row::event_row(event, 1));
            continue;
        }
        let count = counts.entry(event.invitation).or_insert_with(|| {
            let engagement = save.engagement.get(&event.invitation).copied().unwrap_or_default();
            EngagementRow {
                account_id: event.account.as_str(),
                invitation_id: event.invitation.0,
                views: engagement.views,
                clicks: engagement.clicks,
                unfurls: engagement.unfurls,
                events: 0,
            }
        });
        count.events += 1;
        others.push(EventRow { row: row::event_row(event, 0), before_last: count.events });
    }
    for other in &mut others {
        let total = counts.get(&InvitationId(other.row.invitation_id)).map_or(0, |count| count.events);
        other.before_last = total - other.before_last;
    }
    (firsts, others, counts.into_values().collect())
}

/// The texts of one database's saves.
pub(super) enum SaveSql {
    /// One statement each.
    Postgres {
        /// For new invitations alone.
        create: String,
        /// For everything.
        save: String,
    },
    /// Several, in one transaction.
    Sqlite([(String, &'static [usize]); 12]),
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

/// Makes new invitations on PostgreSQL without having loaded anything, and returns which of them it made.
pub(super) async fn create(
    db: &DatabaseConnection,
    sql: &str,
    save: &Save,
) -> Result<BTreeSet<InvitationId>, StoreError> {
    let values = Params::new(save)?.into_values().into_iter().take(6);
    let rows = db.query_all_raw(Statement::from_sql_and_values(DbBackend::Postgres, sql, values)).await?;
    let ids = rows.iter().map(|row| row.try_get_by_index::<Uuid>(0).map(InvitationId));
    Ok(ids.collect::<Result<_, _>>()?)
}

/// Saves what a group changes; [`StoreError::Conflict`] if what it was decided on no longer holds.
pub(super) async fn save<C: ConnectionTrait>(
    db: &C,
    sql: &SaveSql,
    save: &Save,
    clock: Option<Timestamp>,
) -> Result<(), StoreError> {
    let values = Params::new(save)?.into_values();
    match sql {
        SaveSql::Postgres { save, .. } => {
            let values = values.into_iter().chain([clock.map(Timestamp::micros).into()]);
            db.query_one_raw(Statement::from_sql_and_values(DbBackend::Postgres, save, values)).await?;
        }
        SaveSql::Sqlite(statements) => {
            for (index, (sql, params)) in statements.iter().enumerate() {
                let used: Vec<Value> = params.iter().map(|param| values[param - 1].clone()).collect();
                if used.contains(&Value::from("[]")) {
                    continue;
                }
                let done = db.execute_raw(Statement::from_sql_and_values(DbBackend::Sqlite, sql, used)).await?;
                // The first statement is the update that is guarded by the revisions.
                if index == 0 && done.rows_affected() != save.updated.len() as u64 {
                    return Err(StoreError::Conflict);
                }
            }
        }
    }
    Ok(())
}
