//! The login to PostgreSQL that changes while the service runs.

use std::fs;
use std::time::Duration;

use invitation_service::clock::Clock;
use invitation_service::pb::health::health_check_response::ServingStatus;
use sea_orm::{ConnectionTrait as _, DatabaseConnection, Statement};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tonic::Code;
use url::Url;

use super::{file, publish};
use crate::cli::server::{PATIENCE, Server};
use crate::support::database::{NEW_YEAR, TestDatabase};
use crate::support::folder::folder;
use crate::support::postgres;
use crate::support::service::KEYS;

const READ_AGAIN: &str = "the login to the database was read again";
const OLD: &str = "old-hunter2";
const NEW: &str = "new-hunter2";

/// A database with roles whose passwords are known, and an owner who looks on.
struct Rotated {
    database: TestDatabase,
    owner: DatabaseConnection,
}

impl Rotated {
    async fn new() -> Option<Self> {
        let database = TestDatabase::postgres().await?;
        database.open(&Clock::manual(NEW_YEAR)).await.close().await;
        let owner = database.connect().await;
        Some(Self { database, owner })
    }

    /// The name of a role of this database alone.
    fn role(&self, name: &str) -> String {
        let database = self.database.direct().rsplit_once('/').unwrap().1;
        format!("{name}_of_{database}")
    }

    async fn create(&self, name: &str, password: &str) {
        let role = self.role(name);
        self.run(&format!("CREATE ROLE {role} LOGIN PASSWORD '{password}'")).await;
        self.run(&format!("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}")).await;
        self.run(&format!("GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {role}")).await;
    }

    async fn change_password(&self, name: &str, password: &str) {
        self.run(&format!("ALTER ROLE {} PASSWORD '{password}'", self.role(name))).await;
    }

    async fn end_connections(&self, name: &str) {
        let role = self.role(name);
        self.run(&format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{role}'")).await;
    }

    /// Counts the connections of a role whose last statement begins so.
    async fn connections(&self, name: &str, statement: &str) -> i64 {
        let sql = format!(
            "SELECT count(*) FROM pg_stat_activity WHERE usename = '{}' AND query LIKE '{statement}%'",
            self.role(name)
        );
        let row = self.owner.query_one_raw(Statement::from_string(self.owner.get_database_backend(), sql)).await;
        row.unwrap().unwrap().try_get_by_index(0).unwrap()
    }

    async fn run(&self, sql: &str) {
        self.owner.execute_unprepared(sql).await.unwrap();
    }

    fn url(&self, name: &str, password: Option<&str>) -> String {
        let mut url = Url::parse(self.database.direct()).unwrap();
        url.set_username(&self.role(name)).unwrap();
        url.set_password(password).unwrap();
        url.into()
    }

    /// Counts the logins of a role that the server has refused.
    fn refusals(&self, name: &str) -> usize {
        let log = fs::read_to_string(postgres::cluster().unwrap().log()).unwrap();
        let refused = format!("password authentication failed for user \"{}\"", self.role(name));
        log.matches(&refused).count()
    }
}

/// Calls with several clients until it is told to end; returns the number of calls and the codes of the refusals.
async fn call(server: &Server, clients: usize, duration: Duration) -> (usize, Vec<Code>) {
    let mut tasks = JoinSet::new();
    let until = Instant::now() + duration;
    for _ in 0..clients {
        let mut create = server.create().await;
        tasks.spawn(async move {
            let (mut calls, mut refused) = (0, Vec::new());
            while Instant::now() < until {
                calls += 1;
                refused.extend(create.one().await.err().map(|status| status.code()));
                sleep(Duration::from_millis(5)).await;
            }
            (calls, refused)
        });
    }
    let ended = tasks.join_all().await;
    let (calls, refused): (Vec<usize>, Vec<Vec<Code>>) = ended.into_iter().unzip();
    (calls.iter().sum(), refused.concat())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2, crate = "crate::support::limit")]
async fn changed_password_is_picked_up_and_logins_back_off() {
    let Some(rotated) = Rotated::new().await else { return };
    rotated.create("service", OLD).await;
    let folder = folder();
    let (path, text) = file(folder.path(), "store-url", &rotated.url("service", Some(OLD)));
    let environment = [
        ("INVITATION__STORE__URL_FILE", text.as_str()),
        ("INVITATION__STORE__POOLER", "none"),
        ("INVITATION__TOKEN__KEYS", KEYS),
    ];
    let server = Server::ready(folder.path(), &["--log-level", "trace"], &environment).await;
    server.create().await.one().await.unwrap();
    rotated.change_password("service", NEW).await;
    rotated.end_connections("service").await;
    server.until(ServingStatus::NotServing).await;
    server.logged("refuses the password of role service").await;
    let (calls, refused) = call(&server, 4, Duration::from_secs(4)).await;
    assert!(refused.iter().all(|code| *code == Code::Unavailable), "{:?}", refused.last());
    assert_eq!(refused.len(), calls);
    // A few begin side by side before the first refusal, more of them on a busy machine.
    let logins = rotated.refusals("service");
    assert!(calls > 100 && logins * 5 < calls, "{logins} logins of {calls} calls");

    publish(&path, &rotated.url("service", Some(NEW)));
    server.until(ServingStatus::Serving).await;
    let line = server.logged(READ_AGAIN).await;
    assert!(
        line.contains("\"url\":\"password\"") && line.contains("fingerprint") && line.contains("store-url"),
        "{line}"
    );
    server.create().await.one().await.unwrap();
    let until = Instant::now() + PATIENCE;
    while rotated.connections("service", "LISTEN").await + rotated.connections("service", "SELECT 1").await == 0 {
        assert!(Instant::now() < until, "nothing waits for notifications:\n{}", server.log());
        sleep(Duration::from_millis(50)).await;
    }
    publish(&path, "postgres://u:new-hunter2@localhost/d?sslpassword=hunter2");
    let line = server.logged("a file that changed cannot be used").await;
    assert!(line.contains("sslpassword") && line.contains("store-url"), "{line}");
    server.create().await.one().await.unwrap();
    assert!(!server.log().contains("hunter2"), "{}", server.log());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2, crate = "crate::support::limit")]
async fn no_call_fails_while_another_role_takes_over() {
    let Some(rotated) = Rotated::new().await else { return };
    for role in ["first", "second"] {
        rotated.create(role, OLD).await;
    }
    let folder = folder();
    let (path, text) = file(folder.path(), "store-url", &rotated.url("first", Some(OLD)));
    let environment = [
        ("INVITATION__STORE__URL_FILE", text.as_str()),
        ("INVITATION__STORE__POOLER", "none"),
        ("INVITATION__TOKEN__KEYS", KEYS),
    ];
    let server = Server::ready(folder.path(), &[], &environment).await;
    let take_over = async {
        sleep(Duration::from_millis(500)).await;
        publish(&path, &rotated.url("second", Some(OLD)));
        let line = server.logged(READ_AGAIN).await;
        assert!(line.contains("\"url\":\"user\"") && line.contains("\"listen_url\":\"user\""), "{line}");
        sleep(Duration::from_secs(2)).await;
        rotated.run(&format!("ALTER ROLE {} NOLOGIN", rotated.role("first"))).await;
        rotated.end_connections("first").await;
    };
    let ((calls, refused), ()) = tokio::join!(call(&server, 4, Duration::from_secs(6)), take_over);
    assert!(calls > 100 && refused.is_empty(), "{calls} calls, {} refused:\n{}", refused.len(), server.log());
    assert_eq!(server.health(crate::cli::server::BY_NAME).await, ServingStatus::Serving);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2, crate = "crate::support::limit")]
async fn open_connections_outlive_the_old_password_of_a_file() {
    let Some(rotated) = Rotated::new().await else { return };
    rotated.create("service", OLD).await;
    let folder = folder();
    let (path, text) = file(folder.path(), "store-password", &format!("{OLD}\n"));
    let url = rotated.url("service", None);
    let environment = [
        ("INVITATION__STORE__URL", url.as_str()),
        ("INVITATION__STORE__PASSWORD_FILE", text.as_str()),
        ("INVITATION__STORE__POOLER", "none"),
        ("INVITATION__TOKEN__KEYS", KEYS),
    ];
    let server = Server::ready(folder.path(), &[], &environment).await;
    server.create().await.one().await.unwrap();
    // The file comes late: until then there are the connections that are open, which are fewer than the callers.
    rotated.change_password("service", NEW).await;
    let (calls, refused) = call(&server, 8, Duration::from_secs(3)).await;
    assert!(calls > 50 && refused.is_empty(), "{calls} calls, {} refused:\n{}", refused.len(), server.log());
    publish(&path, &format!("{NEW}\n"));
    let line = server.logged(READ_AGAIN).await;
    assert!(line.contains("\"url\":\"password\"") && line.contains("store-password"), "{line}");
    rotated.end_connections("service").await;
    let until = Instant::now() + PATIENCE;
    while server.create().await.one().await.is_err() {
        assert!(Instant::now() < until, "{}", server.log());
        sleep(Duration::from_millis(50)).await;
    }
    assert!(!server.log().contains("hunter2"), "{}", server.log());
    server.stop().await;
}
