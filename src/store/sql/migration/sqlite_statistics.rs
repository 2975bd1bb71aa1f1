//! The sizes of tables that SQLite assumes when it plans a statement.
//!
//! SQLite knows them only from `ANALYZE`, and plans of a small file would stay those of a large one. Without any it takes ten rows for
//! an account's, and may walk all of its messages instead of looking in the index for those of one invitation. So the table that
//! `ANALYZE` fills (<https://sqlite.org/fileformat2.html#the_sqlite_stat1_table>) is filled for accounts as large as they can become.

use std::collections::BTreeMap;

use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, DbErr, Statement, TransactionTrait};

/// The rows of a table, of one account, and of one value of any other column. A table has more rows than SQLite assumes of a subquery
/// (a million): otherwise it might walk the table and look into the subquery.
const TABLE_ROWS: u64 = 1_000_000_000;
const ACCOUNT_ROWS: u64 = 1_000_000;
const VALUE_ROWS: u64 = 10;

/// Lists the columns of every index in their order. The primary key is called as its table, as in SQLite's own statistics.
const SELECT_COLUMNS: &str =
    "SELECT m.name AS \"table\", iif(l.origin = 'pk', m.name, l.name) AS \"index\", l.\"unique\" AS is_unique,
        c.name AS \"column\"
    FROM sqlite_master m JOIN pragma_index_list(m.name) l JOIN pragma_index_info(l.name) c
    WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%' AND m.name <> 'seaql_migrations'
    ORDER BY 1, 2, c.seqno";

/// An index: its table and its name.
type IndexName = (String, String);

/// Makes SQLite assume that every table is large; does nothing if it does already.
pub(super) async fn assume_large_tables(db: &DatabaseConnection) -> Result<(), DbErr> {
    let wanted = wanted(db).await?;
    if known(db).await? == wanted {
        return Ok(());
    }
    let transaction = db.begin().await?;
    // The table that comes anew tells all connections that the schema has changed.
    transaction
        .execute_unprepared("DROP TABLE IF EXISTS sqlite_stat1; ANALYZE seaql_migrations; DELETE FROM sqlite_stat1")
        .await?;
    for ((table, index), rows) in wanted {
        let sql = "INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES ($1, $2, $3)";
        let values = [table.into(), index.into(), rows.into()];
        transaction.execute_raw(Statement::from_sql_and_values(DbBackend::Sqlite, sql, values)).await?;
    }
    transaction.commit().await?;
    db.execute_unprepared("ANALYZE sqlite_schema").await?;
    Ok(())
}

/// Returns the statistics that each index is to have.
async fn wanted(db: &DatabaseConnection) -> Result<BTreeMap<IndexName, String>, DbErr> {
    let mut indexes: BTreeMap<IndexName, (bool, Vec<String>)> = BTreeMap::new();
    for row in db.query_all_raw(Statement::from_string(DbBackend::Sqlite, SELECT_COLUMNS)).await? {
        let name = (row.try_get("", "table")?, row.try_get("", "index")?);
        let (is_unique, columns) = indexes.entry(name).or_default();
        *is_unique = row.try_get("", "is_unique")?;
        columns.push(row.try_get::<Option<String>>("", "column")?.unwrap_or_default());
    }
    Ok(indexes.into_iter().map(|(name, (is_unique, columns))| (name, statistics(is_unique, &columns))).collect())
}

/// Returns the statistics that each index has.
async fn known(db: &DatabaseConnection) -> Result<BTreeMap<IndexName, String>, DbErr> {
    if !super::has_table(db, "sqlite_stat1").await? {
        return Ok(BTreeMap::new());
    }
    let sql = "SELECT tbl, coalesce(idx, '') AS idx, stat FROM sqlite_stat1";
    let rows = db.query_all_raw(Statement::from_string(DbBackend::Sqlite, sql)).await?;
    rows.iter().map(|row| Ok(((row.try_get("", "tbl")?, row.try_get("", "idx")?), row.try_get("", "stat")?))).collect()
}

/// Returns the rows of the table, and of each combination of the first one, two, three columns and so on.
fn statistics(is_unique: bool, columns: &[String]) -> String {
    let mut rows = vec![TABLE_ROWS];
    for column in columns {
        let before = rows.last().copied().unwrap_or(TABLE_ROWS);
        rows.push(before.min(if column == "account_id" { ACCOUNT_ROWS } else { VALUE_ROWS }));
    }
    if let Some(last) = rows.last_mut().filter(|_| is_unique) {
        *last = 1;
    }
    rows.iter().map(u64::to_string).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_fall_with_each_column_to_one_of_a_unique_index() {
        for (is_unique, columns, rows) in [
            (true, &["account_id", "id"][..], "1000000000 1000000 1"),
            (false, &["account_id", "invitation_id", "created_at"], "1000000000 1000000 10 10"),
            (false, &["due_at", "account_id"], "1000000000 10 10"),
            (true, &["position"], "1000000000 1"),
        ] {
            assert_eq!(statistics(is_unique, &columns.iter().map(ToString::to_string).collect::<Vec<_>>()), rows);
        }
    }
}
