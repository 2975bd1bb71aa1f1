//! One request to an endpoint: to an address that may be connected to, in bounded time, with no redirect followed and next
//! to nothing of the answer read.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Client, Response};
use tokio::time::{Instant, timeout_at};
use url::Url;

use crate::domain::webhook::networks::Networks;
use crate::domain::webhook::uri::literal;
use crate::telemetry::cause;

/// The limits for reading an answer. It is thrown away: a connection whose answer was read can be used again.
const READ_BYTES: usize = 64 * 1024;
const READ_TIME: Duration = Duration::from_secs(1);
/// The time after which an idle connection is closed.
const IDLE: Duration = Duration::from_secs(30);

/// An endpoint's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The header `retry-after`.
    pub retry_after: Option<String>,
}

/// The reason of a missing answer, in words that hold no address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoAnswer(pub &'static str);

/// The same text for a host without an address and for one without an allowed address, so that the owner of an endpoint does not
/// learn
/// which names there are inside.
const NOT_ALLOWED: NoAnswer = NoAnswer("no address that may be posted to");
pub(super) const TOO_LATE: NoAnswer = NoAnswer("no answer in time");

/// Posts to endpoints. Clones share the connections.
#[derive(Clone, Debug)]
pub struct WebhookClient {
    networks: Arc<Networks>,
    tls: Client,
    plain: Client,
    limit: Duration,
}

impl WebhookClient {
    /// Creates a client that takes at most `limit` for a request.
    ///
    /// # Errors
    /// The machine has no certificates to check an endpoint's by.
    pub fn new(networks: Networks, limit: Duration) -> Result<Self, reqwest::Error> {
        // Another part of the process may have done so before, with the same provider.
        drop(rustls::crypto::ring::default_provider().install_default());
        let networks = Arc::new(networks);
        let client = |tls: bool| {
            Client::builder()
                .dns_resolver(Arc::new(Guard { networks: Arc::clone(&networks), tls }))
                .redirect(Policy::none())
                .no_proxy()
                .referer(false)
                .https_only(tls)
                .pool_idle_timeout(IDLE)
                .user_agent(concat!("invitation-service/", env!("CARGO_PKG_VERSION")))
                .build()
        };
        let (tls, plain) = (client(true)?, client(false)?);
        Ok(Self { networks, tls, plain, limit })
    }

    /// Posts a body and returns the answer as soon as its status is there.
    pub async fn post(&self, uri: &str, headers: HeaderMap, body: String) -> Result<Answer, NoAnswer> {
        let url = Url::parse(uri).map_err(|_| NOT_ALLOWED)?;
        let tls = match url.scheme() {
            "https" => true,
            "http" => false,
            _ => return Err(NOT_ALLOWED),
        };
        // A host that is written as an address is connected to without a look at the resolver.
        if literal(&url).is_some_and(|address| !self.networks.allow(address, tls)) {
            return Err(NOT_ALLOWED);
        }
        let client = if tls { &self.tls } else { &self.plain };
        let until = Instant::now() + self.limit;
        let sent = timeout_at(until, client.post(url).headers(headers).body(body).send()).await;
        let response = sent.map_err(|_| TOO_LATE)?.map_err(|error| NoAnswer(words(&error)))?;
        let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let answer = Answer { status: response.status().as_u16(), retry_after };
        // Whether all of the answer arrives, and when, changes nothing any more.
        drop(timeout_at(until.min(Instant::now() + READ_TIME), read(response)).await);
        Ok(answer)
    }
}

/// Reads the beginning of an answer.
async fn read(mut response: Response) {
    let mut left = READ_BYTES;
    while let Ok(Some(chunk)) = response.chunk().await {
        left = left.saturating_sub(chunk.len());
        if left == 0 {
            return;
        }
    }
}

/// Looks names up and lets through only addresses that may be connected to: these are then connected to, so a name that
/// means something else a moment later gains nothing.
#[derive(Debug)]
struct Guard {
    networks: Arc<Networks>,
    tls: bool,
}

/// A name has no address, or no address that is allowed.
#[derive(Clone, Copy, Debug)]
struct Refused;

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(NOT_ALLOWED.0)
    }
}

impl std::error::Error for Refused {}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let (networks, tls) = (Arc::clone(&self.networks), self.tls);
        Box::pin(async move {
            let Ok(found) = tokio::net::lookup_host((name.as_str(), 0)).await else {
                log_event!(debug, WEBHOOK_HOST_UNKNOWN, host = name.as_str(), "the host of a webhook is not known");
                return Err(Refused.into());
            };
            let allowed = allowed(&networks, tls, found).inspect_err(|Refused| {
                log_event!(
                    debug,
                    WEBHOOK_HOST_REFUSED,
                    host = name.as_str(),
                    "the host of a webhook has no address that is allowed"
                );
            })?;
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

fn allowed(
    networks: &Networks,
    tls: bool,
    found: impl Iterator<Item = SocketAddr>,
) -> Result<Vec<SocketAddr>, Refused> {
    let allowed = |address: &SocketAddr| networks.allow(IpAddr::to_canonical(&address.ip()), tls);
    let allowed: Vec<SocketAddr> = found.filter(allowed).collect();
    if allowed.is_empty() { Err(Refused) } else { Ok(allowed) }
}

/// Returns the failure in words of our own: the library's hold the address.
fn words(error: &reqwest::Error) -> &'static str {
    if cause::find::<Refused>(error).is_some() {
        return NOT_ALLOWED.0;
    }
    match cause::find::<rustls::Error>(error) {
        Some(rustls::Error::InvalidCertificate(_)) => return "the certificate is not valid for us",
        Some(_) => return "TLS failed",
        None => {}
    }
    match cause::find::<io::Error>(error).map(io::Error::kind) {
        Some(io::ErrorKind::ConnectionRefused) => "connection refused",
        Some(io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe) => "the connection broke",
        Some(io::ErrorKind::TimedOut) => TOO_LATE.0,
        _ if error.is_timeout() => TOO_LATE.0,
        _ if error.is_connect() => "no connection",
        _ => "no HTTP answer",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_allowed_addresses_of_a_name_are_connected_to() {
        let found = ["127.0.0.1:0", "8.8.8.8:0", "[::1]:0", "10.0.0.1:0", "169.254.169.254:0", "[fd00::1]:0"];
        let found = || found.iter().map(|address| address.parse().unwrap());
        let none = Networks::default();
        assert_eq!(allowed(&none, true, found()).unwrap(), ["8.8.8.8:0".parse().unwrap()]);
        assert!(allowed(&none, false, found()).is_err(), "nothing without TLS");
        let added = Networks::new(["10.0.0.0/8".parse().unwrap()]);
        assert_eq!(allowed(&added, false, found()).unwrap(), ["10.0.0.1:0".parse().unwrap()]);
        assert!(allowed(&none, true, std::iter::empty()).is_err());
    }

    #[tokio::test(crate = "crate::limit")]
    async fn unknown_host_looks_like_one_with_refused_addresses() {
        let guard = Guard { networks: Arc::default(), tls: true };
        let mut told = Vec::new();
        // The first is no name that a resolver would look for.
        for host in ["a..b", "localhost"] {
            told.push(guard.resolve(host.parse().unwrap()).await.err().unwrap().to_string());
        }
        assert_eq!(told, [NOT_ALLOWED.0; 2]);
    }
}
