//! The sizes of tables that SQLite assumes when it plans a statement.
//!
//! SQLite knows sizes only from `ANALYZE`, and those of a small file would be wrong for a large one. Without statistics SQLite assumes that
//! an account has ten rows, and may walk all of its messages instead of looking in the index for those of one invitation. So the table that
//! `ANALYZE` fills (<https://sqlite.org/fileformat2.html#the_sqlite_stat1_table>) is filled for accounts as large as they can become.

use std::collections::BTreeMap;

use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, DbErr, QueryResult, Statement, TransactionTrait};

/// The rows of a table, of one account, and of one value of any other column. A table has more rows than SQLite assumes of a subquery
/// (a million): otherwise it might walk the table and look into the subquery.
const TABLE_ROWS: u64 = 1_000_000_000;
const ACCOUNT_ROWS: u64 = 1_000_000;
const VALUE_ROWS: u64 = 10;

/// The rows of a table for each one that an index with a condition has.
const ROWS_FOR_PARTIAL: u64 = 1_000;

/// The columns with few values, which narrow an account's rows down as little as the account itself.
const COARSE_COLUMNS: [&str; 6] = ["account_id", "method", "key", "endpoint_id", "scope_type", "recipient_type"];

/// Lists the columns of every index in their order. The primary key has the name of its table, as in SQLite's own statistics.
const SELECT_COLUMNS: &str =
    "SELECT m.name AS \"table\", iif(l.origin = 'pk', m.name, l.name) AS \"index\", l.\"unique\" AS is_unique, l.partial AS is_partial,
        c.name AS \"column\"
    FROM sqlite_master m JOIN pragma_index_list(m.name) l JOIN pragma_index_info(l.name) c
    WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%' AND m.name <> 'seaql_migrations'
    ORDER BY 1, 2, c.seqno";

/// An index: its table and its name.
type IndexName = (String, String);

/// Makes SQLite assume that every table is large; does nothing if it does already.
pub(super) async fn assume_large_tables(db: &DatabaseConnection) -> Result<(), DbErr> {
    let wanted = wanted(db).await?;
    if known(db).await?.is_some_and(|known| known == wanted) {
        return Ok(());
    }
    let transaction = db.begin().await?;
    // Creating the table again makes every connection read the schema again.
    transaction
        .execute_unprepared("DROP TABLE IF EXISTS sqlite_stat1; ANALYZE seaql_migrations; DELETE FROM sqlite_stat1")
        .await?;
    for ((table, index), rows) in wanted {
        let sql = "INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES ($1, $2, $3)";
        let values = [table.into(), index.into(), rows.into()];
        transaction.execute_raw(Statement::from_sql_and_values(DbBackend::Sqlite, sql, values)).await?;
    }
    // Samples of rows would count for more than the sizes, and a usual sqlite3 cannot restore a dump that has any.
    transaction.execute_unprepared("DROP TABLE IF EXISTS sqlite_stat4").await?;
    transaction.commit().await?;
    db.execute_unprepared("ANALYZE sqlite_schema").await?;
    Ok(())
}

/// Returns the statistics that each index is to have.
async fn wanted(db: &DatabaseConnection) -> Result<BTreeMap<IndexName, String>, DbErr> {
    let mut indexes: BTreeMap<IndexName, Index> = BTreeMap::new();
    for row in db.query_all_raw(Statement::from_string(DbBackend::Sqlite, SELECT_COLUMNS)).await? {
        let name = (row.try_get("", "table")?, row.try_get("", "index")?);
        let index = indexes.entry(name).or_default();
        (index.is_unique, index.is_partial) = (row.try_get("", "is_unique")?, row.try_get("", "is_partial")?);
        index.columns.push(row.try_get::<Option<String>>("", "column")?.unwrap_or_default());
    }
    Ok(indexes.into_iter().map(|(name, index)| (name, index.statistics())).collect())
}

/// Returns the statistics that each index has; `None` if they have samples too, or are no texts: others may write to the tables.
async fn known(db: &DatabaseConnection) -> Result<Option<BTreeMap<IndexName, String>>, DbErr> {
    if !super::has_table(db, "sqlite_stat1").await? || has_samples(db).await? {
        return Ok(None);
    }
    let rows =
        db.query_all_raw(Statement::from_string(DbBackend::Sqlite, "SELECT tbl, idx, stat FROM sqlite_stat1")).await?;
    let text = |row: &QueryResult, column| row.try_get::<String>("", column).ok();
    let statistics = |row| Some(((text(row, "tbl")?, text(row, "idx")?), text(row, "stat")?));
    Ok(rows.iter().map(statistics).collect())
}

async fn has_samples(db: &DatabaseConnection) -> Result<bool, DbErr> {
    if !super::has_table(db, "sqlite_stat4").await? {
        return Ok(false);
    }
    let sql = "SELECT count(*) > 0 FROM (SELECT 1 FROM sqlite_stat4 LIMIT 1)";
    let row = db.query_one_raw(Statement::from_string(DbBackend::Sqlite, sql)).await?;
    row.map_or(Ok(false), |row| row.try_get_by_index(0))
}

#[derive(Default)]
struct Index {
    is_unique: bool,
    /// Whether it has the rows alone that meet a condition.
    is_partial: bool,
    columns: Vec<String>,
}

impl Index {
    /// Returns the rows of the index, and of each combination of its first one, two, three columns and so on.
    fn statistics(&self) -> String {
        let share = if self.is_partial { ROWS_FOR_PARTIAL } else { 1 };
        let mut rows = vec![TABLE_ROWS / share];
        for column in &self.columns {
            let before = rows.last().copied().unwrap_or(TABLE_ROWS);
            rows.push(before.min(if COARSE_COLUMNS.contains(&column.as_str()) {
                ACCOUNT_ROWS / share
            } else {
                VALUE_ROWS
            }));
        }
        if let Some(last) = rows.last_mut().filter(|_| self.is_unique) {
            *last = 1;
        }
        rows.iter().map(u64::to_string).collect::<Vec<_>>().join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_fall_with_each_column_to_one_of_a_unique_index() {
        for (is_unique, is_partial, columns, rows) in [
            (true, false, &["account_id", "id"][..], "1000000000 1000000 1"),
            (false, false, &["account_id", "invitation_id", "created_at"], "1000000000 1000000 10 10"),
            (false, false, &["due_at", "account_id"], "1000000000 10 10"),
            (true, false, &["position"], "1000000000 1"),
            (true, false, &["account_id", "method", "request_id"], "1000000000 1000000 1000000 1"),
            (false, true, &["account_id", "due_at"], "1000000 1000 10"),
        ] {
            let columns = columns.iter().map(ToString::to_string).collect();
            assert_eq!(Index { is_unique, is_partial, columns }.statistics(), rows);
        }
    }
}
