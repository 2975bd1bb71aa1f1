//! Carries notifications between the replicas that share a PostgreSQL: NOTIFY after commits, LISTEN on a connection of its own.
//!
//! Nothing depends on it except speed: every task that waits for a notification also polls. NOTIFY is never part of a
//! save, since PostgreSQL lets only one transaction that notifies commit at a time.

use std::time::Duration;

use sea_orm::sqlx;
use sea_orm::sqlx::postgres::{PgListener, PgPoolOptions};
use sea_orm::{ConnectionTrait, DbBackend, DbErr, Statement};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::notifications::{Notifications, Topic};
use crate::entropy::Entropy;
use crate::store::Store;
use crate::store::sql::database::login::Login;
use crate::store::sql::error::is_login_refused;
use crate::telemetry::log_limiter::LogLimiter;

const CHANNEL: &str = "invitation_service";
/// The least time between two notifications; topics that are notified meanwhile go into the next one.
const NOTIFY_INTERVAL: Duration = Duration::from_millis(10);
/// The delay before the next attempt after a failure.
const RETRY_DELAY: Duration = Duration::from_secs(1);
/// The time after which a silent connection is pinged.
const PING_AFTER: Duration = Duration::from_secs(5);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// Carries notifications until stopped, if there are other processes and a way to hear of them.
pub async fn run(store: Store, stop: CancellationToken) {
    let Some(login) = store.database.listen.clone() else { return };
    // The id by which a process recognizes its own notifications.
    let process = Uuid::from_bytes(Entropy::system().bytes()).simple().to_string();
    tokio::select! {
        () = pass_on(&store, &process) => {}
        () = listen_always(&login, &store.notifications, &process) => {}
        () = stop.cancelled() => {}
    }
}

/// Sends the notifications of this process to the other processes.
async fn pass_on(store: &Store, process: &str) {
    let mut pending = store.notifications.subscribe_remote();
    let mut log_limiter = LogLimiter::default();
    while pending.changed().await.is_ok() {
        let topics = store.notifications.take_pending();
        if !topics.is_empty()
            && let Err(error) = notify(store, process, &topics).await
        {
            log_limiter.warn("notify", &error);
            sleep(RETRY_DELAY).await;
        }
        sleep(NOTIFY_INTERVAL).await;
    }
}

async fn notify(store: &Store, process: &str, topics: &[Topic]) -> Result<(), DbErr> {
    let payload = topics.iter().fold(process.to_owned(), |payload, topic| payload + " " + name(*topic));
    let values = [CHANNEL.into(), payload.into()];
    // Nothing waits for the disk: a notification that a crash of the database loses, it loses with everybody who listens.
    let sql = "SELECT set_config('synchronous_commit', 'off', true), pg_notify($1, $2)";
    let statement = Statement::from_sql_and_values(DbBackend::Postgres, sql, values);
    store.database.read.query_one_raw(statement).await.map(drop)
}

/// Listens, and reconnects whenever the connection fails, or the login is another one. While the server refuses the login, the pauses
/// grow.
async fn listen_always(login: &Login, notifications: &Notifications, process: &str) {
    let mut log_limiter = LogLimiter::default();
    loop {
        let attempt = login.next_attempt().await;
        let error = tokio::select! {
            Err(error) = listen(login, notifications, process) => error,
            () = login.until_replaced() => continue,
        };
        if is_login_refused(&error) {
            login.note_refused(attempt);
        }
        let failure = match &error {
            // The library tries for a while where the server has no connection left, and does not say so.
            sqlx::Error::PoolTimedOut => login.try_connect(ANSWER_TIMEOUT).await.err(),
            error => Some(login.failure(error)),
        };
        log_limiter.warn("listen", &failure.map_or_else(|| error.to_string(), |failure| failure.to_string()));
        sleep(RETRY_DELAY).await;
    }
}

/// Notifies this process of the topics of the others, until the connection is lost for good.
async fn listen(
    login: &Login,
    notifications: &Notifications,
    process: &str,
) -> Result<std::convert::Infallible, sqlx::Error> {
    // The connection is not one of the pool's, which calls need.
    let own =
        PgPoolOptions::new().max_connections(1).max_lifetime(None).idle_timeout(None).acquire_timeout(ANSWER_TIMEOUT);
    let mut listener = PgListener::connect_with(&own.connect_lazy_with(login.options())).await?;
    login.note_accepted();
    listener.listen(CHANNEL).await?;
    loop {
        // Notifications were lost while this process did not listen.
        Topic::ALL.into_iter().for_each(|topic| notifications.notify_local(topic));
        loop {
            match timeout(PING_AFTER, listener.try_recv()).await {
                Ok(Ok(Some(notification))) => receive(notification.payload(), notifications, process),
                // The connection was lost and restored.
                Ok(Ok(None)) => break,
                Ok(Err(error)) => return Err(error),
                Err(_) => probe(&mut listener).await?,
            }
        }
    }
}

/// Checks whether a silent connection still works.
async fn probe(listener: &mut PgListener) -> Result<(), sqlx::Error> {
    let asked = timeout(ANSWER_TIMEOUT, sqlx::query("SELECT 1").execute(listener)).await;
    asked.unwrap_or(Err(sqlx::Error::PoolTimedOut)).map(drop)
}

fn receive(payload: &str, notifications: &Notifications, process: &str) {
    let mut words = payload.split(' ');
    if words.next() == Some(process) {
        return;
    }
    for word in words {
        // A newer version may know more topics.
        let topic = Topic::ALL.into_iter().find(|topic| name(*topic) == word);
        topic.into_iter().for_each(|topic| notifications.notify_local(topic));
    }
}

fn name(topic: Topic) -> &'static str {
    match topic {
        Topic::Outbox => "outbox",
        Topic::Event => "event",
        Topic::Position => "position",
        Topic::Webhook => "webhook",
        Topic::ApiKey => "api_key",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn receives_known_topics_of_other_processes_only() {
        let notifications = Notifications::new();
        let (pending, [outbox, event, position, webhook, api_key]) =
            (notifications.subscribe_remote(), Topic::ALL.map(|topic| notifications.subscribe(topic)));
        receive("me outbox", &notifications, "me");
        receive("", &notifications, "me");
        receive("other event future webhook", &notifications, "me");
        let notified = [outbox, event, position, webhook, api_key].map(|topic| topic.has_changed().unwrap());
        assert_eq!(notified, [false, true, false, true, false]);
        assert!(!pending.has_changed().unwrap(), "what comes from others does not go back to them");
    }
}
