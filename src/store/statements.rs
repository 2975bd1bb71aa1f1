//! Snapshots of the statements that are composed of parts: the load, the save, the claims, the numbering of events and the
//! deletion of old rows, for each database. `INSTA_UPDATE=always cargo test --lib store::statements` updates them.

use std::time::Duration;

use sea_orm::{ConnectionTrait as _, DbBackend, Statement};

use super::Database;
use super::events::sequencer::{number_sql, unnumbered_sql};
use super::executor::load::{LoadPart, load_sql};
use super::executor::save_sql::{Part, SaveSql, create_sql, save_sql};
use super::maintenance::prune_sqls;
use super::organization_grants;
use super::queue::{OUTBOX, WEBHOOK_MESSAGES};
use super::read::acceptances::HostedAcceptance;
use super::read::points::PointSql;
use super::read::rows::Lookup;
use super::sql::entity::{outbox, webhook_message};
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
fn check(subject: &str, statements: impl Fn(DbBackend) -> Vec<(String, String)>) {
    for (backend, name) in [(DbBackend::Postgres, "postgres"), (DbBackend::Sqlite, "sqlite")] {
        let texts = statements(backend).into_iter().map(|(title, sql)| format!("-- {title}\n{}", lay_out(&sql)));
        let texts = texts.collect::<Vec<_>>().join("\n");
        insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true }, {
            insta::assert_snapshot!(format!("{subject}_{name}"), texts);
        });
    }
}

#[test]
fn load_reads_what_its_snapshot_shows() {
    let accept = [LoadPart::Invitations, LoadPart::BySubject];
    check("load", |backend| {
        vec![
            ("load for nothing but the clock".to_owned(), load_sql(backend, &[])),
            ("load for an acceptance".to_owned(), load_sql(backend, &accept)),
            ("load".to_owned(), load_sql(backend, LoadPart::ALL)),
        ]
    });
}

#[test]
fn point_reads_read_what_their_snapshot_shows() {
    check("points", |backend| {
        let PointSql { one: [plain, newest], autojoin, connection, ids, any } = PointSql::new(backend);
        let texts = [
            ("one", plain),
            ("one with its newest acceptances", newest),
            ("several", ids),
            ("one auto-join", autojoin),
            ("one by a connection", connection),
            ("several by keys of any type", any),
        ];
        texts.map(|(title, sql)| (title.to_owned(), sql)).into()
    });
}

fn row_texts(backend: DbBackend) -> Vec<(String, String)> {
    fn texts<const N: usize>(backend: DbBackend, title: &str, lookup: &Lookup<N>) -> [(String, String); 2] {
        [(format!("one {title}"), lookup.one_sql(backend)), (format!("several: {title}"), lookup.several_sql(backend))]
    }
    let all = [
        texts(backend, "acceptance", &HostedAcceptance::lookup(backend)),
        texts(backend, "grant", &organization_grants::by_id(backend)),
        texts(backend, "grant by its ends", &organization_grants::by_ends(backend)),
        texts(backend, "endpoint", &webhooks::by_id(backend)),
    ];
    all.into_iter().flatten().collect()
}

#[test]
fn rows_are_looked_up_as_their_snapshot_shows() {
    check("rows", row_texts);
}

#[tokio::test(crate = "crate::limit")]
async fn sqlite_looks_rows_up_by_their_whole_keys() {
    let folder = tempfile::tempdir().unwrap();
    let (path, timeout) = (folder.path().join("invitations.db"), Duration::from_secs(10));
    let database = Database::sqlite(&path, 2, timeout, Clock::system()).await.unwrap();
    database.maintenance().migrate().await.unwrap();
    let PointSql { autojoin, connection, any, .. } = PointSql::new(DbBackend::Sqlite);
    let rows = row_texts(DbBackend::Sqlite).into_iter().map(|(_, sql)| (sql, ["t", "i"].as_slice()));
    // The other tables, such as that of messages, belong to every read of an invitation.
    let points = [autojoin, connection, any].map(|sql| (sql, ["i", "s", "r", "a"].as_slice()));
    for (sql, tables) in rows.chain(points) {
        let plan = Statement::from_string(DbBackend::Sqlite, format!("EXPLAIN QUERY PLAN {sql}"));
        for step in database.read.query_all_raw(plan).await.unwrap() {
            let step: String = step.try_get("", "detail").unwrap();
            let [what, table] = [0, 1].map(|word| step.split(' ').nth(word).unwrap_or_default());
            let reads = ["SEARCH", "SCAN"].contains(&what) && tables.contains(&table);
            assert!(!reads || step.contains("=? AND "), "{step}\n{sql}");
        }
    }
}

#[test]
fn save_writes_what_its_snapshot_shows() {
    let plain_create = [Part::Invitations, Part::FirstEvents];
    let accept = [Part::Updates, Part::Answers, Part::Acceptances, Part::Counts, Part::Events];
    check("save", |backend| match SaveSql::new(backend) {
        SaveSql::Postgres { .. } => vec![
            ("create of a bare invitation".to_owned(), create_sql(&plain_create)),
            ("create".to_owned(), create_sql(Part::OF_CREATES)),
            ("save of views".to_owned(), save_sql(&[Part::Counts, Part::Events, Part::Unchanged])),
            ("save of an acceptance".to_owned(), save_sql(&accept)),
            ("save".to_owned(), save_sql(Part::ALL)),
        ],
        SaveSql::Sqlite(parts) => parts.into_iter().map(|(part, sql)| (format!("{part:?}"), sql)).collect(),
    });
}

#[test]
fn claims_take_what_their_snapshots_show() {
    check("claims", |backend| {
        let claims = [
            ("claim messages to people", OUTBOX.claim_sql::<outbox::Entity>(backend)),
            ("where a claim of messages to people stopped", OUTBOX.stop_sql(backend)),
            ("claim messages to endpoints", WEBHOOK_MESSAGES.claim_sql::<webhook_message::Entity>(backend)),
            ("where a claim of messages to endpoints stopped", WEBHOOK_MESSAGES.stop_sql(backend)),
        ];
        claims.map(|(title, sql)| (title.to_owned(), sql)).into()
    });
}

#[test]
fn tries_of_codes_count_what_their_snapshot_shows() {
    check("tries", |backend| match backend {
        DbBackend::Postgres => vec![("try".to_owned(), postgres_sql())],
        _ => {
            let titles = ["client", "all calls", "code"].map(str::to_owned);
            titles.into_iter().zip(sqlite_sqls()).collect()
        }
    });
}

#[test]
fn sequencer_numbers_as_its_snapshot_shows() {
    check("sequencer", |backend| {
        vec![("look".to_owned(), unnumbered_sql(backend)), ("number".to_owned(), number_sql(backend))]
    });
}

#[test]
fn deletion_looks_and_deletes_as_its_snapshot_shows() {
    check("prune", prune_sqls);
}
