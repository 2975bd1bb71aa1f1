//! A throw-away PostgreSQL as it is in production: every commit is on disk before it is answered.

use std::env;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::Outcome;
use crate::supervisor::Supervisor;

/// `$1` is the directory of the programs, `$2` that of the cluster. `pg_ctl start` succeeds only when the very server that
/// it started takes connections.
const SCRIPT: &str = r#"
while read -r action argument; do
    if case $action in
        init) "$1/initdb" -D "$2/data" -U postgres -A trust -E UTF8 --locale=C ;;
        start) "$1/pg_ctl" -D "$2/data" -l "$2/server.log" -w -t 60 -o "$argument" start ;;
    esac >>"$2/pg_ctl.log" 2>&1; then echo done; else echo failed; fi
done
"$1/pg_ctl" -D "$2/data" -w -m immediate stop >/dev/null 2>&1
rm -rf "$2"
"#;

/// Durability is PostgreSQL's default, written down. Only the log may grow for longer than by default, so that no checkpoint
/// falls into one cell and not into the next.
const SETTINGS: &str = "
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = 100
fsync = on
synchronous_commit = on
full_page_writes = on
shared_buffers = 256MB
max_wal_size = 8GB
checkpoint_timeout = 1h
";

/// A running server; it ends with this process.
pub(crate) struct Cluster {
    bin: PathBuf,
    port: u16,
    process: u32,
    _supervisor: Supervisor,
}

impl Cluster {
    /// Makes and starts a cluster from the programs that are on the machine.
    pub(crate) fn start(more_settings: &[String]) -> Outcome<Self> {
        let bin = find_binaries().ok_or("no PostgreSQL with pgbench was found; `--database sqlite` does without")?;
        let dir = tempfile::Builder::new().prefix("invitation-load-").tempdir()?.keep();
        let user = unprivileged_user(&dir)?;
        if let Some((uid, gid)) = user {
            chown(&dir, Some(uid), Some(gid))?;
        }
        let mut supervisor = Supervisor::start(SCRIPT, &[text(&bin)?, text(&dir)?], user)?;
        let logs = || ["pg_ctl.log", "server.log"].map(|log| fs::read_to_string(dir.join(log)).unwrap_or_default());
        if supervisor.order("init")? != "done" {
            return Err(format!("PostgreSQL cannot be set up:\n{}", logs().concat()).into());
        }
        let mut configuration = OpenOptions::new().append(true).open(dir.join("data/postgresql.conf"))?;
        writeln!(configuration, "{SETTINGS}{}", more_settings.join("\n"))?;
        for _ in 0..5 {
            let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
            if supervisor.order(&format!("start -p {port}"))? == "done" {
                let first = fs::read_to_string(dir.join("data/postmaster.pid"))?;
                let process = first.lines().next().unwrap_or_default().trim().parse()?;
                return Ok(Self { bin, port, process, _supervisor: supervisor });
            }
        }
        Err(format!("PostgreSQL does not start:\n{}", logs().concat()).into())
    }

    /// Makes a database and returns its URL.
    pub(crate) fn database(&self, name: &str) -> Outcome<String> {
        self.sql("postgres", &format!("CREATE DATABASE {name}"))?;
        Ok(format!("postgres://postgres@127.0.0.1:{}/{name}", self.port))
    }

    /// Runs SQL in a database.
    pub(crate) fn sql(&self, database: &str, sql: &str) -> Outcome {
        self.run("psql", database, &["-X", "-q", "-v", "ON_ERROR_STOP=1", "-c", sql]).map(drop)
    }

    /// Returns the process that starts all others.
    pub(crate) fn process(&self) -> u32 {
        self.process
    }

    /// Returns one of PostgreSQL's programs, ready to run on a database.
    pub(crate) fn command(&self, program: &str, database: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.bin.join(program));
        command.args(["-h", "127.0.0.1", "-U", "postgres", "-p"]).arg(self.port.to_string());
        command.args(arguments).arg(database);
        command
    }

    /// Runs one of PostgreSQL's programs on a database and returns what it prints.
    fn run(&self, program: &str, database: &str, arguments: &[&str]) -> Outcome<String> {
        let Output { status, stdout, stderr } = self.command(program, database, arguments).output()?;
        if status.success() {
            return Ok(String::from_utf8_lossy(&stdout).into_owned());
        }
        Err(format!("{program} failed: {}", String::from_utf8_lossy(&stderr)).into())
    }
}

/// The directory of the programs: the one in PATH, else the newest that the distribution installed.
fn find_binaries() -> Option<PathBuf> {
    let complete =
        |dir: &PathBuf| ["initdb", "pg_ctl", "postgres", "psql", "pgbench"].iter().all(|name| dir.join(name).is_file());
    let path = env::var_os("PATH").unwrap_or_default();
    let in_path =
        env::split_paths(&path).filter_map(|dir| Some(fs::canonicalize(dir.join("initdb")).ok()?.parent()?.into()));
    in_path.into_iter().find(complete).or_else(|| {
        let versions = fs::read_dir("/usr/lib/postgresql").ok()?.flatten();
        let versions =
            versions.filter_map(|dir| Some((dir.file_name().to_str()?.parse::<u32>().ok()?, dir.path().join("bin"))));
        versions.filter(|(_, dir)| complete(dir)).max().map(|(_, dir)| dir)
    })
}

/// PostgreSQL refuses to run as root: whoever made `dir` as root starts it as another user.
fn unprivileged_user(dir: &Path) -> Outcome<Option<(u32, u32)>> {
    if fs::metadata(dir)?.uid() != 0 {
        return Ok(None);
    }
    let accounts = fs::read_to_string("/etc/passwd")?;
    let ids = |user: &str| {
        let mut fields = accounts.lines().map(|line| line.split(':').collect::<Vec<_>>());
        let fields = fields.find(|fields| fields.first() == Some(&user))?;
        Some((fields.get(2)?.parse().ok()?, fields.get(3)?.parse().ok()?))
    };
    let user = ids("postgres").or_else(|| ids("nobody"));
    Ok(Some(user.ok_or("root needs the user postgres or nobody to run PostgreSQL")?))
}

fn text(path: &Path) -> Outcome<&str> {
    Ok(path.to_str().ok_or("a directory's name is not UTF-8")?)
}
