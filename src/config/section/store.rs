//! Section `[store]`: which database, and how hard it is driven.
//!
//! Opening it, creating the file and its directory, and migrating belong to `store`.

use std::path::PathBuf;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use crate::config::error::{Checked, Problems};
use crate::config::value;

mod encryption;
pub(in crate::config) mod reread;
mod url;

pub use encryption::Encryption as StoreEncryption;
pub use url::StoreUrl;

/// The store when neither `store.url` nor `store.url_file` is set.
///
/// Here and not as a live line of `default.toml`, because a value there would make `url_file` a contradiction.
pub(in crate::config) const DEFAULT_URL: &str = "sqlite://data/invitations.db";

const TIMEOUT_MIN: Duration = Duration::from_millis(50);
const TIMEOUT_MAX: Duration = Duration::from_secs(60);
const LANES_ON_POSTGRES: usize = 2;
/// The longest name in PostgreSQL is 63 bytes, and the schema of the views has the name with `_views` behind it.
const MAX_ROLE: usize = 57;
const ROLE_FORM: &str = "must be a name of up to 57 lower-case letters, digits and underscores that begins with none of the \
    digits and not with pg_, and is neither public nor none";

/// The settings of the database.
#[derive(Clone, Debug)]
pub struct StoreConfig {
    /// The database.
    pub url: StoreUrl,
    /// Whether a start applies missing migrations before it serves.
    pub migrate_on_start: bool,
    /// The most connections one process opens.
    pub max_connections: u32,
    /// The number of lanes that write side by side; always 1 on SQLite.
    pub lanes: usize,
    /// The number of calls that may wait for one lane before callers are turned away.
    pub queue: usize,
    /// The longest one call waits for the database.
    pub timeout: Duration,
    /// Whether a pooler that gives a connection away after each transaction is before PostgreSQL.
    pub pooler: bool,
    /// The URL of the connection that hears of changes by other processes; `None` if nothing does.
    pub listen_url: Option<SecretString>,
    /// The URL of a standby for reads that may lag; `None` if there is none.
    pub read_url: Option<SecretString>,
    /// The role that reads of calls take on, so that they see no more than they may; `None` if there is none.
    pub reader_role: Option<String>,
    /// The password of the URLs that have none; `None` if none was given beside them.
    pub password: Option<SecretString>,
    /// The encryption that completes the URLs.
    pub encryption: StoreEncryption,
}

/// The configuration of the section, with the files that secrets came from.
pub(in crate::config) struct ValidStore {
    pub(in crate::config) config: StoreConfig,
    pub(in crate::config) url_file: Option<PathBuf>,
    pub(in crate::config) listen_url_file: Option<PathBuf>,
    pub(in crate::config) read_url_file: Option<PathBuf>,
    pub(in crate::config) password_file: Option<PathBuf>,
}

#[derive(Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct RawStore {
    url: Option<String>,
    url_file: Option<String>,
    migrate_on_start: String,
    max_connections: String,
    lanes: String,
    queue: String,
    timeout: String,
    pooler: String,
    listen_url: Option<String>,
    listen_url_file: Option<String>,
    read_url: Option<String>,
    read_url_file: Option<String>,
    reader_role: Option<String>,
    password_file: Option<String>,
    sslmode: Option<String>,
    ca_file: Option<String>,
}

impl RawStore {
    /// Parses the section.
    pub(in crate::config) fn validate(self, problems: &mut Problems) -> Checked<ValidStore> {
        let RawStore { url, url_file, migrate_on_start, max_connections, lanes, queue, timeout, pooler, .. } = self;
        let encryption = StoreEncryption::parse(problems, self.sslmode, self.ca_file)?;
        let url = parse_source(problems, (url, url_file), &encryption);
        let listen_url = parse_listen(problems, (self.listen_url, self.listen_url_file), &encryption);
        let read_url = parse_url(problems, "store.read_url", (self.read_url, self.read_url_file), &encryption);
        let password = parse_password_file(problems, self.password_file);
        let reader_role = self.reader_role.map(|role| parse_role(problems, role)).transpose();
        let pooler = value::choice(problems, "store.pooler", &pooler, &[("none", false), ("transaction", true)]);
        let migrate_on_start = value::choice(
            problems,
            "store.migrate_on_start",
            &migrate_on_start,
            &[("auto", None), ("true", Some(true)), ("false", Some(false))],
        );
        let max_connections = value::number(problems, "store.max_connections", &max_connections, 2..=1_000);
        let lanes = match lanes.as_str() {
            "auto" => Ok(None),
            lanes => value::number(problems, "store.lanes", lanes, 1..=16).map(Some),
        };
        let queue = value::number(problems, "store.queue", &queue, 1..=1_000_000);
        let timeout = value::duration(problems, "store.timeout", &timeout, TIMEOUT_MIN..=TIMEOUT_MAX);

        let ((url, url_file), max_connections, pooler) = (url?, max_connections?, pooler?);
        let (listen, listen_url_file) = listen_url?;
        let listen_url = resolve_listen(problems, &url, listen, pooler)?;
        let (password, password_file) = password?.unzip();
        let (read, read_url_file) = read_url?.unzip();
        let read_url = read.map(|read| resolve_read(problems, &url, read)).transpose()?;
        let lanes = resolve_lanes(problems, &url, lanes?, max_connections)?;
        let on_sqlite = matches!(url, StoreUrl::Sqlite(_));
        let reader_role = reader_role?;
        if on_sqlite && encryption.is_set() {
            let field = if encryption.sslmode.is_some() { "store.sslmode" } else { "store.ca_file" };
            return problems.check(field, Err("is for PostgreSQL: a SQLite file has no connections"));
        }
        if on_sqlite && reader_role.is_some() {
            return problems.check("store.reader_role", Err("is for PostgreSQL: a SQLite file has no roles"));
        }
        let config = StoreConfig {
            url,
            migrate_on_start: migrate_on_start?.unwrap_or(on_sqlite),
            max_connections,
            lanes,
            queue: queue?,
            timeout: timeout?,
            pooler,
            listen_url,
            read_url,
            reader_role,
            password,
            encryption,
        };
        problems.check("store.password_file", config.check_password())?;
        Ok(ValidStore { config, url_file, listen_url_file, read_url_file: read_url_file.flatten(), password_file })
    }
}

/// The answer to where notifications are waited for.
enum Listen {
    /// Nothing is said.
    Default,
    Off,
    At(StoreUrl),
}

fn parse_listen(
    problems: &mut Problems,
    (url, file): (Option<String>, Option<String>),
    encryption: &StoreEncryption,
) -> Checked<(Listen, Option<PathBuf>)> {
    let Some(secret) = value::secret(problems, "store.listen_url", url, file)? else {
        return Ok((Listen::Default, None));
    };
    if secret.value.expose_secret() == "off" {
        return Ok((Listen::Off, secret.file));
    }
    let field = if secret.file.is_some() { "store.listen_url_file" } else { "store.listen_url" };
    let url = problems.check(field, StoreUrl::parse_with(secret.value.expose_secret(), encryption))?;
    Ok((Listen::At(url), secret.file))
}

/// Returns where notifications are waited for. A pooler does not keep the connection that waits, so behind one nothing
/// does, unless a way past it is given.
fn resolve_listen(
    problems: &mut Problems,
    url: &StoreUrl,
    listen: Listen,
    pooler: bool,
) -> Checked<Option<SecretString>> {
    match (url, listen) {
        (_, Listen::Off) | (StoreUrl::Sqlite(_), Listen::Default) => Ok(None),
        (StoreUrl::Postgres(url), Listen::Default) => Ok((!pooler).then(|| url.clone())),
        (StoreUrl::Postgres(_), Listen::At(StoreUrl::Postgres(listen))) => Ok(Some(listen)),
        (StoreUrl::Sqlite(_), Listen::At(_)) | (_, Listen::At(StoreUrl::Sqlite(_))) => {
            let problem = "must be \"off\", or a postgres:// URL beside one in store.url";
            problems.check("store.listen_url", Err(problem))
        }
    }
}

/// Returns where lists and gets are read. SQLite has no standby.
fn resolve_read(problems: &mut Problems, url: &StoreUrl, read: StoreUrl) -> Checked<SecretString> {
    match (url, read) {
        (StoreUrl::Postgres(_), StoreUrl::Postgres(read)) => Ok(read),
        (StoreUrl::Sqlite(_), _) | (_, StoreUrl::Sqlite(_)) => {
            problems.check("store.read_url", Err("must be a postgres:// URL beside one in store.url"))
        }
    }
}

fn parse_source(
    problems: &mut Problems,
    url: (Option<String>, Option<String>),
    encryption: &StoreEncryption,
) -> Checked<(StoreUrl, Option<PathBuf>)> {
    match parse_url(problems, "store.url", url, encryption)? {
        Some(parsed) => Ok(parsed),
        None => problems.check("store.url", StoreUrl::parse(DEFAULT_URL)).map(|url| (url, None)),
    }
}

/// Parses a URL and returns it with the file that it came from; `None` if neither is set.
fn parse_url(
    problems: &mut Problems,
    field: &str,
    (url, url_file): (Option<String>, Option<String>),
    encryption: &StoreEncryption,
) -> Checked<Option<(StoreUrl, Option<PathBuf>)>> {
    let Some(secret) = value::secret(problems, field, url, url_file)? else { return Ok(None) };
    let field = if secret.file.is_some() { format!("{field}_file") } else { field.to_owned() };
    let url = problems.check(&field, StoreUrl::parse_with(secret.value.expose_secret(), encryption))?;
    Ok(Some((url, secret.file)))
}

/// Parses the name of a role. It has no character that SQL knows.
fn parse_role(problems: &mut Problems, role: String) -> Checked<String> {
    let begins = role.starts_with(|first: char| first.is_ascii_lowercase() || first == '_');
    let fits = role.chars().all(|char| char.is_ascii_lowercase() || char.is_ascii_digit() || char == '_');
    let is_free = !matches!(role.as_str(), "public" | "none") && !role.starts_with("pg_");
    let result = if begins && fits && is_free && role.len() <= MAX_ROLE { Ok(role) } else { Err(ROLE_FORM) };
    problems.check("store.reader_role", result)
}

/// Reads the file of a password.
fn parse_password_file(problems: &mut Problems, file: Option<String>) -> Checked<Option<(SecretString, PathBuf)>> {
    let Some(file) = file else { return Ok(None) };
    let text = problems.check("store.password_file", value::read_file(&file))?;
    let password = problems.check("store.password_file", reread::parse_password(&text))?;
    Ok(Some((password, PathBuf::from(file))))
}

fn resolve_lanes(
    problems: &mut Problems,
    url: &StoreUrl,
    lanes: Option<usize>,
    max_connections: u32,
) -> Checked<usize> {
    let lanes = match (url, lanes) {
        (StoreUrl::Sqlite(_), None | Some(1)) => return Ok(1),
        (StoreUrl::Sqlite(_), Some(_)) => Err("must be 1 or \"auto\" on SQLite, which has one writer"),
        (StoreUrl::Postgres(_), lanes) => Ok(lanes.unwrap_or(LANES_ON_POSTGRES)),
    };
    let lanes = problems.check("store.lanes", lanes)?;
    // Each lane holds a connection while it writes: reads need at least one that no lane can take.
    if lanes >= usize::try_from(max_connections).unwrap_or(usize::MAX) {
        return problems
            .check("store.max_connections", Err(format!("must be greater than store.lanes, which is {lanes}")));
    }
    Ok(lanes)
}
