//! The listener for probes and metrics: health by gRPC and by HTTP, at every moment of a process.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use invitation_service::pb::access_service_client::AccessServiceClient;
use invitation_service::pb::health::health_check_response::ServingStatus;
use invitation_service::pb::health::health_client::HealthClient;
use invitation_service::pb::health::{HealthCheckRequest, HealthListRequest};
use invitation_service::pb::{GetCallerRequest, connection_invitation_service_server};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};
use tonic::Code;
use tonic::transport::{Channel, Endpoint};

use super::server::{BY_NAME, PATIENCE, Server, printed, refusal, run};
use crate::support::database::TestDatabase;
use crate::support::folder::folder;
use crate::support::postgres::start_private;
use crate::support::service::KEYS;

/// The variable that opens the listener.
const LISTEN: (&str, &str) = ("INVITATION__ADMIN__LISTEN", "127.0.0.1:0");

pub(super) async fn start(folder: &Path, environment: &[(&str, &str)]) -> (Server, SocketAddr) {
    let server = Server::start(folder, &[], &[&[LISTEN], environment].concat()).await;
    let line: Value = serde_json::from_str(&server.logged("listening for probes").await).unwrap();
    let address = line["address"].as_str().unwrap().parse().unwrap();
    (server, address)
}

async fn channel(address: SocketAddr) -> Channel {
    Endpoint::from_shared(format!("http://{address}")).unwrap().timeout(PATIENCE).connect().await.unwrap()
}

/// Sends a request as it is written, and returns the line with the code and the last line of the answer.
async fn request(address: SocketAddr, line: &str) -> (String, String) {
    let answer = request_text(address, line).await;
    let code = answer.lines().next().unwrap().to_owned();
    (code, answer.rsplit("\r\n").next().unwrap().to_owned())
}

/// Sends a request as it is written, and returns the whole answer.
pub(super) async fn request_text(address: SocketAddr, line: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("{line} HTTP/1.1\r\nHost: probe\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    timeout(PATIENCE, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
    answer
}

async fn probes(address: SocketAddr) -> [String; 2] {
    let (live, ready) = (request(address, "GET /livez").await, request(address, "GET /readyz").await);
    [live, ready].map(|(code, word)| {
        // The problem, which differs, is behind the word.
        format!("{} {}", code.split(' ').nth(1).unwrap(), word.split(':').next().unwrap())
    })
}

/// The sum of the samples of a metric.
async fn sum(address: SocketAddr, metric: &str) -> f64 {
    let text = request_text(address, "GET /metrics").await;
    let lines = text.lines().filter(|line| line.starts_with(metric));
    lines.filter_map(|line| line.rsplit_once(' ')).map(|(_, value)| value.parse::<f64>().unwrap()).sum()
}

const ALIVE: &str = "200 SERVING";
const NOT_READY: [&str; 2] = [ALIVE, "503 NOT_SERVING"];

#[tokio::test(crate = "crate::support::limit")]
async fn probes_need_no_database_to_learn_that_the_process_lives() {
    let Some(cluster) = start_private() else { return };
    let folder = folder();
    let url = cluster.database().await;
    let environment = [("INVITATION__STORE__URL", url.as_str()), ("INVITATION__TOKEN__KEYS", KEYS)];
    printed(&run(folder.path(), &["migrate"], &environment).await);
    cluster.stop();
    let (server, address) = start(folder.path(), &environment).await;
    server.logged("not ready").await;
    assert_eq!(probes(address).await, NOT_READY);
    cluster.start();
    server.until(ServingStatus::Serving).await;
    assert_eq!(probes(address).await, [ALIVE, ALIVE]);
    cluster.stop_hard();
    server.until(ServingStatus::NotServing).await;
    assert_eq!(probes(address).await, NOT_READY, "an outage restarts nothing");
    let until = Instant::now() + PATIENCE;
    while !request(address, "GET /readyz").await.1.contains("PostgreSQL at") {
        assert!(Instant::now() < until, "the problem is that of the log: {:?}", request(address, "GET /readyz").await);
        sleep(Duration::from_millis(50)).await;
    }
    server.create().await.one().await.unwrap_err();
    assert_eq!(sum(address, "invitation_calls_refused_total").await, 0.0, "a failure of the service is no refusal");
    while sum(address, "invitation_task_failures_total").await == 0.0 {
        assert!(Instant::now() < until, "tasks fail, and that is counted");
        sleep(Duration::from_millis(50)).await;
    }
    server.kill().await;
}

#[tokio::test(crate = "crate::support::limit")]
async fn probes_by_grpc_get_the_same_answers() {
    let Some(database) = TestDatabase::postgres().await else { return };
    let folder = folder();
    let environment = [("INVITATION__STORE__URL", database.url()), ("INVITATION__TOKEN__KEYS", KEYS)];
    let (server, address) = start(folder.path(), &environment).await;
    let mut health = HealthClient::new(channel(address).await);
    let check = |service: &str| HealthCheckRequest { service: service.to_owned() };
    assert_eq!(health.check(check("")).await.unwrap().into_inner().status(), ServingStatus::Serving);
    assert_eq!(health.check(check(BY_NAME)).await.unwrap().into_inner().status(), ServingStatus::NotServing);
    let mut watch = health.watch(check(BY_NAME)).await.unwrap().into_inner();
    assert_eq!(watch.message().await.unwrap().unwrap().status(), ServingStatus::NotServing);
    printed(&run(folder.path(), &["migrate"], &environment).await);
    assert_eq!(watch.message().await.unwrap().unwrap().status(), ServingStatus::Serving);
    let listed = health.list(HealthListRequest {}).await.unwrap().into_inner().statuses;
    assert_eq!(listed[BY_NAME].status(), ServingStatus::Serving);
    let endpoint = format!("http://{address}");
    let arguments = ["health", "--endpoint", &endpoint, "--service", BY_NAME];
    assert_eq!(printed(&run(folder.path(), &arguments, &[]).await), "SERVING\n");
    server.stop().await;
}

#[tokio::test(crate = "crate::support::limit")]
async fn admin_listener_serves_health_and_metrics_alone() {
    let folder = folder();
    let (server, address) = start(folder.path(), &[]).await;
    for (line, code) in [
        ("GET /", "404"),
        ("GET /livez/", "404"),
        ("GET /metrics/", "404"),
        ("POST /metrics", "405"),
        ("POST /readyz", "405"),
        ("GET http://other/readyz?verbose", "200"),
        ("NONSENSE", "400"),
    ] {
        if code == "200" {
            server.until(ServingStatus::Serving).await;
        }
        let (answered, word) = request(address, line).await;
        assert!(answered.contains(&format!(" {code} ")), "{line}: {answered}");
        assert_eq!(word, if code == "200" { "SERVING" } else { "" }, "{line}");
    }
    for path in ["/livez", "/readyz", "/metrics"] {
        let [get, head] =
            [request_text(address, &format!("GET {path}")).await, request_text(address, &format!("HEAD {path}")).await];
        let (headers, body) = head.split_once("\r\n\r\n").unwrap();
        assert_eq!((headers.lines().next(), body), (get.lines().next(), ""), "{path}");
        let has_length = |head: &str| head.to_ascii_lowercase().contains("content-length: ");
        assert!(has_length(headers), "{path}: {headers}");
    }
    let refused = AccessServiceClient::new(channel(address).await).get_caller(GetCallerRequest {}).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unimplemented);
    for path in [
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        "/grpc.health.v1.Health/Nothing",
        &format!("/{}/GetConnectionInvitation", connection_invitation_service_server::SERVICE_NAME),
    ] {
        let mut grpc = tonic::client::Grpc::new(channel(address).await);
        grpc.ready().await.unwrap();
        let codec = tonic_prost::ProstCodec::<HealthCheckRequest, HealthCheckRequest>::default();
        let request = tonic::Request::new(HealthCheckRequest::default());
        let refused = grpc.unary(request, path.parse().unwrap(), codec).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unimplemented, "{path}");
    }
    server.stop().await;
}

#[tokio::test(crate = "crate::support::limit")]
async fn probes_are_answered_until_the_drain_has_ended() {
    let folder = folder();
    let long = [("INVITATION__GRPC__DRAIN_DELAY", "1s"), ("INVITATION__GRPC__DRAIN_TIMEOUT", "120s")];
    let (mut server, address) = start(folder.path(), &long).await;
    server.until(ServingStatus::Serving).await;
    // A call that does not end holds the drain up: its message never comes.
    let (mut held, _connection) = h2::client::handshake(TcpStream::connect(server.address).await.unwrap())
        .await
        .map(|(client, connection)| (client, tokio::spawn(connection)))
        .unwrap();
    let path = format!("http://{}/invitation.v1.AccessService/GetCaller", server.address);
    let call = http::Request::post(path).header("content-type", "application/grpc").body(()).unwrap();
    let (_answer, _message) = held.send_request(call, false).unwrap();
    sleep(Duration::from_millis(200)).await;
    server.signal("TERM").await;
    server.logged("\"message\":\"draining\"").await;
    assert_eq!(probes(address).await, NOT_READY, "a pod that drains is alive");
    server.signal("TERM").await;
    assert_eq!(server.ended().await.code(), Some(0), "{}", server.log());
    TcpStream::connect(address).await.unwrap_err();
}

#[tokio::test(crate = "crate::support::limit")]
async fn silent_clients_leave_room_for_probes() {
    let folder = folder();
    let (server, address) = start(folder.path(), &[]).await;
    server.until(ServingStatus::Serving).await;
    let mut silent = Vec::new();
    for bytes in
        [&b""[..], b"GET /livez HTTP/1.1\r\nHost:", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"].iter().cycle().take(200)
    {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(bytes).await.ok();
        silent.push(stream);
    }
    assert_eq!(probes(address).await, [ALIVE, ALIVE]);
    for stream in &mut silent[..100] {
        timeout(PATIENCE, stream.read_to_end(&mut Vec::new())).await.expect("the oldest are closed").ok();
    }
    server.stop().await;
}

#[tokio::test(crate = "crate::support::limit")]
async fn address_that_is_taken_is_named_at_the_start() {
    let folder = folder();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let environment = [("INVITATION__ADMIN__LISTEN", address.as_str())];
    let text = refusal(&run(folder.path(), &["serve", "--listen", "127.0.0.1:0"], &environment).await);
    assert!(text.contains("admin.listen") && text.contains(&address), "{text}");
    let text = refusal(&run(folder.path(), &["check-config", "--listen", &address], &environment).await);
    assert!(text.contains("a port of their own"), "{text}");
}
