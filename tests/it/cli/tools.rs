//! Other people's clients: grpcurl, and Python with the service's reflection as its only source.

use std::env;
use std::net::SocketAddr;
use std::process::{Output, Stdio};
use std::sync::OnceLock;

use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::time::timeout;

use super::server::PATIENCE;

const CLIENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/client.py");

/// Whether grpcurl is there. With REQUIRE_E2E it has to be.
pub(super) fn grpcurl() -> bool {
    static FOUND: OnceLock<bool> = OnceLock::new();
    *FOUND.get_or_init(|| required("grpcurl", "grpcurl", &["-version"]))
}

/// Whether there is a Python that can run the client. With REQUIRE_E2E there has to be.
pub(super) fn python() -> bool {
    static FOUND: OnceLock<bool> = OnceLock::new();
    let modules = "import grpc, grpc_reflection, grpc_status, google.rpc.error_details_pb2";
    *FOUND.get_or_init(|| required("Python with a gRPC client", "python3", &["-c", modules]))
}

/// Whether there is a Python with the library of CloudEvents. With REQUIRE_E2E there has to be.
pub(super) fn cloud_events() -> bool {
    static FOUND: OnceLock<bool> = OnceLock::new();
    let modules = "import cloudevents.core.bindings.http, jsonschema";
    *FOUND.get_or_init(|| required("Python with the library of CloudEvents", "python3", &["-c", modules]))
}

/// Runs a script of Python with JSON as its input; returns the JSON that it prints, or its complaint.
pub(super) async fn script(path: &str, arguments: &[&str], input: &Value) -> Result<Value, String> {
    let mut command = Command::new("python3");
    command.arg(path).args(arguments).kill_on_drop(true);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.to_string().as_bytes()).await.unwrap();
    drop(stdin);
    let output = timeout(PATIENCE, child.wait_with_output()).await.expect("the script ends").unwrap();
    match output.status.success() {
        true => Ok(serde_json::from_slice(&output.stdout).unwrap()),
        false => Err(String::from_utf8(output.stderr).unwrap()),
    }
}

pub(crate) fn required(what: &str, program: &str, probe: &[&str]) -> bool {
    let mut probing = std::process::Command::new(program);
    let probing = probing.args(probe).stdout(Stdio::null()).stderr(Stdio::null());
    let found = probing.status().is_ok_and(|status| status.success());
    let required = env::var("REQUIRE_E2E").is_ok_and(|value| !matches!(value.as_str(), "" | "0"));
    assert!(found || !required, "REQUIRE_E2E is set, and {what} was not found; `make test` installs it");
    if !found {
        eprintln!("{what} not found: what needs it is skipped");
    }
    found
}

/// Runs a line as somebody who pastes it into a shell does.
pub(crate) async fn shell(line: &str) -> Output {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", line]).stdin(Stdio::null()).kill_on_drop(true);
    timeout(PATIENCE, command.output()).await.expect("the line ends").unwrap()
}

/// The result of a client: the answers, or the error.
pub(super) type Called = Result<Vec<Value>, Value>;

/// Calls a method of `invitation.v1` with the Python client.
pub(super) async fn call(address: SocketAddr, method: &str, headers: &[&str], request: Value) -> Called {
    let mut command = Command::new("python3");
    command.args([CLIENT, &address.to_string(), &format!("invitation.v1.{method}")]);
    command.args(headers.iter().flat_map(|header| ["--header", header]));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(request.to_string().as_bytes()).await.unwrap();
    drop(stdin);
    let output = timeout(PATIENCE, child.wait_with_output()).await.expect("the client ends").unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let lines = || text.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<Value>>();
    match output.status.code() {
        Some(0) => Ok(lines()),
        Some(1) if text.starts_with('{') => Err(lines().remove(0)),
        _ => panic!("{method}: {}", String::from_utf8_lossy(&output.stderr)),
    }
}

/// Calls a method that answers once.
pub(super) async fn answer(address: SocketAddr, method: &str, request: Value) -> Value {
    call(address, method, &[], request).await.unwrap_or_else(|error| panic!("{method}: {error}")).remove(0)
}
