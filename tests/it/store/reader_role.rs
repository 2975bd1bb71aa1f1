//! The role for reads of calls, which sees no rows but those of whoever a statement reads for.

use std::process::{Command, Output};
use std::time::Duration;

use invitation_service::clock::Clock;
use invitation_service::domain::group::Group;
use invitation_service::domain::value::id::InvitationId;
use invitation_service::store::{Database, EventQuery, InvitationQuery, PostgresOptions, Store};
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbBackend, Statement, TransactionTrait};

use super::migrations::tables;
use crate::support::build::commands::*;
use crate::support::build::kinds::*;
use crate::support::database::{NEW_YEAR, TestDatabase};
use crate::support::postgres::{self, READER_ROLE, READER_SCHEMA};

/// The tables of which no call reads.
const OF_NO_CALL: [&str; 4] = ["api_key_position", "key_check", "prune_walk", "resume_key"];

/// The tables with what belongs to an invitation.
const OF_INVITATIONS: [&str; 12] = [
    "acceptance",
    "autojoin_domain",
    "engagement",
    "event",
    "invitation",
    "invitation_group",
    "label",
    "outbox",
    "recipient",
    "slot",
    "verification",
    "verification_budget",
];

/// The only table of calls whose rows belong to no account.
const OF_NO_ACCOUNT: &str = "follower";

fn open_with(database: &TestDatabase, reader_role: Option<&str>) -> Database {
    let options = postgres::options(database.url(), Some(database.direct()), 4, Duration::from_secs(10));
    Database::postgres(&PostgresOptions { reader_role, ..options }, Clock::manual(NEW_YEAR)).unwrap()
}

/// Opens a database with the role, and makes its views.
async fn start(database: &TestDatabase) -> Store {
    let opened = open_with(database, Some(READER_ROLE));
    opened.maintenance().migrate().await.unwrap();
    Store::start(opened, &options(Group::run))
}

fn events_of(invitation: InvitationId) -> EventQuery {
    EventQuery { ascending: true, ..EventQuery::of(invitation, 10) }
}

fn query() -> InvitationQuery {
    InvitationQuery { limit: 10, ..InvitationQuery::default() }
}

/// Looks as a statement of a read does that has no conditions of its own.
struct Planted(DatabaseTransaction);

impl Planted {
    async fn begin(database: &TestDatabase) -> Self {
        let transaction = database.connect().await.begin().await.unwrap();
        let sql = format!("SET LOCAL ROLE {READER_ROLE}; SET LOCAL search_path = {READER_SCHEMA}, public");
        transaction.execute_unprepared(&sql).await.unwrap();
        Self(transaction)
    }

    async fn name(&self, accounts: &str, hosts: &str) {
        let sql = "SELECT set_config('invitation.accounts', $1, true), set_config('invitation.hosts', $2, true)";
        let values = [accounts.into(), hosts.into()];
        self.0.query_one_raw(Statement::from_sql_and_values(DbBackend::Postgres, sql, values)).await.unwrap();
    }

    async fn texts(&self, sql: &str) -> Vec<String> {
        let rows = self.0.query_all_raw(Statement::from_string(DbBackend::Postgres, sql)).await.unwrap();
        rows.iter().map(|row| row.try_get_by_index(0).unwrap()).collect()
    }

    async fn count(&self, table: &str) -> usize {
        self.texts(&format!("SELECT count(*)::text FROM {table}")).await[0].parse().unwrap()
    }
}

/// Inserts a row of an account into every table that has one, whatever is in its other columns.
const INSERT: &str = "DO $$ DECLARE t record; BEGIN
    FOR t IN SELECT table_name AS name,
            string_agg(quote_ident(column_name), ', ') AS columns,
            string_agg(CASE WHEN column_name = 'account_id' THEN quote_literal('foreign')
                WHEN data_type = 'uuid' THEN 'gen_random_uuid()' WHEN data_type = 'jsonb' THEN quote_literal('{}')
                WHEN data_type = 'boolean' THEN 'false' WHEN data_type = 'text' THEN quote_literal('x') ELSE '1' END, ', ') AS row
        FROM information_schema.columns c
        WHERE table_schema = 'public' AND (is_nullable = 'NO' AND column_default IS NULL OR column_name = 'account_id')
            AND EXISTS (SELECT FROM information_schema.columns a WHERE a.table_schema = 'public'
                AND a.table_name = c.table_name AND a.column_name = 'account_id')
        GROUP BY table_name
    LOOP EXECUTE format('INSERT INTO public.%I (%s) VALUES (%s)', t.name, t.columns, t.row); END LOOP;
END $$";

#[tokio::test(crate = "crate::support::limit")]
async fn query_without_conditions_sees_only_what_is_named() {
    let Some(database) = TestDatabase::migrated_postgres().await else { return };
    let store = start(&database).await;
    let guest = created(&store, guest("b@example.com")).await;
    created(&store, user("a@example.com")).await;
    store.close().await;
    let admin = database.connect().await;
    admin.execute_unprepared(INSERT).await.unwrap();

    let all = tables(&admin).await;
    let planted = Planted::begin(&database).await;
    let views = planted.texts(&format!("SELECT viewname FROM pg_views WHERE schemaname = '{READER_SCHEMA}'")).await;
    for table in &all {
        assert_ne!(views.contains(table), OF_NO_CALL.contains(&table.as_str()), "{table}: whether calls read of it");
    }
    assert_eq!(views.len() + OF_NO_CALL.len(), all.len());
    let views: Vec<_> = views.iter().filter(|table| *table != OF_NO_ACCOUNT).collect();
    for named in [None, Some(""), Some("\n"), Some("\nforeig\n"), Some("\nother\n")] {
        if let Some(accounts) = named {
            planted.name(accounts, "").await;
        }
        for table in &views {
            assert_eq!(planted.count(table).await, 0, "{table} for {named:?}");
        }
    }
    planted.name("\nforeign\n", "").await;
    for table in &views {
        assert_eq!(planted.texts(&format!("SELECT account_id FROM {table}")).await, ["foreign"], "{table}");
    }
    planted.name("\nacme\nforeign\n", "").await;
    assert_eq!(planted.count("invitation").await, 3);
    for accounts in ["\nforeign\n", "\nacme\nforeign\n"] {
        planted.name(accounts, &format!("\n{HOST}\n")).await;
        for table in OF_INVITATIONS {
            let id = if table == "invitation" { "id" } else { "invitation_id" };
            let seen = planted.texts(&format!("SELECT DISTINCT {id}::text FROM {table}")).await;
            assert!(seen.iter().all(|id| *id == guest.id.0.to_string()), "{table} for {accounts:?}: {seen:?}");
        }
    }
    for table in ["invitation", "recipient", "event", "outbox"] {
        assert!(planted.count(table).await > 0, "{table} of the host");
    }
    planted.name("\nacme\n", "\n").await;
    assert_eq!((planted.count("invitation").await, planted.count("event").await), (0, 0), "no organization");
    let behind = Statement::from_string(DbBackend::Postgres, "SELECT count(*) FROM public.invitation");
    let error = planted.0.query_one_raw(behind).await.unwrap_err().to_string();
    assert!(error.contains("permission denied"), "{error}");
}

#[tokio::test(crate = "crate::support::limit")]
async fn every_read_goes_through_the_views() {
    let Some(database) = TestDatabase::migrated_postgres().await else { return };
    let store = start(&database).await;
    let made = created(&store, user("a@example.com")).await;
    let sees = async || {
        let primary = store.primary();
        let got = primary.get_invitation(&reach(), made.id, true).await.unwrap().is_some();
        let listed = primary.list_invitations(&reach(), &query()).await.unwrap().len();
        let counted = primary.count_invitations(&reach(), &query(), 10).await.unwrap().found;
        let named = store.list_names(&reach(), &query()).await.unwrap().len();
        let events = primary.list_events(&reach(), &events_of(made.id)).await.unwrap().is_some();
        (got, listed, counted, named, events)
    };
    assert_eq!(sees().await, (true, 1, 1, 1, true));
    let whole = reach();
    let all_at_once = (0..20).map(|_| store.primary().get_invitation(&whole, made.id, false));
    for read in futures_util::future::join_all(all_at_once).await {
        assert_eq!(read.unwrap().unwrap().found.id, made.id, "also in a group");
    }
    let admin = database.connect().await;
    let hide =
        "CREATE OR REPLACE VIEW invitation_reader_views.invitation AS SELECT * FROM public.invitation WHERE false";
    admin.execute_unprepared(hide).await.unwrap();
    assert_eq!(sees().await, (false, 0, 0, 0, false));
    // Whatever decides sees all rows.
    store.executor().execute(command(revoke(&made)), None).await.unwrap();
    store.close().await;
}

#[tokio::test(crate = "crate::support::limit")]
async fn service_is_not_ready_without_the_views_of_its_role() {
    let Some(database) = TestDatabase::migrated_postgres().await else { return };
    let admin = database.connect().await;
    admin.execute_unprepared("DROP SCHEMA IF EXISTS invitation_reader_views CASCADE").await.unwrap();
    let opened = open_with(&database, Some(READER_ROLE));
    let problem =
        async || opened.maintenance().problem_of_reader_role().await.unwrap().map(|problem| problem.to_string());
    let says = |problem: Option<String>, words: &str| {
        assert!(problem.as_ref().is_some_and(|problem| problem.contains(words)), "{words}: {problem:?}");
    };
    says(problem().await, "run `migrate`");
    opened.maintenance().migrate().await.unwrap();
    assert_eq!(problem().await, None);
    for revoke in [
        "REVOKE SELECT ON invitation_reader_views.label FROM invitation_reader",
        "REVOKE USAGE ON SCHEMA invitation_reader_views FROM invitation_reader",
    ] {
        admin.execute_unprepared(revoke).await.unwrap();
        says(problem().await, "may not read every view");
        opened.maintenance().migrate().await.unwrap();
        assert_eq!(problem().await, None, "lost grants are given again");
    }
    let identity = "SELECT oid::text FROM pg_class WHERE oid = 'invitation_reader_views.invitation'::regclass";
    let before = texts(&database, identity).await;
    opened.maintenance().migrate().await.unwrap();
    assert_eq!(texts(&database, identity).await, before, "views that fit are left as they are");
    admin.execute_unprepared("ALTER TABLE label ADD COLUMN of_a_newer_release text").await.unwrap();
    says(problem().await, "missing");
    opened.maintenance().migrate().await.unwrap();
    assert_eq!(problem().await, None);
    admin.execute_unprepared("COMMENT ON SCHEMA invitation_reader_views IS 'of another release'").await.unwrap();
    opened.maintenance().migrate().await.unwrap();
    assert_ne!(texts(&database, identity).await, before, "views of another release are made anew");
    opened.close().await;
}

/// Runs a program of PostgreSQL on a database.
fn run(program: &str, url: &str, arguments: &[&str]) -> Output {
    let output = Command::new(postgres::program(program)).arg(url).args(arguments).output().unwrap();
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

/// As docs/reader-role.md says: the role that dumps needs no more than it would without the wall.
#[tokio::test(crate = "crate::support::limit")]
async fn database_with_the_role_is_dumped_and_restored() {
    let Some(database) = TestDatabase::migrated_postgres().await else { return };
    let store = start(&database).await;
    let made = created(&store, user("a@example.com")).await;
    store.close().await;
    let (server, name) = database.direct().rsplit_once('/').unwrap();
    let dumper = format!("dumper_of_{name}");
    let admin = database.connect().await;
    let create = format!("CREATE ROLE {dumper} LOGIN PASSWORD '{dumper}'; GRANT pg_read_all_data TO {dumper}");
    admin.execute_unprepared(&create).await.unwrap();
    let host = server.rsplit('@').next().unwrap();
    let dump = tempfile::NamedTempFile::new().unwrap();
    let file = dump.path().to_str().unwrap();
    let url = format!("postgres://{dumper}:{dumper}@{host}/{name}");
    run("pg_dump", &url, &["--no-owner", "--file", file]);
    let restored = TestDatabase::postgres().await.unwrap();
    run("psql", restored.direct(), &["--quiet", "--set", "ON_ERROR_STOP=1", "--file", file]);
    let opened = open_with(&restored, Some(READER_ROLE));
    assert_eq!(opened.maintenance().problem_of_reader_role().await.unwrap(), None);
    let store = Store::start(opened, &options(Group::run));
    assert_eq!(read(&store, made.id).await.id, made.id);
    store.close().await;
    let planted = Planted::begin(&restored).await;
    assert_eq!(planted.count("invitation").await, 0, "the wall stands where it is restored");
    planted.name("\nacme\n", "").await;
    assert_eq!(planted.count("invitation").await, 1);
}

/// As docs/reader-role.md says for a role that migrates and one that serves, of which neither may do what the other does.
#[tokio::test(crate = "crate::support::limit")]
async fn roles_of_their_own_migrate_and_serve_with_these_grants() {
    let Some(database) = TestDatabase::postgres().await else { return };
    let (server, name) = database.direct().rsplit_once('/').unwrap();
    let host = server.rsplit('@').next().unwrap();
    let (migrator, service, reader) = (format!("migrator_{name}"), format!("service_{name}"), format!("reader_{name}"));
    let admin = database.connect().await;
    for sql in [
        format!("CREATE ROLE {migrator} LOGIN PASSWORD 'x'"),
        format!("CREATE ROLE {service} LOGIN PASSWORD 'x'"),
        format!("GRANT CREATE, USAGE ON SCHEMA public TO {migrator}"),
        format!("CREATE ROLE {reader} NOLOGIN"),
        format!("GRANT CREATE ON DATABASE {name} TO {migrator}"),
        format!("GRANT USAGE ON SCHEMA public TO {service}"),
        format!(
            "ALTER DEFAULT PRIVILEGES FOR ROLE {migrator} IN SCHEMA public GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {service}"
        ),
    ] {
        admin.execute_unprepared(&sql).await.unwrap();
    }
    let [migrating, serving] = [&migrator, &service].map(|role| format!("postgres://{role}:x@{host}/{name}"));
    let login = |url: &str| {
        let options = PostgresOptions {
            url,
            reader_role: Some(&reader),
            pooler: false,
            ..postgres::options(url, Some(url), 4, Duration::from_secs(10))
        };
        Database::postgres(&options, Clock::manual(NEW_YEAR)).unwrap()
    };
    let opened = login(&migrating);
    opened.maintenance().migrate().await.unwrap();
    opened.close().await;
    let opened = login(&serving);
    let problem = opened.maintenance().problem_of_reader_role().await.unwrap().unwrap();
    assert!(problem.to_string().contains("no member"), "{problem}");
    opened.close().await;
    admin.execute_unprepared(&format!("GRANT {reader} TO {service}")).await.unwrap();
    let opened = login(&serving);
    assert_eq!(opened.maintenance().problem_of_reader_role().await.unwrap(), None);
    let store = Store::start(opened, &options(Group::run));
    let made = created(&store, user("a@example.com")).await;
    assert_eq!(read(&store, made.id).await.id, made.id);
    store.close().await;
}

/// The views of a role would be in the place of the tables for a login of that name.
#[tokio::test(crate = "crate::support::limit")]
async fn role_that_can_log_in_is_refused_and_nothing_is_changed() {
    let Some(database) = TestDatabase::migrated_postgres().await else { return };
    let store = start(&database).await;
    let made = created(&store, user("a@example.com")).await;
    store.close().await;
    let opened = open_with(&database, Some("postgres"));
    let error = opened.maintenance().migrate().await.unwrap_err().to_string();
    assert!(error.contains("can log in"), "{error}");
    let problem = opened.maintenance().problem_of_reader_role().await.unwrap().unwrap();
    assert!(problem.to_string().contains("can log in"), "{problem}");
    opened.close().await;
    let store = Store::start(open_with(&database, None), &options(Group::run));
    assert_eq!(read(&store, made.id).await.id, made.id);
    store.close().await;
}
