//! The binary as a process with a folder of its own.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use invitation_service::pb;
use invitation_service::pb::health::HealthCheckRequest;
use invitation_service::pb::health::health_check_response::ServingStatus;
use invitation_service::pb::health::health_client::HealthClient;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::time::timeout;
use tonic::transport::{Channel, Endpoint};

use super::load::Create;
use super::log::follows_the_contract;
use crate::support::pooler;

/// The service whose readiness is asked for when any of them would do.
pub(super) const BY_NAME: &str = pb::connection_invitation_service_server::SERVICE_NAME;

/// The time that a test waits for an event before it fails.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// The arguments of `serve` on a free port.
const SERVE: [&str; 5] = ["serve", "--listen", "127.0.0.1:0", "--log-format", "json"];

/// A running `serve`. Killed when dropped.
pub(super) struct Server {
    child: Child,
    pub(super) address: SocketAddr,
    stdout: Text,
    log: Text,
}

/// The text that a stream of the process has printed so far.
#[derive(Clone)]
struct Text {
    so_far: Arc<Mutex<String>>,
    lines: watch::Receiver<usize>,
}

/// The binary with these arguments, in this folder, with nothing of our own environment.
pub(super) fn command(folder: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_invitation-service"));
    command.args(arguments);
    dressed(command, folder, environment)
}

fn dressed(mut command: Command, folder: &Path, environment: &[(&str, &str)]) -> Command {
    command.env_clear().envs(environment.iter().copied()).current_dir(folder);
    if pooler::is_pooled() && !environment.iter().any(|(name, _)| *name == "INVITATION__STORE__POOLER") {
        command.env("INVITATION__STORE__POOLER", "transaction");
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

/// Runs a command that ends by itself.
pub(super) async fn run(folder: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    timeout(PATIENCE, command(folder, arguments, environment).output()).await.expect("the command ends").unwrap()
}

/// Returns what a command that must have succeeded printed.
#[track_caller]
pub(super) fn printed(output: &Output) -> String {
    assert!(output.status.success(), "{}", said(&output.stderr));
    said(&output.stdout)
}

/// Asserts that a command failed with one of our texts, not with a panic, and returns it.
#[track_caller]
pub(super) fn refusal(output: &Output) -> String {
    let text = said(&output.stderr);
    assert!(matches!(output.status.code(), Some(1..=6)), "{:?}: {text}", output.status);
    assert!(!text.contains("panicked") && !text.contains("backtrace"), "{text}");
    text
}

fn said(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

impl Server {
    /// Starts `serve` on a free port and waits until it listens.
    pub(super) async fn start(folder: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let arguments = [&SERVE, arguments].concat();
        Self::spawn(command(folder, &arguments, environment)).await
    }

    /// Starts the binary with no other arguments than these and waits until it listens.
    pub(super) async fn start_exactly(folder: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        Self::spawn(command(folder, arguments, environment)).await
    }

    /// Starts it through a shell in which a write beyond the limit of a file's size fails instead of ending the process, and
    /// waits until it says that it is ready.
    pub(super) async fn ready_for_faults(folder: &Path, environment: &[(&str, &str)]) -> Self {
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_invitation-service")]).args(SERVE);
        let server = Self::spawn(dressed(shell, folder, environment)).await;
        server.until(ServingStatus::Serving).await;
        server
    }

    /// Starts `serve` whose standard output goes elsewhere, and waits until it is ready.
    pub(super) async fn with_stdout(folder: &Path, stdout: Stdio) -> Self {
        let mut command = command(folder, &SERVE, &[]);
        command.stdout(stdout);
        let server = Self::spawn(command).await;
        server.until(ServingStatus::Serving).await;
        server
    }

    /// Starts a command that runs `serve` and waits until it listens.
    async fn spawn(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let stdout = match child.stdout.take() {
            Some(stdout) => Text::of(stdout),
            None => Text::of(tokio::io::empty()),
        };
        let log = Text::of(child.stderr.take().unwrap());
        let line = log.line_with("\"message\":\"listening\"").await;
        let line: serde_json::Value = serde_json::from_str(&line).unwrap();
        let address = line["address"].as_str().unwrap().parse().unwrap();
        Self { child, address, stdout, log }
    }

    /// Starts it and waits until it says that it is ready.
    pub(super) async fn ready(folder: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let server = Self::start(folder, arguments, environment).await;
        server.until(ServingStatus::Serving).await;
        server
    }

    /// A new connection, with a limit on every call so that a hanging server fails the test and does not hang it.
    pub(super) async fn channel(&self) -> Channel {
        self.endpoint().timeout(PATIENCE).connect().await.unwrap()
    }

    fn endpoint(&self) -> Endpoint {
        Endpoint::from_shared(format!("http://{}", self.address)).unwrap()
    }

    /// A client that only creates.
    pub(super) async fn create(&self) -> Create {
        Create::new(self.channel().await)
    }

    /// Waits until the health service says this of a service by name.
    pub(super) async fn until(&self, wanted: ServingStatus) {
        let mut health = HealthClient::new(self.endpoint().connect().await.unwrap());
        let request = HealthCheckRequest { service: BY_NAME.to_owned() };
        let reached = timeout(PATIENCE, async {
            let watched = health.watch(request).await;
            let mut stream = watched.unwrap_or_else(|refused| panic!("{refused}:\n{}", self.log())).into_inner();
            while let Some(answer) = stream.message().await.unwrap() {
                if answer.status() == wanted {
                    return;
                }
            }
            panic!("the stream ended");
        });
        reached.await.unwrap_or_else(|_| panic!("never {wanted:?}:\n{}", self.log()));
    }

    /// The present answer of the health service.
    pub(super) async fn health(&self, service: &str) -> ServingStatus {
        let mut health = HealthClient::new(self.channel().await);
        let request = HealthCheckRequest { service: service.to_owned() };
        health.check(request).await.unwrap().into_inner().status()
    }

    /// Limits the size of every file that the process writes; `None` takes the limit away.
    pub(super) async fn limit_files(&self, bytes: Option<u64>) {
        let limit = bytes.map_or("unlimited".to_owned(), |bytes| bytes.to_string());
        let pid = self.child.id().expect("the process has not ended").to_string();
        let arguments = ["--pid", &pid, &format!("--fsize={limit}:unlimited")];
        assert!(Command::new("prlimit").args(arguments).status().await.unwrap().success());
    }

    /// Sends a signal by its name, as `kill` does.
    pub(super) async fn signal(&self, name: &str) {
        let script = format!("kill -{name} {}", self.child.id().expect("the process has not ended"));
        assert!(Command::new("/bin/sh").args(["-c", &script]).status().await.unwrap().success());
    }

    /// Waits for the end of the process.
    pub(super) async fn ended(&mut self) -> ExitStatus {
        match timeout(PATIENCE, self.exit()).await {
            Ok(status) => status,
            Err(_) => panic!("the process does not end:\n{}", self.log()),
        }
    }

    /// Waits for the end of the process as long as its caller does.
    pub(super) async fn exit(&mut self) -> ExitStatus {
        self.child.wait().await.unwrap()
    }

    /// Ends the process as a supervisor does.
    pub(super) async fn stop(mut self) {
        self.signal("TERM").await;
        assert_eq!(self.ended().await.code(), Some(0), "{}", self.log());
        follows_the_contract(&self.log());
    }

    /// Ends the process as a power cut does.
    pub(super) async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }

    /// The log so far.
    pub(super) fn log(&self) -> String {
        self.log.so_far()
    }

    /// Waits for a line in its log.
    pub(super) async fn logged(&self, part: &str) -> String {
        self.log.line_with(part).await
    }

    /// Waits for a line that it prints.
    pub(super) async fn printed(&self, part: &str) -> String {
        self.stdout.line_with(part).await
    }
}

impl Text {
    /// Reads a stream to its end, in a task of its own, so that the process is never held up.
    fn of(stream: impl AsyncRead + Unpin + Send + 'static) -> Self {
        let so_far = Arc::new(Mutex::new(String::new()));
        let (told, lines) = watch::channel(0);
        let text = Arc::clone(&so_far);
        tokio::spawn(async move {
            let mut lines = BufReader::new(stream).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                text.lock().unwrap().push_str(&(line + "\n"));
                told.send_modify(|count| *count += 1);
            }
        });
        Self { so_far, lines }
    }

    fn so_far(&self) -> String {
        self.so_far.lock().unwrap().clone()
    }

    /// Returns the first line with this part among those that have not been searched: a log may have megabytes.
    fn line_after(&self, searched: &mut usize, part: &str) -> Option<String> {
        let text = self.so_far.lock().unwrap();
        let found = text[*searched..].lines().find(|line| line.contains(part)).map(str::to_owned);
        *searched = text.len();
        found
    }

    async fn line_with(&self, part: &str) -> String {
        let mut lines = self.lines.clone();
        let mut searched = 0;
        let found = timeout(PATIENCE, async {
            loop {
                lines.mark_unchanged();
                if let Some(line) = self.line_after(&mut searched, part) {
                    return Some(line);
                }
                if lines.changed().await.is_err() {
                    return self.line_after(&mut searched, part);
                }
            }
        });
        let found = found.await.ok().flatten();
        found.unwrap_or_else(|| panic!("{part:?} is not in:\n{}", self.so_far()))
    }
}
