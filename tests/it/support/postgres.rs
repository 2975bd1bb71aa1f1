//! A throw-away PostgreSQL cluster, made from the server binaries that are on the machine.
//!
//! Statics are not dropped at exit and a test process may be killed, so the cluster belongs to a supervisor: a small shell
//! that runs `initdb` and `pg_ctl` on our behalf and reads its orders from a pipe. When the pipe closes, for whatever reason,
//! it stops the server and removes its directory. Orders are carried out one after another, hence a process that dies in
//! the middle of a start leaves nothing behind either.

use std::{
    env,
    fs::{self, File, OpenOptions},
    io::{BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, TcpListener},
    os::unix::{
        fs::{MetadataExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{self, Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::{
        Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU16, AtomicUsize, Ordering},
    },
    time::Duration,
};

use data_encoding::HEXLOWER;
use invitation_service::clock::Clock;
use invitation_service::store;
use sea_orm::{ConnectOptions, ConnectionTrait, Database};
use tokio::sync::OnceCell;

use super::folder::folder_called;
use super::{pooler, scram};

mod login;

pub(crate) use login::{READER_ROLE, READER_SCHEMA, options, read_schema, reader_role};

const SUPERVISOR: &str = r#"
trap : PIPE # nobody may be left to hear an answer
while read -r action argument; do
    if case $action in
        init) "$1/initdb" -D "$2/data" -U postgres -A password --pwfile="$2/password" -E UTF8 --locale=C --no-sync ;;
        start) "$1/pg_ctl" -D "$2/data" -l "$2/server.log" -w -t 60 -o "$argument" start ;;
        stop) "$1/pg_ctl" -D "$2/data" -w -t 60 -m "$argument" stop ;;
        copy) "$1/pg_basebackup" -D "$2/standby" -R -X stream -c fast --no-sync -d "$argument" ;;
        follow) "$1/pg_ctl" -D "$2/standby" -l "$2/server.log" -w -t 60 -o "$argument" start ;;
        leave) "$1/pg_ctl" -D "$2/standby" -w -t 60 -m "$argument" stop ;;
        pool) "$argument" -d "$2/pgbouncer.ini" ;;
    esac >>"$2/pg_ctl.log" 2>&1; then echo done; else echo failed; fi
done
[ ! -f "$2/pgbouncer.pid" ] || kill "$(cat "$2/pgbouncer.pid")"
[ ! -d "$2/standby" ] || "$1/pg_ctl" -D "$2/standby" -w -m immediate stop >/dev/null 2>&1
"$1/pg_ctl" -D "$2/data" -w -m immediate stop >/dev/null 2>&1
rm -rf "$2"
"#;

/// Nothing in here outlives the test process, so nothing needs to reach the disk. A commit still reaches the system's cache
/// before it is answered (`synchronous_commit` stays on), so that it survives [`Cluster::stop_hard`] as it does in production.
const SETTINGS: &str = "
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = 300
max_wal_size = 128MB
shared_buffers = 128MB
fsync = off
default_transaction_isolation = serializable
full_page_writes = off
jit = off
log_line_prefix = '%d '
";

pub(super) fn is_set(variable: &str) -> bool {
    env::var(variable).is_ok_and(|value| !matches!(value.as_str(), "" | "0"))
}

/// A running server with an own data directory, port and password.
pub(crate) struct Cluster {
    dir: PathBuf,
    port: u16,
    /// The port of the pooler, once there is one.
    pooler_port: OnceLock<u16>,
    password: String,
    databases: AtomicUsize,
    /// The databases that no test uses any more.
    ended: Mutex<Vec<String>>,
    /// The name of a database that is copied, once there is one.
    template: OnceCell<String>,
    supervisor: Mutex<Supervisor>,
}

/// The cluster that the tests of this process share, each with a database of its own; `None` where no server is installed.
pub(crate) fn cluster() -> Option<&'static Cluster> {
    static SHARED: OnceLock<Option<Cluster>> = OnceLock::new();
    SHARED.get_or_init(start_private).as_ref()
}

/// A separate cluster for a test that stops and starts it; `None` where no server is installed. It ends when dropped.
pub(crate) fn start_private() -> Option<Cluster> {
    static NOTICE: OnceLock<()> = OnceLock::new();
    let bin = find_binaries();
    if bin.is_none() {
        assert!(!is_set("REQUIRE_POSTGRES"), "REQUIRE_POSTGRES is set, and no PostgreSQL server was found");
        NOTICE.get_or_init(|| eprintln!("PostgreSQL not found: its half of the suites is skipped"));
    }
    bin.as_deref().map(Cluster::create)
}

impl Cluster {
    /// Makes an empty database and returns its URL.
    pub(crate) async fn database(&self) -> String {
        self.database_like("template1").await
    }

    /// Makes a database with the schema at its head and returns its URL. The schema is migrated once and then copied, which
    /// takes a tenth of the time.
    pub(crate) async fn migrated(&self) -> String {
        let template = self.template.get_or_init(|| async {
            let url = self.database().await;
            // One connection holds the lock of the migration, another migrates.
            let options = options(&url, Some(&url), 2, Duration::from_secs(60));
            let database = store::Database::postgres(&options, Clock::system()).expect("prepare the template");
            database.maintenance().migrate().await.expect("migrate the template");
            // A database that somebody is connected to cannot be copied.
            database.close().await;
            if pooler::is_pooled() {
                pooler::refuse_now_and_then(&url).await;
            }
            url.rsplit('/').next().unwrap_or_default().to_owned()
        });
        let template = template.await;
        self.database_like(template).await
    }

    async fn database_like(&self, template: &str) -> String {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        let mut options = ConnectOptions::new(self.url("postgres"));
        options.max_connections(1).sqlx_logging(false);
        let admin = Database::connect(options).await.expect("connect to the throw-away cluster");
        let ended = std::mem::take(&mut *self.ended());
        for ended in ended {
            // Tasks of its test may still be connected.
            let drop = format!("DROP DATABASE {ended} WITH (FORCE)");
            admin.execute_unprepared(&drop).await.expect("drop a database");
        }
        let create = format!("CREATE DATABASE {name} TEMPLATE {template}");
        admin.execute_unprepared(&create).await.expect("create a database");
        admin.close().await.expect("close the connection that created the database");
        self.url(&name)
    }

    /// Marks a database, by its URL, as one that is used no more. The next one that is made takes its room.
    pub(crate) fn end(&self, url: &str) {
        self.ended().extend(url.rsplit('/').next().map(str::to_owned));
    }

    fn ended(&self) -> MutexGuard<'_, Vec<String>> {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An orderly stop: clients are disconnected and everything is written. Returns when the server is gone.
    pub(crate) fn stop(&self) {
        self.must("stop fast");
    }

    /// A crash: clients are cut off and the next start recovers from the log. Returns when the server is gone.
    pub(crate) fn stop_hard(&self) {
        self.must("stop immediate");
    }

    /// Starts a stopped server again, on the same port. Returns when it takes connections.
    pub(crate) fn start(&self) {
        self.must(&format!("start -p {}", self.port));
    }

    /// Copies a database, with what is in it, and returns the URL of the copy. Whoever is connected to it is cut off.
    pub(crate) async fn copy(&self, url: &str) -> String {
        let name = url.rsplit('/').next().unwrap_or_default();
        let admin = Database::connect(self.url("postgres")).await.expect("connect to the throw-away cluster");
        let cut = format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'");
        admin.execute_unprepared(&cut).await.expect("cut connections off");
        admin.close().await.expect("close the connection that cut others off");
        self.database_like(name).await
    }

    /// Starts a standby of the whole cluster, and returns the port that it listens on.
    pub(crate) fn start_standby(&self) -> u16 {
        let Self { password, port, .. } = self;
        self.must(&format!("copy host=127.0.0.1 port={port} user=postgres password={password}"));
        let port = free_port();
        self.must(&format!("follow -p {port}"));
        port
    }

    /// Starts a standby again that was stopped.
    pub(crate) fn restart_standby(&self, port: u16) {
        self.must(&format!("follow -p {port}"));
    }

    /// Stops the standby at once.
    pub(crate) fn stop_standby(&self) {
        self.must("leave immediate");
    }

    fn create(bin: &Path) -> Self {
        let dir = folder_called("invitation-postgres-").keep();
        let password = random_hex();
        fs::write(dir.join("password"), scram::stored(&password)).expect("write the password file");
        let user = unprivileged_user(&dir);
        if let Some((uid, gid)) = user {
            for path in [dir.join("password"), dir.clone()] {
                chown(path, Some(uid), Some(gid)).expect("give the directory to the server's user");
            }
        }
        let supervisor = Mutex::new(Supervisor::spawn(bin, &dir, user));
        let mut cluster = Self {
            dir,
            port: 0,
            pooler_port: OnceLock::new(),
            password,
            databases: AtomicUsize::new(0),
            ended: Mutex::default(),
            template: OnceCell::new(),
            supervisor,
        };
        cluster.must("init");
        let configuration = cluster.dir.join("data/postgresql.conf");
        let mut file = OpenOptions::new().append(true).open(configuration).expect("open postgresql.conf");
        file.write_all(SETTINGS.as_bytes()).expect("write postgresql.conf");
        // Between looking and binding, somebody else may take the port. `pg_ctl start` succeeds only when the very process
        // it started is ready, and that one has exactly one address to listen on: a foreign server is never taken for ours.
        let started = (0..5).any(|_| {
            cluster.port = free_port();
            cluster.order(&format!("start -p {}", cluster.port))
        });
        assert!(started, "PostgreSQL does not start:\n{}", cluster.logs());
        cluster
    }

    fn start_pooler(&self, program: &Path) -> u16 {
        let port = free_port();
        let program = pooler::prepare(program, &self.dir, self.port, port, &self.password);
        self.must(&format!("pool {}", program.display()));
        port
    }

    fn url(&self, database: &str) -> String {
        format!("postgres://postgres:{}@127.0.0.1:{}/{database}", self.password, self.port)
    }

    /// The URL of a database by way of the pooler, which is started if there is none; `None` where none is installed.
    pub(crate) fn through_pooler(&self, url: &str) -> Option<String> {
        let program = pooler::find();
        let is_required = is_set("REQUIRE_POSTGRES") || pooler::is_pooled();
        assert!(
            program.is_some() || !is_required,
            "REQUIRE_POSTGRES or TEST_POOLER is set, and no PgBouncer was found"
        );
        let program = program?;
        let port = self.pooler_port.get_or_init(|| self.start_pooler(&program));
        Some(url.replace(&format!(":{}/", self.port), &format!(":{port}/")))
    }

    fn must(&self, order: &str) {
        assert!(self.order(order), "PostgreSQL does not {order}:\n{}", self.logs());
    }

    fn order(&self, order: &str) -> bool {
        self.supervisor.lock().unwrap_or_else(PoisonError::into_inner).carry_out(order)
    }

    /// The file that the server logs to.
    pub(crate) fn log(&self) -> PathBuf {
        self.dir.join("server.log")
    }

    fn logs(&self) -> String {
        ["pg_ctl.log", "server.log", "pgbouncer.log"]
            .map(|name| fs::read_to_string(self.dir.join(name)).unwrap_or_default())
            .concat()
    }
}

struct Supervisor {
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
    _shell: Child,
}

impl Supervisor {
    /// In a process group of its own, so that Ctrl-C ends the tests and not the one who cleans up after them.
    fn spawn(bin: &Path, dir: &Path, user: Option<(u32, u32)>) -> Self {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", SUPERVISOR, "sh"]).arg(bin).arg(dir);
        command.env_clear().env("PATH", "/usr/bin:/bin").env("LC_ALL", "C").current_dir("/").process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        if let Some((uid, gid)) = user {
            command.uid(uid).gid(gid);
        }
        let mut shell = command.spawn().expect("start the supervisor of PostgreSQL");
        let orders = shell.stdin.take().expect("the supervisor's input is a pipe");
        let answers = BufReader::new(shell.stdout.take().expect("the supervisor's output is a pipe"));
        Self { orders, answers, _shell: shell }
    }

    fn carry_out(&mut self, order: &str) -> bool {
        writeln!(self.orders, "{order}").expect("the supervisor takes orders");
        let mut answer = String::new();
        self.answers.read_line(&mut answer).expect("the supervisor answers");
        answer == "done\n"
    }
}

/// Returns the URL of a database of the shared cluster past the pooler, if there is one.
pub(crate) fn past_pooler(url: &str) -> String {
    let Some(Cluster { pooler_port, port, .. }) = cluster() else { return url.to_owned() };
    let pooler = pooler_port.get().unwrap_or(port);
    url.replace(&format!(":{pooler}/"), &format!(":{port}/"))
}

pub(crate) fn program(name: &str) -> PathBuf {
    find_binaries().expect("a cluster was started").join(name)
}

/// The directory of the server's programs: the one in PATH, else the newest that a distribution or Homebrew installed.
fn find_binaries() -> Option<PathBuf> {
    let complete = |dir: &PathBuf| ["initdb", "pg_ctl", "postgres"].iter().all(|name| dir.join(name).is_file());
    let path = env::var_os("PATH").unwrap_or_default();
    // A link in PATH leads to the directory where the other programs are.
    let in_path = env::split_paths(&path)
        .filter_map(|dir| fs::canonicalize(dir.join("initdb")).ok()?.parent().map(Path::to_path_buf))
        .find(complete);
    in_path.or_else(|| {
        let roots = [
            ("/usr/lib/postgresql", ""),
            ("/usr", "pgsql-"),
            ("/opt/homebrew/opt", "postgresql@"),
            ("/usr/local/opt", "postgresql@"),
        ];
        let versions = roots.into_iter().flat_map(|(root, prefix)| {
            fs::read_dir(root).into_iter().flatten().flatten().filter_map(move |entry| {
                let version: u32 = entry.file_name().to_str()?.strip_prefix(prefix)?.parse().ok()?;
                Some((version, entry.path().join("bin")))
            })
        });
        versions.filter(|(_, dir)| complete(dir)).max().map(|(_, dir)| dir)
    })
}

/// PostgreSQL refuses to run as root: whoever made `dir` as root starts it as another user.
fn unprivileged_user(dir: &Path) -> Option<(u32, u32)> {
    if fs::metadata(dir).expect("look at the temporary directory").uid() != 0 {
        return None;
    }
    let accounts = fs::read_to_string("/etc/passwd").expect("read /etc/passwd");
    let ids = |user: &str| {
        let fields: Vec<&str> =
            accounts.lines().map(|line| line.split(':').collect()).find(|fields: &Vec<_>| fields[0] == user)?;
        Some((fields.get(2)?.parse().ok()?, fields.get(3)?.parse().ok()?))
    };
    Some(ids("postgres").or_else(|| ids("nobody")).expect("root needs the user postgres or nobody to run PostgreSQL"))
}

/// Below the range from which the system gives ports to clients, so that a stopped server's port stays free.
fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let base = process::id() % 1_000;
    (0..17_000)
        .map(|_| 15_000 + (base * 17 + u32::from(NEXT.fetch_add(1, Ordering::Relaxed))) % 17_000)
        .filter_map(|port| u16::try_from(port).ok())
        .find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())
        .expect("a free port")
}

fn random_hex() -> String {
    let mut bytes = [0; 16];
    File::open("/dev/urandom").and_then(|mut source| source.read_exact(&mut bytes)).expect("read /dev/urandom");
    HEXLOWER.encode(&bytes)
}
