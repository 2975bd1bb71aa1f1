//! The URL of a database: its forms, and the parameters that it may have.

use std::borrow::Cow;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use secrecy::SecretString;
use url::Url;

use super::encryption::{Encryption, check_authorities};
use crate::config::parameters::{has_raw_password, not_a_url, refuse_unknown};
use crate::config::value;

/// The parameters of a PostgreSQL URL that the library understands.
const PARAMETERS: [&str; 18] = [
    "sslmode",
    "ssl-mode",
    "sslrootcert",
    "ssl-root-cert",
    "ssl-ca",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "application_name",
    "options",
    "statement-cache-capacity",
];
pub(super) const SSL_MODES: [&str; 6] = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"];

/// The names of the parameters of the encryption and of its authorities.
pub(super) const MODE_NAMES: [&str; 2] = ["sslmode", "ssl-mode"];
pub(super) const CA_NAMES: [&str; 3] = ["sslrootcert", "ssl-root-cert", "ssl-ca"];

/// The database, with the kind of backend decided.
#[derive(Clone, Debug)]
pub enum StoreUrl {
    /// A SQLite file; a relative path starts at the working directory.
    Sqlite(PathBuf),
    /// A PostgreSQL connection URL, secret because it may hold a password.
    Postgres(SecretString),
}

impl StoreUrl {
    /// Parses a URL, and completes one of PostgreSQL.
    ///
    /// # Errors
    /// A text that names the expected form, or the contradiction.
    pub(super) fn parse_with(text: &str, encryption: &Encryption) -> Result<StoreUrl, String> {
        StoreUrl::parse(&encryption.complete(text)?)
    }

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
    if let Some((_, query)) = path.split_once('?') {
        // A file has no host, and this one only holds the query.
        let url = Url::parse(&format!("sqlite://file/?{query}")).map_err(|_| "must name a file")?;
        refuse_unknown(&url, &[])?;
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

/// Returns the value of the last parameter with one of the names.
pub(super) fn last<'u>(url: &'u Url, names: &[&str]) -> Option<Cow<'u, str>> {
    url.query_pairs().filter(|(name, _)| names.contains(&name.as_ref())).last().map(|(_, value)| value)
}

/// Returns whether a URL names a server on this machine, or says whether the connection to another one is encrypted. The library
/// would send the password in the clear to whoever says that it speaks no TLS.
fn is_encrypted_or_near(url: &Url) -> bool {
    let host = last(url, &["host", "hostaddr"]);
    let host = host.map_or_else(|| url.host_str().unwrap_or_default().to_owned(), Cow::into_owned);
    let host = percent_encoding::percent_decode_str(&host).decode_utf8_lossy().into_owned();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    let is_near = host == "localhost" || host.starts_with('/') || address.is_ok_and(|address| address.is_loopback());
    let mode = last(url, &MODE_NAMES);
    is_near || mode.is_some_and(|mode| ["verify-full", "verify-ca", "require", "disable"].contains(&mode.as_ref()))
}

/// Refuses values that the library would refuse, in words that do not repeat them.
fn check_values(url: &Url) -> Result<(), String> {
    for (name, value) in url.query_pairs() {
        let fits = match name.as_ref() {
            "sslmode" | "ssl-mode" => SSL_MODES.contains(&value.as_ref()),
            "port" => value.parse::<u16>().is_ok(),
            "hostaddr" => value.parse::<IpAddr>().is_ok(),
            "statement-cache-capacity" => value.parse::<usize>().is_ok(),
            _ => true,
        };
        if !fits {
            return Err(format!("must have another value of {name}: it is not one of that parameter"));
        }
    }
    Ok(())
}

fn parse_postgres(text: &str) -> Result<StoreUrl, String> {
    let url = Url::parse(text).map_err(|error| not_a_url(text, &error))?;
    // A raw `#` in a password silently cuts the URL short there.
    if url.fragment().is_some() || value::has_control(text) {
        return Err("must not contain `#` or control characters: percent-encode them, # as %23".into());
    }
    // So does a slash or a question mark, if the part before it looks like a host and a port.
    if url.username().is_empty() && has_raw_password(text.split('?').next().unwrap_or_default()) {
        return Err(not_a_url(text, &url::ParseError::InvalidPort));
    }
    refuse_unknown(&url, &PARAMETERS)?;
    check_values(&url)?;
    if let Some(file) = last(&url, &CA_NAMES) {
        check_authorities(Path::new(file.as_ref()))?;
    }
    let host_in_query = last(&url, &["host", "hostaddr"]).is_some();
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

/// Returns whether a URL holds a password.
pub(super) fn has_password(text: &str) -> bool {
    let Ok(url) = Url::parse(text) else { return false };
    url.password().is_some() || last(&url, &["password"]).is_some()
}
