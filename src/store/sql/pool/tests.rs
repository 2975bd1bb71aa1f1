//! The pool, on a file.

use tempfile::TempDir;

use super::*;

async fn file(folder: &TempDir, max_connections: u32) -> Pool {
    let options = PoolOptions { max_connections, acquire_timeout: Duration::from_secs(5) };
    let connect = SqliteConnectOptions::new().filename(folder.path().join("a.db")).create_if_missing(true);
    Pool::sqlite(options, connect).await.unwrap()
}

fn in_pool(pool: &Pool) -> (u32, usize) {
    match pool {
        Pool::Sqlite { pool, .. } => (pool.size(), pool.num_idle()),
        Pool::Postgres { pool, .. } => (pool.size(), pool.num_idle()),
    }
}

#[tokio::test(crate = "crate::limit")]
async fn connection_stays_out_of_the_pool_while_nobody_waits() {
    let folder = tempfile::tempdir().unwrap();
    let pool = file(&folder, 2).await;
    for _ in 0..3 {
        pool.execute_unprepared("SELECT 1").await.unwrap();
        assert_eq!(in_pool(&pool), (1, 0));
    }
    pool.give_back_all().await;
    assert_eq!(in_pool(&pool), (1, 1));
}

#[tokio::test(crate = "crate::limit")]
async fn whoever_waits_gets_the_next_connection() {
    let folder = tempfile::tempdir().unwrap();
    let pool = file(&folder, 1).await;
    for _ in 0..50 {
        let transaction = pool.begin().await.unwrap();
        let waiting: Vec<_> = (0..3)
            .map(|_| {
                let pool = pool.clone();
                tokio::spawn(async move { pool.execute_unprepared("SELECT 1").await })
            })
            .collect();
        tokio::task::yield_now().await;
        transaction.commit().await.unwrap();
        for waiting in waiting {
            waiting.await.unwrap().unwrap();
        }
    }
    pool.close().await;
}

#[tokio::test(crate = "crate::limit")]
async fn connection_goes_back_after_a_minute_and_at_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let pool = file(&folder, 2).await;
    let Pool::Sqlite { warm, .. } = &pool else { panic!("a file") };
    let (raw, taken) = pool.raw(warm).await.unwrap();
    let long_ago = taken.checked_sub(Duration::from_secs(61)).unwrap();
    let back = warm.keep(raw, long_ago);
    assert_eq!(back.len(), 1, "it is old");
    drop(back);
    let (raw, taken) = pool.raw(warm).await.unwrap();
    assert!(warm.keep(raw, taken).is_empty());
    let (raw, taken) = pool.raw(warm).await.unwrap();
    warm.close();
    assert_eq!(warm.keep(raw, taken).len(), 1, "the pool is being closed");
}

#[tokio::test(crate = "crate::limit")]
async fn sqlite_is_built_to_keep_its_plans() {
    let folder = tempfile::tempdir().unwrap();
    let pool = file(&folder, 1).await;
    let pragma = Statement::from_string(DbBackend::Sqlite, "PRAGMA compile_options");
    let built = pool.query_all_raw(pragma).await.unwrap();
    assert!(built.iter().any(|option| option.try_get_by_index::<String>(0).unwrap() == "ENABLE_QPSG"));
}
