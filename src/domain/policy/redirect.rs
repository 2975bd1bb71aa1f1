//! The addresses that people may be sent to after their answer. Whoever may create an invitation chooses one of them, so that no link
//! of the operator's page leads to a stranger's.

use std::collections::BTreeSet;

use url::Url;

use crate::domain::kind::shared::RedirectUri;
use crate::domain::value::rule::Invalid;

/// A set of addresses: `https://app.example.org/welcome` stands for that path and what is below it, `https://*.example.org` for
/// every host below `example.org`, and `myapp:` for every address of that app.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RedirectSet(BTreeSet<Entry>);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Entry {
    /// The scheme of an app.
    App(String),
    /// A part of the web.
    Web { host: String, below: bool, port: u16, path: String },
}

/// The port of https.
const HTTPS: u16 = 443;
/// The beginning of an entry for the hosts below one.
const BELOW: &str = "https://*.";

impl RedirectSet {
    /// Adds an entry.
    pub fn add(&mut self, entry: &str) -> Result<(), Invalid> {
        const INVALID: Invalid = Invalid::format(
            "must be an address such as https://app.example.org or https://*.example.org/welcome, or the scheme of an app such as myapp:",
        );
        let parsed = match entry.strip_suffix(':').or_else(|| entry.strip_suffix("://")) {
            Some(scheme) => app_entry(scheme),
            None => web_entry(entry),
        };
        self.0.insert(parsed.ok_or(INVALID)?);
        Ok(())
    }

    /// Returns whether people may be sent to an address.
    pub fn permits(&self, redirect: &RedirectUri) -> bool {
        let Ok(url) = Url::parse(redirect.as_str()) else { return false };
        self.0.iter().any(|entry| entry.permits(&url))
    }

    /// Returns the number of entries.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the entries in their one spelling, sorted.
    pub fn entries(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(|entry| match entry {
            Entry::App(scheme) => format!("{scheme}:"),
            Entry::Web { host, below, port, path } => {
                let star = if *below { "*." } else { "" };
                let port = if *port == HTTPS { String::new() } else { format!(":{port}") };
                format!("https://{star}{host}{port}{}", if path == "/" { "" } else { path })
            }
        })
    }
}

impl Entry {
    fn permits(&self, url: &Url) -> bool {
        match self {
            Self::App(scheme) => url.scheme() == scheme,
            Self::Web { host, below, port, path } => {
                let given = url.host_str().unwrap_or_default();
                let is_host = match below {
                    true => given.strip_suffix(host.as_str()).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.')),
                    false => given == host,
                };
                // The URL has its dots resolved, as a browser resolves them.
                let rest = url.path().strip_prefix(path.as_str());
                let is_path = rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || path.ends_with('/'))
                    && (path == "/" || !may_leave(url.path()));
                url.scheme() == "https" && is_host && url.port_or_known_default() == Some(*port) && is_path
            }
        }
    }
}

/// Returns whether a server that decodes a path before it looks at its dots could find another one.
fn may_leave(path: &str) -> bool {
    let path = path.to_ascii_lowercase();
    ["%2f", "%5c", "%2e", "%25", "..;"].iter().any(|part| path.contains(part))
}

fn app_entry(scheme: &str) -> Option<Entry> {
    let sample = format!("{scheme}:x");
    RedirectUri::parse(&sample).ok()?;
    let url = Url::parse(&sample).ok()?;
    let is_app = url.scheme() != "https" && url.scheme().eq_ignore_ascii_case(scheme);
    is_app.then(|| Entry::App(url.scheme().to_owned()))
}

fn web_entry(entry: &str) -> Option<Entry> {
    let below = entry.starts_with(BELOW);
    // A host below one is a host like another.
    let sample = if below { entry.replacen(BELOW, "https://x.", 1) } else { entry.to_owned() };
    RedirectUri::parse(&sample).ok()?;
    let url = Url::parse(&sample).ok().filter(|url| url.scheme() == "https")?;
    let host = url.host_str()?;
    if sample.contains(['*', ',', '?', '#']) {
        return None;
    }
    let host = if below { host.strip_prefix("x.")? } else { host };
    let port = url.port_or_known_default()?;
    Some(Entry::Web { host: host.to_owned(), below, port, path: url.path().to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(entries: &[&str]) -> RedirectSet {
        let mut set = RedirectSet::default();
        entries.iter().for_each(|entry| set.add(entry).unwrap());
        set
    }

    #[test]
    fn redirect_has_to_be_below_an_entry() {
        let set = set(&[
            "https://app.example.org",
            "https://*.corp.example",
            "https://shop.example/welcome",
            "https://x.example:8443/a/",
            "MyApp:",
            "com.example.app://",
        ]);
        for (uri, permitted) in [
            ("https://app.example.org", true),
            ("https://APP.example.org/any?x=1#top", true),
            ("https://app.example.org:443/", true),
            ("https://app.example.org:444/", false),
            ("https://app.example.org.evil.example/", false),
            ("https://evil.example/https://app.example.org", false),
            ("https://evilapp.example.org/", false),
            ("https://a.corp.example/", true),
            ("https://b.a.corp.example/", true),
            ("https://corp.example/", false),
            ("https://evilcorp.example/", false),
            ("https://shop.example/welcome", true),
            ("https://shop.example/welcome/ann", true),
            ("https://shop.example/welcome?to=x", true),
            ("https://shop.example/welcomes", false),
            ("https://shop.example/welcome/../admin", false),
            ("https://shop.example/welcome/%2e%2e/admin", false),
            ("https://shop.example/welcome/..%2fadmin", false),
            ("https://shop.example/welcome/..%5Cadmin", false),
            ("https://shop.example/welcome/..;/admin", false),
            ("https://shop.example/welcome/%252e%252e/admin", false),
            ("https://app.example.org/a%2Fb", true),
            ("https://shop.example/", false),
            ("https://x.example:8443/a/b", true),
            ("https://x.example:8443/a", false),
            ("https://x.example/a/b", false),
            ("myapp://accepted", true),
            ("myapp:x", true),
            ("myapps://accepted", false),
            ("com.example.app:/done", true),
        ] {
            assert_eq!(set.permits(&RedirectUri::parse(uri).unwrap()), permitted, "{uri}");
        }
        assert!(!RedirectSet::default().permits(&RedirectUri::parse("https://app.example.org").unwrap()));
        let entries: Vec<_> = set.entries().collect();
        assert_eq!(entries[..3], ["com.example.app:", "myapp:", "https://app.example.org"]);
        assert_eq!((set.len(), set.is_empty()), (6, false));
        assert_eq!(self::set(&entries.iter().map(String::as_str).collect::<Vec<_>>()), set, "entries are read again");
    }

    #[test]
    fn entry_that_is_no_part_of_the_web_or_app_is_refused() {
        for entry in [
            "",
            ":",
            "*",
            "https://*",
            "https:",
            "https://",
            "http://app.example.org",
            "http:",
            "javascript:",
            "data:",
            "my:app:",
            "app.example.org",
            "https://user@app.example.org",
            "https://app.example.org?x=1",
            "https://app.example.org#x",
            "https://a.*.example.org",
            "myapp:/accepted",
        ] {
            assert!(RedirectSet::default().add(entry).is_err(), "{entry:?}");
        }
    }
}
