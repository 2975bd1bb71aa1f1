//! The database of the configuration.

use secrecy::{ExposeSecret, SecretString};

use crate::clock::Clock;
use crate::config::{StoreConfig, StoreUrl};
use crate::store::{Database, OpenError, PostgresOptions};

/// Opens the configured database; PostgreSQL need not be there yet.
pub async fn open(config: &StoreConfig, clock: Clock) -> Result<Database, OpenError> {
    match &config.url {
        StoreUrl::Sqlite(path) => Database::sqlite(path, config.max_connections, config.timeout, clock).await,
        StoreUrl::Postgres(url) => Database::postgres(&postgres_options(config, url), clock),
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
