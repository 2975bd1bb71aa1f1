//! Readiness: whether the database takes writes, has the schema of this release, and has connections for calls.

use sea_orm::{ConnectionTrait, DbBackend, Statement};

use super::{Maintenance, READINESS_LIMIT};
use crate::store::sql::SqliteFile;
use crate::store::sql::error::StoreError;
use crate::store::sql::migration::views::RoleProblem;
use crate::store::sql::migration::{self, ENCODING, TABLES, check_encoding};
use crate::store::within;

const READ_ONLY: &str =
    "the database takes no writes: check whether it is a standby, or set to read only (SQLSTATE 25006)";

impl Maintenance {
    /// Returns whether the database takes writes and has every migration that this release knows.
    pub async fn is_ready(&self) -> Result<bool, StoreError> {
        let look = async {
            self.0.learn_time().await?;
            let is_ready = self.is_writable().await? && migration::is_at_head(&self.0.upkeep).await?;
            // The connection of this look is not one of those for calls, of which the server may have none left.
            self.0.open_for_calls().await?;
            Ok(is_ready)
        };
        within(READINESS_LIMIT, look).await
    }

    /// Connects once, so that the reason is known at once where there is no connection.
    pub async fn try_connect(&self) -> Result<(), StoreError> {
        let tried = self.0.try_connect(READINESS_LIMIT).await;
        tried.map_err(|failure| StoreError::Unavailable(failure.to_string()))
    }

    /// Returns the migrations of this release that the schema lacks.
    pub async fn pending(&self) -> Result<Vec<String>, StoreError> {
        within(READINESS_LIMIT, async { Ok(migration::pending(&self.0.upkeep).await?) }).await
    }

    /// Returns the tables of this release that are not there, whatever migrations are said to be applied.
    pub async fn missing_tables(&self) -> Result<Vec<&'static str>, StoreError> {
        let look = async {
            let mut missing = Vec::new();
            for table in TABLES {
                if !migration::has_table(&self.0.upkeep, table).await? {
                    missing.push(table);
                }
            }
            Ok(missing)
        };
        within(READINESS_LIMIT, look).await
    }

    /// Returns the reason why the schema cannot be used: permissions of the role, or migrations that are missing.
    pub async fn problem_of_schema(&self) -> Result<String, StoreError> {
        if let Some(problem) = within(READINESS_LIMIT, self.grants()).await?.and_then(|grants| grants.problem()) {
            return Ok(problem);
        }
        let pending = self.pending().await?;
        let (count, names) = (pending.len(), pending.join(", "));
        Ok(format!(
            "the schema lacks {count} of the migrations of this release ({names}): run `invitation-service migrate`"
        ))
    }

    /// Returns the reason why reads of calls cannot be made as their role, if there is one.
    pub async fn problem_of_reader_role(&self) -> Result<Option<RoleProblem>, StoreError> {
        let Some(role) = self.0.reader_role() else { return Ok(None) };
        let look = async {
            let problem = migration::views::problem(&self.0.upkeep, role).await?;
            if problem.is_none() {
                self.0.try_reader().await?;
            }
            Ok(problem)
        };
        within(READINESS_LIMIT, look).await
    }

    /// Returns whether there is a schema. Returns an error if texts cannot have every character, or if the database takes
    /// no writes; then its connections are closed, since they still take none when the database takes writes again.
    async fn is_writable(&self) -> Result<bool, StoreError> {
        let backend = self.0.backend();
        let sql = if backend == DbBackend::Postgres {
            format!(
                "SELECT to_regclass('seaql_migrations') IS NOT NULL AS has_schema,
                current_setting('transaction_read_only') = 'on' AS read_only, {ENCODING}"
            )
        } else {
            "SELECT count(*) > 0 AS has_schema, false AS read_only, 'UTF8' AS encoding
                FROM sqlite_master WHERE name = 'seaql_migrations'"
                .to_owned()
        };
        let row = self.0.upkeep.query_one_raw(Statement::from_string(backend, sql)).await?;
        let row = row.ok_or_else(|| StoreError::Refused("the query for the schema returned no row".to_owned()))?;
        check_encoding(row.try_get("", "encoding")?)?;
        if row.try_get("", "read_only")? {
            self.0.replace_connections();
            return Err(StoreError::Unavailable(READ_ONLY.to_owned()));
        }
        self.try_file().await?;
        Ok(row.try_get("", "has_schema")?)
    }

    /// Writes to a file whose latest write failed, so that readiness shows a full disk, or a lock of another program,
    /// until writes succeed again.
    async fn try_file(&self) -> Result<(), StoreError> {
        if self.0.write.file().is_some_and(SqliteFile::refuses_writes) {
            let transaction = self.0.begin_write().await?;
            let row =
                transaction.query_one_raw(Statement::from_string(DbBackend::Sqlite, "PRAGMA user_version")).await?;
            let version: i32 = row.map(|row| row.try_get_by_index(0)).transpose()?.unwrap_or_default();
            // The value of user_version has no meaning; it changes because SQLite writes nothing if nothing changes.
            transaction.execute_unprepared(&format!("PRAGMA user_version = {}", version.wrapping_add(1))).await?;
            transaction.commit().await?;
        }
        Ok(())
    }
}
