//! A database of one's own.

use std::sync::Arc;
use std::time::Duration;

use invitation_service::clock::Clock;
use invitation_service::config::StoreUrl;
use invitation_service::domain::value::time::Timestamp;
use invitation_service::store::{Database, OpenError};
use sea_orm::ConnectionTrait;
use secrecy::ExposeSecret;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use super::folder::folder;
use super::pooler;
use super::postgres::{self, Cluster};

/// An empty database that no other test has.
pub(crate) struct TestDatabase {
    url: String,
    /// The URL past the pooler, if there is one.
    direct: String,
    _place: Arc<Place>,
}

/// The place of a database, which goes with its last user.
enum Place {
    Folder { _folder: TempDir },
    Server { cluster: &'static Cluster, url: String },
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Self::Server { cluster, url } = self {
            cluster.end(url);
        }
    }
}

/// 2026-01-01T00:00:00Z: where the clocks of tests begin.
pub(crate) const NEW_YEAR: Timestamp = Timestamp::from_micros(1_767_225_600_000_000);

impl TestDatabase {
    /// A file in a folder that goes with the test.
    pub(crate) fn sqlite() -> Self {
        let folder = folder();
        let url = format!("sqlite://{}", folder.path().join("invitations.db").display());
        Self { direct: url.clone(), url, _place: Arc::new(Place::Folder { _folder: folder }) }
    }

    /// A database on this process's own server; none where there is no PostgreSQL and nobody requires it.
    pub(crate) async fn postgres() -> Option<Self> {
        let cluster = postgres::cluster()?;
        Some(Self::on(cluster, cluster.database().await))
    }

    /// The same with the schema at its head.
    pub(crate) async fn migrated_postgres() -> Option<Self> {
        let cluster = postgres::cluster()?;
        Some(Self::on(cluster, cluster.migrated().await))
    }

    fn on(cluster: &'static Cluster, url: String) -> Self {
        let pooled = if pooler::is_pooled() { cluster.through_pooler(&url) } else { None };
        Self {
            url: pooled.unwrap_or_else(|| url.clone()),
            direct: url.clone(),
            _place: Arc::new(Place::Server { cluster, url }),
        }
    }

    /// A copy of this database on the same server, with what is in it; `None` on SQLite.
    pub(crate) async fn copy(&self) -> Option<Self> {
        let Place::Server { cluster, url } = &*self._place else { return None };
        Some(Self::on(cluster, cluster.copy(url).await))
    }

    /// The URL as `store.url` takes it.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// The URL past the pooler, if there is one.
    pub(crate) fn direct(&self) -> &str {
        &self.direct
    }

    /// Opens it and brings the schema to its head.
    pub(crate) async fn open(&self, clock: &Clock) -> Database {
        let database = self.open_unmigrated(clock).await;
        database.maintenance().migrate().await.unwrap();
        database
    }

    /// Brings the schema to its head and returns the same database for a role that owns nothing: it may read and write rows.
    /// No statistics are gathered, so every plan is made as if the tables were new. Every plan of that role is logged.
    pub(crate) async fn without_statistics(&self) -> Self {
        self.open(&Clock::manual(NEW_YEAR)).await.close().await;
        let (server, name) = self.direct.rsplit_once('/').unwrap();
        let role = format!("guest_of_{name}");
        let admin = self.connect().await;
        for sql in [
            format!("CREATE ROLE {role} LOGIN PASSWORD '{role}'"),
            format!("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}"),
            "DO $$ DECLARE r record; BEGIN
                FOR r IN SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace LOOP
                    EXECUTE format('ALTER TABLE %I SET (autovacuum_enabled = off)', r.relname);
                END LOOP; END $$"
                .to_owned(),
            postgres::reader_role().map(|reader| format!("GRANT {reader} TO {role}")).unwrap_or_default(),
            format!("ALTER ROLE {role} SET session_preload_libraries = 'auto_explain'"),
            "LOAD 'auto_explain'".to_owned(),
            format!("ALTER ROLE {role} SET auto_explain.log_min_duration = 0"),
            format!("ALTER ROLE {role} SET auto_explain.log_analyze = on"),
            format!("ALTER ROLE {role} SET auto_explain.log_timing = off"),
            format!("ALTER ROLE {role} SET auto_explain.log_buffers = on"),
            format!("ALTER ROLE {role} SET auto_explain.log_format = 'json'"),
        ] {
            admin.execute_unprepared(&sql).await.unwrap();
        }
        admin.close().await.unwrap();
        let (scheme, host) = (server.split("//").next().unwrap(), server.rsplit('@').next().unwrap());
        let url = format!("{scheme}//{role}:{role}@{host}/{name}");
        Self { direct: url.clone(), url, _place: Arc::clone(&self._place) }
    }

    /// Opens it as it is.
    pub(crate) async fn open_unmigrated(&self, clock: &Clock) -> Database {
        self.open_with(clock, 8).await
    }

    /// Opens it as it is, with so many connections.
    pub(crate) async fn open_with(&self, clock: &Clock, connections: u32) -> Database {
        let timeout = Duration::from_secs(10);
        match StoreUrl::parse(&self.url).unwrap() {
            StoreUrl::Sqlite(path) => {
                // A service that has ended in this process lets go of the file when its last task has.
                let until = Instant::now() + timeout;
                loop {
                    match Database::sqlite(&path, connections, timeout, clock.clone()).await {
                        Err(OpenError::InUse(_)) if Instant::now() < until => sleep(Duration::from_millis(20)).await,
                        opened => return opened.unwrap(),
                    }
                }
            }
            StoreUrl::Postgres(url) => {
                let options = postgres::options(url.expose_secret(), Some(&self.direct), connections, timeout);
                Database::postgres(&options, clock.clone()).unwrap()
            }
        }
    }

    /// Connects past the service, to look at or tamper with rows.
    pub(crate) async fn connect(&self) -> sea_orm::DatabaseConnection {
        sea_orm::Database::connect(&self.direct).await.unwrap()
    }
}
