//! Section `[events]`: the followers of events, and NATS.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use url::{Host, Url};

use crate::config::error::{Checked, Problems};
use crate::config::parameters::{has_raw_password, not_a_url, refuse_unknown};
use crate::config::value;
use crate::domain::invitation::event::EventFormat;

const PATIENCE: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(3_600);
const CHECKPOINT: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(30);
const INTERVAL: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(3_600);

/// The settings of events.
#[derive(Clone, Debug)]
pub struct EventsConfig {
    /// The time for which the client of a watch may read nothing before the watch ends.
    pub watch_patience: Duration,
    /// The interval at which a watch sends a checkpoint.
    pub checkpoint_interval: Duration,
    /// The interval at which expired invitations are recorded as events.
    pub expiry_interval: Duration,
    /// The NATS that events are published to, if there is one.
    pub nats: Option<NatsConfig>,
}

/// A NATS JetStream that events are published to.
#[derive(Clone, Debug)]
pub struct NatsConfig {
    /// The servers' URLs, comma-separated; secret because they may hold a password.
    pub url: SecretString,
    /// The stream that keeps the events; it is created if it does not exist.
    pub stream: String,
    /// The first words of the subjects.
    pub subject: String,
    /// The event that publishing starts with the first time.
    pub begin: NatsBegin,
    /// The form in which events are published.
    pub format: EventFormat,
}

/// The event that publishing starts with the first time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NatsBegin {
    /// The next event.
    Now,
    /// The first event there is.
    First,
}

#[derive(Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct RawEvents {
    watch_patience: String,
    checkpoint_interval: String,
    expiry_interval: String,
    nats_url: Option<String>,
    nats_url_file: Option<String>,
    nats_stream: String,
    nats_subject: String,
    nats_begin: String,
    nats_format: String,
}

impl RawEvents {
    /// Parses the section; the second value is the file the URL came from.
    pub(in crate::config) fn validate(self, problems: &mut Problems) -> Checked<(EventsConfig, Option<PathBuf>)> {
        let Self { watch_patience, checkpoint_interval, expiry_interval, .. } = &self;
        let watch_patience = value::duration(problems, "events.watch_patience", watch_patience, PATIENCE);
        let checkpoint_interval =
            value::duration(problems, "events.checkpoint_interval", checkpoint_interval, CHECKPOINT);
        let expiry_interval = value::duration(problems, "events.expiry_interval", expiry_interval, INTERVAL);
        let Self { nats_url, nats_url_file, nats_stream, nats_subject, nats_begin, nats_format, .. } = self;
        let url = parse_url(problems, nats_url, nats_url_file);
        let stream = problems.check("events.nats_stream", parse_stream(nats_stream));
        let subject = problems.check("events.nats_subject", parse_subject(nats_subject));
        let begins = [("now", NatsBegin::Now), ("first", NatsBegin::First)];
        let begin = value::choice(problems, "events.nats_begin", &nats_begin, &begins);
        let formats: Vec<_> = EventFormat::ALL.iter().map(|format| (format.code(), *format)).collect();
        let format = value::choice(problems, "events.nats_format", &nats_format, &formats);
        let ((url, file), stream, subject, begin, format) = (url?, stream?, subject?, begin?, format?);
        let nats = url.map(|url| NatsConfig { url, stream, subject, begin, format });
        let (watch_patience, checkpoint_interval, expiry_interval) =
            (watch_patience?, checkpoint_interval?, expiry_interval?);
        let config = EventsConfig { watch_patience, checkpoint_interval, expiry_interval, nats };
        Ok((config, file))
    }
}

/// A secret, if it is set, and the file it came from.
type Source = (Option<SecretString>, Option<PathBuf>);

fn parse_url(problems: &mut Problems, url: Option<String>, file: Option<String>) -> Checked<Source> {
    let Some(secret) = value::secret(problems, "events.nats_url", url, file)? else { return Ok((None, None)) };
    let field = if secret.file.is_some() { "events.nats_url_file" } else { "events.nats_url" };
    problems.check(field, check_urls(secret.value.expose_secret()))?;
    Ok((Some(secret.value), secret.file))
}

/// Checks a list of servers; the text never quotes it, since it may hold a password.
pub(crate) fn check_urls(urls: &str) -> Result<(), String> {
    let servers = urls.split(',').map(|url| check_url(url.trim())).collect::<Result<Vec<_>, _>>()?;
    // The credentials of one are brought to all.
    if servers.iter().any(|server| server.credentials) && servers.iter().any(|server| server.in_the_clear) {
        return Err("must not send a password in the clear: use tls:// for every server".to_owned());
    }
    Ok(())
}

struct Server {
    credentials: bool,
    in_the_clear: bool,
}

fn check_url(url: &str) -> Result<Server, String> {
    const EXPECTED: &str =
        "must be nats://HOST:PORT or tls://HOST:PORT, with USER:PASSWORD@ or TOKEN@ where needed; several with commas";
    let url = Url::parse(url)
        .map_err(|error| if has_raw_password(url) { not_a_url(url, &error) } else { EXPECTED.to_owned() })?;
    let host = url.host_str().filter(|host| !host.is_empty()).ok_or(EXPECTED)?;
    if !matches!(url.scheme(), "nats" | "tls") || url.fragment().is_some() || !matches!(url.path(), "" | "/") {
        return Err(EXPECTED.to_owned());
    }
    refuse_unknown(&url, &[])?;
    // The URL parser leaves hosts of schemes that it does not know as they are.
    let loopback = match Host::parse(host).map_err(|_| EXPECTED)? {
        Host::Domain(name) => name == "localhost",
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    };
    let credentials = !url.username().is_empty() || url.password().is_some_and(|password| !password.is_empty());
    Ok(Server { credentials, in_the_clear: url.scheme() == "nats" && !loopback })
}

fn parse_stream(name: String) -> Result<String, &'static str> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let is_name = (1..=255).contains(&name.len()) && name.chars().all(fits);
    if is_name { Ok(name) } else { Err("must have 1 to 255 ASCII letters, digits, hyphens and underscores") }
}

fn parse_subject(prefix: String) -> Result<String, &'static str> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let is_token = |token: &str| !token.is_empty() && token.chars().all(fits);
    let is_prefix = prefix.len() <= 200 && prefix.split('.').all(is_token);
    if is_prefix {
        Ok(prefix)
    } else {
        Err("must be words of ASCII letters, digits, hyphens and underscores, with dots between")
    }
}
