//! The server under load: the release binary with its defaults, but for address, database, key and the credentials it accepts.

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use invitation_service::pb::health::health_check_response::ServingStatus;
use invitation_service::pb::health::{HealthCheckRequest, HealthCheckResponse};
use invitation_service::pb::invitation_service_server::SERVICE_NAME;
use prost::Message as _;

use crate::Outcome;
use crate::client::{Client, framed};
use crate::credentials::{ACCOUNT, Presented};
use crate::filler::fill;
use crate::row::{Row, general};
use crate::supervisor::Supervisor;

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_invitation-service");
const KEYS: &str = "1:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";
/// The time limit of the server's start.
const PATIENCE: Duration = Duration::from_secs(60);
/// The pause between two looks at whether it has started.
const PAUSE: Duration = Duration::from_millis(20);

/// Runs `$1 serve` with its log in `$2` from `start` until `stop` or the end of its own input; then it removes the directory. The
/// file `settings` in it has the settings of the next start.
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
        start) (. "$2/settings" && exec "$1" serve) </dev/null >/dev/null 2>"$2/log" & server=$!; echo "$server" ;;
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
    dir: PathBuf,
    url: String,
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
        let mut server = Self { address: String::new(), process: 0, url: url.to_owned(), supervisor, dir };
        server.serve(&[], &Presented::default()).await?;
        if filler > 0 {
            let clients = Client::connect([server.address()].into_iter(), Presented::default()).await?;
            let created = clients[0].call(Row::CreateGeneral.path(), framed(&general("filler@example.org"))).await?;
            Row::CreateGeneral.check(&created)?;
            server.stop()?;
            fill(url, filler).await?;
            server.serve(&[], &Presented::default()).await?;
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

    pub(crate) fn stop(&mut self) -> Outcome {
        self.supervisor.order("stop")?;
        // The log still has the old address, which the next start would take.
        Ok(fs::remove_file(self.log())?)
    }

    /// Starts a server that was stopped, with more settings, and waits until it serves clients who present this.
    pub(crate) async fn serve(&mut self, settings: &[(&str, PathBuf)], presented: &Presented) -> Outcome {
        let lines = settings.iter().map(|(name, value)| format!("export {name}='{}'\n", value.display()));
        fs::write(self.dir.join("settings"), lines.collect::<String>())?;
        self.process = self.supervisor.order("start")?.parse()?;
        let ready = tokio::time::timeout(PATIENCE, async {
            self.address = loop {
                if let Some(address) = address_in(&self.log()) {
                    break address;
                }
                tokio::time::sleep(PAUSE).await;
            };
            self.until_ready(presented).await
        });
        let ready = ready.await.unwrap_or_else(|_| Err("the server does not serve".into()));
        ready.map_err(|error| format!("{error}:\n{}", fs::read_to_string(self.log()).unwrap_or_default()).into())
    }

    async fn until_ready(&self, presented: &Presented) -> Outcome {
        let clients = Client::connect([self.address()].into_iter(), presented.clone()).await?;
        let request = framed(&HealthCheckRequest { service: SERVICE_NAME.to_owned() });
        loop {
            let answer = clients[0].call(Row::Empty.path(), request.clone()).await?;
            if HealthCheckResponse::decode(answer.message)?.status() == ServingStatus::Serving {
                return Ok(());
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Creates a key in the database of a server that was stopped, and returns it.
    pub(crate) fn create_key(&self) -> Outcome<String> {
        let arguments = ["api-key", "create", "--name", "load", "--account", ACCOUNT, "--permission", "*"];
        printed(on_database(&self.url).args(arguments)).map(|key| key.trim().to_owned())
    }

    fn log(&self) -> PathBuf {
        self.dir.join("log")
    }

    /// Empties the log, which has a line for every call.
    pub(crate) fn forget_log(&self) -> Outcome {
        Ok(OpenOptions::new().write(true).truncate(true).open(self.log()).map(drop)?)
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
    printed(on_database(url).arg("migrate")).map(drop)
}

/// Returns the server's program, ready to run on a database.
fn on_database(url: &str) -> Command {
    let mut command = Command::new(BINARY);
    command.env("INVITATION__STORE__URL", url).env("INVITATION__TOKEN__KEYS", KEYS);
    command
}

/// Runs a command that has to succeed, and returns what it prints.
pub(crate) fn printed(command: &mut Command) -> Outcome<String> {
    let output = command.output().map_err(|error| format!("{}: {error}", command.get_program().display()))?;
    if output.status.success() {
        return Ok(String::from_utf8(output.stdout)?);
    }
    Err(format!("{} failed: {}", command.get_program().display(), String::from_utf8_lossy(&output.stderr)).into())
}
