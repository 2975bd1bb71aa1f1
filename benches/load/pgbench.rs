//! The yardstick: PostgreSQL by itself with the same rows, one statement at a time.

use std::path::PathBuf;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

use crate::Outcome;
use crate::known::INVITATIONS;
use crate::postgres::Cluster;
use crate::usage::{Meter, Process};

/// The time for which pgbench runs before its CPU time is counted: it connects meanwhile.
const WARM_UP: Duration = Duration::from_secs(1);

/// A statement that writes, or reads, what an RPC does.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Script {
    /// A new invitation with one recipient and its event.
    Create,
    /// An invitation by its id.
    Select,
    /// A use of one of many invitations: its row, the acceptance, the counters and the event.
    Accept,
    /// A use of one invitation.
    AcceptHot,
}

/// The speed of a script.
#[derive(Clone, Copy)]
pub(crate) struct Compared {
    pub(crate) per_second: f64,
    /// CPU time of one statement.
    pub(crate) postgres: Duration,
    pub(crate) client: Duration,
}

/// An id of version 7, as the service makes them: ordered by time, which is kind to the indexes.
const ID: &str = "encode(overlay(uuid_send(gen_random_uuid()) placing
    substring(int8send((extract(epoch from clock_timestamp()) * 1000)::bigint) from 3) from 1 for 6), 'hex')::uuid";
const MICROS: &str = "(extract(epoch from clock_timestamp()) * 1000000)::bigint";
const INVITATION: &str =
    "account_id, id, kind, scope_type, scope_id, resource_id, creator, max_uses, use_count, expire_at,
    accepted_at, declined_at, revoked_at, revision, generation, key_id, mails, details, created_at, updated_at";
const EVENT: &str = "account_id, invitation_id, sequence, id, kind, event_type, occurred_at, actor, request_id, data";

/// pgbench with its scripts and a database that has invitations.
pub(crate) struct Pgbench<'a> {
    cluster: &'a Cluster,
    database: &'static str,
    dir: TempDir,
}

impl<'a> Pgbench<'a> {
    /// Writes the scripts, and the invitations that are read and accepted, to a database that has the tables.
    pub(crate) fn prepare(cluster: &'a Cluster, database: &'static str) -> Outcome<Self> {
        let dir = tempfile::tempdir()?;
        let pgbench = Self { cluster, database, dir };
        let known = known("n");
        let invitation = invitation(&known);
        cluster.sql(
            database,
            &format!(
                "INSERT INTO invitation ({INVITATION}) SELECT {invitation} FROM generate_series(1, {INVITATIONS}) n"
            ),
        )?;
        cluster.sql(database, "VACUUM ANALYZE")?;
        for script in [Script::Create, Script::Select, Script::Accept, Script::AcceptHot] {
            std::fs::write(pgbench.path(script), script.text())?;
        }
        Ok(pgbench)
    }

    /// Lets a number of clients run a script for a time and a warm-up.
    pub(crate) fn run(&self, script: Script, clients: usize, measured: Duration) -> Outcome<Compared> {
        let path = self.path(script);
        let path = path.to_str().ok_or("the temporary directory's name is not UTF-8")?;
        let (threads, clients) = (clients.min(2).to_string(), clients.to_string());
        // A little longer than what is counted, so that all of that is under load.
        let seconds = (WARM_UP + measured).as_secs() + 1;
        let seconds = seconds.to_string();
        let arguments = ["-n", "-M", "prepared", "-j", &threads, "-c", &clients, "-f", path, "-T", &seconds];
        let mut command = self.cluster.command("pgbench", self.database, &arguments);
        let running = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        thread::sleep(WARM_UP);
        let processes = vec![Process::alone(running.id()), Process::with_children(self.cluster.process())];
        let meter = Meter::start(processes)?;
        thread::sleep(measured);
        let spent = meter.stop()?;
        let output = running.wait_with_output()?;
        let printed = String::from_utf8_lossy(&output.stdout);
        if !output.status.success()
            || printed.lines().any(|line| line.starts_with("number of failed") && !line.contains(": 0 "))
        {
            return Err(format!("pgbench failed:\n{printed}{}", String::from_utf8_lossy(&output.stderr)).into());
        }
        let tps = printed.lines().find_map(|line| line.strip_prefix("tps = ")?.split(' ').next()?.parse().ok());
        let per_second: f64 = tps.ok_or("pgbench does not say how fast it was")?;
        let statements = per_second * measured.as_secs_f64();
        Ok(Compared { per_second, client: spent[0].div_f64(statements), postgres: spent[1].div_f64(statements) })
    }

    fn path(&self, script: Script) -> PathBuf {
        self.dir.path().join(script.name())
    }
}

impl Script {
    /// Returns its name in the table.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Select => "select",
            Self::Accept => "accept",
            Self::AcceptHot => "accept-hot",
        }
    }

    fn text(self) -> String {
        let sql = match self {
            Self::Create => create(),
            Self::Select => format!("SELECT * FROM invitation WHERE account_id = 'default' AND id = {}", known(":n")),
            Self::Accept => accept(&known(":n")),
            Self::AcceptHot => accept(&known("1")),
        };
        // pgbench ends a statement at its line, unless it is one.
        format!("\\set n random(1, {INVITATIONS})\n\\set r random(1, 1000000000)\n{};\n", sql.replace('\n', " "))
    }
}

fn create() -> String {
    let invitation = invitation("made.id");
    format!(
        "WITH made AS MATERIALIZED (SELECT {ID} AS id),
        i AS (INSERT INTO invitation ({INVITATION}) SELECT {invitation} FROM made),
        r AS (INSERT INTO recipient (account_id, invitation_id, ordinal, recipient_type, value, original, accepted_at,
            declined_at)
            SELECT 'default', made.id, 1, 'email', 'person-' || :r || '@example.org', 'person-' || :r || '@example.org',
            NULL, NULL FROM made)
        INSERT INTO event ({EVENT}) SELECT 'default', made.id, 1, {ID}, 'connection', 'invitation.created', {MICROS},
            'anonymous', NULL, '{{\"mailed\": 0, \"recipients\": 1}}' FROM made"
    )
}

fn accept(id: &str) -> String {
    format!(
        "WITH used AS (UPDATE invitation SET use_count = use_count + 1, accepted_at = coalesce(accepted_at, {MICROS}),
            revision = revision + 1, updated_at = {MICROS} WHERE account_id = 'default' AND id = {id}
            AND revoked_at IS NULL AND declined_at IS NULL AND (expire_at IS NULL OR expire_at > {MICROS})
            AND (max_uses IS NULL OR use_count < max_uses) RETURNING account_id, id),
        a AS (INSERT INTO acceptance (account_id, invitation_id, id, subject, recipient, created_connection_id, accepted_at,
            details, undone_id) SELECT account_id, id, {ID}, 'subject-' || :r || '-' || {MICROS}, NULL, NULL, {MICROS}, '{{}}',
            '00000000-0000-0000-0000-000000000000'::uuid FROM used),
        counted AS (INSERT INTO engagement (account_id, invitation_id, views, clicks, unfurls, last_sequence)
            SELECT account_id, id, 0, 0, 0, 2 FROM used ON CONFLICT (account_id, invitation_id)
            DO UPDATE SET last_sequence = engagement.last_sequence + 1 RETURNING account_id, invitation_id, last_sequence)
        INSERT INTO event ({EVENT}) SELECT account_id, invitation_id, last_sequence, {ID}, 'connection',
            'invitation.accepted', {MICROS}, 'anonymous', NULL,
            '{{\"subject\": \"subject-1000\", \"use_count\": 10, \"acceptance\": \"0190a000-0000-7000-8000-000000000000\"}}'
            FROM counted"
    )
}

/// Returns the columns of a new invitation.
fn invitation(id: &str) -> String {
    format!(
        "'default', {id}, 'connection', 'company', '0190a000-0000-7000-8000-00000000c0de', NULL, 'anonymous', NULL, 0,
        {MICROS} + 2592000000000, NULL, NULL, NULL, 1, 0, 1, false,
        '{{\"purpose\": {{\"create_connection\": {{}}}}, \"company_id\": \"0190a000-0000-7000-8000-00000000c0de\"}}',
        {MICROS}, {MICROS}"
    )
}

/// Returns the id of the `n`th of the invitations that are there from the beginning.
fn known(n: &str) -> String {
    format!("('0190a000-0000-7000-8000-' || lpad(to_hex(({n})::integer), 12, '0'))::uuid")
}
