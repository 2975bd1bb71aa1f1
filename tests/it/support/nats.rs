//! A throw-away NATS server with JetStream, from the program that is on the machine.
//!
//! It belongs to a small shell that ends it when its input closes, for whatever reason, so that nothing outlives the tests.

use std::env;
use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use tempfile::TempDir;

const SUPERVISOR: &str = r#""$0" "$@" & server=$!; cat >/dev/null; kill -9 $server; wait $server 2>/dev/null"#;

/// A server that can be stopped and started again, with an address and a folder of its own.
pub(crate) struct Nats {
    program: PathBuf,
    folder: TempDir,
    port: u16,
    supervisor: Option<Child>,
}

impl Nats {
    /// Prepares a server that does not run yet; none where there is no program and nobody requires it.
    pub(crate) fn new() -> Option<Self> {
        let program = program()?;
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = free.local_addr().unwrap().port();
        Some(Self { program, folder: TempDir::new().unwrap(), port, supervisor: None })
    }

    /// A server that runs.
    pub(crate) fn started() -> Option<Self> {
        let mut nats = Self::new()?;
        nats.start();
        Some(nats)
    }

    pub(crate) fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Starts it, with what it had kept before, and returns when it is ready.
    pub(crate) fn start(&mut self) {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", SUPERVISOR]).arg(&self.program).args(["-js", "-a", "127.0.0.1", "-p"]);
        command.arg(self.port.to_string()).arg("-sd").arg(self.folder.path());
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut supervisor = command.spawn().expect("start NATS");
        let mut log = BufReader::new(supervisor.stderr.take().unwrap()).lines();
        let ready = log.by_ref().map_while(Result::ok).any(|line| line.contains("Server is ready"));
        assert!(ready, "NATS does not start");
        // So that it never waits for a reader.
        std::thread::spawn(move || log.for_each(drop));
        self.supervisor = Some(supervisor);
    }

    /// Ends it as a crash does, and returns when it is gone.
    pub(crate) fn stop(&mut self) {
        if let Some(mut supervisor) = self.supervisor.take() {
            drop(supervisor.stdin.take());
            supervisor.wait().expect("the supervisor ends");
        }
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        self.stop();
    }
}

fn program() -> Option<PathBuf> {
    static FOUND: OnceLock<Option<PathBuf>> = OnceLock::new();
    let look = || {
        let path = env::var_os("PATH").unwrap_or_default();
        // Distributions put it where only root looks.
        let folders = env::split_paths(&path).chain(["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from));
        let found = folders.map(|folder| folder.join("nats-server")).find(|program| program.is_file());
        let required = env::var("REQUIRE_E2E").is_ok_and(|value| !matches!(value.as_str(), "" | "0"));
        assert!(
            found.is_some() || !required,
            "REQUIRE_E2E is set, and no nats-server was found; `make test` installs it"
        );
        if found.is_none() {
            eprintln!("nats-server not found: what needs it is skipped");
        }
        found
    };
    FOUND.get_or_init(look).clone()
}
