//! Snapshots of the statements that are composed of parts: the load, the save, the claims, the numbering of events and the
//! deletion of old rows, for each database. `INSTA_UPDATE=always cargo test --lib store::statements` updates them.

use sea_orm::DbBackend;

use super::events::sequencer::{number_sql, unnumbered_sql};
use super::executor::load::{LoadPart, load_sql};
use super::executor::save_sql::{Part, SaveSql, create_sql, save_sql};
use super::maintenance::prune_sqls;
use super::queue::{OUTBOX, WEBHOOK_MESSAGES};
use super::read::points::PointSql;
use super::sql::entity::{outbox, webhook_message};
use super::verifications::tries::{postgres_sql, sqlite_sqls};

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
        let PointSql { one: [plain, newest], several } = PointSql::new(backend);
        [("one", plain), ("one with its newest acceptances", newest), ("several", several)]
            .map(|(title, sql)| (title.to_owned(), sql))
            .into()
    });
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
