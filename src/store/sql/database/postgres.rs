//! The options of connections to PostgreSQL, and the pools that are made of them.

use std::sync::Arc;
use std::time::Duration;

use sea_orm::SqlxError;
use sea_orm::sqlx::ConnectOptions as _;
use sea_orm::sqlx::postgres::PgConnectOptions;
use tokio::sync::watch;
use url::Url;

use super::login::{Login, LoginTexts};
use super::{Database, OpenError, share};
use crate::clock::Clock;
use crate::store::sql::migration::views;
use crate::store::sql::read_turns::ReadTurns;
use crate::store::sql::{Pool, PoolHealth, PoolOptions, Session};

/// The statements of which a connection keeps the plans: more than there are.
pub(super) const STATEMENTS: usize = 200;

/// The isolation of a statement that is a transaction by itself: it has to see the changes that it waited for.
const ISOLATION: (&str, &str) = ("default_transaction_isolation", "read committed");

/// The settings of a session, and of a transaction behind a pooler, that only reads from a standby.
const READ_ONLY: (&str, &str) = ("default_transaction_read_only", "on");
const READ_ONLY_TRANSACTION: &str = "; SET LOCAL transaction_read_only = on";

/// The planner settings of PostgreSQL: one plan per statement, whatever the number of rows, since sets are one
/// parameter, whose size is unknown to the planner; and plans for tables that grow, so that rows are looked up by an
/// index however few there are at that moment.
const PLANNER_SETTINGS: [(&str, &str); 5] = [
    ("plan_cache_mode", "force_generic_plan"),
    ("enable_seqscan", "off"),
    ("enable_mergejoin", "off"),
    ("random_page_cost", "1.1"),
    // The scan of a set, which no index can replace, costs 10^10 with the settings above and would seem worth
    // compiling.
    ("jit", "off"),
];

/// Reads a setting of a session. Makes it wait until its commits are on disk, unless it waits for more, such as a standby: a server
/// that answers a COMMIT before would lose changes that callers believe to be saved.
const LOOK: &str = "SELECT current_setting('plan_cache_mode'),
    CASE WHEN current_setting('synchronous_commit') = 'off' THEN set_config('synchronous_commit', 'on', false) END";

/// The time for which the server works on a statement after its caller has given up.
const STATEMENT_GRACE: Duration = Duration::from_millis(500);
/// The longest wait for a lock. Between lanes and replicas a wait takes milliseconds; a transaction that holds a lock
/// for longer is frozen, or belongs to another program.
const LOCK_TIMEOUT: Duration = Duration::from_millis(250);
/// The time that a transaction may wait for its next statement, for example in a frozen process, before its locks are
/// released.
const IDLE_IN_TRANSACTION: Duration = Duration::from_secs(4);

/// The time after which the server gives up a client that is silent on TCP, in seconds and milliseconds. Over a Unix
/// socket it ignores the settings.
const TCP_SETTINGS: [(&str, &str); 4] = [
    ("tcp_keepalives_idle", "5"),
    ("tcp_keepalives_interval", "2"),
    ("tcp_keepalives_count", "2"),
    ("tcp_user_timeout", "9000"),
];

/// Returns the time limits of a session whose callers wait for `timeout`.
fn time_limits(timeout: Duration) -> [(&'static str, String); 3] {
    let milliseconds = |limit: Duration| limit.as_millis().to_string();
    [
        ("statement_timeout", milliseconds(timeout + STATEMENT_GRACE)),
        ("lock_timeout", milliseconds(LOCK_TIMEOUT)),
        ("idle_in_transaction_session_timeout", milliseconds(IDLE_IN_TRANSACTION)),
    ]
}

/// Makes the commit of a transaction wait until it is on disk, unless it waits for more, such as a standby.
const DURABLE: &str = "; SELECT set_config('synchronous_commit', 'on', true)
    WHERE current_setting('synchronous_commit') = 'off'";

/// Returns the statements that set for one transaction what a session has without a pooler.
fn local_settings(timeout: Duration) -> Arc<str> {
    let planner = PLANNER_SETTINGS.map(|(name, value)| (name, value.to_owned()));
    let set = |(name, value): &(&str, String)| format!("; SET LOCAL {name} = {value}");
    let settings: String = planner.iter().chain(&time_limits(timeout)).map(set).collect();
    (settings + DURABLE).into()
}

/// The options of the connections to a PostgreSQL.
#[derive(Clone, Copy)]
pub struct PostgresOptions<'a> {
    /// The URL.
    pub url: &'a str,
    /// The password of the URLs that have none; `None` if there is none, or each has its own.
    pub password: Option<&'a str>,
    /// Whether a pooler gives connections away after each transaction, so that no state of a session lasts.
    pub pooler: bool,
    /// The URL of the connection that waits for notifications; `None` if none does.
    pub listen_url: Option<&'a str>,
    /// The URL of a standby for reads that may lag; `None` if there is none.
    pub read_url: Option<&'a str>,
    /// The role that reads of calls take on, so that they see no more than they may; `None` if there is none. Then they have as many
    /// connections of their own.
    pub reader_role: Option<&'a str>,
    /// The largest number of connections for calls.
    pub max_connections: u32,
    /// The longest one call waits for the database.
    pub timeout: Duration,
}

/// The login to a server, and the connections of calls to it.
#[derive(Clone)]
pub(super) struct Server {
    pub(super) read: Pool,
    /// The connections of the role for reads of calls; `None` if there is none.
    pub(super) reader: Option<Pool>,
    /// The pool that the server is looked at with, so that no call has to end first.
    pub(super) upkeep: Pool,
    pub(super) read_turns: ReadTurns,
    /// The longest that a call waits for the server.
    pub(super) limit: Duration,
    /// The login of a connection whose statements may take any time.
    pub(super) login: Login,
    /// The name of that role.
    pub(super) reader_role: Option<String>,
    pooler: bool,
    is_standby: bool,
}

/// The changes of the logins after they were read again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChangedLogins {
    /// The parts of the login to the database that have changed.
    pub url: Vec<&'static str>,
    /// Those of the connection that waits for notifications.
    pub listen_url: Vec<&'static str>,
    /// Those of the login to the standby.
    pub read_url: Vec<&'static str>,
}

impl Database {
    /// Prepares to connect to PostgreSQL, which need not be there yet.
    pub fn postgres(options: &PostgresOptions<'_>, clock: Clock) -> Result<Self, OpenError> {
        let &PostgresOptions { listen_url, read_url, max_connections, .. } = options;
        let refused = watch::Sender::new(());
        let primary = Server::new(options, false, &refused)?;
        let listen = match listen_url {
            Some(url) => {
                let (listen, texts) = listen_login(url, options)?;
                Some(Login::new(listen, texts, refused.clone()))
            }
            None => None,
        };
        let standby = read_url.map(|url| Server::new(&PostgresOptions { url, ..*options }, true, &refused));
        Ok(Self {
            read: primary.read.clone(),
            write: primary.read.clone(),
            upkeep: primary.upkeep.clone(),
            reader: primary.reader.clone(),
            read_turns: primary.read_turns.clone(),
            primary: Some(primary),
            listen,
            standby: standby.transpose()?,
            reads_standby: false,
            lock_wait_permits: share(max_connections, 4),
            clock,
            lock: None,
            refused,
        })
    }

    /// Logs in with the URLs and the password of these options from now on. Connections that are open stay, unless they lead to
    /// another place. Changes nothing if one of the URLs cannot be used.
    pub fn use_logins(&self, options: &PostgresOptions<'_>) -> Result<ChangedLogins, OpenError> {
        let Some(primary) = &self.primary else { return Ok(ChangedLogins::default()) };
        let main = primary.prepare(options.url, options)?;
        let listen = match (&self.listen, options.listen_url) {
            (Some(login), Some(url)) => Some((login, listen_login(url, options)?)),
            _ => None,
        };
        let standby = match (&self.standby, options.read_url) {
            (Some(server), Some(url)) => Some((server, server.prepare(url, options)?)),
            _ => None,
        };
        Ok(ChangedLogins {
            url: primary.replace(main),
            listen_url: listen.map(|(login, (options, texts))| login.replace(options, texts)).unwrap_or_default(),
            read_url: standby.map(|(server, login)| server.replace(login)).unwrap_or_default(),
        })
    }

    /// Returns a receiver that changes whenever a server refuses a login.
    pub fn refused_logins(&self) -> watch::Receiver<()> {
        self.refused.subscribe()
    }
}

impl Server {
    /// Prepares to connect to a server. A standby has as many connections for calls as the database itself.
    fn new(options: &PostgresOptions<'_>, is_standby: bool, refused: &watch::Sender<()>) -> Result<Self, OpenError> {
        let &PostgresOptions { url, password, pooler, reader_role, max_connections, timeout, .. } = options;
        // The other half of the time is left for the primary, in case the standby is too slow.
        let limit = if is_standby { timeout / 2 } else { timeout };
        let unlimited = connect_options(url, password, pooler)?;
        let connect = session(unlimited.clone(), limit, pooler, is_standby);
        let login = Login::new(unlimited, LoginTexts::new(url, password), refused.clone());
        let read_only = if is_standby { READ_ONLY_TRANSACTION } else { "" };
        let local: Option<Arc<str>> = pooler.then(|| (local_settings(limit).to_string() + read_only).into());
        let health = PoolHealth::default();
        let pool = |max_connections, role: Option<&str>| {
            let options = PoolOptions { max_connections, acquire_timeout: limit };
            let session = Session { look: look(role), local: local.clone().map(|local| with_role(local, role)) };
            let connect = as_role(connect.clone(), role.filter(|_| !pooler));
            Pool::postgres(options, (login.clone(), connect), session, limit + STATEMENT_GRACE, health.clone())
        };
        let (read, upkeep, read_turns) =
            (pool(max_connections, None), pool(1, None), ReadTurns::of_server(max_connections));
        let reader = reader_role.map(|role| pool(max_connections, Some(role)));
        let reader_role = reader_role.map(str::to_owned);
        Ok(Self { read, reader, reader_role, upkeep, read_turns, limit, login, pooler, is_standby })
    }

    fn prepare(&self, url: &str, options: &PostgresOptions<'_>) -> Result<(PgConnectOptions, LoginTexts), OpenError> {
        let connect = connect_options(url, options.password, self.pooler)?;
        Ok((connect, LoginTexts::new(url, options.password)))
    }

    /// Connects with other options from now on, and returns the parts that have changed.
    fn replace(&self, (connect, texts): (PgConnectOptions, LoginTexts)) -> Vec<&'static str> {
        // New connections are opened with the options of the pools, and counted by those of the login: a refusal of the old ones that
        // comes in between only costs another attempt.
        let connect_with = session(connect.clone(), self.limit, self.pooler, self.is_standby);
        for pool in [&self.read, &self.upkeep] {
            pool.connect_with(connect_with.clone());
        }
        if let Some(reader) = &self.reader {
            reader.connect_with(as_role(connect_with, self.reader_role.as_deref().filter(|_| !self.pooler)));
        }
        let changed = self.login.replace(connect, texts);
        if changed.iter().any(|part| *part != "password") {
            // The connections that are open lead to another place, or are another user's.
            self.upkeep.replace_all();
        }
        changed
    }
}

/// Returns the options of a connection whose statements have time limits.
fn session(connect: PgConnectOptions, limit: Duration, pooler: bool, is_standby: bool) -> PgConnectOptions {
    let connect = match (pooler, is_standby) {
        (true, _) => return connect,
        (false, true) => connect.options([READ_ONLY]),
        (false, false) => connect,
    };
    connect.options(time_limits(limit))
}

/// Returns the options of a connection that takes on a role.
fn as_role(connect: PgConnectOptions, role: Option<&str>) -> PgConnectOptions {
    match role {
        Some(role) => connect.options([("role", role)]),
        None => connect,
    }
}

/// Returns the statements that a transaction behind a pooler begins with, for a role.
fn with_role(local: Arc<str>, role: Option<&str>) -> Arc<str> {
    match role {
        Some(role) => format!("{local}; SET LOCAL ROLE \"{role}\"; SELECT {}", views_first(role, true)).into(),
        None => local,
    }
}

/// Returns the statement that a session begins with.
fn look(role: Option<&str>) -> String {
    match role {
        Some(role) => format!("{LOOK}, {}", views_first(role, false)),
        None => LOOK.to_owned(),
    }
}

/// Returns an expression that makes the names of tables mean the views of a role.
fn views_first(role: &str, is_local: bool) -> String {
    let schema = views::schema(role);
    format!(
        "set_config('search_path', concat_ws(', ', '{schema}', nullif(current_setting('search_path'), '')), {is_local})"
    )
}

/// Returns the login of the connection that waits for notifications.
fn listen_login(url: &str, options: &PostgresOptions<'_>) -> Result<(PgConnectOptions, LoginTexts), OpenError> {
    let connect = parse(url, options.password)?.options(TCP_SETTINGS);
    Ok((connect, LoginTexts::new(url, options.password)))
}

/// Returns the options of a connection whose statements may take any time. A pooler refuses the settings of a session.
fn connect_options(url: &str, password: Option<&str>, pooler: bool) -> Result<PgConnectOptions, OpenError> {
    let connect = parse(url, password)?;
    if pooler {
        return Ok(connect.extra_float_digits(None));
    }
    let connect = connect.statement_cache_capacity(STATEMENTS).options([ISOLATION]);
    Ok(connect.options(PLANNER_SETTINGS).options(TCP_SETTINGS))
}

fn parse(url: &str, password: Option<&str>) -> Result<PgConnectOptions, OpenError> {
    let connect: PgConnectOptions = url.parse().map_err(|_: SqlxError| OpenError::Url)?;
    let connect = connect.application_name("invitation-service").disable_statement_logging();
    // The library may have taken a password from elsewhere.
    let has_none = Url::parse(url).is_ok_and(|url| url.password().is_none());
    Ok(match password.filter(|_| has_none) {
        Some(password) => connect.password(password),
        None => connect,
    })
}
