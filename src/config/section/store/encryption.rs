//! The encryption of connections to PostgreSQL beside the URLs, for URLs that somebody else writes: `store.sslmode` and `store.ca_file`.

use std::path::{Path, PathBuf};

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use url::Url;

use super::url::{CA_NAMES, MODE_NAMES, SSL_MODES, last};
use crate::config::error::{Checked, Problems};
use crate::config::value;

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";

/// The encryption that completes URLs.
#[derive(Clone, Debug, Default)]
pub struct Encryption {
    /// The mode of URLs that have none; `None` if each has its own.
    pub sslmode: Option<String>,
    /// The file of the authorities of servers; `None` if the system's are trusted, or those of each URL.
    pub ca_file: Option<PathBuf>,
}

impl Encryption {
    /// Parses the two keys.
    pub(super) fn parse(
        problems: &mut Problems,
        sslmode: Option<String>,
        ca_file: Option<String>,
    ) -> Checked<Encryption> {
        let modes = SSL_MODES.map(|mode| (mode, mode.to_owned()));
        let sslmode = sslmode.map(|mode| value::choice(problems, "store.sslmode", &mode, &modes)).transpose();
        let ca_file = ca_file.map(PathBuf::from);
        let checked = ca_file.as_deref().map_or(Ok(()), check_authorities);
        problems.check("store.ca_file", checked)?;
        let sslmode = sslmode?;
        if ca_file.is_some() && sslmode.as_deref().is_some_and(|mode| !mode.starts_with("verify-")) {
            return problems
                .check("store.ca_file", Err("has no effect unless store.sslmode is verify-full or verify-ca"));
        }
        Ok(Self { sslmode, ca_file })
    }

    /// Returns whether one of the keys is set.
    pub(super) fn is_set(&self) -> bool {
        self.sslmode.is_some() || self.ca_file.is_some()
    }

    /// Adds to a URL of PostgreSQL what it lacks. One that cannot be parsed stays as it is.
    ///
    /// # Errors
    /// A URL that says something else.
    pub(super) fn complete(&self, text: &str) -> Result<String, String> {
        let (true, Ok(url)) = (self.is_set(), Url::parse(text)) else { return Ok(text.to_owned()) };
        if !matches!(url.scheme(), "postgres" | "postgresql") {
            return Ok(text.to_owned());
        }
        let mut text = text.to_owned();
        let mut add = |name: &str, value: &str| {
            let separator = if text.contains('?') { '&' } else { '?' };
            text += &format!("{separator}{name}={}", utf8_percent_encode(value, NON_ALPHANUMERIC));
        };
        let own_mode = last(&url, &MODE_NAMES);
        match (&self.sslmode, own_mode.as_deref()) {
            (Some(mode), Some(own)) if own != mode => {
                return Err(format!(
                    "has another sslmode than store.sslmode, which is {mode}: leave one of the two out"
                ));
            }
            (Some(mode), None) => add("sslmode", mode),
            (Some(_) | None, _) => {}
        }
        if let Some(file) = &self.ca_file {
            let mode = self.sslmode.as_deref().or(own_mode.as_deref());
            if !mode.is_some_and(|mode| mode.starts_with("verify-")) {
                return Err("has no sslmode that uses store.ca_file: set store.sslmode = \"verify-full\"".to_owned());
            }
            match last(&url, &CA_NAMES) {
                Some(own) if Path::new(own.as_ref()) != file => {
                    return Err("has another sslrootcert than store.ca_file: leave one of the two out".to_owned());
                }
                Some(_) => {}
                None => add("sslrootcert", &file.to_string_lossy()),
            }
        }
        Ok(text)
    }
}

/// Refuses a file of authorities that has no certificate. The library reads it anew for each connection.
pub(super) fn check_authorities(path: &Path) -> Result<(), String> {
    let text = value::read_file(&path.to_string_lossy())?;
    if text.contains(BEGIN) { Ok(()) } else { Err(format!("{}: there is no certificate in PEM", path.display())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn url_gets_what_it_lacks_and_may_not_say_otherwise() {
        let of = |sslmode: Option<&str>, ca_file: Option<&str>| Encryption {
            sslmode: sslmode.map(str::to_owned),
            ca_file: ca_file.map(PathBuf::from),
        };
        let (mode, both) = (of(Some("verify-full"), None), of(Some("verify-full"), Some("/ca/a b.pem")));
        for (encryption, url, wanted) in [
            (&mode, "postgres://h/d", Ok("postgres://h/d?sslmode=verify%2Dfull")),
            (&mode, "postgres://h/d?user=u", Ok("postgres://h/d?user=u&sslmode=verify%2Dfull")),
            (&mode, "postgres://h/d?ssl-mode=verify-full", Ok("postgres://h/d?ssl-mode=verify-full")),
            (&mode, "postgres://h/d?sslmode=require", Err("another sslmode")),
            (&mode, "sqlite://a", Ok("sqlite://a")),
            (&mode, "nonsense", Ok("nonsense")),
            (&both, "postgres://h/d", Ok("postgres://h/d?sslmode=verify%2Dfull&sslrootcert=%2Fca%2Fa%20b%2Epem")),
            (&both, "postgres://h/d?sslrootcert=/other", Err("another sslrootcert")),
            (&of(None, Some("/ca")), "postgres://h/d", Err("no sslmode that uses")),
            (
                &of(None, Some("/ca")),
                "postgres://h/d?sslmode=verify-ca&sslrootcert=/ca",
                Ok("postgres://h/d?sslmode=verify-ca&sslrootcert=/ca"),
            ),
        ] {
            match (encryption.complete(url), wanted) {
                (Ok(text), Ok(wanted)) => assert_eq!(text, wanted),
                (Err(error), Err(part)) => assert!(error.contains(part), "{error}"),
                (got, _) => panic!("{url}: {got:?}"),
            }
        }
    }
}
