//! Snapshots of the statements that are composed of parts, for each database: the load, reads by keys, the save, the claims, tries of
//! codes, the numbering of events and the deletion of old rows. `INSTA_UPDATE=always cargo test --lib store::statements` updates them.

use std::collections::HashMap;
use std::time::Duration;

use sea_orm::{ConnectionTrait as _, DbBackend, Statement};

use super::Database;
use super::events::sequencer::{number_sql, unnumbered_sql};
use super::executor::load::{LoadPart, load_sql};
use super::executor::save_sql::{Part, SaveSql, create_sql, save_sql};
use super::maintenance::prune_sqls;
use super::organization_grants;
use super::queue::backlog::{backlog_sql, follower_lags_sql};
use super::queue::{OUTBOX, WEBHOOK_MESSAGES};
use super::read::acceptances::HostedAcceptance;
use super::read::account;
use super::read::points::PointSql;
use super::read::rows::Lookup;
use super::sql::entity::{outbox, webhook_message};
use super::suppressions;
use super::verifications::tries::{postgres_sql, sqlite_sqls};
use super::webhooks;
use crate::clock::Clock;

/// The keywords that begin a line.
const BEGIN: [&str; 16] = [
    "SELECT",
    "FROM",
    "WHERE",
    "JOIN",
    "LEFT",
    "CROSS",
    "UNION",
    "INSERT",
    "DELETE",
    "SET",
    "ORDER",
    "GROUP",
    "RETURNING",
    "ON",
    "WITH",
    "VALUES",
];
const LONGEST_LINE: usize = 140;

/// Statements with their titles.
type Texts = Vec<(String, String)>;

/// Lays a statement out in lines, indented by the parentheses that are open.
fn lay_out(sql: &str) -> String {
    let (mut text, mut line, mut depth) = (String::new(), String::new(), 0_usize);
    let mut end = |line: &mut String, depth: usize| {
        if !line.is_empty() {
            text += &format!("{:1$}{2}\n", "", 2 * depth, std::mem::take(line));
        }
    };
    let (mut indent, mut last) = (0, "");
    for word in sql.replace("(SELECT", "( SELECT").split_whitespace() {
        let goes_on = ["LEFT", "CROSS", "DISTINCT"].contains(&last) || last.ends_with("(epoch");
        let begins = BEGIN.contains(&word) && !goes_on;
        if begins || depth == 0 && last.ends_with("),") || 2 * indent + line.len() + word.len() > LONGEST_LINE {
            end(&mut line, indent);
            indent = depth;
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line += word;
        depth = depth.saturating_add(word.matches('(').count()).saturating_sub(word.matches(')').count());
        last = word;
    }
    end(&mut line, indent);
    text
}

/// Compares some named statements with the snapshots of a database.
fn check(subject: &str, statements: impl Fn(DbBackend) -> Texts) {
    for (backend, name) in [(DbBackend::Postgres, "postgres"), (DbBackend::Sqlite, "sqlite")] {
        let texts = statements(backend).into_iter().map(|(title, sql)| format!("-- {title}\n{}", lay_out(&sql)));
        let texts = texts.collect::<Vec<_>>().join("\n");
        insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true }, {
            insta::assert_snapshot!(format!("{subject}_{name}"), texts);
        });
    }
}

fn load_texts(backend: DbBackend) -> Texts {
    let accept = [LoadPart::Invitations, LoadPart::BySubject];
    vec![
        ("load for nothing but the clock".to_owned(), load_sql(backend, &[])),
        ("load for an acceptance".to_owned(), load_sql(backend, &accept)),
        ("load".to_owned(), load_sql(backend, LoadPart::ALL)),
    ]
}

fn point_texts(backend: DbBackend) -> Texts {
    let PointSql { one: [plain, newest], seats, autojoin, connection, ids, any } = PointSql::new(backend);
    let texts = [
        ("one", plain),
        ("one with its newest acceptances", newest),
        ("one with the settings of its scope", seats),
        ("several", ids),
        ("one auto-join", autojoin),
        ("one by a connection", connection),
        ("several by keys of any type", any),
    ];
    texts.map(|(title, sql)| (title.to_owned(), sql)).into()
}

fn row_texts(backend: DbBackend) -> Texts {
    fn texts<const N: usize>(backend: DbBackend, title: &str, lookup: &Lookup<N>) -> [(String, String); 2] {
        [(format!("one {title}"), lookup.one_sql(backend)), (format!("several: {title}"), lookup.several_sql(backend))]
    }
    let all = [
        texts(backend, "acceptance", &HostedAcceptance::lookup(backend)),
        texts(backend, "grant", &organization_grants::by_id(backend)),
        texts(backend, "grant by its ends", &organization_grants::by_ends(backend)),
        texts(backend, "endpoint", &webhooks::by_id(backend)),
        texts(backend, "suppression", &suppressions::by_id(backend)),
    ];
    all.into_iter().flatten().collect()
}

fn save_texts(backend: DbBackend) -> Texts {
    let plain_create = [Part::Invitations, Part::FirstEvents];
    let accept = [Part::Updates, Part::Answers, Part::Acceptances, Part::Counts, Part::Events];
    match SaveSql::new(backend) {
        SaveSql::Postgres { .. } => vec![
            ("create of a bare invitation".to_owned(), create_sql(&plain_create)),
            ("create".to_owned(), create_sql(Part::OF_CREATES)),
            ("save of views".to_owned(), save_sql(&[Part::Counts, Part::Events, Part::Unchanged])),
            ("save of an acceptance".to_owned(), save_sql(&accept)),
            ("save".to_owned(), save_sql(Part::ALL)),
        ],
        SaveSql::Sqlite(parts) => {
            let texts = |(part, sqls): (Part, Vec<String>)| sqls.into_iter().map(move |sql| (format!("{part:?}"), sql));
            parts.into_iter().flat_map(texts).collect()
        }
    }
}

fn claim_texts(backend: DbBackend) -> Texts {
    let claims = [
        (COUNT, backlog_sql(backend)),
        ("lag of the followers of events", follower_lags_sql(backend)),
        ("claim messages to people", OUTBOX.claim_sql::<outbox::Entity>(backend)),
        ("where a claim of messages to people stopped", OUTBOX.stop_sql(backend)),
        ("claim messages to endpoints", WEBHOOK_MESSAGES.claim_sql::<webhook_message::Entity>(backend)),
        ("where a claim of messages to endpoints stopped", WEBHOOK_MESSAGES.stop_sql(backend)),
    ];
    claims.map(|(title, sql)| (title.to_owned(), sql)).into()
}

fn try_texts(backend: DbBackend) -> Texts {
    match backend {
        DbBackend::Postgres => vec![("try".to_owned(), postgres_sql())],
        _ => {
            let titles = ["client", "all calls", "code"].map(str::to_owned);
            titles.into_iter().zip(sqlite_sqls()).collect()
        }
    }
}

fn number_texts(backend: DbBackend) -> Texts {
    vec![("look".to_owned(), unnumbered_sql(backend)), ("number".to_owned(), number_sql(backend))]
}

type Subject = (&'static str, fn(DbBackend) -> Texts);

/// The title of the statement that counts for metrics.
const COUNT: &str = "count the messages that wait";

/// The subjects of the snapshots, and the statements of each.
const SUBJECTS: [Subject; 9] = [
    ("load", load_texts),
    ("points", point_texts),
    ("rows", row_texts),
    ("account", account::texts),
    ("save", save_texts),
    ("claims", claim_texts),
    ("tries", try_texts),
    ("sequencer", number_texts),
    ("prune", prune_sqls),
];

#[test]
fn statements_are_those_of_their_snapshots() {
    for (subject, statements) in SUBJECTS {
        check(subject, statements);
    }
}

/// The tables of which an account, or the whole database, has few rows.
const SMALL: [&str; 2] = ["webhook_endpoint", "follower"];

/// The columns that narrow a search down to few rows, or to those of a time.
const FINE: [&str; 20] = [
    "id",
    "invitation_id",
    "request_id",
    "subject",
    "value",
    "domain",
    "position",
    "occurred_at",
    "created_at",
    "touched_at",
    "due_at",
    "resource_id",
    "created_connection_id",
    "requester_id",
    "address_mac",
    "ordinal",
    "sequence",
    "open_until",
    "period_start",
    "address_key",
];

/// Returns the tables of a statement's aliases. A name that is no alias of a table stands for a set of the statement's own.
fn tables_of(sql: &str, tables: &[String]) -> HashMap<String, Vec<String>> {
    let words: Vec<_> =
        sql.split(|letter: char| !letter.is_alphanumeric() && letter != '_').filter(|word| !word.is_empty()).collect();
    let mut found: HashMap<String, Vec<String>> = HashMap::new();
    for (index, word) in words.iter().enumerate().filter(|(_, word)| tables.iter().any(|table| table == *word)) {
        let after = &words[index + 1..];
        let alias = after.first().filter(|word| **word != "AS").or(after.get(1)).unwrap_or(word);
        for name in [alias, word] {
            found.entry((*name).to_owned()).or_default().push((*word).to_owned());
        }
    }
    found
}

#[tokio::test(crate = "crate::limit")]
async fn sqlite_looks_rows_up_by_more_than_their_account() {
    let folder = tempfile::tempdir().unwrap();
    let (path, timeout) = (folder.path().join("invitations.db"), Duration::from_secs(10));
    let database = Database::sqlite(&path, 2, timeout, Clock::system()).await.unwrap();
    database.maintenance().migrate().await.unwrap();
    let rows = async |sql: String, column: &str| -> Vec<String> {
        let rows = database.read.query_all_raw(Statement::from_string(DbBackend::Sqlite, sql)).await.unwrap();
        rows.iter().map(|row| row.try_get("", column).unwrap()).collect()
    };
    let tables = rows("SELECT name FROM sqlite_master WHERE type = 'table'".to_owned(), "name").await;
    let mut late = Vec::new();
    let all = SUBJECTS.iter().flat_map(|(_, statements)| statements(DbBackend::Sqlite));
    // A count walks what it counts.
    for (title, sql) in all.filter(|(title, _)| title != COUNT) {
        let aliases = tables_of(&sql, &tables);
        for step in rows(format!("EXPLAIN QUERY PLAN {sql}"), "detail").await {
            let (what, rest) = step.split_once(' ').unwrap_or_default();
            let Some(named) = aliases.get(rest.split(' ').next().unwrap_or_default()) else { continue };
            let is = |tables: &[&str]| named.iter().any(|table| tables.contains(&table.as_str()));
            let (_, by) = rest.split_once('(').unwrap_or_default();
            let mut columns = by.split(|letter: char| !letter.is_alphanumeric() && letter != '_');
            let is_fine = columns.any(|column| FINE.contains(&column))
                || is(&["slot", "quota"]) && by.contains("key=")
                || is(&["scope_settings"]) && by.contains("scope_id=");
            // Few rows are leased. A scan that uses no index may be one of a set of the statement's own, under the alias of a table.
            let walks = what == "SEARCH" && !by.contains('>') || what == "SCAN" && rest.contains(" USING ");
            if walks && !is_fine && !rest.contains("AUTOMATIC") && !rest.contains("_leased") && !is(&SMALL) {
                late.push(format!("{title}: {step}"));
            }
        }
    }
    assert!(late.is_empty(), "{}", late.join("\n"));
}
