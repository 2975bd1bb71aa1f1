//! Calls by other protocols than gRPC, as operators see them: by the same names in the log and the metrics, each once.

use std::net::SocketAddr;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::admin::{request_text, start};
use super::keys::{WITH_KEYS, api_key};
use super::server::PATIENCE;
use crate::support::folder::folder;

const METHOD: &str = "invitation.v1.InvitationService/ListInvitations";

/// Calls by Connect, and returns the line with the code of HTTP.
async fn call(address: SocketAddr, headers: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let length = body.len();
    let request = format!(
        "POST /{METHOD} HTTP/1.1\r\nhost: service.example\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\
         connection: close\r\n{headers}\r\n{body}"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    timeout(PATIENCE, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
    answer.lines().next().unwrap().to_owned()
}

#[tokio::test(crate = "crate::support::limit")]
async fn call_by_connect_is_logged_and_measured_once() {
    let folder = folder();
    let key = api_key(folder.path(), "acme", "*").await;
    let environment = [("INVITATION__AUTH__MODE", "required"), ("INVITATION__AUTH__API_KEYS_FILE", WITH_KEYS[3])];
    let (server, admin) = start(folder.path(), &environment).await;
    server.logged("readiness changed").await;
    let credential = format!("x-api-key: {key}\r\nx-request-id: order-17\r\n");
    assert_eq!(call(server.address, &credential, "{}").await, "HTTP/1.1 200 OK");
    assert_eq!(call(server.address, &credential, "{\"pageToken\": \"secret\"").await, "HTTP/1.1 400 Bad Request");
    assert_eq!(call(server.address, "", "{}").await, "HTTP/1.1 401 Unauthorized");
    let metrics = request_text(admin, "GET /metrics").await;
    for code in ["OK", "INVALID_ARGUMENT", "UNAUTHENTICATED"] {
        let count = |line: &&str| line.starts_with("rpc_server_call_duration_seconds_count") && line.contains(METHOD);
        let lines: Vec<_> =
            metrics.lines().filter(count).filter(|line| line.contains(&format!("\"{code}\""))).collect();
        assert!(matches!(lines[..], [line] if line.ends_with(" 1")), "{code}: {lines:?}");
    }
    let log = server.log();
    let answered: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let answered: Vec<_> = answered.iter().filter(|line| line["event"] == "call.answered").collect();
    let shown: Vec<_> = answered.iter().map(|line| (line["code"].as_str(), line["reason"].as_str())).collect();
    assert_eq!(shown, [(Some("OK"), None), (Some("INVALID_ARGUMENT"), Some("MALFORMED_MESSAGE"))]);
    for line in answered {
        let names = (line["service"].as_str(), line["method"].as_str(), line["account"].as_str());
        assert_eq!(names, (Some("InvitationService"), Some("ListInvitations"), Some("acme")), "{line}");
        assert_eq!(
            (line["correlation_id"].as_str(), line["request_bytes"].is_u64()),
            (Some("order-17"), true),
            "{line}"
        );
    }
    assert!(!log.contains("secret") && !log.contains(&key), "{log}");
    server.stop().await;
}
