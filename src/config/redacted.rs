//! The effective configuration as TOML, for `check-config` and for issue reports: secrets replaced, origins named.
//!
//! Every struct is taken apart without `..`: a new option does not compile until it is shown here.

use secrecy::{ExposeSecret, SecretString};
use toml::Value;
use url::Url;

use super::value::format_duration;
use super::{
    AuthConfig, Config, GrpcConfig, LinksConfig, LogConfig, LogFormat, SecretFiles, StoreConfig, StoreUrl, TokenConfig,
};

const REDACTED: &str = "[redacted]";

pub(super) fn render(config: &Config) -> String {
    let Config { grpc, store, token, auth, links, general, log, files } = config;
    let SecretFiles { store_url, token_keys, api_keys } = files;
    let path = |file: &Option<std::path::PathBuf>| file.as_ref().map(|path| path.display().to_string());
    let sections = [
        render_grpc(grpc),
        render_store(store, path(store_url)),
        render_token(token, path(token_keys)),
        render_auth(auth, path(api_keys)),
        render_links(links),
        section("general").text("ttl", format_duration(general.ttl)).0,
        render_log(log),
    ];
    sections.join("\n")
}

fn render_grpc(grpc: &GrpcConfig) -> String {
    let GrpcConfig { listen, request_timeout, drain_delay, drain_timeout, max_concurrent_streams } = grpc;
    section("grpc")
        .text("listen", listen.to_string())
        .text("request_timeout", format_duration(*request_timeout))
        .text("drain_delay", format_duration(*drain_delay))
        .text("drain_timeout", format_duration(*drain_timeout))
        .number("max_concurrent_streams", i64::from(*max_concurrent_streams))
        .0
}

fn render_store(store: &StoreConfig, file: Option<String>) -> String {
    let StoreConfig { url, migrate_on_start, max_connections, lanes, queue, timeout } = store;
    let url = match url {
        StoreUrl::Sqlite(path) => format!("sqlite://{}", path.display()),
        StoreUrl::Postgres(url) => without_credentials(url),
    };
    let head = match file {
        Some(file) => section("store").text("url_file", file).comment(&format!("which says {url}")),
        None => section("store").text("url", url),
    };
    head.value("migrate_on_start", Value::Boolean(*migrate_on_start))
        .number("max_connections", i64::from(*max_connections))
        .number("lanes", i64::try_from(*lanes).unwrap_or(i64::MAX))
        .number("queue", i64::try_from(*queue).unwrap_or(i64::MAX))
        .text("timeout", format_duration(*timeout))
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

fn render_auth(auth: &AuthConfig, file: Option<String>) -> String {
    match auth {
        AuthConfig::None => section("auth").text("mode", "none".to_owned()).0,
        AuthConfig::Required { api_keys } => {
            let mut out = section("auth").text("mode", "required".to_owned());
            if let Some(file) = file {
                out = out.text("api_keys_file", file);
            }
            for key in api_keys {
                // The account is quoted, since it may hold any visible character.
                out = out.comment(&format!(
                    "key {} acts in {:?} with {}",
                    key.name,
                    key.account,
                    key.permissions.join(", ")
                ));
            }
            out.0
        }
    }
}

fn render_links(links: &LinksConfig) -> String {
    let LinksConfig { connection, user, guest, general } = links;
    let links = [("connection", connection), ("user", user), ("guest", guest), ("general", general)];
    links.into_iter().fold(section("links"), |section, (kind, link)| section.text(kind, link.clone())).0
}

fn render_log(log: &LogConfig) -> String {
    let LogConfig { level, format } = log;
    let format = match format {
        LogFormat::Auto => "auto",
        LogFormat::Text => "text",
        LogFormat::Json => "json",
    };
    section("log").text("level", level.clone()).text("format", format.to_owned()).0
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
