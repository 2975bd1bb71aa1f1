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
use crate::client::{Client, framed};
use crate::filler::fill;
use crate::row::{Row, general};
use crate::supervisor::Supervisor;

const BINARY: &str = env!("CARGO_BIN_EXE_invitation-service");
const KEYS: &str = "1:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";
/// The time limit of the server's start.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs `$1 serve` with its log in `$2` from `start` until `stop` or the end of its own input; then it removes the directory.
///
/// A message a second leaves, so that those that wait go on waiting.
const SCRIPT: &str = r#"
cd "$2" || exit
export INVITATION__GRPC__LISTEN=127.0.0.1:0 INVITATION__STORE__URL="$3" INVITATION__TOKEN__KEYS="$4" \
    INVITATION__LOG__FORMAT=json INVITATION__DELIVERY__PER_SECOND=1
stop() {
    kill -TERM "$server" 2>/dev/null
    wait "$server"
}
while read -r action; do
    case $action in
        start) "$1" serve </dev/null >/dev/null 2>"$2/log" & server=$!; echo "$server" ;;
        stop) stop; echo stopped ;;
    esac
done
stop
cd / && rm -rf "$2"
"#;
/// The file of SQLite, in the server's directory.
const FILE: &str = "invitations.db";

/// A running server.
pub(crate) struct Server {
    address: String,
    process: u32,
    log: PathBuf,
    supervisor: Supervisor,
}

impl Server {
    /// Starts a server on a new SQLite file.
    pub(crate) async fn on_sqlite(filler: usize) -> Outcome<Self> {
        let dir = tempfile::Builder::new().prefix("invitation-load-").tempdir()?.keep();
        let file = format!("sqlite://{}/{FILE}", dir.display());
        Self::start(dir, &file, filler).await
    }

    /// Starts a server on a database of a PostgreSQL, and makes the tables.
    pub(crate) async fn on_postgres(url: &str, filler: usize) -> Outcome<Self> {
        migrate(url)?;
        let dir = tempfile::Builder::new().prefix("invitation-load-").tempdir()?.keep();
        Self::start(dir, url, filler).await
    }

    async fn start(dir: PathBuf, url: &str, filler: usize) -> Outcome<Self> {
        let dir_text = dir.to_str().ok_or("the temporary directory's name is not UTF-8")?;
        let supervisor = Supervisor::start(SCRIPT, &[BINARY, dir_text, url, KEYS], None)?;
        let mut server = Self { address: String::new(), process: 0, log: dir.join("log"), supervisor };
        server.serve().await?;
        if filler > 0 {
            let client = Client::connect(&server.address).await?;
            let created = client.call(Row::CreateGeneral.path(), framed(&general("filler@example.org"))).await?;
            Row::CreateGeneral.check(&created)?;
            server.supervisor.order("stop")?;
            // The log still has the old address, which the next start would take.
            fs::remove_file(&server.log)?;
            fill(url, filler).await?;
            server.serve().await?;
        }
        Ok(server)
    }

    /// Returns the address that it listens on.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    pub(crate) fn process(&self) -> u32 {
        self.process
    }

    async fn serve(&mut self) -> Outcome {
        self.process = self.supervisor.order("start")?.parse()?;
        let ready = tokio::time::timeout(PATIENCE, async {
            self.address = loop {
                if let Some(address) = address_in(&self.log) {
                    break address;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            };
            self.until_ready().await
        });
        let ready = ready.await.unwrap_or_else(|_| Err("the server does not serve".into()));
        ready.map_err(|error| format!("{error}:\n{}", fs::read_to_string(&self.log).unwrap_or_default()).into())
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

    async fn connect(&self) -> Outcome<Channel> {
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
