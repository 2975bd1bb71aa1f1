//! The rows of the start-up table about PostgreSQL: each names the server, the database, the role, its own sentence and a remedy.

use std::net::TcpListener;
use std::path::Path;

use sea_orm::{ConnectionTrait, DbBackend, Statement};

use super::fatal;
use crate::cli::server::{Server, printed, run};
use crate::support::database::TestDatabase;
use crate::support::folder::folder;
use crate::support::service::KEYS;

/// A database, and logins to it.
struct Place {
    database: TestDatabase,
    name: String,
    address: String,
}

impl Place {
    async fn new(database: TestDatabase) -> Self {
        let (server, name) = database.direct().rsplit_once('/').unwrap();
        let address = server.rsplit_once('@').unwrap().1.to_owned();
        Self { name: name.to_owned(), address, database }
    }

    /// Creates a role with a password that is its name, and returns its URL.
    async fn role(&self, kind: &str, more: &str) -> (String, String) {
        let role = format!("{kind}_{}", self.name);
        let login = if more == "NOLOGIN" { "" } else { "LOGIN" };
        self.sql(&format!("CREATE ROLE {role} {login} PASSWORD '{role}' {more}")).await;
        let url = format!("postgres://{role}:{role}@{}/{}", self.address, self.name);
        (role, url)
    }

    async fn sql(&self, sql: &str) {
        let admin = sea_orm::Database::connect(self.database.direct()).await.unwrap();
        admin.execute_unprepared(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
        admin.close().await.unwrap();
    }
}

fn environment(url: &str) -> [(&str, &str); 3] {
    [("INVITATION__STORE__URL", url), ("INVITATION__TOKEN__KEYS", KEYS), ("INVITATION__STORE__POOLER", "none")]
}

/// Asserts that `migrate` fails with a line that has all the parts, and that `serve` is not ready for the same reason.
async fn refused(folder: &Path, url: &str, code: i32, parts: &[&str]) {
    let output = run(folder, &["migrate", "--wait", "1s"], &environment(url)).await;
    let message = fatal(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{message}");
    let server = Server::start(folder, &[], &environment(url)).await;
    let line = server.logged("\"message\":\"not ready\"").await;
    for part in parts {
        assert!(message.contains(part), "{part} is not in: {message}");
        assert!(line.contains(&part.replace('"', "\\\"")), "{part} is not in: {line}");
    }
    assert!(!(message + &server.log()).contains("hunter2"));
    server.kill().await;
}

#[tokio::test(crate = "crate::support::limit")]
async fn refused_connections_name_place_reason_and_remedy() {
    let Some(database) = TestDatabase::postgres().await else { return };
    let folder = folder();
    let place = Place::new(database).await;
    let Place { name, address, .. } = &place;
    let at = format!("PostgreSQL at {address} ");
    let (role, url) = place.role("right", "").await;
    let wrong = url.replace(&format!(":{role}@"), ":hunter2@");
    let parts =
        [at.as_str(), "refuses the password", &role, name, "password authentication failed", "(SQLSTATE 28P01)"];
    refused(folder.path(), &wrong, 4, &parts).await;
    let nowhere = url.replace(&format!("/{name}"), "/nowhere");
    let parts = [at.as_str(), "database \"nowhere\" does not exist (SQLSTATE 3D000)", "CREATE DATABASE nowhere"];
    refused(folder.path(), &nowhere, 4, &parts).await;
    let (_, locked) = place.role("locked", "NOLOGIN").await;
    refused(folder.path(), &locked, 4, &[&at, "is not permitted to log in (SQLSTATE 28000)", "has LOGIN"]).await;
    let (full, none) = place.role("full", "CONNECTION LIMIT 0").await;
    let parts = [at.as_str(), &full, "(SQLSTATE 53300)", "lower store.max_connections"];
    refused(folder.path(), &none, 4, &parts).await;
    let (_, tls) = place.role("tls", "").await;
    refused(folder.path(), &format!("{tls}?sslmode=require"), 4, &[&at, "does not support TLS", "ssl = on"]).await;
    refused(
        folder.path(),
        "postgres://u:hunter2@127.0.0.1:9/d",
        4,
        &["127.0.0.1:9 refuses the connection", "nothing listens"],
    )
    .await;
    let unknown = "postgres://u:hunter2@db.invalid/d?sslmode=disable";
    refused(folder.path(), unknown, 4, &["PostgreSQL at db.invalid:5432 has an unknown host", "check the host"]).await;
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("postgres://u:hunter2@{}/d", silent.local_addr().unwrap());
    refused(folder.path(), &url, 4, &["does not answer in time", "firewalls"]).await;
}

#[tokio::test(crate = "crate::support::limit")]
async fn missing_grants_are_told_apart_from_a_missing_schema() {
    let Some(database) = TestDatabase::postgres().await else { return };
    let folder = folder();
    let place = Place::new(database).await;
    place.sql("REVOKE CREATE ON SCHEMA public FROM PUBLIC").await;
    let (role, url) = place.role("guest", "").await;
    let output = run(folder.path(), &["migrate"], &environment(&url)).await;
    let message = fatal(&output.stderr);
    for part in [
        "permission denied for schema public (SQLSTATE 42501)",
        &format!("GRANT USAGE, CREATE ON SCHEMA public TO {role}"),
    ] {
        assert!(message.contains(part), "{message}");
    }
    assert_eq!(output.status.code(), Some(1));
    let server = Server::start(folder.path(), &[], &environment(&url)).await;
    let line = server.logged("not ready").await;
    assert!(line.contains("the schema lacks 1 of the migrations of this release (m20261128_000001_schema)"), "{line}");
    server.kill().await;

    let owner = environment(place.database.direct());
    let migrated = run(folder.path(), &["migrate"], &owner).await;
    let log = String::from_utf8(migrated.stderr.clone()).unwrap();
    printed(&migrated);
    assert!(log.contains("\"message\":\"migration applied\"") && log.contains("duration_ms"), "{log}");
    assert_eq!(log.lines().count(), 1, "nothing else is said:\n{log}");
    let admin = sea_orm::Database::connect(place.database.direct()).await.unwrap();
    let count = "SELECT count(*) FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace";
    let count = admin.query_one_raw(Statement::from_string(DbBackend::Postgres, count)).await.unwrap().unwrap();
    assert_eq!(count.try_get_by_index::<i64>(0).unwrap(), 32, "the list of tables is complete");
    admin.close().await.unwrap();
    let line_of = async |part: &str| {
        let server = Server::start(folder.path(), &[], &environment(&url)).await;
        let line = server.logged("not ready").await;
        assert!(line.contains(part) && !line.contains("run `invitation-service migrate`"), "{line}");
        server.kill().await;
    };
    let tables = format!("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}");
    line_of(&format!("role {role} lacks permissions in 32 tables")).await;
    place.sql(&format!("GRANT SELECT ON seaql_migrations TO {role}")).await;
    line_of(&tables).await;
    place.sql("REVOKE USAGE ON SCHEMA public FROM PUBLIC").await;
    line_of(&format!("GRANT USAGE ON SCHEMA public TO {role}")).await;
    place.sql(&format!("GRANT USAGE ON SCHEMA public TO {role}; {tables}")).await;
    let server = Server::ready(folder.path(), &[], &environment(&url)).await;
    server.create().await.one().await.unwrap();
    server.stop().await;
}

/// A server without a connection left for calls is not ready, though it answers the look.
#[tokio::test(crate = "crate::support::limit")]
async fn service_without_connections_for_calls_is_not_ready() {
    let Some(database) = TestDatabase::migrated_postgres().await else { return };
    let folder = folder();
    let place = Place::new(database).await;
    let (role, url) = place.role("few", "CONNECTION LIMIT 1").await;
    let tables = format!("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}");
    place.sql(&tables).await;
    // Where the tests run through a pooler, a sequence of theirs is used too.
    place.sql(&format!("GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {role}")).await;
    let more = [environment(&url).as_slice(), &[("INVITATION__STORE__LISTEN_URL", "off")]].concat();
    let server = Server::start(folder.path(), &[], &more).await;
    let line = server.logged("not ready").await;
    assert!(line.contains("(SQLSTATE 53300)") && line.contains(&role), "{line}");
    place.sql(&format!("ALTER ROLE {role} CONNECTION LIMIT -1")).await;
    server.until(invitation_service::pb::health::health_check_response::ServingStatus::Serving).await;
    server.stop().await;
}

#[tokio::test(crate = "crate::support::limit")]
async fn migrate_waits_for_the_database_and_says_what_is_pending() {
    let Some(database) = TestDatabase::postgres().await else { return };
    let folder = folder();
    let place = Place::new(database).await;
    let (role, url) = place.role("late", "CONNECTION LIMIT 0").await;
    place.sql(&format!("GRANT USAGE, CREATE ON SCHEMA public TO {role}")).await;
    let environment = environment(&url);
    let waiting = run(folder.path(), &["migrate", "--wait", "15s"], &environment);
    let opened = async {
        tokio::time::sleep(std::time::Duration::from_millis(1_500)).await;
        place.sql(&format!("ALTER ROLE {role} CONNECTION LIMIT -1")).await;
    };
    let check = ["migrate", "--check"];
    let owner = self::environment(place.database.direct());
    let pending = run(folder.path(), &check, &owner).await;
    assert_eq!(pending.status.code(), Some(6));
    assert_eq!(String::from_utf8(pending.stdout).unwrap(), "pending: m20261128_000001_schema\n");
    let (output, ()) = tokio::join!(waiting, opened);
    let log = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(printed(&output), "the schema is up to date\n");
    assert!(log.contains("\"message\":\"waiting for the database\"") && log.contains("53300"), "{log}");
    assert_eq!(printed(&run(folder.path(), &check, &owner).await), "the schema is up to date\n");
}
