//! The load: one statement that brings everything a group of commands has to know, and the database's clock.

use std::collections::BTreeSet;

use sea_orm::sea_query::ColumnType::{Integer, Text, Uuid as UuidType};
use sea_orm::{ConnectionTrait, DbBackend, Statement, Value};
use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::entity::{acceptance, engagement, invitation, label, recipient, request};
use super::error::StoreError;
use super::row::{InvitationRows, request_from};
use super::set::{Columns, Set, clock, json_array, json_object, uuid_text};
use crate::domain::acceptance::Acceptance;
use crate::domain::command::Command;
use crate::domain::invitation::{Invitation, NEWEST_ACCEPTANCES};
use crate::domain::loaded::Loaded;
use crate::domain::time::Timestamp;

/// What one command needs, as a row.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Wanted<'a> {
    account_id: &'a str,
    invitation_id: Uuid,
    subject: Option<&'a str>,
    acceptance_id: Option<Uuid>,
    connection_id: Option<Uuid>,
    newest: i32,
}

fn wanted_columns() -> Columns {
    let columns = Columns::list([("account_id", Text), ("invitation_id", UuidType), ("newest", Integer)]);
    columns.and_nullable([("subject", Text), ("acceptance_id", UuidType), ("connection_id", UuidType)])
}

fn asked_columns() -> Columns {
    Columns::list([("account_id", Text), ("method", Text), ("request_id", Text)])
}

/// The text of the load for one database. Parameters: what is wanted, which requests are asked for, the clock.
pub(super) fn load_sql(backend: DbBackend) -> String {
    let (wanted, asked) = (wanted_columns(), asked_columns());
    let (asked_at, clock_at) = (1 + wanted.width(backend), 1 + wanted.width(backend) + asked.width(backend));
    let subject_key = [key(backend, "a", "a.subject"), key(backend, "wanted", "wanted.subject")].join(" = ");
    let connections = [("a", "a.created_connection_id"), ("wanted", "wanted.connection_id")];
    let connection_key = connections.map(|(table, id)| key(backend, table, &uuid_text(backend, id))).join(" = ");
    let acceptance = text(backend, &Columns::of::<acceptance::Entity>().json_of(backend, "a"));
    let request = text(backend, &Columns::of::<request::Entity>().json_of(backend, "q"));
    let newest = format!("CASE WHEN ids.newest = 1 THEN {} END", newest_acceptances(backend));
    format!(
        "WITH wanted AS MATERIALIZED (SELECT * FROM {wanted}), asked AS (SELECT * FROM {asked}),
        remembered AS MATERIALIZED (
            SELECT {request_columns} FROM asked JOIN request q ON q.account_id = asked.account_id
                AND q.method = asked.method AND q.request_id = asked.request_id),
        ids AS (
            SELECT account_id, invitation_id, max(newest) AS newest FROM (
                SELECT account_id, invitation_id, newest FROM wanted
                UNION ALL SELECT account_id, invitation_id, 1 FROM remembered) needed
            GROUP BY account_id, invitation_id)
        SELECT {clock} AS now, 'now' AS tag, NULL AS body
        UNION ALL SELECT 0, 'invitation', {body} FROM ids
            JOIN invitation i ON i.account_id = ids.account_id AND i.id = ids.invitation_id
        UNION ALL SELECT 0, 'acceptance', {acceptance} FROM wanted JOIN acceptance a
            ON a.account_id = wanted.account_id AND {subject_key}
        UNION ALL SELECT 0, 'acceptance', {acceptance} FROM wanted JOIN acceptance a
            ON a.account_id = wanted.account_id AND a.invitation_id = wanted.invitation_id AND a.id = wanted.acceptance_id
        UNION ALL SELECT 0, 'acceptance', {acceptance} FROM wanted JOIN acceptance a
            ON a.account_id = wanted.account_id AND a.created_connection_id IS NOT NULL AND {connection_key}
        UNION ALL SELECT 0, 'acceptance', {acceptance} FROM remembered q JOIN acceptance a
            ON a.account_id = q.account_id AND a.invitation_id = q.invitation_id AND a.id = q.acceptance_id
        UNION ALL SELECT 0, 'request', {request} FROM remembered q",
        wanted = wanted.keys_of(backend, 1, "w"),
        asked = asked.keys_of(backend, asked_at, "k"),
        request_columns = Columns::of::<request::Entity>().names_of("q"),
        clock = clock(backend, clock_at),
        body = invitation_body(backend, &newest),
    )
}

/// Returns the expression that an index of acceptances is over, which ends with `last`.
fn key(backend: DbBackend, table: &str, last: &str) -> String {
    let invitation = uuid_text(backend, &format!("{table}.invitation_id"));
    format!("({invitation} || ' ' || {last})")
}

/// Returns an expression for invitation `i` with everything that is read with it, as JSON text.
pub(super) fn invitation_body(backend: DbBackend, acceptances: &str) -> String {
    let of = |table: &str, alias: &str| {
        format!("{table} {alias} WHERE {alias}.account_id = i.account_id AND {alias}.invitation_id = i.id")
    };
    let rows = |columns: Columns, table: &str| json_array(backend, &columns.json_of(backend, "t"), &of(table, "t"));
    let engagement = Columns::of::<engagement::Entity>().json_of(backend, "e");
    let body = json_object(
        backend,
        &[
            ("invitation", Columns::of::<invitation::Entity>().json_of(backend, "i")),
            ("recipients", rows(Columns::of::<recipient::Entity>(), "recipient")),
            ("labels", rows(Columns::of::<label::Entity>(), "label")),
            ("engagement", format!("(SELECT {engagement} FROM {})", of("engagement", "e"))),
            ("deliveries", format!("(SELECT count(*) FROM {})", of("outbox", "o"))),
            ("acceptances", acceptances.to_owned()),
        ],
    );
    text(backend, &body)
}

/// Returns an expression for the newest acceptances of invitation `i`, as a JSON array.
pub(super) fn newest_acceptances(backend: DbBackend) -> String {
    let newest = format!(
        "(SELECT * FROM acceptance n WHERE n.account_id = i.account_id AND n.invitation_id = i.id
        ORDER BY n.id DESC LIMIT {NEWEST_ACCEPTANCES}) t"
    );
    json_array(backend, &Columns::of::<acceptance::Entity>().json_of(backend, "t"), &newest)
}

fn text(backend: DbBackend, json: &str) -> String {
    if backend == DbBackend::Postgres { format!("({json})::text") } else { json.to_owned() }
}

/// Loads what a group of commands needs.
pub(super) async fn load<'a, C: ConnectionTrait>(
    db: &C,
    sql: &str,
    commands: impl Iterator<Item = &'a Command> + Clone,
    clock: Option<Timestamp>,
) -> Result<Loaded, StoreError> {
    let needs: Vec<_> = commands.clone().map(|command| (command, command.needs())).collect();
    let wanted: BTreeSet<Wanted<'_>> = needs
        .iter()
        .filter_map(|(command, needs)| {
            Some(Wanted {
                account_id: command.account.as_str(),
                invitation_id: needs.invitation?.0,
                subject: needs.subject.as_ref().map(|subject| subject.0.as_str()),
                acceptance_id: needs.acceptance.map(|id| id.0),
                connection_id: needs.created_connection,
                newest: i32::from(needs.newest_acceptances),
            })
        })
        .collect();
    let keys: BTreeSet<_> = commands.filter_map(Command::request_key).collect();
    let asked =
        keys.iter().map(|key| [key.account.as_str().into(), key.method.as_str().into(), key.id.as_str().into()]);
    let backend = db.get_database_backend();
    let mut values = Set::new(wanted_columns(), wanted.into_iter().map(wanted_row)).params(backend);
    values.extend(Set::new(asked_columns(), asked).params(backend));
    values.push(clock.map(Timestamp::micros).into());
    let rows = db.query_all_raw(Statement::from_sql_and_values(backend, sql, values)).await?;

    let mut loaded = Loaded::empty(Timestamp::from_micros(0));
    for row in rows {
        let body = row.try_get::<Option<String>>("", "body")?.unwrap_or_default();
        match row.try_get::<String>("", "tag")?.as_str() {
            "now" => loaded.now = Timestamp::from_micros(row.try_get("", "now")?),
            "invitation" => {
                let rows: InvitationRows = parse_json(&body, "invitation")?;
                loaded.put_invitation(Invitation::try_from(rows)?);
            }
            "acceptance" => {
                let row: acceptance::Model = parse_json(&body, "acceptance")?;
                loaded.put_acceptance(Acceptance::try_from(row)?);
            }
            "request" => {
                let (key, remembered) = request_from(parse_json(&body, "request")?)?;
                loaded.put_request(key, remembered);
            }
            _ => return Err(StoreError::Refused("the load answered with an unknown tag".to_owned())),
        }
    }
    Ok(loaded)
}

fn wanted_row(wanted: Wanted<'_>) -> [Value; 6] {
    let Wanted { account_id, invitation_id, subject, acceptance_id, connection_id, newest } = wanted;
    [account_id.into(), invitation_id.into(), newest.into(), subject.into(), acceptance_id.into(), connection_id.into()]
}

/// Reads a row that came as JSON text.
pub(super) fn parse_json<T: DeserializeOwned>(json: &str, table: &'static str) -> Result<T, StoreError> {
    // The parser's words may quote the row, so they stay here.
    serde_json::from_str(json).map_err(|_| StoreError::Corrupt {
        table,
        column: "*",
        row: "?".to_owned(),
        problem: "is not a row of this table",
    })
}
