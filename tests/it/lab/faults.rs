//! Faults that a database can be made to have from outside: errors at a row or at the commit, sessions that end, a write
//! lock that somebody else holds.

use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, Statement};

use super::random::Random;
use crate::support::proxy::Cut;

/// Something that goes wrong during one step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Writing a row of a table fails: `how` says in which way, `times` how often.
    Row { place: &'static str, how: &'static str, times: i64 },
    /// A connection is cut at one of the next statements.
    Cut(Cut, usize),
    /// Another program holds the write lock.
    Busy,
    /// The caller goes away after the future was polled so many times.
    Leave(usize),
}

const PLACES: [&str; 14] = [
    "event INSERT",
    "event UPDATE",
    "invitation INSERT",
    "invitation UPDATE",
    "outbox INSERT",
    "outbox UPDATE",
    "request INSERT",
    "slot INSERT",
    "acceptance INSERT",
    "acceptance UPDATE",
    "suppression INSERT",
    "seat INSERT",
    "scope_settings UPDATE",
    "follower UPDATE",
];
const SQLITE_WAYS: [&str; 5] = ["abort", "fail", "rollback", "full", "commit"];
const POSTGRES_WAYS: [&str; 9] =
    ["40001", "40P01", "53100", "57014", "57P01", "XX000", "terminate", "commit 53100", "commit 40001"];

impl Fault {
    pub(super) fn random(random: &mut Random, backend: DbBackend) -> Self {
        let ways = if backend == DbBackend::Postgres { &POSTGRES_WAYS[..] } else { &SQLITE_WAYS[..] };
        match random.below(100) {
            0..20 => Self::Leave(random.below(12)),
            20..45 if backend == DbBackend::Postgres => {
                Self::Cut(random.pick(&[Cut::Before, Cut::During, Cut::After]), random.below(4))
            }
            20..22 => Self::Busy,
            _ => {
                let times = if random.chance(60) { 1 + random.below(2) } else { 1_000_000 };
                let place = random.pick(&PLACES);
                Self::Row { place, how: random.pick(ways), times: i64::try_from(times).unwrap() }
            }
        }
    }
}

/// Installs what [`arm`] switches on.
pub(super) async fn install(connection: &DatabaseConnection) {
    let backend = connection.get_database_backend();
    connection.execute_unprepared("CREATE TABLE lab_fault (place text, how text, times bigint)").await.unwrap();
    let statements = if backend == DbBackend::Postgres { postgres() } else { sqlite() };
    for statement in statements {
        connection.execute_unprepared(&statement).await.unwrap();
    }
}

/// On SQLite, `full` is the error of a full disk, which some statements answer by ending the transaction, and `commit` fails
/// with the transaction still open.
fn sqlite() -> Vec<String> {
    let mut statements = vec![
        "CREATE TABLE lab_parent (id integer PRIMARY KEY)".to_owned(),
        "CREATE TABLE lab_child (id integer REFERENCES lab_parent (id) DEFERRABLE INITIALLY DEFERRED)".to_owned(),
        "CREATE TABLE lab_full (id integer PRIMARY KEY AUTOINCREMENT, x integer)".to_owned(),
        format!("INSERT INTO lab_full (id) VALUES ({})", i64::MAX),
    ];
    for (number, place) in PLACES.into_iter().enumerate() {
        let (table, write) = place.split_once(' ').unwrap();
        for how in SQLITE_WAYS {
            let what = match how {
                "full" => "INSERT INTO lab_full (x) VALUES (1)".to_owned(),
                "commit" => "INSERT INTO lab_child VALUES (1)".to_owned(),
                raise => format!("SELECT RAISE({raise}, 'injected')"),
            };
            statements.push(format!(
                "CREATE TRIGGER lab_{number}_{how} BEFORE {write} ON {table}
                WHEN EXISTS (SELECT 1 FROM lab_fault WHERE place = '{place}' AND how = '{how}') BEGIN {what}; END"
            ));
        }
    }
    statements
}

/// A sequence counts, since it is not rolled back.
fn postgres() -> Vec<String> {
    let function = |name: &str, at_commit: &str| {
        format!(
            "CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ DECLARE fault record; BEGIN
                SELECT * INTO fault FROM lab_fault
                    WHERE place = TG_TABLE_NAME || ' ' || TG_OP AND {at_commit} (how LIKE 'commit %');
                IF FOUND AND nextval('lab_attempts') <= fault.times THEN
                    IF fault.how = 'terminate' THEN PERFORM pg_terminate_backend(pg_backend_pid());
                    ELSE RAISE EXCEPTION 'injected' USING ERRCODE = right(fault.how, 5); END IF;
                END IF;
                RETURN NEW;
            END $$"
        )
    };
    let mut statements =
        vec!["CREATE SEQUENCE lab_attempts".to_owned(), function("lab_row", "NOT"), function("lab_commit", "")];
    for (number, place) in PLACES.into_iter().enumerate() {
        let (table, write) = place.split_once(' ').unwrap();
        statements.push(format!(
            "CREATE TRIGGER lab_{number} BEFORE {write} ON {table} FOR EACH ROW EXECUTE FUNCTION lab_row()"
        ));
        statements.push(format!(
            "CREATE CONSTRAINT TRIGGER lab_commit_{number} AFTER {write} ON {table} DEFERRABLE INITIALLY DEFERRED
            FOR EACH ROW EXECUTE FUNCTION lab_commit()"
        ));
    }
    statements
}

/// Makes writes fail from now on.
pub(super) async fn arm(connection: &DatabaseConnection, place: &str, how: &str, times: i64) {
    if connection.get_database_backend() == DbBackend::Postgres {
        connection.execute_unprepared("SELECT setval('lab_attempts', 1, false)").await.unwrap();
    }
    let arm = format!("INSERT INTO lab_fault VALUES ('{place}', '{how}', {times})");
    connection.execute_unprepared(&arm).await.unwrap();
}

/// Ends that, and waits until the server is no longer busy with statements whose senders have gone.
pub(super) async fn disarm(connection: &DatabaseConnection) {
    connection.execute_unprepared("DELETE FROM lab_fault").await.unwrap();
}

/// Waits until PostgreSQL works on nothing that it was sent before.
pub(super) async fn until_idle(connection: &DatabaseConnection) {
    let busy = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
        AND application_name = 'invitation-service' AND state <> 'idle'";
    let mut idle = 0;
    while idle < 3 {
        let row = Statement::from_string(DbBackend::Postgres, busy);
        let row = connection.query_one_raw(row).await.unwrap().unwrap();
        idle = if row.try_get_by_index::<i64>(0).unwrap() == 0 { idle + 1 } else { 0 };
        tokio::task::yield_now().await;
    }
}
