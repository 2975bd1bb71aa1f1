//! The checks of the database: the connection, the role and its permissions, the schema, the keys and the clock.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use secrecy::ExposeSecret as _;

use super::folder;
use super::report::Report;
use crate::clock::Clock;
use crate::commands::Exit;
use crate::config::{Config, StoreUrl};
use crate::domain::secret::key_ring::KeyRing;
use crate::serve::{generated_keys, open, read_generated};
use crate::store::{Database, Maintenance, Place, ServerFacts, StoreError};

/// The longest that a server may take to connect.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// The difference of clocks that is worth a warning: the database's moment decides, but JWTs and certificates have moments of others.
const MAX_SKEW: Duration = Duration::from_secs(5);

pub(super) async fn examine(config: &Config, report: &mut Report) {
    match &config.store.url {
        StoreUrl::Sqlite(path) => sqlite(config, path, report).await,
        StoreUrl::Postgres(_) => postgres(config, report).await,
    }
}

async fn postgres(config: &Config, report: &mut Report) {
    let wall = Clock::system();
    let database = match open(&config.store, Clock::system()).await {
        Ok(database) => database,
        Err(error) => return report.problem("database", Exit::Configuration, error.to_string()),
    };
    if let Err(failure) = database.try_connect(CONNECT_LIMIT).await {
        return report.problem("database", Exit::Unreachable, failure.to_string());
    }
    let Some(place) = database.place() else { return };
    let maintenance = database.maintenance();
    match maintenance.server_facts().await {
        Ok(Some(facts)) => server(config, &place, &facts, &wall, report),
        Ok(None) => {}
        Err(error) => return failed("database", &maintenance, error, report).await,
    }
    others(&database, report).await;
    match maintenance.grants().await {
        Ok(grants) => match grants.and_then(|grants| grants.problem()) {
            None => report.ok("permissions", format!("role {} may do everything that the service does", place.role)),
            Some(problem) => report.problem("permissions", Exit::Failed, problem),
        },
        Err(error) => failed("permissions", &maintenance, error, report).await,
    }
    if schema(config, &maintenance, report).await {
        if let Some(role) = &config.store.reader_role {
            match maintenance.problem_of_reader_role().await {
                Ok(None) => report.ok("reader role", format!("reads of calls are made as {role}")),
                Ok(Some(problem)) => {
                    report.problem("reader role", Exit::Failed, format!("store.reader_role: {problem}"));
                }
                Err(error) => failed("reader role", &maintenance, error, report).await,
            }
        }
        keys(config, &maintenance, report).await;
    }
    database.close().await;
}

/// Reports what the server says about itself and about the connection.
fn server(config: &Config, place: &Place, facts: &ServerFacts, wall: &Clock, report: &mut Report) {
    let ServerFacts { version, encryption, encoding, is_read_only, is_superuser, places, used, limit, now } = facts;
    let Place { database, role, .. } = place;
    report.ok("database", format!("{place}, version {version}, database {database}, role {role}"));
    match encryption {
        Some(encryption) => report.ok("encryption", encryption.clone()),
        None if place.is_near() => report.ok("encryption", "none, to a server on this machine"),
        None => report.warning("encryption", "none: set sslmode=verify-full, unless nobody can listen on the way"),
    }
    if encoding == "UTF8" {
        report.ok("encoding", encoding.clone());
    } else {
        let text =
            format!("{encoding} lacks characters of names and addresses: create a database with ENCODING 'UTF8'");
        report.problem("encoding", Exit::Failed, text);
    }
    if *is_read_only {
        let text = "it takes no writes: let store.url lead to the primary, or promote this standby";
        report.problem("writes", Exit::Unreachable, text);
    }
    if *is_superuser {
        report.warning("role", format!("role {role} is a superuser: give the service one that is not"));
    }
    let pooler = if config.store.pooler { "transaction" } else { "none" };
    report.ok("pooler", format!("store.pooler is {pooler}"));
    connections(config, (*places, *used, *limit), report);
    let skew = Duration::from_micros(wall.now().micros().abs_diff(now.micros()));
    if skew > MAX_SKEW {
        let text = format!("this machine and the database differ by {} s: let both follow one source", skew.as_secs());
        report.warning("clock", text);
    } else {
        report.ok("clock", format!("this machine and the database differ by {} ms", skew.as_millis()));
    }
}

/// Compares the connections of one process with those that the server has left.
fn connections(config: &Config, (places, used, limit): (i32, i32, Option<i32>), report: &mut Report) {
    let pools = if config.store.reader_role.is_some() { 2 } else { 1 };
    let listens = u32::from(config.store.listen_url.is_some());
    let needed = i32::try_from(config.store.max_connections * pools + 1 + listens).unwrap_or(i32::MAX);
    let most = limit.map_or(places, |limit| limit.min(places));
    let text = format!("one process opens up to {needed}; the server lets this role have {most}, and {used} are open");
    if needed > most {
        let remedy =
            "lower store.max_connections, or raise max_connections or the CONNECTION LIMIT of the role or database";
        report.problem("connections", Exit::Failed, format!("{text}: {remedy}"));
    } else {
        report.ok("connections", text);
    }
}

/// Reports whether the servers of notifications and of reads that may lag can be connected to.
async fn others(database: &Database, report: &mut Report) {
    for (key, place, tried) in database.try_others(CONNECT_LIMIT).await {
        match tried {
            Ok(()) => report.ok(key, format!("{place}, database {}, role {}", place.database, place.role)),
            Err(failure) => report.problem(key, Exit::Unreachable, failure.to_string()),
        }
    }
}

/// Reports the state of the schema, and returns whether there is one that can be used.
async fn schema(config: &Config, maintenance: &Maintenance, report: &mut Report) -> bool {
    let states = async {
        let pending = maintenance.pending().await?;
        let missing = if pending.is_empty() { maintenance.missing_tables().await? } else { Vec::new() };
        Ok::<_, StoreError>((pending, missing, maintenance.newer().await.unwrap_or_default()))
    };
    let (pending, missing, newer) = match states.await {
        Ok(states) => states,
        Err(error) => {
            failed("schema", maintenance, error, report).await;
            return false;
        }
    };
    if !pending.is_empty() {
        let names = format!("lacks {} of the migrations of this release ({})", pending.len(), pending.join(", "));
        if config.store.migrate_on_start {
            report.warning("schema", format!("{names}: the next start applies them"));
        } else {
            report.problem("schema", Exit::Behind, format!("{names}: run `invitation-service migrate`"));
        }
    } else if !missing.is_empty() {
        let text = format!("lacks tables of this release ({}): restore a backup", missing.join(", "));
        report.problem("schema", Exit::Failed, text);
    } else if newer.is_empty() {
        report.ok("schema", "is up to date");
    } else {
        report.ok("schema", format!("is newer than this release by {} migrations, which does no harm", newer.len()));
    }
    pending.is_empty() && missing.is_empty()
}

/// Compares the key ring with the keys that the database knows.
async fn keys(config: &Config, maintenance: &Maintenance, report: &mut Report) {
    let ring = match (&config.token.keys, &config.store.url) {
        (Some(keys), _) => KeyRing::parse(keys.expose_secret()).map_err(|error| format!("token.keys: {error}")),
        (None, StoreUrl::Sqlite(path)) => {
            let path = generated_keys(path);
            if !path.exists() && matches!(maintenance.is_used().await, Ok(false)) {
                return report.ok("keys", format!("{} is not there yet: the first start creates it", path.display()));
            }
            if let Ok(metadata) = path.metadata()
                && metadata.permissions().mode() & 0o077 != 0
            {
                report.warning("keys", format!("{} can be read by others: chmod 600 {0}", path.display()));
            }
            read_generated(&path).and_then(|ring| ring.ok_or_else(|| format!("{} is missing", path.display())))
        }
        // The configuration is refused without it.
        (None, StoreUrl::Postgres(_)) => return,
    };
    let ring = match ring {
        Ok(ring) => ring,
        Err(text) => {
            let remedy = "restore the file from the backup that the database comes from";
            return report.problem("keys", Exit::Configuration, format!("{text}: {remedy}"));
        }
    };
    let fingerprints = ring.fingerprints();
    match maintenance.still_fits(&fingerprints).await {
        Ok(Ok(())) => {
            let ids: Vec<String> = fingerprints.iter().map(|key| key.key_id.to_string()).collect();
            report.ok("keys", format!("the ring has {} and fits the database; the first signs", ids.join(", ")));
        }
        Ok(Err(refused)) => report.problem("keys", Exit::Configuration, refused.to_string()),
        Err(error) => failed("keys", maintenance, error, report).await,
    }
}

async fn sqlite(config: &Config, path: &Path, report: &mut Report) {
    let shown = path.display();
    folder::check("database", path.parent().unwrap_or(Path::new("")), report);
    if report.has_problem("database") {
        return;
    }
    if !path.exists() {
        return report.ok("database", format!("{shown} is not there yet: the first start creates it"));
    }
    let database = match Database::sqlite_beside(path, config.store.timeout, Clock::system()).await {
        Ok(database) => database,
        Err(error) => return report.problem("database", Exit::Unreachable, error.to_string()),
    };
    report
        .ok("database", format!("SQLite file {shown}, {} bytes", path.metadata().map_or(0, |metadata| metadata.len())));
    let maintenance = database.maintenance();
    let restore = "stop the service and restore a backup, as docs/operations.md says";
    match maintenance.damage().await {
        Ok(lines) if lines.is_empty() => report.ok("file", "quick_check finds no damage"),
        Ok(lines) => {
            let lines = lines.join("; ").replace('\n', " ");
            report.problem("file", Exit::Failed, format!("{shown} is damaged: {lines}: {restore}"));
        }
        Err(error) => {
            report.problem("file", Exit::Failed, format!("{shown} is damaged: {error}: {restore}"));
            return database.close().await;
        }
    }
    if schema(config, &maintenance, report).await {
        keys(config, &maintenance, report).await;
    }
    database.close().await;
}

/// Reports the error of a check. A permission that is missing has been reported by the check of permissions.
async fn failed(check: &'static str, maintenance: &Maintenance, error: StoreError, report: &mut Report) {
    if matches!(error, StoreError::Forbidden(_)) && report.has_problem("permissions") {
        return;
    }
    let error = maintenance.explain(error).await;
    let exit = if error.is_unreachable() { Exit::Unreachable } else { Exit::Failed };
    report.problem(check, exit, error.to_string());
}
