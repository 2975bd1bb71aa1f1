//! Other people's clients: curl, those of Connect in Node, and pages in a browser.

use std::path::Path;
use std::process::{Output, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use data_encoding::BASE64;
use invitation_service::clock::Clock;
use invitation_service::pb;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio::time::timeout;

use crate::cli::tools::{required, shell};
use crate::support::build::messages;
use crate::support::database::{NEW_YEAR, TestDatabase};
use crate::support::folder::folder;
use crate::support::service::{Service, configuration};

/// The time that all calls of one client may take.
const PATIENCE: Duration = Duration::from_secs(60);

const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/faces/js");

fn has(found: &'static OnceLock<bool>, name: &str, program: &str) -> bool {
    *found.get_or_init(|| required(name, program, &["--version"]))
}

fn curl() -> bool {
    static FOUND: OnceLock<bool> = OnceLock::new();
    has(&FOUND, "curl", "curl")
}

fn node() -> bool {
    static FOUND: OnceLock<bool> = OnceLock::new();
    static BUNDLE: OnceLock<bool> = OnceLock::new();
    has(&FOUND, "Node", "node") && has(&BUNDLE, "esbuild with clients of Connect", "web-bundle")
}

fn chromium() -> bool {
    static FOUND: OnceLock<bool> = OnceLock::new();
    node() && has(&FOUND, "Chromium", "chromium")
}

async fn run(command: &mut Command) -> Output {
    let command = command.stdin(Stdio::null()).kill_on_drop(true);
    timeout(PATIENCE, command.output()).await.expect("the client ends").unwrap()
}

/// Makes one file of a script and what it imports.
async fn bundle(script: &str, platform: &str, file: &Path) {
    let mut command = Command::new("web-bundle");
    command.arg(format!("{SCRIPTS}/{script}")).args(["--bundle", "--format=esm", "--log-level=warning"]);
    let output = run(command.arg(format!("--platform={platform}")).arg(format!("--outfile={}", file.display()))).await;
    assert!(output.status.success(), "{output:?}");
}

/// The compiled proto files, as JSON that a script reads.
fn schema() -> Vec<String> {
    pb::DESCRIPTOR_SETS.map(|set| BASE64.encode(set)).to_vec()
}

/// The results of the scenario.
fn expected() -> Value {
    json!({
        "shown": "Red \u{fc}", "uses": 1, "types": ["invitation.created", "invitation.accepted"],
        "missing": "NotFound INVITATION_NOT_FOUND", "invalid": "InvalidArgument INVALID_FIELD",
        "late": "DeadlineExceeded", "stream": "InvalidArgument INVALID_FIELD",
    })
}

#[tokio::test(crate = "crate::support::limit")]
async fn line_of_the_documents_works_as_printed() {
    if !curl() {
        return;
    }
    let database = TestDatabase::sqlite();
    let service = Service::start(&database).await;
    let made = messages::create(&service, messages::invitation()).await;
    let line = |version: &str, token: &str| {
        format!(
            "curl -sS {version} -w '\\n%{{http_code}}' -H 'content-type: application/json' -d '{{\"token\":\"{token}\"}}' \
             http://{}/invitation.v1.RedemptionService/PreviewInvitation",
            service.address
        )
    };
    for version in ["", "--http1.0", "--http1.1", "--http2", "--http2-prior-knowledge"] {
        for (token, code, part) in [
            (made.invitation_token.as_str(), "200", "\"state\":\"INVITATION_STATE_ACTIVE\""),
            ("inv_nothing", "404", "\"reason\":\"INVITATION_NOT_FOUND\""),
        ] {
            let output = shell(&line(version, token)).await;
            let text = String::from_utf8(output.stdout).unwrap();
            assert!(text.contains(part) && text.ends_with(&format!("\n{code}")), "{version}: {text}");
        }
    }
    service.stop().await;
}

#[tokio::test(crate = "crate::support::limit")]
async fn every_transport_of_node_has_the_same_results() {
    if !node() {
        return;
    }
    let database = TestDatabase::sqlite();
    let service = Service::start(&database).await;
    let folder = folder();
    let (script, sets) = (folder.path().join("node.mjs"), folder.path().join("schema.json"));
    bundle("node.mjs", "node", &script).await;
    std::fs::write(&sets, serde_json::to_vec(&schema()).unwrap()).unwrap();
    let mut command = Command::new("node");
    let output = run(command.arg(&script).arg(format!("http://{}", service.address)).arg(&sets)).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let results: Value = serde_json::from_slice(&output.stdout).unwrap();
    let results = results.as_object().unwrap();
    assert_eq!(results.len(), 15, "{results:?}");
    for (transport, result) in results {
        assert_eq!(*result, expected(), "{transport}");
    }
    service.stop().await;
}

/// Serves a page, what it needs, and takes its results.
async fn serve_page(listener: TcpListener, script: String, schema: Value) -> Value {
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        let (head, body) = read(&mut stream).await;
        let (content_type, answer) = match head.split(' ').nth(1).unwrap_or_default() {
            "/" => ("text/html", "<!doctype html><script type=module src=/page.js></script>".to_owned()),
            "/page.js" => ("text/javascript", script.clone()),
            "/schema" => ("application/json", schema.to_string()),
            "/result" => return serde_json::from_slice(&body).unwrap(),
            _ => ("text/plain", String::new()),
        };
        let length = answer.len();
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
        );
        stream.write_all((head + &answer).as_bytes()).await.ok();
    }
}

async fn read(stream: &mut TcpStream) -> (String, Vec<u8>) {
    let mut sent = Vec::new();
    loop {
        if let Some(at) = sent.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&sent[..at]).to_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            let length = length.map_or(0, |length| length.parse::<usize>().unwrap());
            if sent.len() >= at + 4 + length {
                return (head, sent.split_off(at + 4));
            }
        }
        // A browser opens connections that it never uses.
        let read = timeout(Duration::from_secs(2), stream.read_buf(&mut sent)).await;
        if !matches!(read, Ok(Ok(1..))) {
            return (String::new(), Vec::new());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2, crate = "crate::support::limit")]
async fn page_of_another_origin_calls_from_a_browser() {
    if !chromium() {
        return;
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let database = TestDatabase::sqlite();
    let allowed = [("INVITATION__GRPC__CORS_ORIGINS", origin.as_str())];
    let service = Service::start_with(configuration(&database, &allowed), Clock::manual(NEW_YEAR)).await;
    let folder = folder();
    let script = folder.path().join("page.mjs");
    bundle("browser.mjs", "browser", &script).await;
    let schema = json!({"baseUrl": format!("http://{}", service.address), "sets": schema()});
    let page = serve_page(listener, std::fs::read_to_string(&script).unwrap(), schema);
    let profile = format!("--user-data-dir={}", folder.path().join("profile").display());
    let mut browser = Command::new("chromium");
    browser.args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]);
    browser.args(["--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage"]);
    browser.args([&profile, "--remote-debugging-port=0", &origin]).stdin(Stdio::null());
    let mut browser = browser.stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true).spawn().unwrap();
    let results = timeout(PATIENCE, page).await.expect("the page sends its results");
    browser.kill().await.unwrap();
    let results = results.as_object().unwrap();
    assert_eq!(results.len(), 5, "{results:?}");
    for transport in ["connect json", "connect binary", "connect get", "grpc-web"] {
        assert_eq!(results[transport], expected(), "{transport}");
    }
    assert_eq!(results["grpc-web text"], json!({"same": true, "missing": 5, "watched": "invitation.created"}));
    service.stop().await;
}
