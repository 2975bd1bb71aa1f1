//! The load: one statement that brings everything a group of commands has to know, and the database's clock.

use std::collections::BTreeSet;

use sea_orm::sea_query::ColumnType::{Integer, Text, Uuid as UuidType};
use sea_orm::{ConnectionTrait, DbBackend, Statement, Value};
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::entity::{acceptance, engagement, invitation, label, recipient, request};
use super::error::StoreError;
use super::row::{InvitationRows, request_from};
use super::set::{Columns, clock, json_array, json_object};
use crate::domain::acceptance::Acceptance;
use crate::domain::command::Command;
use crate::domain::invitation::{Invitation, NEWEST_ACCEPTANCES};
use crate::domain::loaded::Loaded;
use crate::domain::time::Timestamp;

/// What one command needs, as a row.
#[derive(Serialize, PartialEq, Eq, PartialOrd, Ord)]
struct Wanted<'a> {
    account_id: &'a str,
    invitation_id: Uuid,
    subject: Option<&'a str>,
    acceptance_id: Option<Uuid>,
    connection_id: Option<Uuid>,
    newest: i32,
}

/// The request_id of one command, as a row.
#[derive(Serialize)]
struct Asked<'a> {
    account_id: &'a str,
    method: &'a str,
    request_id: &'a str,
}

/// The text of the load for one database. Parameters: what is wanted, which requests are asked for, the clock.
pub(super) fn load_sql(backend: DbBackend) -> String {
    let wanted = Columns::list([
        ("account_id", Text),
        ("invitation_id", UuidType),
        ("subject", Text),
        ("acceptance_id", UuidType),
        ("connection_id", UuidType),
        ("newest", Integer),
    ]);
    let asked = Columns::list([("account_id", Text), ("method", Text), ("request_id", Text)]);
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
            ON a.account_id = wanted.account_id AND a.invitation_id = wanted.invitation_id AND a.subject = wanted.subject
        UNION ALL SELECT 0, 'acceptance', {acceptance} FROM wanted JOIN acceptance a
            ON a.account_id = wanted.account_id AND a.invitation_id = wanted.invitation_id AND a.id = wanted.acceptance_id
        UNION ALL SELECT 0, 'acceptance', {acceptance} FROM wanted JOIN acceptance a
            ON a.account_id = wanted.account_id AND a.invitation_id = wanted.invitation_id
            AND a.created_connection_id = wanted.connection_id
        UNION ALL SELECT 0, 'acceptance', {acceptance} FROM remembered q JOIN acceptance a
            ON a.account_id = q.account_id AND a.invitation_id = q.invitation_id AND a.id = q.acceptance_id
        UNION ALL SELECT 0, 'request', {request} FROM remembered q",
        wanted = wanted.keys_of(backend, 1, "w"),
        asked = asked.keys_of(backend, 2, "k"),
        request_columns = Columns::of::<request::Entity>().names_of("q"),
        clock = clock(backend, 3),
        body = invitation_body(backend, &newest),
    )
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
        ORDER BY n.accepted_at DESC, n.id DESC LIMIT {NEWEST_ACCEPTANCES}) t"
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
        keys.iter().map(|key| Asked { account_id: key.account.as_str(), method: &key.method, request_id: &key.id });
    let asked: Vec<_> = asked.collect();
    let values = [json_param(&wanted)?, json_param(&asked)?, clock.map(Timestamp::micros).into()];
    let rows = db.query_all_raw(Statement::from_sql_and_values(db.get_database_backend(), sql, values)).await?;

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

/// Returns rows as a JSON parameter.
pub(super) fn json_param<T: Serialize>(rows: &T) -> Result<Value, StoreError> {
    let json = serde_json::to_string(rows).map_err(|error| StoreError::Refused(error.to_string()))?;
    Ok(Value::from(json))
}
