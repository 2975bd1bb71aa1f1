//! Access to the database: pooled connections, and the only way to open a transaction.
//!
//! SeaORM's own pool is not used, because it returns every connection to the pool, also one with a statement that was
//! given up, or with a transaction that neither COMMIT nor ROLLBACK could end. Here a connection returns to the pool
//! only if its last statement was answered and no transaction is open on it; any other is discarded.

mod arguments;
mod connection;
pub(super) mod database;
pub(super) mod entity;
pub(super) mod error;
pub(super) mod migration;
mod pool;
mod read_turns;
pub(super) mod retry;
pub(super) mod row;
pub(super) mod rows_param;
mod sqlite_file;
pub(super) mod sqlite_lock;
pub(super) mod texts;
mod transaction;
pub(super) mod turns;

pub(super) use pool::health::PoolHealth;
pub(super) use pool::{Pool, PoolOptions, Session};
pub(super) use sqlite_file::SqliteFile;
pub(super) use transaction::Transaction;
