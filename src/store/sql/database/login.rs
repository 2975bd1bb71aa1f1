//! The login to a server: the options of new connections, which may change while the service runs, and the pause after the server has
//! refused a login.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sea_orm::SqlxError;
use sea_orm::sqlx::pool::PoolConnection;
use sea_orm::sqlx::postgres::PgConnectOptions;
use sea_orm::sqlx::{ConnectOptions as _, Connection as _, PgPool, Postgres};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use url::Url;

use super::connect_failure::{ConnectFailure, Place};
use crate::store::sql::error::is_login_refused;
use crate::telemetry::metrics::table::LOGIN_REFUSALS;

/// The pause after the first login that was refused. It doubles with each further one, up to the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// The time for which callers wait for another login after the first refusal: as long as a look at a file takes.
const RELOAD_TIME: Duration = Duration::from_millis(500);
/// The pause between two looks at whether a connection has come back, or the login has changed.
const LOOK_INTERVAL: Duration = Duration::from_millis(5);

/// The texts of a login.
#[derive(Clone)]
pub(in crate::store) struct LoginTexts {
    url: SecretString,
    /// The password of a URL that has none.
    password: Option<SecretString>,
}

/// The login to one server. Clones share it.
#[derive(Clone)]
pub(in crate::store) struct Login {
    state: Arc<Mutex<State>>,
    /// Changes with each refusal.
    refused: watch::Sender<()>,
    /// Changes with the options.
    replaced: watch::Sender<()>,
}

struct State {
    options: PgConnectOptions,
    /// The texts that the options come from.
    texts: LoginTexts,
    /// The number of changes of the options.
    version: u64,
    /// The refusals since the last login that was accepted; `None` if there is none.
    refusals: Option<Refusals>,
    /// The failure of the last login that was refused.
    failure: Option<ConnectFailure>,
}

#[derive(Clone, Copy)]
struct Refusals {
    first: Instant,
    last: Instant,
    /// The moment before which nobody tries.
    next: Instant,
    pause: Duration,
}

/// An attempt to connect.
#[derive(Clone, Copy, Debug)]
pub(in crate::store) struct Attempt {
    began: Instant,
    version: u64,
}

impl Login {
    /// Logs in with these options from now on. Every refusal changes `refused`.
    pub(in crate::store) fn new(options: PgConnectOptions, texts: LoginTexts, refused: watch::Sender<()>) -> Self {
        let state = State { options, texts, version: 0, refusals: None, failure: None };
        Self { state: Arc::new(Mutex::new(state)), refused, replaced: watch::Sender::new(()) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the options of the next connection.
    pub(in crate::store) fn options(&self) -> PgConnectOptions {
        self.state().options.clone()
    }

    /// Takes other options, and returns the parts that have changed; none if they are the same.
    pub(in crate::store) fn replace(&self, options: PgConnectOptions, texts: LoginTexts) -> Vec<&'static str> {
        let mut state = self.state();
        let changed = differences((&state.options, &state.texts), (&options, &texts));
        if !changed.is_empty() {
            (state.options, state.texts, state.refusals) = (options, texts, None);
            state.failure = None;
            state.version += 1;
            drop(state);
            self.replaced.send_replace(());
        }
        changed
    }

    /// Returns the server and the role.
    pub(in crate::store) fn place(&self) -> Place {
        Place::of(&self.state().options)
    }

    /// Describes the error of an attempt to connect, and remembers it if the server refuses the login.
    pub(in crate::store) fn failure(&self, error: &SqlxError) -> ConnectFailure {
        let mut state = self.state();
        let failure = ConnectFailure::of(&Place::of(&state.options), error);
        if is_login_refused(error) {
            state.failure = Some(failure.clone());
        }
        failure
    }

    /// Returns the reason why nobody may try at present.
    fn refused_before(&self) -> ConnectFailure {
        let state = self.state();
        state.failure.clone().unwrap_or_else(|| ConnectFailure::refused_before(&Place::of(&state.options)))
    }

    /// Connects once, beside the pools, to find out why these get no connection.
    pub(in crate::store) async fn try_connect(&self, limit: Duration) -> Result<(), ConnectFailure> {
        let Some(attempt) = self.attempt() else { return Err(self.refused_before()) };
        match timeout(limit, self.options().connect()).await {
            Ok(Ok(connection)) => {
                self.note_accepted();
                drop(timeout(limit, connection.close()).await);
                Ok(())
            }
            Ok(Err(error)) => {
                let failure = self.failure(&error);
                if is_login_refused(&error) {
                    self.note_refused(attempt);
                }
                Err(failure)
            }
            Err(_) => Err(ConnectFailure::silent(&self.place())),
        }
    }

    /// Waits until the options change.
    pub(in crate::store) async fn until_replaced(&self) {
        // The sender is here.
        drop(self.replaced.subscribe().changed().await);
    }

    /// Begins an attempt; `None` while nobody may try.
    pub(in crate::store) fn attempt(&self) -> Option<Attempt> {
        let now = Instant::now();
        let mut state = self.state();
        if let Some(refusals) = &mut state.refusals {
            if now < refusals.next {
                return None;
            }
            // One caller tries. The others wait for its answer, or for another pause if there is none.
            refusals.next = now + refusals.pause;
        }
        Some(Attempt { began: now, version: state.version })
    }

    /// Waits until an attempt may be made.
    pub(in crate::store) async fn next_attempt(&self) -> Attempt {
        loop {
            if let Some(attempt) = self.attempt() {
                return attempt;
            }
            sleep(RELOAD_TIME / 2).await;
        }
    }

    /// Notes that the server has refused an attempt. Attempts that had begun before the last refusal tell nothing new, nor does one
    /// with the options of before.
    pub(in crate::store) fn note_refused(&self, attempt: Attempt) {
        LOGIN_REFUSALS.count([]);
        let now = Instant::now();
        let mut state = self.state();
        if attempt.version != state.version {
            return;
        }
        let refusals = match state.refusals {
            Some(refusals) if attempt.began <= refusals.last => return,
            Some(Refusals { first, pause, .. }) => {
                let pause = (pause * 2).min(LONGEST_PAUSE);
                Refusals { first, last: now, next: now + pause, pause }
            }
            None => Refusals { first: now, last: now, next: now + FIRST_PAUSE, pause: FIRST_PAUSE },
        };
        state.refusals = Some(refusals);
        drop(state);
        self.refused.send_replace(());
    }

    /// Notes that the server has accepted a login.
    pub(in crate::store) fn note_accepted(&self) {
        let mut state = self.state();
        (state.refusals, state.failure) = (None, None);
    }

    /// Returns whether another login may be there in a moment: the refusals are new, or it is there.
    fn may_change_soon(&self, version: Option<u64>) -> bool {
        let state = self.state();
        let is_new = |refusals: Refusals| refusals.first.elapsed() < RELOAD_TIME;
        version.is_some_and(|version| version != state.version) || state.refusals.is_none_or(is_new)
    }

    /// Takes a connection out of a pool. While the server refuses logins, callers wait for connections of others, as long as there
    /// are some, and the server is asked again after a pause.
    pub(in crate::store) async fn acquire(
        &self,
        pool: &PgPool,
        limit: Duration,
    ) -> Result<PoolConnection<Postgres>, SqlxError> {
        let until = Instant::now() + limit;
        loop {
            // A connection that nobody uses needs no login.
            let is_idle = pool.num_idle() > 0;
            let attempt = if is_idle { None } else { self.attempt() };
            let refused = match attempt {
                None if !is_idle => self.refused_before(),
                _ => match pool.acquire().await {
                    Err(error) if is_login_refused(&error) => {
                        let failure = self.failure(&error);
                        attempt.into_iter().for_each(|attempt| self.note_refused(attempt));
                        failure
                    }
                    // Of these the pool itself is the reason.
                    Err(error @ (SqlxError::PoolTimedOut | SqlxError::PoolClosed)) => return Err(error),
                    Err(error) => return Err(SqlxError::Configuration(self.failure(&error).into())),
                    Ok(connection) => return Ok(connection),
                },
            };
            let has_connections = pool.size() > 0;
            let may_change = self.may_change_soon(attempt.map(|attempt| attempt.version));
            if !has_connections && !may_change || Instant::now() >= until || pool.is_closed() {
                return Err(SqlxError::Configuration(refused.into()));
            }
            sleep(LOOK_INTERVAL).await;
        }
    }
}

/// Returns the parts in which logins differ.
fn differences(before: (&PgConnectOptions, &LoginTexts), now: (&PgConnectOptions, &LoginTexts)) -> Vec<&'static str> {
    let ((old, old_texts), (new, new_texts)) = (before, now);
    let place =
        |options: &PgConnectOptions| (options.get_host().to_owned(), options.get_port(), options.get_socket().cloned());
    let [old_url, new_url] = [old_texts, new_texts].map(|texts| Url::parse(texts.url.expose_secret()).ok());
    let password = |url: &Option<Url>, texts: &LoginTexts| {
        let own = url.as_ref().and_then(Url::password).map(str::to_owned);
        (own, texts.password.as_ref().map(|password| password.expose_secret().to_owned()))
    };
    let query = |url: &Option<Url>| url.as_ref().and_then(Url::query).map(str::to_owned);
    let parts = [
        ("user", old.get_username() != new.get_username()),
        ("password", password(&old_url, old_texts) != password(&new_url, new_texts)),
        ("host", place(old) != place(new)),
        ("database", old.get_database() != new.get_database()),
        ("parameters", query(&old_url) != query(&new_url)),
    ];
    parts.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name).collect()
}

impl LoginTexts {
    pub(in crate::store) fn new(url: &str, password: Option<&str>) -> Self {
        Self { url: url.into(), password: password.map(Into::into) }
    }
}

impl fmt::Debug for Login {
    // The options hold the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Login")
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    fn login() -> Login {
        let url = "postgres://u:old@h/d";
        Login::new(url.parse().unwrap(), LoginTexts::new(url, None), watch::Sender::new(()))
    }

    fn replace(login: &Login, url: &str, password: Option<&str>) -> Vec<&'static str> {
        login.replace(url.parse().unwrap(), LoginTexts::new(url, password))
    }

    #[tokio::test(start_paused = true, crate = "crate::limit")]
    async fn refused_logins_are_tried_again_in_growing_pauses() {
        let login = login();
        let mut refused = login.refused.subscribe();
        let (first, second) = (login.attempt().unwrap(), login.attempt().unwrap());
        for attempt in [first, second] {
            login.note_refused(attempt);
        }
        let mut pauses = Vec::new();
        for _ in 0..7 {
            assert!(refused.has_changed().unwrap());
            refused.mark_unchanged();
            let began = Instant::now();
            let attempt = loop {
                if let Some(attempt) = login.attempt() {
                    break attempt;
                }
                advance(Duration::from_secs(1)).await;
            };
            pauses.push(began.elapsed().as_secs());
            assert!(login.attempt().is_none(), "one caller tries");
            advance(Duration::from_millis(1)).await;
            login.note_refused(attempt);
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 30, 30], "those that were refused together count once");
        advance(LONGEST_PAUSE).await;
        login.attempt().unwrap();
        login.note_accepted();
        assert!(login.attempt().is_some() && login.attempt().is_some());
    }

    #[tokio::test(start_paused = true, crate = "crate::limit")]
    async fn other_options_are_tried_at_once() {
        let login = login();
        let (early, late) = (login.attempt().unwrap(), login.attempt().unwrap());
        login.note_refused(early);
        assert!(login.attempt().is_none());
        assert!(replace(&login, "postgres://u:old@h/d", None).is_empty());
        assert!(login.attempt().is_none(), "they are the same");
        assert_eq!(replace(&login, "postgres://u:new@h/d", None), ["password"]);
        login.note_refused(late);
        assert!(login.attempt().is_some());
        for (url, password, changed) in [
            ("postgres://v:new@h/d", None, vec!["user"]),
            ("postgres://v:new@g:1/d", None, vec!["host"]),
            ("postgres://v:newer@g:1/e", None, vec!["password", "database"]),
            ("postgres://v:newer@g:1/e?sslmode=disable", None, vec!["parameters"]),
            ("postgres://v@g:1/e?sslmode=disable", Some("other"), vec!["password"]),
            ("postgres://v@[::1]/e?sslmode=disable&hostaddr=::1", Some("other"), vec!["host", "parameters"]),
        ] {
            assert_eq!(replace(&login, url, password), changed);
        }
        assert!(!format!("{login:?}").contains("new"));
    }
}
