//! The metrics of a running service: every one that is there is documented, is present, and tells nothing about anybody.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use invitation_service::clock::Clock;
use invitation_service::domain::value::time::Timestamp;
use invitation_service::pb;
use invitation_service::pb::connection_invitation_service_client::ConnectionInvitationServiceClient;
use invitation_service::telemetry::metrics::files::FILES;
use invitation_service::telemetry::metrics::{Description, MetricKind, descriptions};
use tokio::time::{Duration, Instant, sleep};

use super::admin::{request_text, start};
use super::keys::api_key;
use super::load::COMPANY;
use super::server::{PATIENCE, Server};
use crate::support::database::TestDatabase;
use crate::support::folder::folder;
use crate::support::on_both;
use crate::support::service::KEYS;

const PAGE: &str = "docs/metrics.md";

/// The metrics that are there with TLS, a standby, an issuer of JWTs, API keys, or PostgreSQL alone.
const RARE: [&str; 5] = [
    "invitation_api_key_expiry_timestamp_seconds",
    "invitation_certificate_expiry_timestamp_seconds",
    "invitation_standby_in_use",
    "invitation_jwks_age_seconds",
    "invitation_database_clock_offset_seconds",
];

on_both!(every_metric_is_documented_and_tells_nothing_of_anybody);

#[test]
fn page_has_the_tables_of_metrics_and_files() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE);
    let page = fs::read_to_string(&path).unwrap();
    let with = |page: &str, name: &str, table: String| {
        let (head, rest) = page.split_once(&format!("<!-- {name} -->\n")).unwrap();
        let (_, tail) = rest.split_once(&format!("<!-- end of {name} -->")).unwrap();
        format!("{head}<!-- {name} -->\n{table}<!-- end of {name} -->{tail}")
    };
    let files: String = FILES.iter().map(|(file, meaning)| format!("| `{file}` | {meaning} |\n")).collect();
    let files = format!("| `file` | files |\n|---|---|\n{files}");
    let wanted = with(&with(&page, "table", table()), "files", files);
    if std::env::var("UPDATE_DOCS").is_ok_and(|value| value == "1") {
        fs::write(&path, &wanted).unwrap();
    }
    assert!(page == wanted, "{PAGE} has another table than the code: write it with UPDATE_DOCS=1");
}

fn table() -> String {
    let row = |metric: Description| {
        let kind = match metric.kind {
            MetricKind::Counter => "counter".to_owned(),
            MetricKind::Gauge => "gauge".to_owned(),
            MetricKind::Histogram(limits) => {
                format!("histogram ({})", limits.iter().map(f64::to_string).collect::<Vec<_>>().join(", "))
            }
        };
        let labels = metric.labels.iter().map(|label| format!("`{label}`")).collect::<Vec<_>>().join(", ");
        format!("| `{}` | {kind} | {labels} | {} |\n", metric.name, metric.help)
    };
    let rows: String = descriptions().into_iter().map(row).collect();
    format!("| metric | type | labels | meaning |\n|---|---|---|---|\n{rows}")
}

/// A line of the text: the name of a metric, its labels, and its number.
struct Sample {
    name: String,
    labels: BTreeMap<String, String>,
    value: f64,
}

/// Reads the text as Prometheus would; no value of a label has a quote or a comma.
fn samples(text: &str) -> Vec<Sample> {
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let sample = |line: &str| {
        let (key, value) = line.rsplit_once(' ').unwrap();
        let (name, labels) = key.split_once('{').unwrap_or((key, "}"));
        let labels = labels.strip_suffix('}').unwrap().split(',').filter(|label| !label.is_empty());
        let labels = labels.map(|label| label.split_once('=').unwrap());
        let labels = labels.map(|(name, value)| (name.to_owned(), value.trim_matches('"').to_owned())).collect();
        Sample { name: name.to_owned(), labels, value: value.parse().unwrap() }
    };
    lines.map(sample).collect()
}

/// Returns the row of the table that a sample belongs to.
fn described(sample: &Sample) -> Option<Description> {
    let mut all = descriptions().into_iter();
    all.find(|metric| match metric.kind {
        MetricKind::Histogram(_) => {
            ["_bucket", "_sum", "_count"].iter().any(|end| sample.name == format!("{}{end}", metric.name))
        }
        MetricKind::Counter | MetricKind::Gauge => sample.name == metric.name,
    })
}

async fn every_metric_is_documented_and_tells_nothing_of_anybody(database: TestDatabase) {
    let folder = folder();
    let environment = [
        ("INVITATION__STORE__URL", database.url()),
        ("INVITATION__STORE__MIGRATE_ON_START", "true"),
        ("INVITATION__TOKEN__KEYS_FILE", "keys"),
        ("INVITATION__LIMITS__OPEN_INVITATIONS_PER_ACCOUNT", "3"),
    ];
    fs::write(folder.path().join("keys"), KEYS).unwrap();
    let (server, address) = start(folder.path(), &environment).await;
    server.until(pb::health::health_check_response::ServingStatus::Serving).await;
    some_calls(&server).await;
    let until = Instant::now() + PATIENCE;
    let (text, missing) = loop {
        let text = body(&request_text(address, "GET /metrics").await);
        let present: BTreeSet<String> =
            samples(&text).iter().filter_map(described).map(|it| it.name.to_owned()).collect();
        let missing: Vec<_> = descriptions().into_iter().map(|metric| metric.name).collect();
        let missing: Vec<_> =
            missing.into_iter().filter(|name| !present.contains(*name) && !RARE.contains(name)).collect();
        if missing.is_empty() || Instant::now() > until {
            break (text, missing);
        }
        sleep(Duration::from_millis(50)).await;
    };
    assert!(missing.is_empty(), "{missing:?} are not in\n{text}");
    for sample in samples(&text) {
        let Some(metric) = described(&sample) else { panic!("{} is in no table", sample.name) };
        let labels: BTreeSet<&str> = sample.labels.keys().map(String::as_str).filter(|label| *label != "le").collect();
        assert_eq!(labels, metric.labels.iter().copied().collect(), "{}", sample.name);
    }
    for foreign in ["@", COMPANY, "example", "Invented", "127.0.0.1"] {
        assert!(!text.contains(foreign), "{foreign}");
    }
    let value = |name: &str, label: &str| {
        let found = samples(&text).into_iter().filter(|sample| sample.name == name);
        found
            .filter(|sample| label.is_empty() || sample.labels.values().any(|value| value == label))
            .map(|it| it.value)
            .sum::<f64>()
    };
    let count = "rpc_server_call_duration_seconds_count";
    assert_eq!(value(count, "invitation.v1.ConnectionInvitationService/CreateConnectionInvitation"), 4.0);
    assert_eq!(value("invitation_calls_refused_total", "QUOTA_EXCEEDED"), 1.0);
    assert_eq!(value(count, "NOT_FOUND"), 1.0);
    assert_eq!(value(count, "_OTHER"), 2.0, "a path of this service, and one of none");
    let of_files = samples(&text).into_iter().filter_map(|mut sample| sample.labels.remove("file"));
    let of_files: BTreeSet<String> = of_files.collect();
    assert_eq!(of_files, BTreeSet::from(["token.keys_file".to_owned()]), "the key of the configuration");
    assert_eq!(value("invitation_file_usable", "token.keys_file"), 1.0);
    assert_eq!(value("invitation_transitions_total", "invitation.created"), 3.0);
    assert_eq!(value("invitation_executor_group_size_sum", ""), 4.0);
    assert_eq!(value("invitation_ready", ""), 1.0);
    let build = format!("invitation_build_info{{version=\"{}\"}} 1", env!("CARGO_PKG_VERSION"));
    assert!(text.contains(&build), "{text}");
    server.stop().await;
}

/// Three creates, one beyond the quota, a get of what is not there, and two methods that nobody knows.
async fn some_calls(server: &Server) {
    let mut create = server.create().await;
    for _ in 0..3 {
        create.one().await.unwrap();
    }
    create.one().await.unwrap_err();
    let mut client = ConnectionInvitationServiceClient::new(server.channel().await);
    let name = "connectionInvitations/01920000-0000-7000-8000-00000000c0de".to_owned();
    let get = pb::GetConnectionInvitationRequest { name };
    client.get_connection_invitation(get).await.unwrap_err();
    let mut grpc = tonic::client::Grpc::new(server.channel().await);
    for path in ["/invitation.v1.Invented/ann@example.org", "/Invented/ann@example.org"] {
        grpc.ready().await.unwrap();
        let path = http::uri::PathAndQuery::from_static(path);
        let codec = tonic_prost::ProstCodec::<pb::GetCallerRequest, pb::GetCallerRequest>::default();
        grpc.unary(tonic::Request::new(pb::GetCallerRequest::default()), path, codec).await.unwrap_err();
    }
}

#[tokio::test(crate = "crate::support::limit")]
async fn parts_that_few_services_have_have_their_gauges() {
    let Some(database) = TestDatabase::migrated_postgres().await else { return };
    let folder = folder();
    api_key(folder.path(), "acme", "*").await;
    let path = folder.path().join("keys.toml");
    let keys = fs::read_to_string(&path).unwrap();
    let soon = Clock::system().now().micros() / 1_000_000 + 2 * 86_400;
    fs::write(&path, format!("{keys}expires_at = \"{}\"\n", Timestamp::from_micros(soon * 1_000_000))).unwrap();
    let issuer =
        "[[issuer]]\nname = \"main\"\nissuer = \"https://issuer.example\"\naudiences = [\"invitation-service\"]
        jwks_url = \"http://127.0.0.1:9/\"\naccount = \"acme\"\npermissions = [\"*\"]\n";
    fs::write(folder.path().join("issuers.toml"), issuer).unwrap();
    let environment = [
        ("INVITATION__STORE__URL", database.url()),
        ("INVITATION__STORE__READ_URL", "postgres://nobody@127.0.0.1:9/nothing"),
        ("INVITATION__TOKEN__KEYS", KEYS),
        ("INVITATION__AUTH__MODE", "required"),
        ("INVITATION__AUTH__API_KEYS_FILE", "keys.toml"),
        ("INVITATION__AUTH__JWT_ISSUERS_FILE", "issuers.toml"),
    ];
    let (server, address) = start(folder.path(), &environment).await;
    server.until(pb::health::health_check_response::ServingStatus::Serving).await;
    let line = server.logged("api_key.expires").await;
    assert!(line.contains("\"api_key\":\"apiKeys/acme\"") && line.contains("\"account\":\"acme\""), "{line}");
    let text = body(&request_text(address, "GET /metrics").await);
    let value = |name: &str| {
        samples(&text).into_iter().find(|it| it.name == name).unwrap_or_else(|| panic!("{name}:\n{text}")).value
    };
    assert_eq!(value("invitation_standby_in_use"), 0.0, "nobody answers there");
    let expiry = value("invitation_api_key_expiry_timestamp_seconds");
    assert!((expiry - f64::from(u32::try_from(soon).unwrap())).abs() < 0.5, "{expiry}");
    assert!((0.0..60.0).contains(&value("invitation_jwks_age_seconds")), "{text}");
    assert!(value("invitation_database_clock_offset_seconds").abs() < 5.0, "{text}");
    assert_eq!(value("invitation_file_usable"), 1.0, "{text}");
    server.stop().await;
}

/// Returns the body of an answer whose headers are checked.
fn body(answer: &str) -> String {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200") && head.contains("text/plain; version=0.0.4"), "{head}");
    body.to_owned()
}
