//! Section `[store]`: which database, and how hard it is driven.
//!
//! Opening it, creating the file and its directory, and migrating belong to `store`.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use url::Url;

use crate::config::error::{Checked, Problems};
use crate::config::value;

/// The store when neither `store.url` nor `store.url_file` is set.
///
/// Here and not as a live line of `default.toml`, because a value there would make `url_file` a contradiction.
pub(in crate::config) const DEFAULT_URL: &str = "sqlite://data/invitations.db";

const TIMEOUT_MIN: Duration = Duration::from_millis(50);
const TIMEOUT_MAX: Duration = Duration::from_secs(60);
const LANES_ON_POSTGRES: usize = 2;

/// The database, with the kind of backend decided.
#[derive(Clone, Debug)]
pub enum StoreUrl {
    /// A SQLite file; a relative path starts at the working directory.
    Sqlite(PathBuf),
    /// A PostgreSQL connection URL, secret because it may hold a password.
    Postgres(SecretString),
}

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
}

/// The configuration of the section, with the files that secrets came from.
pub(in crate::config) struct ValidStore {
    pub(in crate::config) config: StoreConfig,
    pub(in crate::config) url_file: Option<PathBuf>,
    pub(in crate::config) listen_url_file: Option<PathBuf>,
    pub(in crate::config) read_url_file: Option<PathBuf>,
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
}

impl RawStore {
    /// Parses the section.
    pub(in crate::config) fn validate(self, problems: &mut Problems) -> Checked<ValidStore> {
        let RawStore { url, url_file, migrate_on_start, max_connections, lanes, queue, timeout, pooler, .. } = self;
        let url = parse_source(problems, url, url_file);
        let listen_url = parse_listen(problems, self.listen_url, self.listen_url_file);
        let read_url = parse_url(problems, "store.read_url", self.read_url, self.read_url_file);
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
        let (read, read_url_file) = read_url?.unzip();
        let read_url = read.map(|read| resolve_read(problems, &url, read)).transpose()?;
        let lanes = resolve_lanes(problems, &url, lanes?, max_connections)?;
        let on_sqlite = matches!(url, StoreUrl::Sqlite(_));
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
        };
        Ok(ValidStore { config, url_file, listen_url_file, read_url_file: read_url_file.flatten() })
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
    url: Option<String>,
    file: Option<String>,
) -> Checked<(Listen, Option<PathBuf>)> {
    let Some(secret) = value::secret(problems, "store.listen_url", url, file)? else {
        return Ok((Listen::Default, None));
    };
    if secret.value.expose_secret() == "off" {
        return Ok((Listen::Off, secret.file));
    }
    let field = if secret.file.is_some() { "store.listen_url_file" } else { "store.listen_url" };
    let url = problems.check(field, StoreUrl::parse(secret.value.expose_secret()))?;
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
    url: Option<String>,
    url_file: Option<String>,
) -> Checked<(StoreUrl, Option<PathBuf>)> {
    match parse_url(problems, "store.url", url, url_file)? {
        Some(parsed) => Ok(parsed),
        None => problems.check("store.url", StoreUrl::parse(DEFAULT_URL)).map(|url| (url, None)),
    }
}

/// Parses a URL and returns it with the file that it came from; `None` if neither is set.
fn parse_url(
    problems: &mut Problems,
    field: &str,
    url: Option<String>,
    url_file: Option<String>,
) -> Checked<Option<(StoreUrl, Option<PathBuf>)>> {
    let Some(secret) = value::secret(problems, field, url, url_file)? else { return Ok(None) };
    let field = if secret.file.is_some() { format!("{field}_file") } else { field.to_owned() };
    let url = problems.check(&field, StoreUrl::parse(secret.value.expose_secret()))?;
    Ok(Some((url, secret.file)))
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

impl StoreUrl {
    /// Parses `sqlite://FILE` or `postgres://...`; the error text never quotes the URL, which may hold a password.
    ///
    /// # Errors
    /// A text that names the expected form.
    pub fn parse(text: &str) -> Result<StoreUrl, String> {
        match text.split_once("://") {
            Some(("sqlite", path)) => parse_sqlite(path),
            Some(("postgres" | "postgresql", _)) => parse_postgres(text),
            Some(_) | None => {
                Err("must be sqlite://FILE, sqlite:///ABSOLUTE/FILE or postgres://USER:PASSWORD@HOST/DATABASE".into())
            }
        }
    }
}

fn parse_sqlite(path: &str) -> Result<StoreUrl, String> {
    if path.contains('?') {
        return Err("must not have a query: SQLite is set up by the service itself".into());
    }
    // SQLite itself would take these two as instructions and not as names of files.
    if path.starts_with(":memory:") || path.starts_with("file:") {
        return Err("must name a file: an in-memory database or a file: URI is not supported".into());
    }
    if path.is_empty() || path.ends_with('/') || value::has_control(path) {
        return Err("must name a file, such as sqlite://data/invitations.db".into());
    }
    Ok(StoreUrl::Sqlite(PathBuf::from(path)))
}

/// Returns whether a URL names a server on this machine, or says whether the connection to another one is encrypted. The library
/// would send the password in the clear to whoever says that it speaks no TLS.
fn is_encrypted_or_near(url: &Url) -> bool {
    let last = |wanted: &str| url.query_pairs().filter(|(name, _)| name == wanted).last().map(|(_, value)| value);
    let host = last("host").map_or_else(|| url.host_str().unwrap_or_default().to_owned(), std::borrow::Cow::into_owned);
    let host = percent_encoding::percent_decode_str(&host).decode_utf8_lossy().into_owned();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    let is_near = host == "localhost" || host.starts_with('/') || address.is_ok_and(|address| address.is_loopback());
    let mode = last("sslmode").or_else(|| last("ssl-mode"));
    is_near || mode.is_some_and(|mode| ["verify-full", "verify-ca", "require", "disable"].contains(&mode.as_ref()))
}

fn parse_postgres(text: &str) -> Result<StoreUrl, String> {
    let url = Url::parse(text).map_err(|error| format!("is not a URL: {error}"))?;
    // A raw `#` in a password silently cuts the URL short there.
    if url.fragment().is_some() || value::has_control(text) {
        return Err("must not contain `#` or control characters: percent-encode them".into());
    }
    let host_in_query = url.query_pairs().any(|(name, _)| name == "host");
    if url.host_str().is_none_or(str::is_empty) && !host_in_query {
        return Err("must name a host, as in postgres://USER:PASSWORD@HOST/DATABASE".into());
    }
    if url.path().trim_start_matches('/').is_empty() {
        return Err("must name a database, as in postgres://USER:PASSWORD@HOST/DATABASE".into());
    }
    if !is_encrypted_or_near(&url) {
        return Err(
            "must say how the connection is encrypted: sslmode=verify-full or sslmode=require, or sslmode=disable to \
                    send the password in the clear, as in postgres://USER:PASSWORD@HOST/DATABASE?sslmode=verify-full"
                .into(),
        );
    }
    Ok(StoreUrl::Postgres(text.into()))
}
