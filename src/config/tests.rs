//! Tables over the whole of the configuration: layers, refusals and secrets.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use secrecy::ExposeSecret as _;

use super::*;
use crate::domain::kind::Kind;

mod accounts;
mod api_keys;
mod jwt;
mod limits;
mod localhost;
mod pages;
mod policy;
mod reference;

use pages::{PAGES, PAGES_KEY};

type Settings<'a> = &'a [(&'a str, &'a str)];

const POSTGRES: (&str, &str) = ("INVITATION__STORE__URL", "postgres://iv:hunter2@db:5433/invitations?sslmode=require");
const KEYS: (&str, &str) = ("INVITATION__TOKEN__KEYS", "1:c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2U=");
const NATS: (&str, &str) = ("INVITATION__EVENTS__NATS_URL", "tls://iv:hunter2@one:4222, nats://hunter2@localhost");

fn load(environment: Settings<'_>) -> Result<Config, ConfigError> {
    Config::load(None, environment.iter().copied(), [])
}

fn load_file(content: &str, environment: Settings<'_>) -> Result<Config, ConfigError> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("service.toml");
    std::fs::write(&path, content).unwrap();
    Config::load(Some(&path), environment.iter().copied(), [])
}

/// Asserts that loading fails with exactly one problem, at `field`, whose text contains `text`.
#[track_caller]
fn assert_refused(result: Result<Config, ConfigError>, field: &str, text: &str) {
    let error = result.unwrap_err();
    assert_eq!(error.problems.len(), 1, "{error}");
    assert_eq!(error.problems[0].field, field, "{error}");
    assert!(error.problems[0].text.contains(text), "{error}");
}

#[test]
fn the_defaults_alone_are_a_valid_configuration_for_a_laptop() {
    let config = load(&[]).unwrap();
    assert_eq!(config.grpc.listen, SocketAddr::from(([127, 0, 0, 1], 50051)));
    assert_eq!(config.grpc.request_timeout, Duration::from_secs(10));
    assert_eq!((config.grpc.drain_delay, config.grpc.drain_timeout), (Duration::ZERO, Duration::from_secs(20)));
    assert_eq!(config.grpc.max_concurrent_streams, 1024);
    assert_eq!(config.grpc.max_connection_age, Some(Duration::from_secs(600)));
    assert_eq!(load(&[("INVITATION__GRPC__MAX_CONNECTION_AGE", "off")]).unwrap().grpc.max_connection_age, None);
    assert!(matches!(config.store.url, StoreUrl::Sqlite(path) if path == Path::new("data/invitations.db")));
    assert!(config.store.migrate_on_start);
    assert_eq!((config.store.lanes, config.store.queue, config.store.max_connections), (1, 4096, 16));
    assert_eq!(config.store.timeout, Duration::from_millis(1500));
    assert!(config.token.keys.is_none());
    assert!(matches!(config.auth, AuthConfig::None));
    assert_eq!(config.links.templates.get(Kind::Connection), "http://localhost:8080/connect/{token}");
    assert_eq!((config.log.level.as_str(), config.log.format), ("info", LogFormat::Auto));
    assert_eq!(config.log.calls, LoggedCalls::All);
    let share = |calls: &str| load(&[("INVITATION__LOG__CALLS", calls)]).unwrap().log.calls;
    let one_of = |calls| LoggedCalls::OneOf(std::num::NonZeroU64::new(calls).unwrap());
    assert_eq!(["problems", "1/1", "1/100"].map(share), [LoggedCalls::Problems, one_of(1), one_of(100)]);
}

#[test]
fn each_layer_overrides_the_one_before() {
    let file = "[grpc]\nlisten = \"127.0.0.1:1\"\ndrain_delay = \"1s\"\ndrain_timeout = \"1s\"\n[store]\nqueue = 7\n";
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("service.toml");
    std::fs::write(&path, file).unwrap();
    let environment = [("INVITATION__GRPC__LISTEN", "127.0.0.1:2"), ("INVITATION__GRPC__DRAIN_DELAY", "2s")];
    let config = Config::load(Some(&path), environment, [("grpc.listen", "127.0.0.1:3".to_owned())]).unwrap();
    assert_eq!(config.grpc.listen.port(), 3, "a flag wins");
    assert_eq!(config.grpc.drain_delay, Duration::from_secs(2), "then the environment");
    assert_eq!((config.grpc.drain_timeout, config.store.queue), (Duration::from_secs(1), 7), "then the file");
    assert_eq!(config.grpc.request_timeout, Duration::from_secs(10), "then the default");
}

#[test]
fn postgres_changes_what_auto_means() {
    let config = load(&[POSTGRES, KEYS]).unwrap();
    assert_eq!((config.store.lanes, config.store.migrate_on_start), (2, false));
    let config =
        load(&[POSTGRES, KEYS, ("INVITATION__STORE__LANES", "4"), ("INVITATION__STORE__MIGRATE_ON_START", "true")]);
    let store = config.unwrap().store;
    assert_eq!((store.lanes, store.migrate_on_start), (4, true));
}

#[test]
fn a_bad_value_is_refused_at_its_field_by_every_field() {
    let cases: &[(&str, &str, &str)] = &[
        ("grpc.listen", "localhost:50051", "an IP address and a port"),
        ("grpc.listen", "127.0.0.1", "an IP address and a port"),
        ("grpc.listen", "0.0.0.0:50051", "grpc.listen is 0.0.0.0:50051"),
        ("grpc.listen", "[::]:50051", "set auth.mode = \"required\" or listen on 127.0.0.1"),
        ("grpc.health", "false", "where admin.listen is set alone"),
        ("admin.listen", "9090", "an IP address and a port"),
        ("admin.listen", "", "an IP address and a port"),
        ("grpc.request_timeout", "10", "\"10s\""),
        ("grpc.request_timeout", "99ms", "from 100ms to 300s"),
        ("grpc.request_timeout", "99999999999999999m", "must be a duration"),
        ("grpc.request_timeout", "-1s", "must be a duration"),
        ("grpc.drain_delay", "6m", "from 0s to 300s"),
        ("grpc.drain_timeout", "", "must be a duration"),
        ("grpc.max_concurrent_streams", "0", "from 1 to 65536"),
        ("grpc.max_connection_age", "999ms", "from 1s to 1d"),
        ("grpc.max_connection_age", "never", "must be a duration"),
        ("grpc.max_connection_age_grace", "9s", "at least grpc.request_timeout, which is 10s"),
        ("grpc.tls.client_auth", "maybe", "\"optional\", \"required\""),
        ("store.url", "", "is empty"),
        ("store.url", "mysql://u:hunter2@h/d", "must be sqlite://FILE"),
        ("store.url", "sqlite:data.db", "must be sqlite://FILE"),
        ("store.url", "sqlite://", "must name a file"),
        ("store.url", "sqlite://data/", "must name a file"),
        ("store.url", "sqlite://data.db?mode=ro", "must not have a query"),
        ("store.url", "sqlite://:memory:", "in-memory"),
        ("store.url", "sqlite://file:x", "file: URI"),
        ("store.url", "postgres://u:hunter2@h", "must name a database"),
        ("store.url", "postgres:///invitations", "must name a host"),
        ("store.url", "postgres://u:hunter2#1@h/d", ""),
        ("store.migrate_on_start", "yes", "\"auto\", \"true\", \"false\""),
        ("store.max_connections", "1", "from 2 to 1000"),
        ("store.lanes", "2", "must be 1 or \"auto\" on SQLite"),
        ("store.lanes", "some", "from 1 to 16"),
        ("store.queue", "1.5", "from 1 to 1000000"),
        ("store.pooler", "session", "\"none\", \"transaction\""),
        ("store.listen_url", "postgres://u:hunter2@127.0.0.1/d", "beside one in store.url"),
        ("store.listen_url", "hunter2", "must be sqlite://FILE"),
        ("store.read_url", "postgres://u:hunter2@127.0.0.1/d", "beside one in store.url"),
        ("store.read_url", "postgres://u:hunter2@db.example.com/d", "sslmode=verify-full"),
        ("store.read_url", "hunter2", "must be sqlite://FILE"),
        ("store.read_url", " ", "is empty"),
        ("store.reader_role", "invitation_reader", "is for PostgreSQL"),
        ("store.reader_role", "public", "lower-case letters"),
        ("store.reader_role", "pg_reader", "lower-case letters"),
        ("store.reader_role", "none", "lower-case letters"),
        ("store.reader_role", "r; DROP TABLE invitation", "lower-case letters"),
        ("store.timeout", "10s", "shorter than grpc.request_timeout, which is 10s"),
        ("token.keys", " ", "is empty"),
        ("auth.mode", "off", "\"none\", \"required\""),
        ("auth.api_keys_file", "keys.toml", "has no effect"),
        ("links.connection", "http://localhost/connect", "{token} exactly once"),
        ("links.connection", "http://localhost/{token}/{token}", "{token} exactly once"),
        ("links.connection", "/connect/{token}", "absolute http or https URL"),
        ("links.connection", "javascript:alert({token})", "absolute http or https URL"),
        ("links.connection", "https://{token}.example.com/", "after the host"),
        ("links.connection", "https://example.com/{tenant}/{token}", "braces"),
        ("links.connection", "https://example.com/\t{token}", "white space"),
        ("events.watch_patience", "0s", "from 1s to 3600s"),
        ("events.checkpoint_interval", "31s", "from 100ms to 30s"),
        ("events.expiry_interval", "99ms", "from 100ms to 3600s"),
        ("events.nats_url", "nats://u:hunter2@", "must be nats://HOST:PORT"),
        ("events.nats_url", "tls://u:hunter2@one,http://two", "several with commas"),
        ("events.nats_url", "tls://u:hunter2@one, nats://two", "in the clear: use tls://"),
        ("events.nats_url", "nats://hunter2@10.0.0.1:4222", "in the clear: use tls://"),
        ("events.nats_url", "one:4222", "must be nats://HOST:PORT"),
        ("events.nats_stream", "a.b", "letters, digits"),
        ("events.nats_stream", "", "letters, digits"),
        ("events.nats_subject", "a..b", "with dots between"),
        ("events.nats_subject", "a.>", "with dots between"),
        ("events.nats_begin", "later", "\"now\", \"first\""),
        ("events.nats_format", "xml", "\"proto_json\", \"cloud_events_structured\", \"cloud_events_binary\""),
        ("mail.url", "http://u:hunter2@h", "smtp://USER:PASSWORD@HOST:PORT"),
        ("mail.url", "smtp://u:hunter2#1@h", ""),
        ("mail.url", "smtps://u:hunter2@h/path", "percent-encode"),
        ("mail.url", " ", "is empty"),
        ("mail.from", "Example", "no-reply@example.com"),
        ("mail.reply_to", "a@b@c", "no-reply@example.com"),
        ("mail.unsubscribe", "http://example.com/", "a mailto: or an https: URL"),
        ("mail.locale", "en US", "a language"),
        ("mail.from_inviter", "yes", "\"true\", \"false\""),
        ("notices.accepted", "yes", "\"true\", \"false\""),
        ("links.redirects", "https://app.example.org, http://x", "\"http://x\" must be an address such as"),
        ("mail.starttls", "opportunistic", "\"required\", \"none\""),
        ("mail.timeout", "99ms", "from 100ms to 300s"),
        ("mail.connections", "0", "from 1 to 100"),
        ("mail.helo", "two words", "a host name"),
        ("limits.invitations_per_key", "600", "such as \"600 per 1m\""),
        ("limits.invitations_per_account", "0 per 1m", "from 1 to 100000000"),
        ("limits.failed_lookups_per_key", "5 per 2d", "from 1s to 1d"),
        ("limits.calls_per_person", "10", "such as \"600 per 1m\""),
        ("limits.api_keys_per_account", "0", "from 1 to 100000000"),
        ("limits.open_invitations_per_account", "0", "from 1 to 100000000"),
        ("limits.resends_per_invitation_per_day", "off", "from 1 to 100"),
        ("retention.events", "23h", "from 1d to 36525d"),
        ("retention.events", "", "must be a duration"),
        ("retention.deliveries", "6d", "from 7d to 36525d"),
        ("retention.deliveries", "never", "must be a duration"),
        ("retention.ended_invitations", "29d", "from 30d to 36525d"),
        ("log.level", "inof", "must be error, warn"),
        ("log.level", "info,h2=loud", "directives"),
        ("log.format", "xml", "\"auto\", \"text\", \"json\""),
        ("log.calls", "some", "\"1/100\""),
        ("log.calls", "1/0", "\"1/100\""),
        ("log.calls", "1/1000001", "\"1/1000000\""),
    ];
    for (field, value, text) in cases {
        let (section, key) = field.rsplit_once('.').unwrap();
        let variable = layers::variable_name(section, key);
        let error = load(&[(&variable, value)]).unwrap_err();
        assert_eq!(error.problems.len(), 1, "{field} = {value:?}: {error}");
        let problem = &error.problems[0];
        let expected = if text.contains("grpc.listen is") || text.contains("listen on") { "auth.mode" } else { field };
        assert_eq!(problem.field, expected, "{field} = {value:?}: {error}");
        assert!(problem.text.contains(text), "{field} = {value:?}: {error}");
        assert!(!error.to_string().contains("hunter2"), "{field} = {value:?} shows the password: {error}");
        assert!(expected != *field || problem.text.ends_with(&format!("(set by {variable})")), "{error}");
    }
}

#[test]
fn all_problems_are_reported_at_once() {
    let environment =
        [("INVITATION__LOG__FORMAT", "xml"), ("INVITATION__GRPC__LISTN", "x"), ("INVITATION__STORE__QUEUE", "0")];
    let error = load_file("[grpc]\nlisten = \"here\"\nport = 1\n[post]\nurl = \"log:\"\n", &environment).unwrap_err();
    let fields: BTreeSet<&str> = error.problems.iter().map(|problem| problem.field.as_str()).collect();
    let expected = ["grpc.listen", "grpc.port", "post", "log.format", "INVITATION__GRPC__LISTN", "store.queue"];
    assert_eq!(fields, BTreeSet::from(expected), "{error}");
    assert!(error.to_string().contains("service.toml"), "the file is named: {error}");
}

#[test]
fn what_is_unknown_is_an_error_in_every_layer() {
    for name in
        ["INVITATION__GRPC__LISTN", "INVITATION__GRPC", "INVITATION__GRPC__LISTEN__X", "INVITATION__grpc__listen"]
    {
        assert_refused(load(&[(name, "x")]), name, "not a known environment variable");
    }
    assert_refused(load_file("listen = 1\n", &[]), "listen", "is not a section");
    assert_refused(load_file("[grpc]\nlisten = [1]\n", &[]), "grpc.listen", "must be a text");
    // Kubernetes sets such names for a service that is called `invitation`.
    assert!(load(&[("INVITATION_SERVICE_HOST", "10.0.0.1"), ("PATH", "/bin")]).is_ok());
}

#[cfg(unix)]
#[test]
fn a_variable_that_is_not_utf_8_is_refused_by_name() {
    use std::os::unix::ffi::OsStringExt as _;
    let environment = [(OsString::from("INVITATION__LOG__LEVEL"), OsString::from_vec(vec![0xff]))];
    assert_refused(Config::load(None, environment, []), "INVITATION__LOG__LEVEL", "UTF-8");
}

#[test]
fn a_broken_file_is_described_without_quoting_it() {
    let error = load_file("[store]\nurl = \"postgres://u:hunter2@h/d\nqueue = 1\n", &[]).unwrap_err().to_string();
    assert!(error.contains("line 2"), "{error}");
    assert!(!error.contains("hunter2"), "{error}");
    let missing = Config::load(Some(Path::new("/nowhere/x.toml")), Vec::<(String, String)>::new(), []);
    assert_refused(missing, "--config", "cannot read /nowhere/x.toml");
}

#[test]
fn secret_comes_from_its_key_or_its_file_but_not_from_both() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).display().to_string();
    std::fs::write(path("url"), format!("\n{}\n", POSTGRES.1)).unwrap();
    std::fs::write(path("keys"), format!("  {}\n", KEYS.1)).unwrap();
    std::fs::write(path("empty"), "\n").unwrap();
    let (url, keys) = (path("url"), path("keys"));
    let both = [("INVITATION__STORE__URL_FILE", url.as_str()), ("INVITATION__TOKEN__KEYS_FILE", keys.as_str())];

    let config = load(&both).unwrap();
    assert!(matches!(&config.store.url, StoreUrl::Postgres(url) if url.expose_secret() == POSTGRES.1));
    assert_eq!(config.token.keys.as_ref().unwrap().expose_secret(), KEYS.1);
    let shown = config.redacted();
    assert!(shown.contains(&url) && shown.contains(&keys), "{shown}");

    assert_refused(load(&[both[0], both[1], KEYS]), "token.keys_file", "and so is token.keys");
    assert_refused(load(&[both[0], both[1], POSTGRES]), "store.url_file", "and so is store.url");
    assert_refused(load(&[("INVITATION__TOKEN__KEYS_FILE", &path("none"))]), "token.keys_file", "cannot read");
    assert_refused(load(&[("INVITATION__TOKEN__KEYS_FILE", &path("empty"))]), "token.keys_file", "is empty");
}

#[test]
fn notifications_come_past_a_pooler_or_not_at_all() {
    const POOLER: (&str, &str) = ("INVITATION__STORE__POOLER", "transaction");
    let listen = |url| ("INVITATION__STORE__LISTEN_URL", url);
    let direct = "postgres://iv:hunter2@db:5432/invitations?sslmode=require";
    let listen_url = |more: &[(&'static str, &'static str)]| {
        let config = load(&[&[POSTGRES, KEYS], more].concat()).unwrap();
        let shown = config.redacted();
        assert!(!shown.contains("hunter2"), "{shown}");
        (config.store.listen_url.map(|url| url.expose_secret().to_owned()), shown)
    };
    assert_eq!(listen_url(&[]).0.as_deref(), Some(POSTGRES.1));
    for off in [&[POOLER][..], &[listen("off")], &[POOLER, listen("off")]] {
        let (none, shown) = listen_url(off);
        assert!(none.is_none() && shown.contains("listen_url = \"off\""), "{shown}");
    }
    let (past, shown) = listen_url(&[POOLER, listen(direct)]);
    assert_eq!(past.as_deref(), Some(direct));
    assert!(shown.contains("@db:5432/invitations") && shown.contains("pooler = \"transaction\""), "{shown}");
}

#[test]
fn standby_is_a_postgres_beside_one_shown_without_password() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let standby = "postgres://iv:hunter2@standby:5432/invitations?sslmode=require";
    std::fs::write(file.path(), format!("{standby}\n")).unwrap();
    let path = file.path().display().to_string();
    for (variable, value, key) in [
        ("INVITATION__STORE__READ_URL", standby, "read_url = "),
        ("INVITATION__STORE__READ_URL_FILE", path.as_str(), "read_url_file = "),
    ] {
        let config = load(&[POSTGRES, KEYS, (variable, value)]).unwrap();
        let shown = config.redacted();
        assert!(!shown.contains("hunter2") && shown.contains(key), "{shown}");
        assert!(shown.contains("@standby:5432/invitations"), "{shown}");
        assert_eq!(config.store.read_url.map(|url| url.expose_secret().to_owned()).as_deref(), Some(standby));
    }
    let none = load(&[POSTGRES, KEYS]).unwrap();
    assert!(none.redacted().contains("# read_url is not set"));
    assert!(none.store.read_url.is_none());
    let sqlite = ("INVITATION__STORE__READ_URL", "sqlite://data/copy.db");
    assert_refused(load(&[POSTGRES, KEYS, sqlite]), "store.read_url", "must be a postgres:// URL");
}

#[test]
fn postgres_needs_shared_keys_and_a_connection_beside_the_lanes() {
    assert_refused(load(&[POSTGRES]), "token.keys", "is required on PostgreSQL");
    let lanes = [POSTGRES, KEYS, ("INVITATION__STORE__LANES", "4"), ("INVITATION__STORE__MAX_CONNECTIONS", "4")];
    assert_refused(load(&lanes), "store.max_connections", "greater than store.lanes");
}

#[test]
fn every_form_of_loopback_may_go_without_authentication() {
    for listen in ["127.0.0.1:0", "127.9.9.9:1", "[::1]:1", "[::ffff:127.0.0.1]:1"] {
        assert!(load(&[("INVITATION__GRPC__LISTEN", listen)]).is_ok(), "{listen}");
    }
}

#[test]
fn sqlite_url_is_relative_with_two_slashes_absolute_with_three() {
    for (url, path) in [("sqlite://a b/c.db", "a b/c.db"), ("sqlite:///var/c.db", "/var/c.db"), ("sqlite://c", "c")] {
        assert!(matches!(StoreUrl::parse(url), Ok(StoreUrl::Sqlite(parsed)) if parsed == Path::new(path)), "{url}");
    }
}

#[test]
fn nothing_that_users_see_is_deleted_unless_an_age_is_set() {
    let RetentionConfig { events, deliveries, ended_invitations } = load(&[]).unwrap().retention;
    assert_eq!((events, deliveries, ended_invitations), (None, None, None));
    let file = "[retention]\nevents = \"24h\"\ndeliveries = \"7d\"\nended_invitations = \"36525d\"\n";
    let config = load_file(file, &[("INVITATION__RETENTION__DELIVERIES", "off")]).unwrap();
    let RetentionConfig { events, deliveries, ended_invitations } = config.retention;
    let days = |days: u64| Some(Duration::from_secs(days * 86_400));
    assert_eq!((events, deliveries, ended_invitations), (days(1), None, days(36_525)));
    let shown = config.redacted();
    assert!(shown.contains("events = \"1d\"\ndeliveries = \"off\"\nended_invitations = \"36525d\""), "{shown}");
}

#[test]
fn redacted_configuration_has_every_key_and_no_secret() {
    let mail = ("INVITATION__MAIL__URL", "smtps://iv:hunter2@mail.example.com");
    let local = ("INVITATION__LINKS__ALLOW_LOCALHOST", "true");
    let encryption = ("INVITATION__STORE__SSLMODE", "require");
    let read = ("INVITATION__STORE__READ_URL", "postgres://iv:hunter2@standby/invitations?sslmode=require");
    let admin = ("INVITATION__ADMIN__LISTEN", "127.0.0.1:9090");
    let role = ("INVITATION__STORE__READER_ROLE", "invitation_reader");
    let config = load(&[POSTGRES, KEYS, NATS, mail, local, encryption, read, admin, role, PAGES, PAGES_KEY]).unwrap();
    let shown = config.redacted();
    assert!(shown.contains("\"smtps://[redacted]@mail.example.com:465\""), "{shown}");
    for secret in ["hunter2", "c2VjcmV0", "iv:"] {
        assert!(!shown.contains(secret) && !format!("{config:?}").contains(secret), "{secret} in {shown}{config:?}");
    }
    assert!(shown.contains("postgres://[redacted]@db:5433/invitations?[redacted]"), "{shown}");
    assert!(shown.contains("tls://[redacted]@one:4222,nats://[redacted]@localhost"), "{shown}");
    let all = toml::Value::Table(toml::from_str(&shown).unwrap());
    for (section, keys) in layers::known_keys().unwrap() {
        for key in keys.keys().filter(|key| !key.ends_with("_file")) {
            let found = section.split('.').chain([key.as_str()]).try_fold(&all, |at, part| at.get(part));
            assert!(found.is_some(), "{section}.{key} is missing in\n{shown}");
        }
    }
}
