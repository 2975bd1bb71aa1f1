//! Section `[pages]`: the listener of the pages behind the links, and what they do.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use url::{Host, Origin, Url};

use super::admin::AdminConfig;
use super::auth::AuthConfig;
use super::grpc::GrpcConfig;
use super::limits::{Rate, rate};
use super::links::{is_local_name, parse_template};
use super::mail::parse_locale;
use super::policy::entries;
use super::webhooks::parse_networks;
use crate::config::error::{Checked, Problems};
use crate::config::value;
use crate::domain::kind::Kind;

const RECEIPT_TTL: RangeInclusive<Duration> = Duration::from_secs(30)..=Duration::from_secs(60 * 60);

/// The settings of the pages.
#[derive(Clone, Debug)]
pub struct PagesConfig {
    /// The address and port to listen on; `None` if there are no pages.
    pub listen: Option<SocketAddr>,
    /// The origin by which people reach the pages; `None` if it is the host that they ask for, on a loopback address.
    pub origin: Option<String>,
    /// The API key that the pages call the services with.
    pub api_key: Option<SecretString>,
    /// The page that people are sent to instead, with `{token}` once.
    pub redirect: Option<String>,
    /// The kinds whose invitations the pages accept by themselves.
    pub accept: Vec<Kind>,
    /// The networks of proxies that say which client a request is from.
    pub trusted_proxies: Vec<IpNet>,
    /// The requests of one client.
    pub requests_per_client: Option<Rate>,
    /// The time for which a receipt is valid.
    pub receipt_ttl: Duration,
    /// The folder of templates that take the place of those that are compiled in.
    pub templates: Option<PathBuf>,
    /// The language of a page if neither its visitor nor the invitation asks for one that there is.
    pub locale: String,
}

impl PagesConfig {
    /// Returns whether people reach the pages by https alone.
    pub fn is_secure(&self) -> bool {
        self.origin.as_ref().is_some_and(|origin| origin.starts_with("https://"))
    }

    /// Checks what needs other sections: the sockets, the credential and the origin. Without a listener nothing of it is used.
    pub(in crate::config) fn check_beside(
        &self,
        (grpc, admin, auth): (&GrpcConfig, &AdminConfig, &AuthConfig),
        problems: &mut Problems,
    ) {
        let Some(listen) = self.listen else { return };
        if listen.port() != 0 && (listen == grpc.listen || Some(listen) == admin.listen) {
            problems.add("pages.listen", "is grpc.listen or admin.listen as well: give the pages a port of their own");
        }
        if matches!(auth, AuthConfig::Required { .. }) && self.api_key.is_none() {
            let text = "is required with auth.mode = \"required\": create an API key with the permission invitations.redeem for the \
                        account of the pages, and set pages.api_key_file";
            problems.add("pages.api_key", text);
        }
        if self.origin.is_none() && !listen.ip().is_loopback() {
            let text = "is required unless pages.listen is a loopback address: set the origin that links lead to";
            problems.add("pages.origin", text);
        }
    }
}

#[derive(Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct RawPages {
    listen: Option<String>,
    origin: String,
    api_key: Option<String>,
    api_key_file: Option<String>,
    redirect: String,
    accept: String,
    trusted_proxies: String,
    requests_per_client: String,
    receipt_ttl: String,
    templates: String,
    locale: String,
}

impl RawPages {
    /// Parses the section; the second value is the file the API key came from.
    pub(in crate::config) fn validate(self, problems: &mut Problems) -> Checked<(PagesConfig, Option<PathBuf>)> {
        let RawPages { listen, origin, api_key, api_key_file, redirect, accept, .. } = &self;
        let listen = listen.as_ref().map(|listen| value::address(problems, "pages.listen", listen)).transpose();
        let origin = problems.check("pages.origin", optional(origin).map(parse_origin).transpose());
        let api_key = value::secret(problems, "pages.api_key", api_key.clone(), api_key_file.clone());
        let redirect = optional(redirect).map(|redirect| parse_template(redirect.to_owned())).transpose();
        let redirect = problems.check("pages.redirect", redirect);
        let accept = problems.check("pages.accept", entries(accept).map(parse_kind).collect::<Result<Vec<_>, _>>());
        let proxies = problems.check("pages.trusted_proxies", parse_networks(&self.trusted_proxies));
        let rate = rate(problems, "pages.requests_per_client", &self.requests_per_client);
        let receipt_ttl = value::duration(problems, "pages.receipt_ttl", &self.receipt_ttl, RECEIPT_TTL);
        let locale = problems.check("pages.locale", parse_locale(&self.locale));
        let (api_key, file) = match api_key? {
            Some(secret) => (Some(secret.value), secret.file),
            None => (None, None),
        };
        let config = PagesConfig {
            listen: listen?,
            origin: origin?,
            api_key,
            redirect: redirect?,
            accept: accept?,
            trusted_proxies: proxies?,
            requests_per_client: rate?,
            receipt_ttl: receipt_ttl?,
            templates: optional(&self.templates).map(PathBuf::from),
            locale: locale?,
        };
        Ok((config, file))
    }
}

/// Empty stands for a value that is not set.
fn optional(text: &str) -> Option<&str> {
    Some(text.trim()).filter(|text| !text.is_empty())
}

fn parse_kind(code: &str) -> Result<Kind, String> {
    let found = Kind::ALL.into_iter().find(|kind| kind.code() == code);
    found.ok_or_else(|| {
        let codes = Kind::ALL.map(Kind::code).join(", ");
        format!("must be kinds of invitations, comma-separated: {codes}")
    })
}

/// Parses an origin, in the spelling that browsers send it in. Cookies of half an hour and receipts go over it, so it is https, but for
/// this machine.
fn parse_origin(text: &str) -> Result<String, String> {
    let expected =
        || "must be an origin such as https://join.example.org, without a path; http for localhost alone".to_owned();
    let url = Url::parse(text).map_err(|_| expected())?;
    let is_local = match url.host() {
        Some(Host::Domain(name)) => is_local_name(name),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    let is_origin =
        matches!(url.origin(), Origin::Tuple(..)) && url.as_str() == format!("{}/", url.origin().ascii_serialization());
    let fits = is_origin && (url.scheme() == "https" || (url.scheme() == "http" && is_local));
    if fits { Ok(url.origin().ascii_serialization()) } else { Err(expected()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origin_is_one_that_a_browser_sends() {
        for (text, wanted) in [
            ("https://join.example.org", "https://join.example.org"),
            ("https://JOIN.example.org:443/", "https://join.example.org"),
            ("https://join.example.org:8443", "https://join.example.org:8443"),
            ("http://localhost:8080", "http://localhost:8080"),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ] {
            assert_eq!(parse_origin(text).as_deref(), Ok(wanted), "{text}");
        }
        for text in [
            "join.example.org",
            "http://join.example.org",
            "https://a.example/i",
            "https://a@b.example",
            "ftp://a",
            "https://a?x",
            "data:x",
        ] {
            assert!(parse_origin(text).is_err(), "{text}");
        }
    }

    #[test]
    fn kinds_go_by_their_codes() {
        assert_eq!(parse_kind("user"), Ok(Kind::User));
        assert!(parse_kind("users").unwrap_err().contains("connection, user, guest, general"));
    }
}
