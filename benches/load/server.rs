//! The server under load: the release binary with its defaults, but for address, database and key.

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use invitation_service::pb::health::HealthCheckRequest;
use invitation_service::pb::health::health_check_response::ServingStatus;
use invitation_service::pb::health::health_client::HealthClient;
use invitation_service::pb::invitation_service_server::SERVICE_NAME;
use tonic::transport::{Channel, Endpoint};

use crate::Outcome;
use crate::supervisor::Supervisor;

const BINARY: &str = env!("CARGO_BIN_EXE_invitation-service");
const KEYS: &str = "1:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";
/// The time limit of the server's start.
const PATIENCE: Duration = Duration::from_secs(30);

/// A message a second leaves, so that those that wait go on waiting.
///
/// Runs `$1 serve` with its log in `$2` until its own input ends, then stops it and removes the directory.
const SCRIPT: &str = r#"
cd "$2" || exit
INVITATION__GRPC__LISTEN=127.0.0.1:0 INVITATION__STORE__URL="$3" INVITATION__TOKEN__KEYS="$4" INVITATION__LOG__FORMAT=json \
    INVITATION__DELIVERY__PER_SECOND=1 \
    "$1" serve </dev/null >/dev/null 2>>"$2/log" &
server=$!
read -r _
kill -TERM "$server" 2>/dev/null
wait "$server"
cd / && rm -rf "$2"
"#;

/// A running server.
pub(crate) struct Server {
    address: String,
    log: PathBuf,
    _supervisor: Supervisor,
}

impl Server {
    /// Starts a server on a new SQLite file.
    pub(crate) async fn on_sqlite() -> Outcome<Self> {
        Self::start("sqlite://invitations.db").await
    }

    /// Starts a server on a database of a PostgreSQL, and makes the tables.
    pub(crate) async fn on_postgres(url: &str) -> Outcome<Self> {
        migrate(url)?;
        Self::start(url).await
    }

    async fn start(url: &str) -> Outcome<Self> {
        let dir = tempfile::Builder::new().prefix("invitation-load-").tempdir()?.keep();
        let dir_text = dir.to_str().ok_or("the temporary directory's name is not UTF-8")?;
        let supervisor = Supervisor::start(SCRIPT, &[BINARY, dir_text, url, KEYS], None)?;
        let log = dir.join("log");
        let ready = tokio::time::timeout(PATIENCE, async {
            let address = loop {
                if let Some(address) = address_in(&log) {
                    break address;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            };
            let server = Self { address, log: log.clone(), _supervisor: supervisor };
            server.until_ready().await.map(|()| server)
        });
        let log_text = || fs::read_to_string(&log).unwrap_or_default();
        ready.await.map_err(|_| format!("the server does not serve:\n{}", log_text()))?
    }

    async fn until_ready(&self) -> Outcome {
        let request = HealthCheckRequest { service: SERVICE_NAME.to_owned() };
        let mut watch = HealthClient::new(self.connect().await?).watch(request).await?.into_inner();
        while let Some(answer) = watch.message().await? {
            if answer.status() == ServingStatus::Serving {
                return Ok(());
            }
        }
        Err("the server ended before it was ready".into())
    }

    /// Opens one more connection.
    pub(crate) async fn connect(&self) -> Outcome<Channel> {
        Ok(Endpoint::from_shared(format!("http://{}", self.address))?.tcp_nodelay(true).connect().await?)
    }

    /// Empties the log, which has a line for every call.
    pub(crate) fn forget_log(&self) -> Outcome {
        Ok(OpenOptions::new().write(true).truncate(true).open(&self.log).map(drop)?)
    }
}

/// Returns the address that the server says it listens on: it chose the port itself, so that it is certainly the one.
fn address_in(log: &Path) -> Option<String> {
    let log = fs::read_to_string(log).ok()?;
    let mut lines = log.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    lines.find_map(|line| Some(line.get("address")?.as_str()?.to_owned()))
}

/// Makes the tables in a database of a PostgreSQL.
pub(crate) fn migrate(url: &str) -> Outcome {
    let mut command = Command::new(BINARY);
    command.arg("migrate").env("INVITATION__STORE__URL", url).env("INVITATION__TOKEN__KEYS", KEYS);
    let output = command.output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("the tables cannot be made: {}", String::from_utf8_lossy(&output.stderr)).into())
}
