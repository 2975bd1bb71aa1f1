//! The effective configuration as TOML, for `check-config` and for issue reports: secrets replaced, origins named.
//!
//! Every struct is taken apart without `..`: a new option does not compile until it is shown here.

mod auth;
mod mail;
mod pages;
mod policy;

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use toml::Value;
use url::Url;

use super::section::grpc::OFF as ANY_AGE;
use super::section::limits::OFF as NO_LIMIT;
use super::section::reminders::{AFTER, BEFORE_EXPIRY, key};
use super::section::retention::OFF;
use super::value::format_duration;
use super::{
    AdminConfig, ClientAuth, Config, DeliveryConfig, EventsConfig, GrpcConfig, LimitsConfig, LinksConfig, LogConfig,
    LogFormat, LoggedCalls, NatsBegin, NatsConfig, Rate, ReminderTimes, RemindersConfig, RetentionConfig, SecretFiles,
    StoreConfig, StoreEncryption, StoreUrl, TlsConfig, TokenConfig, WebhooksConfig,
};
use crate::domain::delivery::repeats::ResendLimits;
use crate::domain::kind::Kind;

const REDACTED: &str = "[redacted]";

pub(super) fn render(config: &Config) -> String {
    let Config {
        grpc,
        admin,
        store,
        token,
        auth,
        accounts,
        client_certificates,
        jwt,
        limits,
        policy,
        links,
        pages,
        general,
        mail,
        delivery,
        reminders,
        notices,
        events,
        webhooks,
        retention,
        log,
        files,
        origins: _,
    } = config;
    let SecretFiles {
        store_url,
        store_password,
        listen_url,
        read_url,
        token_keys,
        api_keys,
        pages_api_key,
        mail_url,
        nats_url,
    } = files;
    let path = |file: &Option<std::path::PathBuf>| file.as_ref().map(|path| path.display().to_string());
    let sections = [
        render_grpc(grpc),
        render_admin(admin),
        render_store(store, [path(store_url), path(listen_url), path(read_url), path(store_password)]),
        render_token(token, path(token_keys)),
        auth::render_accounts(
            auth::render(auth, path(api_keys), client_certificates.as_ref(), jwt.as_ref()),
            accounts.as_ref(),
        )
        .0,
        render_limits(limits),
        policy::render(policy),
        render_links(links),
        pages::render(pages, path(pages_api_key)),
        section("general").text("ttl", format_duration(general.ttl)).0,
        mail::render(mail, path(mail_url)),
        render_delivery(delivery),
        render_reminders(reminders),
        mail::render_notices(*notices),
        render_events(events, path(nats_url)),
        render_webhooks(webhooks),
        render_retention(retention),
        render_log(log),
    ];
    sections.join("\n")
}

fn render_grpc(grpc: &GrpcConfig) -> String {
    let GrpcConfig {
        listen,
        request_timeout,
        drain_delay,
        drain_timeout,
        max_concurrent_streams,
        max_connections,
        max_connection_age,
        max_connection_age_grace,
        reflection,
        health,
        cors_origins,
        tls,
    } = grpc;
    let age = max_connection_age.map_or_else(|| ANY_AGE.to_owned(), format_duration);
    let plain = section("grpc")
        .text("listen", listen.to_string())
        .text("request_timeout", format_duration(*request_timeout))
        .text("drain_delay", format_duration(*drain_delay))
        .text("drain_timeout", format_duration(*drain_timeout))
        .number("max_concurrent_streams", i64::from(*max_concurrent_streams))
        .number("max_connections", i64::try_from(*max_connections).unwrap_or(i64::MAX))
        .text("max_connection_age", age)
        .text("max_connection_age_grace", format_duration(*max_connection_age_grace))
        .value("reflection", Value::Boolean(*reflection))
        .value("health", Value::Boolean(*health))
        .text("cors_origins", cors_origins.to_string())
        .0;
    format!("{plain}\n{}", render_tls(tls.as_ref()))
}

fn render_tls(tls: Option<&TlsConfig>) -> String {
    let word = |client_auth: ClientAuth| if client_auth.is_required() { "required" } else { "optional" }.to_owned();
    let Some(tls) = tls else {
        let plain = section("grpc.tls").comment("cert_file is not set: connections are plain");
        return plain.text("client_auth", word(ClientAuth::Optional)).0;
    };
    let TlsConfig { cert_file, key_file, identity, client_ca_file, client_authorities, client_auth } = tls;
    let mut out = section("grpc.tls")
        .text("cert_file", cert_file.display().to_string())
        .comment(&format!("which has {} until {}", identity.fingerprint, identity.not_after))
        .text("key_file", key_file.display().to_string());
    if let (Some(file), Some(authorities)) = (client_ca_file, client_authorities) {
        out = out.text("client_ca_file", file.display().to_string());
        out = out.comment(&format!("which has {}", authorities.fingerprints()));
    }
    out.text("client_auth", word(*client_auth)).0
}

fn render_admin(admin: &AdminConfig) -> String {
    let AdminConfig { listen } = admin;
    match listen {
        Some(listen) => section("admin").text("listen", listen.to_string()),
        None => section("admin").comment("listen is not set: there is no listener for probes alone"),
    }
    .0
}

fn render_store(store: &StoreConfig, [file, listen_file, read_file, password_file]: [Option<String>; 4]) -> String {
    let StoreConfig {
        url,
        migrate_on_start,
        max_connections,
        lanes,
        queue,
        timeout,
        pooler,
        listen_url,
        read_url,
        reader_role,
        password,
        encryption: StoreEncryption { sslmode, ca_file },
    } = store;
    let url = match url {
        StoreUrl::Sqlite(path) => format!("sqlite://{}", path.display()),
        StoreUrl::Postgres(url) => without_credentials(url),
    };
    let head = match file {
        Some(file) => section("store").text("url_file", file).comment(&format!("which says {url}")),
        None => section("store").text("url", url),
    };
    let head = match (password_file, password) {
        (Some(file), Some(_)) => head.text("password_file", file).comment(&format!("which says {REDACTED}")),
        (_, _) => head.comment("password_file is not set: the URL has the password, if there is one"),
    };
    let head = match sslmode {
        Some(mode) => head.text("sslmode", mode.clone()),
        None => head.comment("sslmode is not set: each URL has its own"),
    };
    let head = match ca_file {
        Some(file) => head.text("ca_file", file.display().to_string()),
        None => head.comment("ca_file is not set: each URL has its own, or the system's are trusted"),
    };
    let listen_url = listen_url.as_ref().map_or_else(|| "off".to_owned(), without_credentials);
    let head = match listen_file {
        Some(file) => head.text("listen_url_file", file).comment(&format!("which says {listen_url}")),
        None => head.text("listen_url", listen_url),
    };
    let read_url = read_url.as_ref().map(without_credentials);
    let head = match (read_file, read_url) {
        (Some(file), Some(read_url)) => head.text("read_url_file", file).comment(&format!("which says {read_url}")),
        (None, Some(read_url)) => head.text("read_url", read_url),
        (_, None) => head.comment("read_url is not set: there is no standby to read from"),
    };
    let head = match reader_role {
        Some(role) => head.text("reader_role", role.clone()),
        None => head.comment("reader_role is not set: reads have no second wall"),
    };
    head.value("migrate_on_start", Value::Boolean(*migrate_on_start))
        .number("max_connections", i64::from(*max_connections))
        .number("lanes", i64::try_from(*lanes).unwrap_or(i64::MAX))
        .number("queue", i64::try_from(*queue).unwrap_or(i64::MAX))
        .text("timeout", format_duration(*timeout))
        .text("pooler", if *pooler { "transaction" } else { "none" }.to_owned())
        .0
}

fn render_token(token: &TokenConfig, file: Option<String>) -> String {
    let TokenConfig { keys } = token;
    match (keys, file) {
        (Some(_), Some(file)) => section("token").text("keys_file", file).comment(&format!("which says {REDACTED}")),
        (Some(_), None) => section("token").text("keys", REDACTED.to_owned()),
        (None, _) => section("token").comment("keys are not set: a ring is kept beside the SQLite file"),
    }
    .0
}

fn render_links(links: &LinksConfig) -> String {
    let LinksConfig { templates, allow_localhost, redirects } = links;
    let section = section("links").value("allow_localhost", Value::Boolean(*allow_localhost));
    let section = section.text("redirects", redirects.entries().collect::<Vec<_>>().join(", "));
    templates.iter().fold(section, |section, (kind, link)| section.text(kind.code(), link.clone())).0
}

fn render_delivery(delivery: &DeliveryConfig) -> String {
    let DeliveryConfig { enabled, lease, per_second, attempts } = delivery;
    section("delivery")
        .value("enabled", Value::Boolean(*enabled))
        .text("lease", format_duration(*lease))
        .number("per_second", i64::from(per_second.unwrap_or_default()))
        .number("attempts", i64::from(*attempts))
        .0
}

fn render_reminders(reminders: &RemindersConfig) -> String {
    let list = |spans: &[Duration]| spans.iter().map(|span| format_duration(*span)).collect::<Vec<_>>().join(", ");
    let add = |section: Section, (kind, times): (Kind, &ReminderTimes)| {
        let ReminderTimes { after, before_expiry } = times;
        section.text(&key(kind, AFTER), list(after)).text(&key(kind, BEFORE_EXPIRY), list(before_expiry))
    };
    reminders.iter().fold(section("reminders"), add).0
}

fn render_events(events: &EventsConfig, file: Option<String>) -> String {
    let EventsConfig { watch_patience, checkpoint_interval, expiry_interval, nats } = events;
    let out = section("events")
        .text("watch_patience", format_duration(*watch_patience))
        .text("checkpoint_interval", format_duration(*checkpoint_interval))
        .text("expiry_interval", format_duration(*expiry_interval));
    let Some(NatsConfig { url, stream, subject, begin, format }) = nats else {
        return out.comment("nats_url is not set: nothing is published").0;
    };
    let urls: Vec<_> =
        url.expose_secret().split(',').map(|url| without_credentials(&url.trim().to_owned().into())).collect();
    let out = match file {
        Some(file) => out.text("nats_url_file", file).comment(&format!("which says {}", urls.join(","))),
        None => out.text("nats_url", urls.join(",")),
    };
    let begin = match begin {
        NatsBegin::Now => "now",
        NatsBegin::First => "first",
    };
    let out = out.text("nats_stream", stream.clone()).text("nats_subject", subject.clone());
    out.text("nats_begin", begin.to_owned()).text("nats_format", format.code().to_owned()).0
}

fn render_webhooks(webhooks: &WebhooksConfig) -> String {
    let WebhooksConfig { enabled, timeout, concurrency, allowed_networks, rotation_overlap } = webhooks;
    let networks: Vec<_> = allowed_networks.iter().map(ToString::to_string).collect();
    section("webhooks")
        .value("enabled", Value::Boolean(*enabled))
        .text("timeout", format_duration(*timeout))
        .number("concurrency", i64::from(*concurrency))
        .text("allowed_networks", networks.join(", "))
        .text("rotation_overlap", format_duration(*rotation_overlap))
        .0
}

fn render_retention(retention: &RetentionConfig) -> String {
    let RetentionConfig { events, deliveries, ended_invitations } = retention;
    let age = |age: &Option<Duration>| age.map_or_else(|| OFF.to_owned(), format_duration);
    section("retention")
        .text("events", age(events))
        .text("deliveries", age(deliveries))
        .text("ended_invitations", age(ended_invitations))
        .0
}

fn render_limits(limits: &LimitsConfig) -> String {
    let LimitsConfig {
        invitations_per_key,
        invitations_per_account,
        failed_lookups_per_key,
        calls_per_person,
        api_keys_per_account,
        open_invitations_per_account,
        invitations_per_inviter_per_day,
        mails_per_recipient_per_day,
        resends: ResendLimits { per_day, min_interval },
    } = *limits;
    let off = || Value::String(NO_LIMIT.to_owned());
    let rate = |rate: Option<Rate>| rate.map_or_else(off, |rate| Value::String(rate_text(rate)));
    let number = |number: Option<u32>| number.map_or_else(off, |number| Value::Integer(number.into()));
    section("limits")
        .value("invitations_per_key", rate(invitations_per_key))
        .value("invitations_per_account", rate(invitations_per_account))
        .value("failed_lookups_per_key", rate(failed_lookups_per_key))
        .value("calls_per_person", rate(calls_per_person))
        .value("api_keys_per_account", number(api_keys_per_account))
        .value("open_invitations_per_account", number(open_invitations_per_account))
        .value("invitations_per_inviter_per_day", number(invitations_per_inviter_per_day))
        .value("mails_per_recipient_per_day", number(mails_per_recipient_per_day))
        .number("resends_per_invitation_per_day", i64::from(per_day))
        .text("resend_interval", format_duration(min_interval))
        .0
}

fn render_log(log: &LogConfig) -> String {
    let LogConfig { level, format, calls } = log;
    let format = match format {
        LogFormat::Auto => "auto",
        LogFormat::Text => "text",
        LogFormat::Json => "json",
    };
    let calls = match calls {
        LoggedCalls::All => "all".to_owned(),
        LoggedCalls::Problems => "problems".to_owned(),
        LoggedCalls::OneOf(calls) => format!("1/{calls}"),
    };
    section("log").text("level", level.clone()).text("format", format.to_owned()).text("calls", calls).0
}

/// Keeps what helps to recognise a database; credentials and the query, which may hold some, are dropped.
fn without_credentials(url: &SecretString) -> String {
    let Ok(url) = Url::parse(url.expose_secret()) else {
        return REDACTED.to_owned();
    };
    let host = url.host_str().unwrap_or_default();
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    let query = if url.query().is_some() { format!("?{REDACTED}") } else { String::new() };
    format!("{}://{REDACTED}@{host}{port}{}{query}", url.scheme(), url.path())
}

/// One section under construction.
struct Section(String);

fn rate_text(Rate { most, per }: Rate) -> String {
    format!("{most} per {}", format_duration(per))
}

fn section(name: &str) -> Section {
    Section(format!("[{name}]\n"))
}

impl Section {
    fn value(self, key: &str, value: Value) -> Section {
        Section(self.0 + &format!("{key} = {value}\n"))
    }

    fn text(self, key: &str, text: String) -> Section {
        self.value(key, Value::String(text))
    }

    fn number(self, key: &str, number: i64) -> Section {
        self.value(key, Value::Integer(number))
    }

    fn comment(self, text: &str) -> Section {
        Section(self.0 + &format!("# {text}\n"))
    }
}
