//! What is done to the database beside commands and reads: migrations, readiness, and forgetting old request_ids and codes.

use std::time::Duration;

use sea_orm::{ConnectionTrait, Statement, Value};

use super::database::Database;
use super::error::StoreError;
use super::migration;
use crate::domain::verification::WINDOW;

/// How long request_ids are remembered: twice what is promised, so that clocks and restarts cannot matter.
const REMEMBERED: Duration = Duration::from_secs(48 * 3_600);
/// How many rows one statement deletes, so that none holds its locks for long.
const CHUNK: i64 = 5_000;

/// Looks after a database.
#[derive(Clone, Debug)]
pub struct Maintenance(pub(super) Database);

impl Database {
    /// Returns what looks after this database.
    pub fn maintenance(&self) -> Maintenance {
        Maintenance(self.clone())
    }
}

impl Maintenance {
    /// Brings the schema to its head; waits for another process that is doing so.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        Ok(migration::migrate(&self.0.write.unguarded()).await?)
    }

    /// Returns whether the database answers and has every migration this program knows.
    pub async fn is_ready(&self) -> Result<bool, StoreError> {
        let look = async {
            self.0.learn_time().await?;
            migration::at_head(&self.0.read.unguarded()).await
        };
        match tokio::time::timeout(Duration::from_secs(2), look).await {
            Ok(at_head) => Ok(at_head?),
            Err(_) => Err(StoreError::Unavailable("no answer in time".to_owned())),
        }
    }

    /// Forgets request_ids whose time is over, and returns how many.
    pub async fn prune_requests(&self) -> Result<u64, StoreError> {
        let sql = "DELETE FROM request WHERE (account_id, method, request_id) IN
            (SELECT account_id, method, request_id FROM request WHERE created_at < $1 ORDER BY created_at LIMIT $2)";
        self.prune(sql, self.before(REMEMBERED).await?.into()).await
    }

    /// Forgets verification codes that no limit counts any more, and returns how many.
    pub async fn prune_verifications(&self) -> Result<u64, StoreError> {
        let sql = "DELETE FROM verification WHERE (account_id, invitation_id, address_mac) IN
            (SELECT account_id, invitation_id, address_mac FROM verification WHERE created_at < $1
            ORDER BY created_at LIMIT $2)";
        self.prune(sql, self.before(WINDOW).await?.into()).await
    }

    /// Returns the moment a span ago by the database's clock, in microseconds.
    pub(super) async fn before(&self, span: Duration) -> Result<i64, StoreError> {
        self.0.learn_time().await?;
        Ok(self.0.clock.now().earlier(span).micros().max(0))
    }

    /// Deletes what is before something, of every account, chunk by chunk.
    pub(super) async fn prune(&self, sql: &str, before: Value) -> Result<u64, StoreError> {
        let mut pruned = 0;
        loop {
            let statement = Statement::from_sql_and_values(self.0.backend(), sql, [before.clone(), CHUNK.into()]);
            let done = self.0.write.execute_raw(statement).await?.rows_affected();
            pruned += done;
            if done < CHUNK.unsigned_abs() {
                return Ok(pruned);
            }
        }
    }
}
