//! The plans of statements, as `auto_explain` writes it into the server's log.

use std::fs::File;
use std::io::{BufRead, BufReader, Seek, SeekFrom};
use std::path::PathBuf;

use serde_json::Value;

use super::database::TestDatabase;
use super::postgres;

/// One execution of a statement.
#[derive(Clone, Debug)]
pub(crate) struct Execution {
    /// The statement.
    pub(crate) sql: String,
    /// The number of pages of tables and indexes it looked at.
    pub(crate) pages: u64,
    /// The number of rows that came out of, or were dropped in, the busiest node of its plan.
    pub(crate) rows: u64,
    /// The plan.
    pub(crate) plan: String,
}

/// Reads the log from one look to the next.
pub(crate) struct Executions {
    database: String,
    log: PathBuf,
    read: u64,
}

impl Executions {
    /// Begins behind what has been logged by now.
    pub(crate) fn of(database: &TestDatabase) -> Self {
        let log = postgres::cluster().unwrap().log();
        let read = log.metadata().unwrap().len();
        Self { database: database.url().rsplit('/').next().unwrap().to_owned(), log, read }
    }

    /// Returns what was carried out since the last look.
    pub(crate) fn take(&mut self) -> Vec<Execution> {
        let mut file = File::open(&self.log).unwrap();
        file.seek(SeekFrom::Start(self.read)).unwrap();
        let (mut file, mut found, mut open) = (BufReader::new(file), Vec::new(), None::<String>);
        let (mut line, begins) = (Vec::new(), format!("{} LOG:  duration:", self.database));
        loop {
            line.clear();
            let length = file.read_until(b'\n', &mut line).unwrap();
            let text = String::from_utf8_lossy(&line);
            if let (Some(json), true) = (&mut open, text.starts_with('\t')) {
                json.push_str(&text);
            } else {
                found.extend(open.take().map(|json| execution(&json)));
                open = text.starts_with(&begins).then(String::new);
            }
            if length == 0 {
                return found;
            }
            self.read += length as u64;
        }
    }
}

fn execution(json: &str) -> Execution {
    let logged: Value = serde_json::from_str(json).unwrap();
    let plan = &logged["Plan"];
    let number = |name: &str| plan[name].as_u64().unwrap_or_default();
    Execution {
        sql: logged["Query Text"].as_str().unwrap_or_default().to_owned(),
        pages: number("Shared Hit Blocks") + number("Shared Read Blocks"),
        rows: busiest(plan),
        plan: outline(plan, 0),
    }
}

fn rows(node: &Value) -> u64 {
    let number = |name: &str| node[name].as_u64().unwrap_or_default();
    let removed = ["Rows Removed by Filter", "Rows Removed by Join Filter", "Rows Removed by Index Recheck"];
    number("Actual Loops") * (number("Actual Rows") + removed.map(number).iter().sum::<u64>())
}

fn children(node: &Value) -> impl Iterator<Item = &Value> {
    node["Plans"].as_array().into_iter().flatten()
}

fn busiest(node: &Value) -> u64 {
    children(node).map(busiest).chain([rows(node)]).max().unwrap_or_default()
}

fn outline(node: &Value, depth: usize) -> String {
    let text = |name: &str| node[name].as_str().map(|text| format!(" {text}")).unwrap_or_default();
    let pages = |node: &Value| node["Shared Hit Blocks"].as_u64().unwrap_or_default();
    let pages = pages(node).saturating_sub(children(node).map(pages).sum());
    let here = format!(
        "{:depth$}{}{}{}{} rows {} pages {pages}\n",
        "",
        text("Node Type"),
        text("Index Name"),
        text("Relation Name"),
        text("CTE Name"),
        rows(node),
    );
    children(node).fold(here, |text, child| text + &outline(child, depth + 1))
}
