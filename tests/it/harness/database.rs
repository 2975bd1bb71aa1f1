//! A database of one's own.

use std::time::Duration;

use invitation_service::clock::Clock;
use invitation_service::config::StoreUrl;
use invitation_service::domain::time::Timestamp;
use invitation_service::store::Database;
use secrecy::ExposeSecret;
use tempfile::TempDir;

use super::folder::folder;
use super::postgres;

/// An empty database that no other test has.
pub(crate) struct TestDatabase {
    url: String,
    _folder: Option<TempDir>,
}

/// 2026-01-01T00:00:00Z: where the clocks of tests begin.
pub(crate) const NEW_YEAR: Timestamp = Timestamp::from_micros(1_767_225_600_000_000);

impl TestDatabase {
    /// A file in a folder that goes with the test.
    pub(crate) fn sqlite() -> Self {
        let folder = folder();
        let url = format!("sqlite://{}", folder.path().join("invitations.db").display());
        Self { url, _folder: Some(folder) }
    }

    /// A database on this process's own server; none where there is no PostgreSQL and nobody requires it.
    pub(crate) async fn postgres() -> Option<Self> {
        let url = postgres::cluster()?.database().await;
        Some(Self { url, _folder: None })
    }

    /// The same with the schema at its head.
    pub(crate) async fn migrated_postgres() -> Option<Self> {
        let url = postgres::cluster()?.migrated().await;
        Some(Self { url, _folder: None })
    }

    /// The URL as `store.url` takes it.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Opens it and brings the schema to its head.
    pub(crate) async fn open(&self, clock: &Clock) -> Database {
        let database = self.open_unmigrated(clock).await;
        database.maintenance().migrate().await.unwrap();
        database
    }

    /// Opens it as it is.
    pub(crate) async fn open_unmigrated(&self, clock: &Clock) -> Database {
        let timeout = Duration::from_secs(10);
        match StoreUrl::parse(&self.url).unwrap() {
            StoreUrl::Sqlite(path) => Database::sqlite(&path, 8, timeout, clock.clone()).await.unwrap(),
            StoreUrl::Postgres(url) => Database::postgres(url.expose_secret(), 8, timeout, clock.clone()).unwrap(),
        }
    }

    /// Connects past the service, to look at or tamper with rows.
    pub(crate) async fn connect(&self) -> sea_orm::DatabaseConnection {
        sea_orm::Database::connect(&self.url).await.unwrap()
    }
}
