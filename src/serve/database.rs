//! The database of the configuration.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use tokio::time::{Instant, sleep};

use crate::clock::Clock;
use crate::config::{StoreConfig, StoreUrl};
use crate::store::{ConnectFailure, ConnectProblem, Database, OpenError, PostgresOptions};
use crate::telemetry::log_limiter::LogLimiter;

/// The longest that one attempt to connect takes, and the pause before the next.
const ATTEMPT_LIMIT: Duration = Duration::from_secs(5);
const ATTEMPT_PAUSE: Duration = Duration::from_secs(1);

/// Opens the configured database; PostgreSQL need not be there yet.
pub async fn open(config: &StoreConfig, clock: Clock) -> Result<Database, OpenError> {
    match &config.url {
        StoreUrl::Sqlite(path) => Database::sqlite(path, config.max_connections, config.timeout, clock).await,
        StoreUrl::Postgres(url) => Database::postgres(&postgres_options(config, url), clock),
    }
}

/// Waits until the database can be connected to, for a time. A refusal that no waiting changes ends the wait.
///
/// # Errors
/// The reason why there is no connection.
pub async fn wait_for(database: &Database, limit: Duration) -> Result<(), ConnectFailure> {
    let until = Instant::now() + limit;
    let mut log_limiter = LogLimiter::default();
    loop {
        let Err(failure) = database.try_connect(ATTEMPT_LIMIT).await else { return Ok(()) };
        let left = until.saturating_duration_since(Instant::now());
        if failure.problem == ConnectProblem::Refused || left.is_zero() {
            return Err(failure);
        }
        if log_limiter.is_due() {
            let wait_ms = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
            log_event!(warn, DATABASE_AWAITED, problem = %failure, wait_ms, "waiting for the database");
        }
        // The last attempt is at the end of the time.
        sleep(ATTEMPT_PAUSE.min(left)).await;
    }
}

/// Returns the options of a PostgreSQL.
pub(super) fn postgres_options<'a>(config: &'a StoreConfig, url: &'a SecretString) -> PostgresOptions<'a> {
    let StoreConfig { max_connections, timeout, pooler, listen_url, read_url, reader_role, password, .. } = config;
    PostgresOptions {
        url: url.expose_secret(),
        password: password.as_ref().map(ExposeSecret::expose_secret),
        pooler: *pooler,
        listen_url: listen_url.as_ref().map(ExposeSecret::expose_secret),
        read_url: read_url.as_ref().map(ExposeSecret::expose_secret),
        reader_role: reader_role.as_deref(),
        max_connections: *max_connections,
        timeout: *timeout,
    }
}
