//! Steps of a migration on a large table that others read and write meanwhile. On PostgreSQL they run outside the transaction of the
//! migration (`MigrationTrait::use_transaction` says `Some(false)`), so a migration that was interrupted runs them again.

use std::time::Instant;

use sea_orm::{ConnectionTrait, DbBackend, DbErr, Statement};
use sea_orm_migration::SchemaManager;
use tokio::time::sleep;

use super::turn::DEALLOCATE;

/// The number of pages of a table that one commit covers when values are filled in: some thousand rows.
const PAGES: i64 = 64;

/// The greatest number of walks through a table. A row that somebody changes may move to a page that the walk has left behind.
const WALKS: usize = 3;

/// Creates an index without keeping anybody from writing. `on` is what follows the name: `ON invitation (account_id, ...)`.
pub async fn create_index(manager: &SchemaManager<'_>, name: &str, on: &str) -> Result<(), DbErr> {
    let db = manager.get_connection();
    if db.get_database_backend() == DbBackend::Sqlite {
        return db.execute_unprepared(&format!("CREATE INDEX IF NOT EXISTS {name} {on}")).await.map(drop);
    }
    // A failed attempt leaves an index behind that has the name, costs every write, and serves no read.
    let invalid = "SELECT count(*) FROM pg_index WHERE indexrelid = to_regclass($1) AND NOT indisvalid";
    if number(manager, invalid, name).await? > 0 {
        db.execute_unprepared(&format!("DROP INDEX CONCURRENTLY IF EXISTS {name}")).await?;
    }
    db.execute_unprepared(&format!("CREATE INDEX CONCURRENTLY IF NOT EXISTS {name} {on}")).await.map(drop)
}

/// Runs `UPDATE table SET assignment WHERE condition`; a row no longer meets the condition afterwards. On PostgreSQL a commit covers
/// 64 pages, and a pause follows that is as long as the commit took: nobody waits long for a row, and standbys keep up. Rows that
/// others go on to write are left, so a column has its last values only when no older release runs any more.
pub async fn backfill(
    manager: &SchemaManager<'_>,
    table: &str,
    assignment: &str,
    condition: &str,
) -> Result<(), DbErr> {
    let db = manager.get_connection();
    let update = format!("UPDATE {table} SET {assignment} WHERE {condition}");
    if db.get_database_backend() == DbBackend::Sqlite {
        return db.execute_unprepared(&update).await.map(drop);
    }
    for _ in 0..WALKS {
        let (pages, mut changed) = (pages(manager, table).await?, 0);
        for first in (0..pages).step_by(usize::try_from(PAGES).unwrap_or(usize::MAX)) {
            let began = Instant::now();
            let sql = format!("{update} AND ctid >= '({first},0)' AND ctid < '({},0)'", first + PAGES);
            changed += db.execute_unprepared(&sql).await?.rows_affected();
            sleep(began.elapsed()).await;
        }
        if changed == 0 {
            break;
        }
    }
    Ok(())
}

/// Returns the size of a table on PostgreSQL, in pages.
async fn pages(manager: &SchemaManager<'_>, table: &str) -> Result<i64, DbErr> {
    let sql = "SELECT pg_relation_size(to_regclass($1)) / current_setting('block_size')::bigint";
    number(manager, sql, table).await
}

/// Returns the number that PostgreSQL answers with. The connection of a pooler may have the name of the statement already, and may not
/// keep it.
async fn number(manager: &SchemaManager<'_>, sql: &str, name: &str) -> Result<i64, DbErr> {
    let transaction = manager.begin().await?;
    let db = transaction.get_connection();
    db.execute_unprepared(DEALLOCATE).await?;
    let row = db.query_one_raw(Statement::from_sql_and_values(DbBackend::Postgres, sql, [name.into()])).await?;
    db.execute_unprepared(DEALLOCATE).await?;
    transaction.commit().await?;
    Ok(row.map(|row| row.try_get_by_index::<Option<i64>>(0)).transpose()?.flatten().unwrap_or_default())
}
