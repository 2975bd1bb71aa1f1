//! The facts about a database that an operator asks for when something is wrong. Nothing is changed.

use sea_orm::{ConnectionTrait, DbBackend, QueryResult, Statement};

use super::Maintenance;
use crate::domain::value::time::Timestamp;
use crate::store::sql::error::StoreError;
use crate::store::sql::migration;

/// The facts about a server of PostgreSQL, and about the connection that asks.
#[derive(Clone, Debug)]
pub struct ServerFacts {
    /// The version of the server.
    pub version: String,
    /// The protocol and the cipher of the connection; `None` if it is not encrypted.
    pub encryption: Option<String>,
    /// The encoding of the database.
    pub encoding: String,
    /// Whether it takes no writes.
    pub is_read_only: bool,
    /// Whether the role may do everything.
    pub is_superuser: bool,
    /// The connections that the server has for clients that are no superusers.
    pub places: i32,
    /// The connections that are open.
    pub used: i32,
    /// The connections that the role, and the database, may have; `None` for no limit of their own.
    pub limit: Option<i32>,
    /// The moment of the server.
    pub now: Timestamp,
}

const SERVER: &str =
    "SELECT current_setting('server_version') AS version, current_setting('server_encoding') AS encoding,
    (SELECT version || ' ' || cipher FROM pg_stat_ssl WHERE pid = pg_backend_pid() AND ssl) AS encryption,
    pg_is_in_recovery() OR current_setting('transaction_read_only') = 'on' AS is_read_only,
    (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) AS is_superuser,
    current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int AS places,
    (SELECT count(*)::int FROM pg_stat_activity WHERE backend_type = 'client backend') AS used,
    nullif(least(
        (SELECT nullif(rolconnlimit, -1) FROM pg_roles WHERE rolname = session_user),
        (SELECT nullif(datconnlimit, -1) FROM pg_database WHERE datname = current_database())
    ), -1) AS connection_limit,
    (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS now";

impl Maintenance {
    /// Returns the facts about the server; `None` on SQLite.
    pub async fn server_facts(&self) -> Result<Option<ServerFacts>, StoreError> {
        if self.0.backend() != DbBackend::Postgres {
            return Ok(None);
        }
        let row = self.0.upkeep.query_one_raw(Statement::from_string(DbBackend::Postgres, SERVER)).await?;
        let row = row.ok_or_else(|| StoreError::Refused("the query for the server returned no row".to_owned()))?;
        Ok(Some(server_from(&row)?))
    }

    /// Looks for damage in a SQLite file. Returns the first lines about it; none if there is none.
    pub async fn damage(&self) -> Result<Vec<String>, StoreError> {
        let sql = "PRAGMA quick_check(5)";
        let rows = self.0.upkeep.query_all_raw(Statement::from_string(DbBackend::Sqlite, sql)).await?;
        let lines = rows.iter().map(|row| row.try_get_by_index::<String>(0)).collect::<Result<Vec<_>, _>>()?;
        Ok(lines.into_iter().filter(|line| line != "ok").collect())
    }

    /// Returns the migrations that a newer release has applied.
    pub async fn newer(&self) -> Result<Vec<String>, StoreError> {
        Ok(migration::newer(&self.0.upkeep).await?)
    }
}

fn server_from(row: &QueryResult) -> Result<ServerFacts, StoreError> {
    Ok(ServerFacts {
        version: row.try_get("", "version")?,
        encryption: row.try_get("", "encryption")?,
        encoding: row.try_get("", "encoding")?,
        is_read_only: row.try_get("", "is_read_only")?,
        is_superuser: row.try_get("", "is_superuser")?,
        places: row.try_get("", "places")?,
        used: row.try_get("", "used")?,
        limit: row.try_get("", "connection_limit")?,
        now: Timestamp::from_micros(row.try_get("", "now")?),
    })
}
