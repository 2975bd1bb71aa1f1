//! The inventory of `docs/privacy.md`: every column that holds a text has a line, and every line has a column.

use std::collections::BTreeSet;

use super::columns;
use crate::support::database::TestDatabase;
use crate::support::on_both;
use crate::support::service::Service;

on_both!(migrated: every_column_of_text_is_in_the_inventory);

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/privacy.md");

/// The columns that the table of the page names, each as `table.column`.
fn listed(page: &str) -> BTreeSet<String> {
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `"));
    let names = rows.filter_map(|row| row.split_once(" |")).flat_map(|(first, _)| first.split(", "));
    names.map(|name| name.trim_matches('`').to_owned()).filter(|name| name.contains('.')).collect()
}

async fn every_column_of_text_is_in_the_inventory(database: TestDatabase) {
    let service = Service::start(&database).await;
    let rows = service.connect().await;
    let columns = columns(&rows).await;
    assert!(columns.len() >= 20, "{columns:?}");
    let of = |(table, columns): (&String, &Vec<String>)| {
        columns.iter().map(|column| format!("{table}.{column}")).collect::<Vec<_>>()
    };
    let there: BTreeSet<String> = columns.iter().flat_map(of).collect();
    let listed = listed(&std::fs::read_to_string(PAGE).unwrap());
    let missing: Vec<_> = there.difference(&listed).collect();
    assert!(missing.is_empty(), "without a line in docs/privacy.md: {missing:?}");
    let gone: Vec<_> = listed.difference(&there).collect();
    assert!(gone.is_empty(), "in docs/privacy.md, and no column of text: {gone:?}");
    rows.close().await.unwrap();
    service.stop().await;
}

#[test]
fn rows_of_the_inventory_are_read() {
    let page = "| column | becomes |\n|---|---|\n| `a.b`, `a.c` | gone |\n| `x` | y |\ntext `d.e`\n";
    assert_eq!(listed(page), ["a.b", "a.c"].map(str::to_owned).into());
}
